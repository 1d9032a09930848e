"""Experiments side by side before anything is trained: who finishes, what is offered, used and counted."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from distreal_sim.base.errors import InputError, naming
from distreal_sim.base.process import prepare_process
from distreal_sim.base.text import add_row, compact, counted, duration, percent, say, show, si, table, wide
from distreal_sim.config import Config, Experiment, kind_of, load_experiment, read_yaml, texts_of
from distreal_sim.config.build import build
from distreal_sim.inspection import cautions
from distreal_sim.inspection.timing import with_costs
from distreal_sim.planning.replay import deadline_for, picked, replay
from distreal_sim.results.runs import Run
from distreal_sim.results.show import draw
from distreal_sim.sweep.cells import load_cells

if TYPE_CHECKING:
    from distreal_sim.results.plots import Figure

MOST_SHOWN = 4
"""Sub-networks of each method that are printed, those with most steps; `Plan.picked` has all."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What experiments would do, without training; printing it shows what `distreal-sim plan` shows.

    table: a row for each experiment, see `summary`; picked: the sub-networks of their finished steps, see
    `replay.picked`; runs: rounds and clients of each; warnings: worlds in which the comparison would say
    little.
    """

    table: pd.DataFrame
    picked: pd.DataFrame
    runs: tuple[Run, ...]
    warnings: tuple[str, ...]

    def plot(self, kind: str = "timeline", out: str | Path | None = None) -> Figure:
        """Who works when in the first rounds, or another figure of `ds.plot` that needs no accuracy."""
        return draw(kind, self.runs, out)

    def print(self, console: Console) -> None:
        """As two tables and a line for each warning."""
        n_rounds = sorted({len(run.rounds) for run in self.runs})
        rounds = " or ".join([*map(str, n_rounds[:-1]), counted(n_rounds[-1], "round")])
        share = percent(float(self.table["completion"].iloc[0]))
        shown = table(
            f"{rounds} without training; used, counted: of the MACs offered",
            f"<|completed|partial|lost|used|counted|upload|{share} in",
        )
        for row in self.table.to_dict("records"):
            add_row(
                shown,
                row["label"],
                *(percent(row[name]) for name in ("completed", "partial", "lost")),
                *(_known(percent, row[name]) for name in ("macs_used", "macs_counted")),
                si(row["upload_bytes"], "B"),
                _known(duration, row["deadline_s"]),
            )
        show(console, shown)
        shown = table("sub-networks of the finished steps", "<|MACs of a step|steps|<channels kept (%)")
        for label, rows in self.picked.groupby("label", sort=False):
            most = rows.nlargest(MOST_SHOWN, "steps_share").sort_values("macs_share")
            n_more = len(rows) - len(most)
            for place, row in enumerate(most.to_dict("records")):
                last = place == len(most) - 1 and not n_more
                cells = percent(row["macs_share"]), percent(row["steps_share"]), _kept(row["kept"])
                add_row(shown, "" if place else label, *cells, rule_after=last)
            if n_more:
                left = percent(1 - float(most["steps_share"].sum()))
                add_row(shown, "", f"{n_more} more", left, "", rule_after=True)
        show(console, shown)
        for line in self.warnings:
            say(wide(console), f"warning: {line}")


def _known(text: Callable[[float], str], value: float) -> str:
    return text(value) if math.isfinite(value) else "-"


def _kept(shares: tuple[float, ...] | None) -> str:
    """'all', or each group's share in percent; '-' where it is not known."""
    if shares is None:
        return "-"
    return "all" if all(share == 1 for share in shares) else compact([f"{100 * s:.0f}" for s in shares])


def plan(
    config: Config,
    out: str | Path | None = None,
    *,
    methods: Sequence[str] = (),
    completion: float = 0.9,
    **overrides: Any,
) -> Plan:
    """Replays capacities, links, availability and the choices of methods, and trains nothing.

    config, overrides: an experiment, see `load_experiment`, or a sweep file, whose cells are compared.
    methods: instead of the experiment's own, each with its default options. completion: the share of the
    clients for which a deadline is looked for. out: a directory for the tables of each experiment, as of a
    run; by default they are not kept. Every column that does not depend on training has the values of a
    trained run. Raises InputError for a config that cannot work.
    """
    experiments, notes = experiments_of(config, texts_of(overrides), methods)
    for note in notes:
        cautions.python_warning(note)
    return make_plan(experiments, None if out is None else Path(out), completion)


def make_plan(experiments: Mapping[str, Experiment], out: Path | None, completion: float) -> Plan:
    """The plan of experiments by their labels; see `plan`."""
    if not 0 < completion <= 1:
        raise InputError(f"completion ({completion:g}) must be a share of the clients, above 0 and up to 1")
    prepare_process()
    if out is not None:
        return _planned(experiments, out, completion)
    with tempfile.TemporaryDirectory() as folder:
        return _planned(experiments, Path(folder), completion)


def experiments_of(
    config: Config, texts: Sequence[str], methods: Sequence[str] = ()
) -> tuple[dict[str, Experiment], list[str]]:
    """The experiments by their labels, and notes on removed options; texts: overrides, KEY=VALUE."""
    if isinstance(config, str | Path) and kind_of(read_yaml(Path(config))) == "sweep":
        if methods:
            raise InputError(f"{config} is a sweep, whose cells are compared; methods are for an experiment")
        _, cells, notes = load_cells(config, texts)
        n_seeds = len({cell.experiment.seed for cell in cells})
        return {(c.name if n_seeds > 1 else c.place.label): c.experiment for c in cells}, notes
    found, all_notes = dict[str, Experiment](), dict[str, None]()
    own, said = load_experiment(config, texts)
    all_notes |= dict.fromkeys(said)
    for name in methods or [own.method.name]:
        found[name] = own
        if name != own.method.name:
            found[name], said = load_experiment(config, [*texts, f"method={{name: {name}}}"])
            all_notes |= dict.fromkeys(said)
    return found, list(all_notes)


def _planned(experiments: Mapping[str, Experiment], folder: Path, completion: float) -> Plan:
    rows, picks, runs, warnings = [], [], [], []
    for place, (label, experiment) in enumerate(experiments.items()):
        with naming("plan"):
            priced = with_costs(experiment)
            task = build(priced)
            run = replace(replay(priced, task, folder / f"{place}"), label=label)
        run.clients  # noqa: B018  read while the directory is there
        found = summary(run)
        rows.append({"label": label, **found, "completion": completion})
        rows[-1]["deadline_s"] = deadline_for(priced, task, completion)
        picks.append(picked(priced, task).assign(label=label))
        runs.append(run)
        lines = cautions.of_task(priced, task)
        lines += [*cautions.of_world(run), *cautions.of_thinning(run, priced, task)]
        warnings += [f"{label}: {line.removeprefix('warning: ')}" for line in lines]
    table_ = pd.DataFrame(rows)
    return Plan(table_, pd.concat(picks, ignore_index=True), tuple(runs), tuple(warnings))


def summary(run: Run) -> dict[str, float]:
    """What became of a run's clients and of the MACs that their capacity offered.

    completed, partial, lost: shares of the selected clients; macs_offered; macs_used, macs_counted: shares of
    it that were computed, and that were computed by clients whose update was merged; download_bytes,
    upload_bytes and what other columns add up to (energy, where devices have any); sim_s.
    """
    rounds, clients = run.rounds, run.clients
    status = clients["status"].value_counts(normalize=True)
    completed, partial = (
        float(status.pop(name)) if name in status else 0.0 for name in ("completed", "partial")
    )
    further = ("download_bytes", "upload_bytes", "energy_j")
    return {
        "completed": completed,
        "partial": partial,
        "lost": float(status.sum()),
        "macs_offered": float(rounds["macs_available"].sum()),
        "macs_used": run.macs_share,
        "macs_counted": run.merged_share,
        **{name: float(rounds[name].sum()) for name in further if name in rounds},
        "sim_s": float(rounds["sim_s"].iloc[-1]),
    }
