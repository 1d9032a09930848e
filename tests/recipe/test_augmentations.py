"""Augmentations: what each may do to an image, in a config, and in a round."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch
from rounds import play
from torch import Tensor, nn
from toys import TOY, toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.base.rng import Rngs
from distreal_sim.config import load_experiment
from distreal_sim.config.build import build
from distreal_sim.recipe.augmentations import Augmentation
from distreal_sim.recipe.augmentations.affine import Affine
from distreal_sim.recipe.augmentations.crop import Crop
from distreal_sim.recipe.augmentations.cutout import Cutout
from distreal_sim.recipe.augmentations.flip import Flip

RNGS = Rngs(3, (1, 2))

X = torch.arange(1.0, 1 + 200 * 2 * 4 * 5).reshape(200, 2, 4, 5)
"""200 images of 4 x 5 pixels, of which no two have a value in common and none is 0."""


def local(*augment: Any) -> dict[str, Any]:
    return {**TOY["local"], "augment": list(augment)}


@pytest.mark.parametrize("name", names(Augmentation))
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_keyed(name: str, layout: torch.memory_format) -> None:
    """The same generators, the same change, in whatever memory layout; others, another one; x stays."""
    change = load(Augmentation, name)(**({"size": 3} if name == "cutout" else {}))
    x = X.contiguous(memory_format=layout)
    first = change.apply(x, RNGS)
    assert first.shape == X.shape
    assert torch.equal(first, change.apply(X, Rngs(3, (1, 2))))
    assert torch.equal(x, X)
    assert all(not torch.equal(first, change.apply(x, other)) for other in (Rngs(3, (2, 2)), Rngs(4, (1, 2))))


def test_flip() -> None:
    """Each image is itself or its mirror image; 60 to 140 of 200 are, but for 2e-8 of all seeds."""
    changed = Flip().apply(X, RNGS)
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(changed, X, strict=True)]
    assert all(flipped or torch.equal(a, b) for a, b, flipped in zip(changed, X, mirrored, strict=True))
    assert 60 <= sum(mirrored) <= 140
    assert torch.equal(Flip(share=0).apply(X, RNGS), X)
    assert torch.equal(Flip(share=1).apply(X, RNGS), X.flip(3))


def test_crop() -> None:
    """Each image moved by -2 ... 2 pixels down and across, the rest 0; each of the 25 moves occurs, but for a
    chance of (24 / 25)^200 = 0.0003, so that at least 22 do.
    """
    padded = torch.zeros(200, 2, 8, 9)
    padded[:, :, 2:6, 2:7] = X
    moves = set()
    for image, wide in zip(Crop(padding=2).apply(X, RNGS), padded, strict=True):
        here = [
            (i, j) for i in range(5) for j in range(5) if torch.equal(image, wide[:, i : i + 4, j : j + 5])
        ]
        assert len(here) == 1
        moves.add(here[0])
    assert len(moves) >= 22


def test_affine() -> None:
    """Without any change the image itself; a shift of at most 10 % moves a bright pixel by 1 of 10 at most.

    Of scale 2 the middle half fills the image: a bright half becomes bright all over.
    """
    still = {"degrees": 0.0, "shear": 0.0, "shift": 0.0}
    torch.testing.assert_close(Affine(**still, scale=(1.0, 1.0)).apply(X, RNGS), X, atol=1e-2, rtol=0)
    spot = torch.zeros(50, 1, 10, 10)
    spot[:, :, 5, 5] = 1.0
    shifted = Affine(degrees=0, shear=0, scale=(1, 1), shift=0.1).apply(spot, RNGS)
    torch.testing.assert_close(shifted.sum((1, 2, 3)), torch.ones(50))
    assert (shifted[:, :, 4:7, 4:7].sum((1, 2, 3)) > 1 - 1e-5).all()
    assert len(shifted.flatten(1).argmax(1).unique()) > 1
    middle = torch.zeros(1, 1, 8, 8)
    middle[:, :, 2:6, 2:6] = 1.0
    assert Affine(**still, scale=(2.0, 2.0)).apply(middle, RNGS)[:, :, 1:7, 1:7].min() == 1.0


def test_cutout() -> None:
    """A hole of 3 x 3 pixels around a pixel, cut at the edges: in height 2 where the centre is the first or
    last of 4 rows, else 3; the same in width. All channels have the same hole, the rest of the image stays.
    """
    seen = set()
    for image, before in zip(Cutout(size=3).apply(X, RNGS), X, strict=True):
        hole = image == 0
        assert torch.equal(hole[0], hole[1])
        assert torch.equal(image[~hole], before[~hole])
        rows, columns = np.flatnonzero(hole[0].any(1)), np.flatnonzero(hole[0].any(0))
        assert hole[0].sum() == len(rows) * len(columns)
        assert (len(rows), len(columns)) == (
            2 if rows[0] == 0 and len(rows) == 2 else len(rows),
            len(columns),
        )
        centre = (1 if len(rows) == 3 else 0) + rows[0] if rows[0] == 0 else rows[0] + 1
        across = (1 if len(columns) == 3 else 0) + columns[0] if columns[0] == 0 else columns[0] + 1
        assert len(rows) == (2 if centre in (0, 3) else 3)
        assert len(columns) == (2 if across in (0, 4) else 3)
        seen.add((centre, across))
    assert len(seen) >= 18


class Darker(nn.Module):
    """A transform like torchvision's: for one image with values in [0, 1]."""

    def __init__(self, least: float = 0.5, hue: Sequence[float] | None = None) -> None:
        super().__init__()
        self.least = least

    def forward(self, image: Tensor) -> Tensor:
        assert image.dim() == 3
        assert 0 <= image.min() <= image.max() <= 1
        return image * (self.least + (1 - self.least) * torch.rand(()))


class Smaller(nn.Module):
    """A transform that gives another shape."""

    def forward(self, image: Tensor) -> Tensor:
        return image[:, 1:]


def test_a_transform_by_dotted_path() -> None:
    """One image at a time, in [0, 1], and back; keyed draws; its options are the constructor's."""
    name = f"{__name__}.Darker"
    experiment = toy(local=local({"name": name, "least": 0.2}))
    (change,) = experiment.local.augment
    assert change.name == name
    assert load_experiment(experiment.resolved())[0].local == experiment.local
    written = experiment.resolved()["local"]["augment"]
    assert written == [{"name": name, "least": 0.2, "hue": None}]
    task = build(experiment)
    x, _ = task.batch(task.data.train, np.arange(40))
    mean, std = (torch.from_numpy(array)[:, None, None] for array in (task.data.mean, task.data.std))
    once, again, other = (task.augmented(x, Rngs(1, (key,))) for key in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    ratio = (once * std + mean) / (x * std + mean)
    ratio = torch.where((x * std + mean) > 1, ratio, torch.nan)
    assert torch.nan_to_num(ratio, 0.2).min() >= 0.2 - 1e-4
    spread = [row[~row.isnan()].max() - row[~row.isnan()].min() for row in ratio.flatten(1)]
    assert max(spread) < 1e-3
    assert len({round(row[~row.isnan()].mean().item(), 3) for row in ratio.flatten(1)}) > 30
    assert pickle.loads(cloudpickle.dumps(task)).local == experiment.local


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("flip", r"local\.augment = 'flip' must be a list of names"),
        (["flp"], r"local\.augment\.0\.name: .*'flp'.*did you mean 'flip'"),
        ([{"name": "cutout", "size": 8}], r"local\.augment: cutout: size \(8\) must be less than the sides"),
        ([{"name": "crop", "padding": 0}], r"local\.augment\.0\.padding = 0 must be at least 1"),
        ([f"{__name__}.Smaller"], r"local\.augment: .*Smaller must return float32 images of the same shape"),
        (
            [{"name": f"{__name__}.Darker", "lest": 1}],
            r"unknown key 'local\.augment\.0\.lest' = 1; did you mean .*least",
        ),
        ([{"name": f"{__name__}.Darker", "least": "a"}], r"local\.augment: .*Darker fails with TypeError"),
    ],
)
def test_mistakes(augment: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(toy(local={**TOY["local"], "augment": augment}))


def test_images_only(tmp_path: Any) -> None:
    rows = "\n".join(f"{i % 7},{i % 5},{i % 2}" for i in range(60))
    (tmp_path / "table.csv").write_text(f"a,b,label\n{rows}\n")
    data = {"name": "table", "file": str(tmp_path / "table.csv"), "label_column": "label"}
    with pytest.raises(
        InputError, match=r"local\.augment: flip changes images \(C, H, W\), and an example of"
    ):
        build(toy(dataset=data, partition="iid", model="logistic", method="fedavg", local=local("flip")))


def test_training_sees_other_images_and_tests_the_same() -> None:
    """At rate 0 the model stays: the training loss is another one in every round, the test loss none."""
    plain, changed = (
        play(2, method={"name": "fedavg"}, local={**local(*augment), "lr": 0.0, "epochs": 1})
        for augment in ([], [{"name": "crop", "padding": 3}, "flip", {"name": "cutout", "size": 5}])
    )
    for a, b in zip(plain.rounds, changed.rounds, strict=True):
        assert a.test_loss == b.test_loss
        assert a.train_loss != b.train_loss
    assert plain.model == changed.model
