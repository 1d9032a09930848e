"""Rounds derived by hand: every pick, cost and end time.

The front has three entries, A, B and C, of 20, 50 and 100 MACs per example; C is the full network.
"""

from __future__ import annotations

import math

import pytest
from choices import from_front
from pieces import Pieces

from distreal_sim.client.schedule import Choice, Moment, NeverDoneError, Overrun, Schedule, schedule
from distreal_sim.devices.capacity import Capacity
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.thinning.structure import Counts

A, B, C = (1,), (2,), (3,)
MACS = {A: 20, B: 50, C: 100}
FRONT = Front(
    (Entry((0.6,), A, 20, 0.2), Entry((0.3,), B, 50, 0.5), Entry((0.0,), C, 100, 1.0)),
    model="by hand",
    groups=("conv",),
    made={},
)


distreal = from_front(FRONT)


def full(moment: Moment) -> Choice:
    return Choice(C, MACS[C])


def play(
    sizes: list[int],
    levels: tuple[float, ...],
    ends: tuple[float, ...] = (),
    *,
    end_s: float,
    start_s: float = 0.0,
    overrun: Overrun = "partial",
    choose=distreal,
    deadline_s: float | None = None,
) -> Schedule:
    capacity = Capacity(Pieces(levels, ends), 1.0, 0.0)
    return schedule(
        sizes,
        capacity,
        choose,
        start_s=start_s,
        end_s=end_s,
        overrun=overrun,
        deadline_s=deadline_s,
    )


def told(plan: Schedule) -> list[tuple[Counts, int, float, float]]:
    return [(s.choice.counts, s.macs, round(s.start_s, 9), round(s.end_s, 9)) for s in plan.steps]


def test_capacity_halves_in_the_middle_of_a_step() -> None:
    """Three batches of 2, 100 MAC/s until t = 3, then 50; the round ends at 6.

    t = 0: 100 * 6 / 6 examples = 100 per example: C just fits; 200 MACs, done at 2.
    t = 2: 100 * 4 / 4 = 100: C; 100 MACs by t = 3, 100 more at 50/s: done at 5.
    t = 5: 50 * 1 / 2 = 25: A; 40 MACs, done at 5.8. Together 440 MACs.
    """
    plan = play([2, 2, 2], (100.0, 50.0), (3.0,), end_s=6.0)
    assert told(plan) == [(C, 200, 0, 2), (C, 200, 2, 5), (A, 40, 5, 5.8)]
    assert (plan.status, plan.macs, plan.n_planned) == ("completed", 440, 3)
    assert plan.compute_end_s == pytest.approx(5.8, abs=1e-12)


def test_capacity_is_0_for_a_while_in_the_middle_of_a_step() -> None:
    """100 MAC/s, 0 in [1, 3); two batches of 2; the round ends at 6.

    t = 0: 100 * 6 / 4 = 150: C; 100 MACs by t = 1, nothing until 3, 100 more: done at 4.
    t = 4: 100 * 2 / 2 = 100: C just fits; done at 6, in time.
    """
    plan = play([2, 2], (100.0, 0.0, 100.0), (1.0, 3.0), end_s=6.0, overrun="drop")
    assert told(plan) == [(C, 200, 0, 4), (C, 200, 4, 6)]
    assert (plan.status, plan.macs, plan.compute_end_s) == ("completed", 400, 6.0)


def test_capacity_is_0_when_a_step_begins() -> None:
    """0 until t = 1, then 100 MAC/s; two batches of 2; the round ends at 3.

    t = 0: a budget of 0, nothing fits: A; it waits until 1, and 40 MACs are done at 1.4.
    t = 1.4: 100 * 1.6 / 2 = 80: B; 100 MACs, done at 2.4.
    """
    plan = play([2, 2], (0.0, 100.0), (1.0,), end_s=3.0)
    assert told(plan) == [(A, 40, 0, 1.4), (B, 100, 1.4, 2.4)]
    assert plan.status == "completed"


def test_last_batch_is_short() -> None:
    """Batches of 3, 3 and 2 at 100 MAC/s; the round ends at 7.9.

    t = 0: 790 / 8 = 98.75: B; 150 MACs, done at 1.5.
    t = 1.5: 640 / 5 = 128: C; 300 MACs, done at 4.5.
    t = 4.5: 340 / 2 = 170: C; 200 MACs (of the 2 examples that are there), done at 6.5.
    """
    plan = play([3, 3, 2], (100.0,), end_s=7.9)
    assert told(plan) == [(B, 150, 0, 1.5), (C, 300, 1.5, 4.5), (C, 200, 4.5, 6.5)]
    assert plan.macs == 650


def test_one_pick_at_the_start_would_be_another_round() -> None:
    """200 MAC/s until t = 1, then 20; three batches of 2; the round ends at 6.

    t = 0: 200 * 6 / 6 = 200: C; 200 MACs, done at 1. t = 1: 20 * 5 / 4 = 25: A; 40 MACs, done at 3.
    t = 3: 20 * 3 / 2 = 30: A, done at 5. With C, frozen, the second step would take 10 s.
    """
    plan = play([2, 2, 2], (200.0, 20.0), (1.0,), end_s=6.0)
    assert told(plan) == [(C, 200, 0, 1), (A, 40, 1, 3), (A, 40, 3, 5)]
    frozen = play([2, 2, 2], (200.0, 20.0), (1.0,), end_s=6.0, choose=full)
    assert told(frozen) == [(C, 200, 0, 1)]
    assert (frozen.status, frozen.macs) == ("partial", 200 + 100)


@pytest.mark.parametrize(
    ("missing", "picks"),
    [(0.0, [C, C]), (4e-10, [C, C]), (9e-10, [C, B]), (1.1e-9, [B, C]), (1e-6, [B, C])],
)
@pytest.mark.parametrize("after", [0.0, 1e-3, 100.0, math.inf])
def test_just_fits(missing: float, picks: list[Counts], after: float) -> None:
    """Two batches of 3 at 100 MAC/s need 6 s with C; the round is shorter by a share `missing`.

    Up to 1e-9 that is the tolerance: C is picked. Before the second step the lack is a share 2 * missing of
    the 3 s left: up to 5e-10 C is picked again, and is then also done in time, whatever the capacity after
    the round is; from there on B. Beyond 1e-9 B is picked first, and there is time for C after it.
    """
    end_s = 6 * (1 - missing)
    plan = play([3, 3], (100.0, after), (end_s,), end_s=end_s, overrun="drop")
    assert [s.choice.counts for s in plan.steps] == picks
    assert plan.status == "completed"
    assert plan.macs == sum(3 * MACS[p] for p in picks)
    assert plan.compute_end_s <= end_s
    if picks == [C, C]:
        assert plan.compute_end_s == pytest.approx(6, rel=1e-9)


def test_just_fits_over_many_steps() -> None:
    """1000 batches of 1 with C at 100 MAC/s need 1000 s; a round of 1000 (1 - 5e-10) s lacks 5e-7 s, which is
    5e-7 of the last step, but within 1e-9 of the round's work: all steps are done. At 1000 (1 - 2e-9) s the
    last one is not.
    """
    for missing, done in ((5e-10, 1000), (2e-9, 999)):
        end_s = 1000 * (1 - missing)
        plan = play([1] * 1000, (100.0, 0.0), (end_s,), end_s=end_s, choose=full)
        assert len(plan.steps) == done
        assert plan.macs in (100_000, 99_999)


@pytest.mark.parametrize(
    ("overrun", "status", "macs", "end_s", "n_steps"),
    [("drop", "dropped", 60, 6.0, 1), ("partial", "partial", 60, 6.0, 1), ("wait", "completed", 80, 8.0, 2)],
)
def test_nothing_fits(overrun: Overrun, status: str, macs: int, end_s: float, n_steps: int) -> None:
    """10 MAC/s, two batches of 2, the round ends at 6.

    t = 0: 60 / 4 = 15 < 20: A all the same; 40 MACs, done at 4. t = 4: 20 / 2 = 10: A; at 6 it is half done:
    20 MACs are charged and undone. With `wait` it is done at 8.
    """
    plan = play([2, 2], (10.0,), end_s=6.0, overrun=overrun)
    assert [s.choice.counts for s in plan.steps] == [A] * n_steps
    assert (plan.status, plan.macs, plan.compute_end_s) == (status, macs, end_s)
    assert plan.charged_macs == macs, "of an unfinished step only what it took"


@pytest.mark.parametrize("overrun", ["drop", "partial"])
def test_not_one_step_done(overrun: Overrun) -> None:
    """1 MAC/s for 6 s: 6 of 40 MACs; there is no partial work to keep."""
    plan = play([2, 2], (1.0,), end_s=6.0, overrun=overrun)
    assert (plan.steps, plan.status, plan.macs, plan.compute_end_s) == ((), "dropped", 6, 6.0)


def test_full_network_under_each_overrun_rule() -> None:
    """Three batches of 2 with C at 100 MAC/s until t = 3, then 50: steps end at 2, 5 and 9; the round at 6.
    At 6 the third step has got 50 MACs.
    """
    rounds = {
        o: play([2, 2, 2], (100.0, 50.0), (3.0,), end_s=6.0, overrun=o, choose=full)
        for o in ("drop", "partial", "wait")
    }
    assert [s.end_s for s in rounds["wait"].steps] == [2.0, 5.0, 9.0]
    assert [s.end_s for s in rounds["partial"].steps] == [2.0, 5.0]
    assert {o: (p.status, p.macs, p.compute_end_s) for o, p in rounds.items()} == {
        "drop": ("dropped", 450, 6.0),
        "partial": ("partial", 450, 6.0),
        "wait": ("completed", 600, 9.0),
    }


def test_infinite_capacity() -> None:
    """Everything is done at once with C; where the capacity is inf from t = 1 on, the first step ends there.

    A of the first step: 10 MAC/s * 6 / 4 = 15 < 20.
    """
    plan = play([2, 2], (math.inf,), end_s=6.0)
    assert told(plan) == [(C, 200, 0, 0), (C, 200, 0, 0)]
    later = play([2, 2], (10.0, math.inf), (1.0,), end_s=6.0)
    assert told(later) == [(A, 40, 0, 1), (C, 200, 1, 1)]


def test_waiting_for_a_client_that_never_comes_back() -> None:
    """Permanent 0 is an error under `wait`, declared or not; else it costs nothing and is dropped at 6."""
    with pytest.raises(NeverDoneError, match="step 2 of 2"):
        play([2, 2], (100.0, 0.0), (2.0,), end_s=6.0, overrun="wait")

    class EverZero:
        def piece(self, t_s: float) -> tuple[float, float]:
            return 0.0, math.floor(t_s / 60) * 60 + 60.0

    with pytest.raises(NeverDoneError, match="step 1 of 2"):
        schedule(
            [2, 2],
            Capacity(EverZero(), 1.0, 0.0),
            full,
            start_s=0.0,
            end_s=6.0,
            overrun="wait",
        )
    plan = play([2, 2], (0.0,), end_s=6.0, overrun="partial")
    assert (plan.steps, plan.status, plan.macs, plan.compute_end_s) == ((), "dropped", 0, 6.0)


def test_a_download_that_takes_time() -> None:
    """100 MAC/s, two batches of 2, a download until t = 3, the round ends at 6.

    t = 3: 100 * 3 / 4 = 75: B; 100 MACs, done at 4. t = 4: 100 * 2 / 2 = 100: C, done at 6.
    """
    plan = play([2, 2], (100.0,), start_s=3.0, end_s=6.0)
    assert told(plan) == [(B, 100, 3, 4), (C, 200, 4, 6)]


def test_nothing_begins_at_the_end() -> None:
    """100 MAC/s: the first batch, of 200 MACs, ends at 2, which is the end: nothing is chosen for the second.
    Infinite capacity does not help a client whose download ends at the end.
    """
    asked: list[float] = []

    def counted(moment: Moment) -> Choice:
        asked.append(moment.t_s)
        return full(moment)

    plan = play([2, 2], (100.0,), end_s=2.0, choose=counted)
    assert (told(plan), plan.status, asked) == ([(C, 200, 0, 2)], "partial", [0.0])
    late = play([2, 2], (math.inf,), start_s=6.0, end_s=6.0)
    assert (late.steps, late.status, late.macs) == ((), "dropped", 0)


@pytest.mark.parametrize("end_s", [6.0, 5.0, 0.0, -2.0])
def test_transfers_that_eat_the_round(end_s: float) -> None:
    """The download ends at 6, the upload would have to begin at 6 or before (of a round of 8 s): no step is
    begun, none is charged. A server that waits gets A (there is no budget) done at 6.4 and 6.8.
    """
    for overrun in ("drop", "partial"):
        plan = play([2, 2], (100.0,), start_s=6.0, end_s=end_s, overrun=overrun, deadline_s=8.0)
        assert (plan.steps, plan.status, plan.macs, plan.compute_end_s) == ((), "dropped", 0, 6.0)
    plan = play([2, 2], (100.0,), start_s=6.0, end_s=end_s, overrun="wait", deadline_s=8.0)
    assert told(plan) == [(A, 40, 6, 6.4), (A, 40, 6.4, 6.8)]
    assert plan.status == "completed"


def test_what_a_client_knows() -> None:
    """Before each step: its time, its capacity now (not the fall to 50 at t = 3), and the batches left."""
    seen: list[Moment] = []

    def note(moment: Moment) -> Choice:
        seen.append(moment)
        return full(moment)

    play([2, 2, 1], (100.0, 50.0), (3.0,), end_s=9.0, choose=note)
    assert seen == [
        Moment(0.0, 9.0, 100.0, [2, 2, 1]),
        Moment(2.0, 9.0, 100.0, [2, 1], 1, 2, 200),
        Moment(5.0, 9.0, 50.0, [1], 2, 4, 400),
    ]
    assert [m.n_left for m in seen] == [5, 3, 1]
    assert [m.budget_macs for m in seen] == pytest.approx([900, 700, 200], rel=2e-9)
