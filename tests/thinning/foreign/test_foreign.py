"""Small networks of many kinds, each held to an independent twin.

Each is right, right with a part left whole for the true reason, or refused for the true reason.
"""

from __future__ import annotations

import importlib
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from thinning.foreign import twin
from thinning.foreign.cases import CASES, Case
from thinning.foreign.flops import flops
from thinning.foreign.twin import judge
from variants import by_default

from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask

for _theme in ("couplings", "shapes", "broadcasts", "parameters", "buffers", "costs", "control", "attention"):
    importlib.import_module(f"thinning.foreign.{_theme}")


def verdict(name: str, case: Case, seed: int = 0) -> tuple[str, tuple[int, ...], str]:
    """What the judge says, the widths of the groups, and what is left whole and why."""
    seed += zlib.crc32(name.encode())
    torch.manual_seed(seed)
    module = case.make(*(case.widths if case.made is None else case.made)).double().train()
    rng = np.random.default_rng(seed)
    shape = (4, *case.shape)
    x = torch.from_numpy(rng.integers(case.n_tokens, size=shape) if case.n_tokens else rng.normal(size=shape))
    y = torch.from_numpy(rng.integers(0, 3, 4))
    small = case.make if case.rebuilt and case.refused is None else None
    said, structure = judge(module, x, y, loss_fn=case.loss_fn, small=small, seed=seed)
    if structure is None:
        return said, (), ""
    why = "; ".join(f"{of.module} is left whole: {of.reason}" for of in structure.whole)
    return said, structure.full_counts(), why


def some_right() -> list[Any]:
    """Every network that is refused, and every third that is not; the rest in the slow tests."""
    right = [name for name, case in CASES.items() if case.refused is None]
    return by_default(CASES, {*CASES} - {*right} | {*right[::3]})


@pytest.mark.parametrize("name", some_right())
def test_right_or_refused(name: str) -> None:
    case = CASES[name]
    said, widths, why = verdict(name, case)
    if case.refused is not None:
        assert said.startswith("refused: ")
        assert case.refused in said
    else:
        assert said == "right"
        assert widths == case.widths
        assert (case.whole or "") in why
        assert case.whole is not None or not why


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.refused is None])
def test_other_weights_and_masks(name: str, seed: int) -> None:
    """The same networks with other initial weights, inputs and masks."""
    assert verdict(name, CASES[name], seed)[:2] == ("right", CASES[name].widths)


def test_there_are_enough() -> None:
    """At least fifty that are thinned, fifty that are left whole in part, and twenty that are refused."""
    n_whole = sum(case.whole is not None for case in CASES.values())
    n_refused = sum(case.refused is not None for case in CASES.values())
    assert len(CASES) - n_whole - n_refused >= 50
    assert n_whole >= 50
    assert n_refused >= 20


def _times(factor: float, function: Any) -> Any:
    """The function with its result multiplied (the first of several results)."""

    def changed(*args: Any, **kwargs: Any) -> Any:
        out = function(*args, **kwargs)
        return (out[0] * factor, *out[1:]) if isinstance(out, tuple) else out * factor

    return changed


def _first_channels(structure: Any, kept: Any) -> Mask:
    """As many channels as are to be kept, but the first ones in place of the drawn ones."""
    return Mask(tuple(np.arange(len(k)) for k in kept))


def _nudged(self: Engine, *args: Any, **kwargs: Any) -> Any:
    """A step whose learning rate is a millionth too large."""
    x, y, mask, lr, *rest = args
    return _STEP(self, x, y, mask, lr * (1 + 1e-6), *rest, **kwargs)


_STEP = Engine.step


@pytest.mark.parametrize(
    ("target", "name", "replacement", "message"),
    [
        (Engine, "gradients", _times(1 + 1e-6, Engine.gradients), "loss, kept"),
        (Engine, "forward", _times(1 + 1e-6, Engine.forward), "outputs, kept"),
        (Engine, "step", _nudged, "loss of step 2"),
        (twin, "mask_of", _first_channels, "loss, kept"),
        (twin, "forward_macs", _times(2, twin.forward_macs), "MACs per example"),
        (twin, "training_macs", _times(2, twin.training_macs), "MACs per example"),
        (twin, "weighted_average", lambda structure, old, updates: next(updates).arrays, "merged"),
    ],
)
def test_the_judge_sees_faults(
    monkeypatch: pytest.MonkeyPatch, target: Any, name: str, replacement: Any, message: str
) -> None:
    """A number that is wrong in one place is found, and named."""
    monkeypatch.setattr(target, name, replacement)
    with pytest.raises(twin.WrongError, match=message):
        verdict("dense_block", CASES["dense_block"])


def test_the_counter_counts_grouped_convolutions_as_dense_ones() -> None:
    """A convolution of 6 to 4 channels in 2 groups costs as two of 3 to 2 channels, backward too.

    Forward 2 x 9 x 3 x 2 x 16 positions = 1728 MACs an example; twice that more for both gradients.
    """
    x = torch.randn(5, 6, 4, 4, requires_grad=True)
    whole, part = torch.nn.Conv2d(6, 4, 3, padding=1, groups=2), torch.nn.Conv2d(3, 2, 3, padding=1)
    together = flops(lambda: whole(x).sum().backward())
    assert together == 2 * 5 * 1728 * 3
    assert together == flops(lambda: torch.cat([part(x[:, :3]), part(x[:, 3:])], 1).sum().backward())
