"""A front that is given, and measured in the place of a search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command import distreal_sim

from distreal_sim.base.errors import InputError
from distreal_sim.fronts import fresh
from distreal_sim.fronts.file import read_front
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
    assert front.made["measured"]["search"]["front"] == str(found / "front.json")


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
    """In a round of a fleet by default. Uniform rates are level with themselves, and `check` says what they
    are worth with the filters that were measured, not with others.
    """
    config = write_search(tmp_path, front={"uniform": 3}, score=None, cohort=2, steps=2, d_max=0.67)
    search, experiment, _ = load_search(config)
    assert (search.score, search.cohort) == ("federated", 2)
    front, comparison = run_search(search, experiment, tmp_path / "out", n_workers=1)
    assert [entry.rates for entry in front.entries] == [(2 / 3,) * 3, (1 / 3,) * 3, (0.0,) * 3]
    assert (comparison.n_found, comparison.n_uniform) == (3, 3)
    plain = experiment.resolved()
    dataset, method = plain["dataset"], plain["method"]
    assert fresh.scored_otherwise(front.made, dataset, method) == {}
    assert fresh.scored_otherwise(front.made, dataset, {**method, "filters": "ordered"}) == {
        "method.filters": ("random", "ordered")
    }


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
    assert "On fresh seeds: thinning " in said


def test_a_front_that_cannot_be_measured(found: Path, tmp_path: Path) -> None:
    """No such file, and one of another network; nothing is left behind."""
    for front, changes, expected in (
        (tmp_path / "none.json", {}, "none.json: no such file"),
        (found / "front.json", {"model": {"name": "small_cnn", "width": 8}}, "was made for another model"),
    ):
        config = write_search(tmp_path, front=str(front))
        overrides = [f"experiment.{key}={value}" for key, value in changes.items()]
        search, experiment, _ = load_search(config, overrides)
        with pytest.raises(InputError, match=expected):
            run_search(search, experiment, tmp_path / "out", n_workers=1)
        assert not (tmp_path / "out" / "config.yaml").exists()
