"""How many cells run at once, and what is shown meanwhile."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from toys import whole_toy

from distreal_sim.base.progress import Bar
from distreal_sim.config.build import build
from distreal_sim.sweep import run as sweep_run
from distreal_sim.sweep.cells import load_cells
from distreal_sim.sweep.memory import PROCESS_BYTES, n_fitting, run_bytes
from distreal_sim.sweep.progress import SweepShown
from distreal_sim.sweep.run import run_sweep

from .toy_sweep import write_sweep


def test_bytes_of_a_run_by_hand() -> None:
    """Logistic regression on 64 pixels: 650 parameters in 17 copies (12 of the run, 5 in waiting updates).

    Per example the layers put out 64 and 10 numbers of 4 bytes. Training keeps both twice for 16 examples; a
    test batch holds the larger twice for all 360 test examples, if it may have so many. The data twice: a
    pixel is as large as it is stored, a label has 8 bytes.
    """
    for test_batch, most in ((500, 2 * 360 * 64 * 4), (10, 2 * 16 * 74 * 4)):
        task = build(whole_toy(model="logistic", method="fedavg", evaluation={"batch_size": test_batch}))
        pixels = 1797 * 64 * task.data.train.x.itemsize
        expected = PROCESS_BYTES + 2 * (pixels + 1797 * 8) + 17 * 650 * 4 + most
        assert run_bytes(task) == expected


def test_states_of_the_optimizer_count() -> None:
    """Adam's second one is there twice, as the network is: resident and cut to size."""
    sgd, adam = (
        run_bytes(
            build(
                whole_toy(model="logistic", method="fedavg", local={"optimizer": own, "lr": 0.1, "epochs": 1})
            )
        )
        for own in ("sgd", "adam")
    )
    assert adam - sgd == 2 * 650 * 4


def test_kernels_of_every_convolution_at_every_size_count() -> None:
    """Three convolutions, three kernels each, at five widths or more without a front, or at all entries of
    one; for batches of 16, and clients of 119 and 120 examples, whose last batches have 7 and 8.
    """
    settings = {"partition": "iid", "n_clients": 12, "evaluation": {"batch_size": 2}}
    plain, thinned = (build(whole_toy(method=name, **settings)) for name in ("fedavg", "distreal"))
    assert thinned.front is not None
    assert sorted({int(n) for n in plain.split.sizes}) == [119, 120]
    more = len(thinned.front.entries) - 5
    assert more
    assert run_bytes(thinned) - run_bytes(plain) == 110_000 * 3 * 3 * more * 3
    assert run_bytes(plain, 16) - run_bytes(plain) == 110_000 * 3 * 3 * (16 - 5) * 3
    assert run_bytes(thinned, 16) == run_bytes(thinned)


def test_a_fifth_of_the_memory_is_left_to_others() -> None:
    """Eight of 100 in 1,000; and one, however little there is."""
    assert [n_fitting(100, free) for free in (1000, 999, 250, 0)] == [8, 7, 2, 1]


@pytest.mark.slow
def test_fewer_at_a_time_where_more_would_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, cells, _ = load_cells(write_sweep(tmp_path))
    need = max(run_bytes(build(cell.experiment)) for cell in cells)
    monkeypatch.setattr(sweep_run, "available_bytes", lambda: 2 * need)
    told: list[str] = []
    run_sweep(sweep, cells, tmp_path / "out", n_workers=3, say=told.append)
    assert len(told) == 1
    assert told[0].startswith("8 cells to run, 1 at a time, not 3: more would not fit; a cell needs at most ")


def test_the_bar_counts_rounds(tmp_path: Path) -> None:
    """Eight cells of four rounds; one has two behind it, so 30 are to come. Of these, one is played in the
    first cell, which then ends (two more), and the second one fails.
    """
    _, cells, _ = load_cells(write_sweep(tmp_path))

    def path_of(cell: object) -> Path:
        return tmp_path / cell.hash  # type: ignore[attr-defined]

    def set_rounds(cell: object, n_rounds: int) -> None:
        path_of(cell).mkdir(exist_ok=True)
        (path_of(cell) / "rounds.csv").write_text("head\n" + "row\n" * n_rounds)

    set_rounds(cells[0], 2)
    with Progress(console=Console(file=io.StringIO())) as progress:
        bar = SweepShown(Bar(progress))
        bar.begin(cells, 0, path_of)
        (task,) = progress.tasks
        assert (task.total, task.completed) == (30, 0)
        assert task.fields["facts"] == "0 of 8 cells done, 0 running"
        bar.running(cells[:2])
        set_rounds(cells[0], 3)
        bar.look()
        assert (task.completed, task.fields["facts"]) == (1, "0 of 8 cells done, 2 running")
        bar.ended(cells[0], failed=False)
        assert (task.completed, task.fields["facts"]) == (2, "1 of 8 cells done, 1 running")
        bar.ended(cells[1], failed=True)
        assert (task.completed, task.fields["facts"]) == (6, "1 of 8 cells done, 0 running, 1 failed")
