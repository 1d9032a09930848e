"""FedAvg trains every layer of torch.nn rightly, with what can be thinned thinned, or says why it cannot."""

from __future__ import annotations

import pytest
import torch
from thinning.foreign.torch_modules import MODULES, REFUSED
from thinning.foreign.twin import judge
from variants import by_default


@pytest.mark.parametrize("name", by_default(MODULES, [*MODULES][::2]))
def test_right_or_refused(name: str) -> None:
    """Outputs, gradients, SGD steps and merges are the twin's, and the cost is the flop counter's."""
    make, shape = MODULES[name]
    torch.manual_seed(3)
    module = make().double().train()
    x = torch.randint(11, (4, *shape)) if len(shape) == 1 else torch.randn(4, *shape, dtype=torch.float64)
    verdict, _ = judge(module, x, torch.tensor([0, 1, 2, 1]), thorough=False)
    if name in REFUSED:
        assert verdict.startswith("refused: ")
        assert REFUSED[name] in verdict
    else:
        assert verdict == "right"


def test_there_are_enough() -> None:
    assert len(MODULES.keys() - REFUSED) >= 30
