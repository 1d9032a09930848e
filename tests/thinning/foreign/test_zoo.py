"""Networks of public model zoos: right, be it that all of one is left whole, or refused; never wrong."""

from __future__ import annotations

import pytest
import torch
from thinning.foreign.zoo import Entry, entries, missing, verdict

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _zoos() -> None:
    if absent := missing():
        pytest.skip(f"not installed: {', '.join(absent)} (see requirements.txt beside this file)")
    torch.set_num_threads(1)


@pytest.mark.parametrize("entry", list(entries()), ids=lambda entry: entry.id)
def test_never_wrong(entry: Entry) -> None:
    found = verdict(entry)
    assert found.kind in ("right", "refused"), found.reason
    assert "when the network gets inputs" not in found.reason  # the example is too small for it


def test_enough_are_tried_and_right() -> None:
    """Of this many networks the table of docs/explanation/thinning.md speaks."""
    assert len(list(entries())) >= 150
