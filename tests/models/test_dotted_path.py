"""Any torch.nn.Module by dotted path is a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from toys import TOY

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load
from distreal_sim.config import parse_experiment
from distreal_sim.config.build import build
from distreal_sim.models import Model

MODULE = """
from torch import nn


class Net(nn.Module):
    def __init__(self, n_classes, width=8, *, depth: int = 1):
        super().__init__()
        layers = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 1):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(width, n_classes)

    def forward(self, x):
        return self.head(self.body(x))
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Dotted path of a user's module class."""
    (tmp_path / "users_nets.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "users_nets.Net"


def test_its_constructor_is_its_options(path: str) -> None:
    """n_classes comes from the data, width and depth from the config; the engine thins it."""
    experiment = parse_experiment({**TOY, "model": {"name": path, "width": 6, "depth": 2}}, source="toy")
    assert experiment.resolved()["model"] == {"name": path, "n_classes": None, "width": 6, "depth": 2}
    task = build(experiment)
    assert [(g.name, g.channels) for g in task.structure.groups] == [("body.0", 6), ("body.2", 6)]
    assert task.module(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_an_unknown_option_names_the_nearest(path: str) -> None:
    with pytest.raises(InputError, match=r"unknown key 'model.widht' = 6; did you mean 'model.width'"):
        parse_experiment({**TOY, "model": {"name": path, "widht": 6}}, source="toy")


def test_a_constructor_that_fails_is_named_with_its_options(path: str) -> None:
    model = load(Model, path)(width=-1)
    call = r"users_nets\.Net\(n_classes=10, width=-1, depth=1\)"
    with pytest.raises(InputError, match=f"{call} cannot be built"):
        model.build((1, 8, 8), 10)


def test_torch_itself_has_models() -> None:
    """A class of a library, with options that the data do not know."""
    model = load(Model, "torch.nn.Linear")(in_features=4, out_features=2)
    built = model.build((4,), 2)
    assert isinstance(built, nn.Linear)
    assert model.name == "torch.nn.modules.linear.Linear"
