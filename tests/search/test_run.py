"""Whole searches: the same result with any number of workers, and however often they are cut short."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command import distreal_sim

from distreal_sim.base.errors import InputError
from distreal_sim.config.build import build
from distreal_sim.fronts.file import load_front, read_front
from distreal_sim.fronts.front import fingerprint
from distreal_sim.search import workers
from distreal_sim.search.explore import Generation
from distreal_sim.search.progress import SearchShown
from distreal_sim.search.run import run_search
from distreal_sim.search.score import Score
from distreal_sim.search.settings import load_search
from distreal_sim.search.space import Pair
from distreal_sim.search.table import confirmed

from .toy_search import result, tiny_search, write_search

TESTS = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from distreal_sim.cli import main; main()", "search"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted search in this process."""
    folder = tmp_path_factory.mktemp("whole")
    run_search(*tiny_search(folder), folder / "out", n_workers=1)
    return folder / "out"


def test_the_front(whole: Path, tmp_path: Path) -> None:
    """It belongs to the experiment's network, ends with the zero vector, and says how it was made."""
    task = build(tiny_search(tmp_path)[1])
    front = load_front(whole / "front.json", task.structure, (0, 1, 2), fingerprint(task.module))
    rows = [json.loads(line) for line in (whole / "evaluations.jsonl").read_text().splitlines()]
    scores = {tuple(row["counts"]): row for row in rows}
    assert len(rows) == len(scores) == 20
    for entry in front.entries:
        row = scores[entry.counts]
        assert (entry.score, entry.score_error) == (row["score"], row["score_error"])
        assert entry.macs / front.entries[-1].macs == row["relative_macs"] >= 0.05
    made = front.made
    assert (made["model"], made["dataset"], made["seed"], made["evaluations"]) == (
        "small_cnn",
        "toys.FewDigits",
        1,
        20,
    )
    assert (made["stopped"], made["reproducible"]) == ("evaluations", True)
    assert made["search"]["snapshots"] == [0, 10]
    generations = (whole / "generations.csv").read_text().splitlines()
    assert generations[0] == "generation,evaluations,entries,hypervolume"
    assert generations[-1].split(",")[1:3] == ["20", str(len(front.entries))]
    assert front.hypervolume == pytest.approx(float(generations[-1].split(",")[3]), rel=1e-12)


@pytest.mark.slow
def test_the_number_of_entries_is_limited(whole: Path, tmp_path: Path) -> None:
    """To four, the cheapest and the zero vector among them; the others are entries of the whole front too."""
    search, experiment = tiny_search(tmp_path, entries=4)
    front, comparison = run_search(search, experiment, tmp_path / "out", n_workers=1)
    all_entries = read_front(whole / "front.json").entries
    assert len(front.entries) == comparison.n_found == comparison.n_uniform == 4
    assert len(all_entries) > 4
    assert set(front.entries) < set(all_entries)
    assert (front.entries[0], front.entries[-1]) == (all_entries[0], all_entries[-1])


def test_a_front_over_vectors_and_steps(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same trainings; entries are pairs of the archive, cheaper by their share, and all are on the front
    of the archive's pairs, but for the full network where it overtakes. Thinned ones are above fewer full
    steps on fresh seeds too. What was measured on the way is kept over an interruption.
    """
    confirming: list[tuple[dict[Pair, Score], frozenset[Pair]]] = []

    def noting(*args: Any) -> dict[Pair, Score]:
        confirming.append(args[2:])
        return confirmed(*args)

    monkeypatch.setattr("distreal_sim.search.run.confirmed", noting)
    search, experiment = tiny_search(tmp_path, over="vectors_and_steps", entries=100)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_search(search, experiment, out, n_workers=1, show=Interrupting(9))
    front, comparison = run_search(search, experiment, out, n_workers=1, resume=True)
    assert (out / "evaluations.jsonl").read_bytes() == (whole / "evaluations.jsonl").read_bytes()
    known, costs = {}, {}
    for line in (out / "evaluations.jsonl").read_text().splitlines():
        row = json.loads(line)
        for share, after in [(1.0, row), *((after["share"], after) for after in row["fewer"])]:
            known[tuple(row["counts"]), share] = (after["score"], after["score_error"])
            costs[tuple(row["counts"]), share] = share * row["relative_macs"]
    assert {counts: {s for c, s in known if c == counts} for counts in ((1, 1, 2), (4, 8, 16))} == {
        (1, 1, 2): {2 / 3, 1.0},
        (4, 8, 16): {1 / 3, 2 / 3, 1.0},
    }
    measured = [entry for entry in front.entries if (entry.counts, entry.share) in known]
    assert all(entry.counts == (4, 8, 16) for entry in front.entries if entry not in measured)
    for entry in measured:
        assert known[entry.counts, entry.share] == (entry.score, entry.score_error)
        cost = costs[entry.counts, entry.share]
        better = [k for k, (s, _) in known.items() if s > entry.score and costs[k] <= cost]
        assert not better or (entry.share == 1 and not any(entry.rates))
    assert comparison.n_found == len(front.entries)
    (table, sure), *_ = confirming
    thinned = {pair for pair in table if pair.counts != (4, 8, 16)}
    assert thinned
    kept = {Pair(entry.counts, entry.share) for entry in front.entries if any(entry.rates)}
    assert kept == thinned & sure
    generations = (out / "generations.csv").read_text().splitlines()
    assert 0 < front.hypervolume <= float(generations[-1].split(",")[3]) * (1 + 1e-12)


def test_what_it_is_worth_is_in_the_file(whole: Path) -> None:
    """The three curves, by cost, and where thinning pays, of all snapshots and of each."""
    fresh = read_front(whole / "front.json").made["reevaluation"]
    for curve in ("entries", "uniform_entries", "fewer_steps_entries"):
        costs = [row["relative_macs"] for row in fresh[curve]]
        assert costs == sorted(costs)
        assert costs[-1] == 1
        assert set(fresh[curve][0]) == {"relative_macs", "share", "score", "score_error"}
    assert [row["share"] for row in fresh["fewer_steps_entries"]] == [1 / 3, 2 / 3, 1.0]
    assert set(fresh["thinning"]) == {"pays", "pays_in_the_mean", "loses", "best", "worst"}
    assert [stage["steps"] for stage in fresh["thinning_by_snapshot"]] == [0, 10]


@pytest.mark.slow
def test_two_workers(whole: Path, tmp_path: Path) -> None:
    run_search(*tiny_search(tmp_path), tmp_path / "out", n_workers=2)
    assert result(tmp_path / "out") == result(whole)


@pytest.mark.slow
def test_two_machines(whole: Path, tmp_path: Path, cluster: int) -> None:
    run_search(*tiny_search(tmp_path), tmp_path / "out", ray_address=f"127.0.0.1:{cluster}")
    assert result(tmp_path / "out") == result(whole)


def test_a_cluster_without_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a head with --num-cpus=0 whose machines have not joined yet: it would be waited for for ever."""
    monkeypatch.setattr(workers, "ray_instance", lambda *about: contextlib.nullcontext())
    monkeypatch.setattr(workers, "room_for", lambda n_cpus: 0)
    with pytest.raises(InputError, match=r"^--ray-address there:1: Ray counts no core on any machine$"):
        run_search(*tiny_search(tmp_path), tmp_path / "out", ray_address="there:1")


class Interrupting(SearchShown):
    """Ctrl-C after so many scores."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def scored(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_interrupted_and_resumed(whole: Path, tmp_path: Path) -> None:
    """In the first generation, in a later one, and while the front is scored afresh; a torn line is made up
    for. Only what is missing is computed.
    """
    search, experiment, out = *tiny_search(tmp_path), tmp_path / "out"
    for n_scores in (5, 12):
        with pytest.raises(KeyboardInterrupt):
            run_search(search, experiment, out, n_workers=1, resume=True, show=Interrupting(n_scores))
        with (out / "evaluations.jsonl").open("a") as file:
            file.write('{"counts": [1, ')
    run_search(search, experiment, out, n_workers=1, resume=True)
    assert result(out) == result(whole)
    run_search(search, experiment, out, n_workers=1, resume=True, show=Interrupting(1))
    assert result(out) == result(whole)


@pytest.mark.slow
def test_a_finished_search_can_be_extended(whole: Path, tmp_path: Path) -> None:
    """First ended after ten vectors: the limits may differ when it is resumed."""
    shorter, experiment = tiny_search(tmp_path, evaluations=10)
    run_search(shorter, experiment, tmp_path / "out", n_workers=1)
    longer, _ = tiny_search(tmp_path)
    run_search(longer, experiment, tmp_path / "out", n_workers=1, resume=True)
    found, expected = result(tmp_path / "out"), result(whole)
    assert found["evaluations.jsonl"] == expected["evaluations.jsonl"]
    assert found["front"] == expected["front"]


def test_a_limit_of_time(tmp_path: Path) -> None:
    """Whatever a generation takes, it is more than a nanosecond: the search ends after it, and says so."""
    search, experiment = tiny_search(tmp_path, wall_s=1e-9)
    front, _ = run_search(search, experiment, tmp_path / "out", n_workers=1)
    assert (front.made["stopped"], front.made["reproducible"]) == ("wall_s", False)
    assert front.made["evaluations"] == 6


def test_directories_that_are_refused(whole: Path, tmp_path: Path) -> None:
    search, experiment = tiny_search(tmp_path)
    with pytest.raises(InputError, match="already holds a search; add --resume"):
        run_search(search, experiment, whole)
    other, _ = tiny_search(tmp_path, d_max=0.5)
    with pytest.raises(InputError, match=r"another config: search\.d_max is 0\.9 there and 0\.5 now"):
        run_search(other, experiment, whole, resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="not empty and holds no search"):
        run_search(search, experiment, tmp_path / "full")


def test_a_mistake_leaves_the_directory_free(tmp_path: Path) -> None:
    search, experiment = tiny_search(tmp_path, validation=0.999)
    with pytest.raises(
        InputError, match=r"validation \(0\.999\) leaves 1 example |must not exceed|n_clients"
    ):
        run_search(search, experiment, tmp_path / "out", n_workers=1)
    search, experiment = tiny_search(tmp_path, generations=1, snapshots=[0])
    run_search(search, experiment, tmp_path / "out", n_workers=1)
    assert read_front(tmp_path / "out" / "front.json").made["generations"] == 1


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One generation of a tiny budget from the command line, without and then with --resume.

    Lines that come with time alone are left out, however slow the machine is.
    """
    monkeypatch.setattr("distreal_sim.base.progress.EVERY_WALL_S", math.inf)
    config, out = write_search(tmp_path), tmp_path / "out"
    command = ["search", config, "generations=1", "experiment.model.width=3", "--workers", "1"]
    for more in ([], ["--resume"]):
        done = distreal_sim(*command, "--out", out, *more)
        assert done.code == 0
        assert done.stderr.startswith("search: over after 6 vectors, generation 1, hypervolume ")
        assert done.stderr.count("\n") == 1
        assert done.stdout.startswith("6 vectors tried, stopped by: generations\n")
        assert done.stdout.endswith(f"{out / 'front.json'}\n")
        assert re.search(r"\nthinning (never pays|pays from [\d.]+ to )", done.stdout)
        assert "\ngain over the better of uniform rates and fewer full steps: " in done.stdout
    front = read_front(out / "front.json")
    assert front.entries[-1].counts == (3, 6, 12)
    assert front.made["config"] == "search", "the stem of search.yaml"
    done = distreal_sim("search", config, "generatons=2")
    assert done.code == 2
    assert "unknown key 'generatons' = 2; did you mean 'generations'?" in done.stderr


def with_the_tests() -> dict[str, str]:
    """The environment of a process that finds the toy of the tests."""
    path = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@pytest.mark.slow
def test_ray_cannot_start(tmp_path: Path) -> None:
    """Its folder is a file: the message says which option of this command does without Ray."""
    config = write_search(tmp_path)
    done = subprocess.run(
        [*COMMAND, str(config), "--workers", "2", "--out", str(tmp_path / "out")],
        env={**with_the_tests(), "RAY_TMPDIR": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: Ray cannot start: .*RAY_TMPDIR.*; --workers 1 does not need it\n", done.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", ["1", "2"])
def test_three_kills(n_workers: str, tmp_path: Path) -> None:
    """SIGKILL to the whole process group after 30, 60 and 90 of 120 vectors, and a little later each time."""
    changes = {"evaluations": 120, "generations": 30, "population": 10, "repeats": 4}
    config, out = write_search(tmp_path, **changes), tmp_path / "out"
    command = [*COMMAND, str(config), "--workers", n_workers, "--out", str(out), "--resume"]
    table = out / "evaluations.jsonl"
    for kill in (1, 2, 3):
        process = subprocess.Popen(command, start_new_session=True, env=with_the_tests())
        while not table.exists() or table.read_bytes().count(b"\n") < 30 * kill:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.017 * kill)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (out / "front.json").exists()
    subprocess.run(command, check=True, env=with_the_tests())
    search, experiment, _ = load_search(config)
    run_search(search, experiment, tmp_path / "whole", config=config.stem, n_workers=1)
    assert result(out) == result(tmp_path / "whole")


@pytest.mark.slow
def test_the_bundled_search(tmp_path: Path) -> None:
    """configs/search/digits_small_cnn.yaml as it is."""
    config = TESTS.parent / "configs" / "search" / "digits_small_cnn.yaml"
    search, experiment, _ = load_search(config)
    rows: list[Generation] = []

    class Watching(SearchShown):
        def generation(self, row: Generation) -> None:
            rows.append(row)

    front, comparison = run_search(search, experiment, tmp_path / "out", show=Watching())
    assert rows[-1].hypervolume > rows[0].hypervolume
    assert rows[-1].evaluations == search.evaluations or front.made["stopped"] != "evaluations"
    assert comparison.n_found == len(front.entries) >= 5
    assert comparison.gain_interval[1] > 0
