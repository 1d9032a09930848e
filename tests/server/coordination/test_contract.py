"""What every coordination promises, on random worlds of small fleets; the contract finds them itself."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from bundled import example
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import toy
from worlds import played, world

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.run import run
from distreal_sim.server.coordination import Coordination

BY_EVENTS = [name for name in names(Coordination) if not load(Coordination, name).in_rounds]

seconds = st.floats(0.3, 20.0)


def options_of(name: str) -> dict[str, Any]:
    return {"name": name, **example(Coordination, name)}


@pytest.mark.parametrize("name", BY_EVENTS)
@settings(max_examples=8, deadline=None)
@given(
    lasts_s=st.lists(seconds, min_size=3, max_size=6),
    overrun=st.sampled_from(["partial", "drop", "wait"]),
    steps=st.integers(1, 3),
    share=st.sampled_from([1.0, 0.6]),
    transfer_s=st.sampled_from([0.0, 1.0]),
)
def test_every_job_is_counted_once(
    name: str, lasts_s: list[float], overrun: str, steps: int, share: float, transfer_s: float
) -> None:
    """Jobs that started = completed + partial + dropped; nobody does two at once; bytes and MACs add up.

    `played` verifies the bookkeeping of every row by other means (`simulation.verify`), joules and bytes of
    cancelled transfers included. Here: a job is reported once, time does not run backwards, and no more
    clients are at work than allowed.
    """
    rounds, n = 3, 2
    rate = 2600 / transfer_s if transfer_s else math.inf
    experiment = world(
        lasts_s,
        options_of(name),
        rounds=rounds,
        clients_per_round=n,
        local={"steps": steps, "batch_size": 16, "lr": 0.1},
        overrun=overrun if min(lasts_s) * steps + 2 * transfer_s < 8 else "wait",
        link={"name": "constant", "download_bytes_per_s": rate, "upload_bytes_per_s": rate},
        energy={"name": "per_mac", "joules_per_mac": 1e-6, "idle_w": 0.5, "radio": [1.0, 0.1, 3.0, 0.1]},
        availability={"name": "random", "share": share},
    )
    run = played(experiment)
    assert len(run.rounds) == rounds
    assert [row.round for row in run.rounds] == [1, 2, 3]
    times = [row.sim_s for row in run.rounds]
    assert times == sorted(times)
    jobs = Counter((row.client_id, row.metrics["start_s"], row.metrics["end_s"]) for row in run.clients)
    assert not [job for job, times in jobs.items() if times > 1 and job[1] < job[2]]
    assert len(run.clients) == sum(row.n_selected for row in run.rounds)
    assert {row.download_bytes for row in run.clients if not row.metrics["cancelled"]} <= {0, 2600}
    assert all(row.upload_bytes <= 2600 for row in run.clients)
    moments = defaultdict(int)
    for row in run.clients:
        moments[row.metrics["start_s"], 1] += 1
        moments[row.metrics["end_s"], 0] -= 1  # at one moment jobs end before others start
    at_work = peak = 0
    for moment in sorted(moments):
        at_work += moments[moment]
        peak = max(peak, at_work)
    assert at_work == 0
    assert peak <= experiment.coordination.most_running(n)


@pytest.mark.parametrize("name", names(Coordination))
def test_an_update_without_staleness_has_its_whole_weight(name: str) -> None:
    rules = load(Coordination, name)(**example(Coordination, name))
    assert rules.weight(0) == 1
    assert rules.accepts(0)
    assert all(0 < rules.weight(age + 1) <= rules.weight(age) for age in range(20))


def test_refused_settings() -> None:
    with pytest.raises(InputError, match="round_end early cannot be used with coordination"):
        toy(coordination="wait_all", round_end="early")
    with pytest.raises(
        InputError, match=r"up to 13 clients at a time, which must not exceed n_clients \(12\)"
    ):
        toy(coordination="first_k", clients_per_round=10)
    with pytest.raises(
        InputError, match=r"merge\.strategy FedAdam cannot be used with coordination\.name fedbuff"
    ):
        toy(
            coordination="fedbuff",
            method={"name": "fedavg"},
            merge={"name": "flower", "strategy": "FedAdam"},
        )
    with pytest.raises(InputError, match=r"waitall.*wait_all"):
        toy(coordination="waitall")


def test_the_coordination_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of 1, 2, 3 and 4 s: half of four are back at 2 s, and all start again."""
    page = (Path(__file__).parents[3] / "docs" / "explanation" / "time.md").read_text()
    code = page.split("```python\nfrom distreal_sim.server.coordination import")[1].split("```")[0]
    (tmp_path / "half_back.py").write_text("from distreal_sim.server.coordination import" + code)
    monkeypatch.syspath_prepend(str(tmp_path))
    run = played(world([1, 2, 3, 4], {"name": "half_back.HalfBack"}, rounds=2))
    assert [row.sim_s for row in run.rounds] == [2, 4]
    assert [row.n_dropped for row in run.rounds] == [2, 2]


@pytest.mark.parametrize("name", BY_EVENTS)
def test_the_scores_of_a_test_are_those_that_are_asked_for(name: str, tmp_path: Path) -> None:
    """In place of the accuracy, as with rounds."""
    done = run(
        toy(
            coordination=options_of(name),
            evaluation={"metrics": ["macro_f1"]},
            method="fedavg",
            rounds=2,
            overrun="partial",
        ),
        tmp_path / "out",
        grid="serial",
    )
    assert "test_accuracy" not in done.rounds
    assert done.rounds["test_macro_f1"].between(0, 1).all()
