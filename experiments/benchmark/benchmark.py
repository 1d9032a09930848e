"""Places methods in the benchmark: tunes each on every scenario, runs it with fresh seeds, and prints the
tables.

python experiments/benchmark/benchmark.py run my_methods.Mine --data-dir DIR
python experiments/benchmark/benchmark.py conditions my_methods.Mine --data-dir DIR
python experiments/benchmark/benchmark.py table
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import scenario as scenarios  # noqa: E402
from scenario import MethodKeys, Scenario  # noqa: E402
from store import (  # noqa: E402
    check_settings,
    drop,
    evaluations,
    keep_settings,
    placed_before,
    put,
    tuned_before,
)
from tables import report  # noqa: E402
from tuning import Chosen, choose, tuned  # noqa: E402

from distreal_sim import sweep  # noqa: E402
from distreal_sim.base.errors import InputError  # noqa: E402

RESULTS = HERE / "results"

DATA = "../../../../data"
"""The checkout's folder of data, relative to a scenario's."""

NOMINAL = "nominal"
"""The condition without changes."""


def main(words: Sequence[str] | None = None) -> int:
    """0, or 2 with a message for a mistake in the input."""
    options = parser().parse_args(words)
    try:
        if options.command == "table":
            print(report(options.results, options.scenarios or scenarios.names(), options.protocol))
        else:
            do = place if options.command == "run" else change
            for name in options.scenarios or scenarios.names():
                do(options, scenarios.load(name))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    several: dict[str, Any] = {"nargs": "*", "action": "extend", "default": []}
    run = commands.add_parser("run", help="tune and run one method, and write its rows into the results")
    run.add_argument("--tune", **several, metavar="KEY=[VALUES]", help="keys tuned beside the lr")
    run.add_argument(
        "--replace",
        action="store_true",
        help="in place of rows under the same label that have other settings",
    )
    changed = commands.add_parser(
        "conditions", help="run a method under a scenario's conditions, as `run` has tuned it"
    )
    for command in (run, changed):
        command.add_argument("method", help="a name in methods.yaml, or the dotted path of a class of yours")
        command.add_argument("--label", help="the method's name in the tables (default: as given)")
        command.add_argument("--set", **several, metavar="KEY=VALUE", help="further keys")
        command.add_argument(
            "--data-dir", type=Path, help="folder of the data sets (default: the checkout's)"
        )
        command.add_argument("--workers", type=at_least_1, default=1, help="runs at a time (default: 1)")
        command.add_argument("--out", type=Path, default=Path("runs/benchmark"), help="directory of the runs")
    table = commands.add_parser("table", help="print the tables of the results")
    table.add_argument("--protocol", choices=["accuracy", "tuning", "quality", "cost", "robust"])
    for command in (run, changed, table):
        command.add_argument(
            "--scenarios", nargs="+", action="extend", help="some of the scenarios (default: all)"
        )
        command.add_argument("--results", type=Path, default=RESULTS, help="directory of the results' tables")
    return top


def place(options: argparse.Namespace, scenario: Scenario) -> None:
    """Tunes the method, runs it, and writes its rows into the results of the scenario.

    Raises InputError where rows of that name were made with other settings.
    """
    keys = scenarios.method_of(options.method, assignments(options.set), assignments(options.tune))
    label, out, results = places(options, scenario)
    settings = scenarios.settings_of(scenario, keys)
    if not options.replace:
        check_settings(results, label, settings, tuning=True)
    fixed = {**keys.sets, **data_dir(options.data_dir, scenario)}
    grid = tune(scenario, fixed, keys, out / "tuning", options.workers)
    if options.replace:
        drop(results, label)
    keep_settings(results, label, settings)
    put(results / "tuning.csv", grid, label)
    best = choose(grid)
    say(scenario, label, best)
    fixed |= {"local.lr": best.lr, **best.tuned}
    runs = play(scenario, fixed, {}, scenario.seeds, out / "runs", options.workers)
    put(results / "evaluations.csv", evaluations(runs), label)


def change(options: argparse.Namespace, scenario: Scenario) -> None:
    """Runs the method under the scenario's conditions, and writes its rows beside those of `run`.

    With no conditions there is nothing to do.

    Raises InputError where `run` has not tuned it, or with other settings.
    """
    if not scenario.conditions:
        return
    keys = scenarios.method_of(options.method, assignments(options.set), {})
    label, out, results = places(options, scenario)
    best = choose(tuned_before(results / "tuning.csv", label))
    check_settings(results, label, scenarios.settings_of(scenario, keys), tuning=False)
    fixed = {**keys.sets, **data_dir(options.data_dir, scenario), "local.lr": best.lr, **best.tuned}
    runs = play(
        scenario,
        fixed,
        {"condition": scenario.conditions},
        scenario.condition_seeds,
        out / "conditions",
        options.workers,
    )
    parts = {name: [run for run in runs if run.setting["condition"] == name] for name in scenario.conditions}
    rows = pd.concat(
        [
            placed_before(results / "evaluations.csv", label, scenario.condition_seeds).assign(
                condition=NOMINAL
            ),
            *(evaluations(own).assign(condition=name) for name, own in parts.items()),
        ]
    )
    put(results / "conditions.csv", rows, label)


def places(options: argparse.Namespace, scenario: Scenario) -> tuple[str, Path, Path]:
    """The method's name in the tables, the directory of its runs, and that of the scenario's tables."""
    label = options.label or options.method
    return label, options.out / scenario.name / label, options.results / scenario.name


def tune(
    scenario: Scenario, fixed: dict[str, Any], keys: MethodKeys, out: Path, n_workers: int
) -> pd.DataFrame:
    """The tuning grid: columns lr, tuned, seed, accuracy; grown until the best rate is inside."""
    validation = {"evaluation.data": "validation", "dataset.validation": scenario.tuning.validation}

    def measure(rates: Sequence[float]) -> pd.DataFrame:
        axes = {**keys.tune, "local.lr": list(rates)}
        runs = play(
            scenario, {**fixed, **validation}, axes, scenario.tuning.seeds, out, n_workers, list(axes)
        )
        rows = []
        for run in runs:
            others = {key: value_of(run.config, key) for key in keys.tune}
            rows.append(
                {
                    "lr": run.config["local"]["lr"],
                    "tuned": json.dumps(others) if others else "",
                    "seed": run.seed,
                    "accuracy": run.final(),
                }
            )
        return pd.DataFrame(rows)

    return tuned(scenario.tuning.lr, measure)


def play(
    scenario: Scenario,
    fixed: dict[str, Any],
    axes: dict[str, Any],
    seeds: Sequence[int],
    out: Path,
    n_workers: int,
    compare: Sequence[str] = (),
) -> list[Any]:
    """The runs of a sweep; those that are finished are not played again. Raises InputError if one fails."""
    config = {
        "base": str(scenario.experiment),
        "overrides": fixed,
        "grid": axes,
        "seeds": list(seeds),
        "compare": list(compare),
    }
    done = sweep(config, out, n_workers=n_workers, progress=True, warn=warn)
    if done.failures:
        raise InputError(f"{out}: {len(done.failures)} runs failed; the first: {done.failures[0][1].message}")
    return [replace(run, n_last=scenario.last) for run in done.runs()]


def warn(line: str) -> None:
    """Prints a warning."""
    print(line, file=sys.stderr)


def value_of(config: Any, key: str) -> Any:
    """The value of a dotted key."""
    for part in key.split("."):
        config = config[part]
    return config


def data_dir(folder: Path | None, scenario: Scenario) -> dict[str, Any]:
    """The scenario's keys that name files of the checkout's folder of data, with `folder` in its place."""
    if folder is None:
        return {}
    own = yaml.safe_load(scenario.experiment.read_text())
    moved = {key: _moved(value, str(folder.resolve())) for key, value in own.items()}
    return {key: value for key, value in moved.items() if value != own[key]}


def _moved(value: Any, folder: str) -> Any:
    """A value of a config in which paths of DATA are paths of `folder`."""
    if isinstance(value, str):
        return folder + value.removeprefix(DATA) if value.startswith(DATA) else value
    if isinstance(value, dict):
        return {key: _moved(part, folder) for key, part in value.items()}
    return [_moved(part, folder) for part in value] if isinstance(value, list) else value


def at_least_1(text: str) -> int:
    """A number of the command line. Raises an error of argparse's for one below 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' must be a whole number, at least 1")
    return int(text)


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE texts as a dictionary; values are YAML."""
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not equals:
            raise InputError(f"'{key}' must be KEY=VALUE")
    return {key: yaml.safe_load(value) for key, _, value in pairs}


def say(scenario: Scenario, label: str, best: Chosen) -> None:
    """One line on what was chosen."""
    more = f", {best.tuned}" if best.tuned else ""
    edge = f"; at an edge of its grid: {best.at_edge}" if best.at_edge else ""
    print(f"{scenario.name}: {label}: lr {best.lr:g}{more}, accuracy {best.accuracy:.3f}{edge}")


if __name__ == "__main__":
    raise SystemExit(main())
