"""A front that is given, and measured in the place of a search."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command import distreal_sim

import distreal_sim as ds
from distreal_sim.base.errors import InputError
from distreal_sim.fronts import fresh
from distreal_sim.fronts.file import read_front
from distreal_sim.fronts.option import UniformFront
from distreal_sim.search.progress import SearchShown
from distreal_sim.search.run import run_search
from distreal_sim.search.settings import load_search

from .toy_search import tiny_search, write_search

MEASURED = ("reevaluation", "measured")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that kept at most four entries."""
    folder = tmp_path_factory.mktemp("found")
    run_search(*tiny_search(folder, entries=4), folder / "out", n_workers=1)
    return folder / "out"


def test_the_worth_of_a_found_front_is_what_its_search_says(found: Path, tmp_path: Path) -> None:
    """The fresh seeds are the same, so every number is; the entries stay, with the scores of the search.
    Nothing is searched for.
    """
    search, experiment = tiny_search(tmp_path, front=str(found / "front.json"), entries=4)
    played, comparison = run_search(search, experiment, tmp_path / "out", n_workers=1)
    front, before = read_front(tmp_path / "out" / "front.json"), read_front(found / "front.json")
    assert played.entries == front.entries
    assert front.made["reevaluation"] == before.made["reevaluation"]
    assert comparison.found == before.made["reevaluation"]["found"]
    assert (front.entries, front.content) == (before.entries, before.content)
    assert {key: front.made[key] for key in front.made if key not in MEASURED} == {
        key: before.made[key] for key in before.made if key not in MEASURED
    }
    tables = [(out / "reevaluation.jsonl").read_bytes() for out in (found, tmp_path / "out")]
    assert tables[0] == tables[1]
    assert not (tmp_path / "out" / "evaluations.jsonl").exists()
    assert front.made["measured"]["search"]["snapshots"] == [0, 10]


def test_cut_short_and_resumed(found: Path, tmp_path: Path) -> None:
    """After three scores; only the others are made then."""

    class Cut(SearchShown):
        n = 0

        def scored(self) -> None:
            self.n += 1
            if self.n == 3:
                raise KeyboardInterrupt

    search, experiment = tiny_search(tmp_path, front=str(found / "front.json"), entries=4)
    with pytest.raises(KeyboardInterrupt):
        run_search(search, experiment, tmp_path / "out", n_workers=1, show=Cut())
    counting = Cut()
    counting.n = 10
    run_search(search, experiment, tmp_path / "out", n_workers=1, resume=True, show=counting)
    front = read_front(tmp_path / "out" / "front.json")
    assert front.made["reevaluation"] == read_front(found / "front.json").made["reevaluation"]
    n_lines = len((found / "reevaluation.jsonl").read_text().splitlines())
    assert counting.n - 10 == n_lines - 2


def test_uniform_rates_in_a_fleet(tmp_path: Path) -> None:
    """In a round of a fleet by default. Uniform rates are level with themselves, whatever the largest rate of
    the search; where they pay is said for the filters that were measured, not for others.
    """
    config = write_search(tmp_path, front={"uniform": 3}, score=None, cohort=2, steps=2, smallest=0.2)
    search, experiment, _ = load_search(config)
    assert (search.score, search.cohort) == ("federated", 2)
    front, comparison = run_search(search, experiment, tmp_path / "out", n_workers=1)
    assert [entry.rates for entry in front.entries] == [(2 / 3,) * 3, (1 / 3,) * 3, (0.0,) * 3]
    assert (comparison.n_found, comparison.n_uniform, comparison.gain) == (3, 3, 0.0)
    plain = experiment.resolved()
    dataset, method = plain["dataset"], plain["method"]
    assert fresh.measured_otherwise(front.made, dataset, method) == {}
    assert fresh.measured_otherwise(front.made, dataset, {**method, "filters": "ordered"}) == {
        "method.filters": ("random", "ordered")
    }


def test_given_in_python(tmp_path: Path) -> None:
    """As a mapping or an object, in the place of the front in the config; what no config holds is named."""
    config = write_search(tmp_path, front="auto")
    for number, front in enumerate(({"uniform": 2}, UniformFront(uniform=2))):
        found = ds.search(config, tmp_path / str(number), n_workers=1, front=front)
        assert [entry.rates for entry in found.front.entries] == [(0.5,) * 3, (0.0,) * 3]
    with pytest.raises(InputError, match="front: a Front cannot stand in a config"):
        ds.search(config, tmp_path / "none", n_workers=1, front=found.front)


def test_measured_after_its_own_shares(found: Path, tmp_path: Path) -> None:
    """A vector for three of ten steps is measured after three, though the settings name no such share."""
    front = read_front(found / "front.json")
    thinned = replace(front.entries[1], share=0.3)
    replace(front, entries=(thinned, front.entries[-1])).save(tmp_path / "front.json")
    config = write_search(tmp_path, front=str(tmp_path / "front.json"), steps=10)
    search, experiment, _ = load_search(config)
    run_search(search, experiment, tmp_path / "out", n_workers=1)
    rows = [json.loads(line) for line in (tmp_path / "out" / "reevaluation.jsonl").read_text().splitlines()]
    measured = next(row for row in rows if tuple(row["counts"]) == thinned.counts)
    after = {share["share"]: share["score"] for share in measured["fewer"]}
    assert set(after) == {0.3, 0.5}
    fresh_entries = read_front(tmp_path / "out" / "front.json").made["reevaluation"]["entries"]
    assert fresh_entries[0]["score"] == after[0.3]


def test_a_front_for_memory_is_measured_with_it(tmp_path: Path) -> None:
    """Whatever the settings say; its hypervolume is the volume of three objectives."""
    changes = {"costs": "macs_and_memory", "entries": 4}
    run_search(*tiny_search(tmp_path, **changes), tmp_path / "found", n_workers=1)
    before = read_front(tmp_path / "found" / "front.json")
    search, experiment = tiny_search(tmp_path, front=str(tmp_path / "found" / "front.json"))
    run_search(search, experiment, tmp_path / "out", n_workers=1)
    after = read_front(tmp_path / "out" / "front.json")
    assert after.made["reevaluation"]["found"] == before.made["reevaluation"]["found"]
    assert after.made["measured"]["search"]["costs"] == "macs_and_memory"


def test_without_progress_nothing_is_compared(tmp_path: Path) -> None:
    """Steps of a huge rate raise the loss: the file has null for what is not known; each command says why."""
    config = write_search(tmp_path, front={"uniform": 2}, lr=50.0)
    done = distreal_sim("search", config, "--out", tmp_path / "out", "--workers", "1")
    no_progress = "the full network makes no progress from these snapshots, so that nothing can be compared\n"
    assert no_progress in done.stdout
    assert "nan" not in done.stdout
    path = tmp_path / "out" / "front.json"
    told = json.loads(path.read_text(), parse_constant=pytest.fail)["made"]["reevaluation"]
    assert (told["n_found"], told["found"], told["gain"], told["gain_interval"]) == (2, None, None, None)
    assert (
        "Measured where the full network makes no progress" in distreal_sim("inspect", "front", path).stdout
    )
    drawn = distreal_sim("plot", path, "--out", tmp_path / "front.png")
    assert (drawn.code, "on fresh seeds the full network makes no progress" in drawn.stderr) == (2, True)


def test_what_is_said(found: Path, tmp_path: Path) -> None:
    """The command says what was measured in the place of how a search ended; `inspect front` that nothing is
    known of fewer full steps, until they are.
    """
    blank = tmp_path / "blank.json"
    replace(read_front(found / "front.json"), made={"how": "by hand"}).save(blank)
    unknown = "Not known whether thinning pays; `search` with `front` measures it.\n"
    assert unknown in distreal_sim("inspect", "front", blank).stdout
    config = write_search(tmp_path, entries=4)
    done = distreal_sim("search", config, f"front={blank}", "--out", tmp_path / "out", "--workers", "1")
    assert done.stdout.startswith("4 entries measured: by hand\nhypervolume on fresh seeds, found: ")
    assert done.stdout.endswith(f"{tmp_path / 'out' / 'front.json'}\n")
    said = distreal_sim("inspect", "front", tmp_path / "out" / "front.json").stdout
    assert unknown not in said
    assert "Measured: score central, 3 steps from snapshots 0 10, 2 seeds, random filters.\n" in said
    assert "On fresh seeds: thinning " in said


def test_a_front_that_cannot_be_measured(
    found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such file, and one of another network, before any training; nothing is left behind."""
    monkeypatch.setattr("distreal_sim.search.objective.Objective.with_snapshots", pytest.fail)
    for front, changes, expected in (
        (tmp_path / "none.json", {}, "none.json: no such file"),
        (found / "front.json", {"model": {"name": "small_cnn", "width": 8}}, r"take front\.uniform=16"),
    ):
        config = write_search(tmp_path, front=str(front))
        overrides = [f"experiment.{key}={value}" for key, value in changes.items()]
        search, experiment, _ = load_search(config, overrides)
        with pytest.raises(InputError, match=expected):
            run_search(search, experiment, tmp_path / "out", n_workers=1)
        assert not (tmp_path / "out" / "config.yaml").exists()


def test_resumed_with_another_front(found: Path, tmp_path: Path) -> None:
    """At the same path; the content is compared."""
    path = tmp_path / "front.json"
    front = read_front(found / "front.json")
    front.save(path)
    search, experiment = tiny_search(tmp_path, front=str(path))
    run_search(search, experiment, tmp_path / "out", n_workers=1)
    replace(front, entries=front.entries[1:]).save(path)
    with pytest.raises(InputError, match=f"front is '?{front.content}"):
        run_search(search, experiment, tmp_path / "out", n_workers=1, resume=True)
