"""Draws the pictures of the docs: profiles, one client's round, servers' and a plan's timelines.

python docs/tools/figures.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

import distreal_sim as ds
from distreal_sim.base.plugins import names
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Round
from distreal_sim.client.schedule import Choice, Moment, Schedule, schedule
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, load_experiment
from distreal_sim.config.build import build
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.profiles import Profile
from distreal_sim.results.plots._save import look, save

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "figures"

OPTIONS: dict[str, str] = {
    "bursty": "idle: 0.1, burst: 1.0, share: 0.2, bursts_per_round: 1.5",
    "constant": "level: 0.5",
    "contention": "jobs: 1.0, job_rounds: 0.5",
    "diurnal": "low: 0.1, high: 1.0, period_s: 40, steps: 24, time_zones: 0.5",
    "dpgmm": "mean: 0.5, sigma: 0.5, kinds: 8",
    "fleet": "devices: {raspberry_pi_4b: 0.4, raspberry_pi_5_8gb: 0.4, radxa_rock_5b: 0.2}, unit: relative",
    "lognormal": "mean: 0.5, cv: 0.5",
    "markov": "levels: [0.1, 0.3, 1.0], changes_per_round: 2",
    "product": "parts: [{name: tiers, levels: [0.3, 1.0]}, {name: contention, jobs: 0.7}]",
    "random_walk": "mean: 0.5, std: 0.2, memory_rounds: 1.0, changes_per_round: 8",
    "sum": "parts: [{name: constant, level: 0.2}, {name: bursty, idle: 0, burst: 0.6}]",
    "tiers": "levels: [0.1, 0.3, 1.0]",
    "trace": "file: configs/traces/four_phones.csv",
    "uncertain": "means: [0.35, 0.6, 1.1], sigmas: [0.05, 0.1, 0.2]",
    "uniform": "low: 0.1, high: 1.0, jitter: 0.5, changes_per_round: 4",
}
"""Options of each bundled profile, as in docs/reference/profiles.md."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
N_ROUNDS = 4

PLANNED = ("distreal", "fedavg", "heterofl")
"""Methods on the page on plans."""


COORDINATIONS: dict[str, tuple[int, str]] = {
    "rounds": (2, ""),
    "wait_all": (3, ""),
    "first_k": (5, "over: 1.5"),
    "semi_async": (4, "period_s: 4"),
    "fedbuff": (7, "buffer: 3"),
    "fedasync": (22, ""),
}
"""Steps that are drawn of each bundled coordination, and its options."""

SERVED: dict[str, Any] = {
    "name": "served",
    "seed": 1,
    "deadline_s": 8,
    "n_clients": 6,
    "clients_per_round": 4,
    "dataset": {"name": "digits"},
    "partition": {"name": "iid"},
    "model": {"name": "logistic"},
    "local": {"epochs": 1, "batch_size": 16, "lr": 0.1},
    "profile": {"name": "uniform", "low": 1.0, "high": 6.0, "jitter": 0.2, "changes_per_round": 2},
    "method": {"name": "fedavg"},
}
"""Six clients of whom four are at work, on jobs of 1.3 to 8 s."""

UNTIL_S = 16.0


def main() -> None:
    for name in names(Profile):
        save(profile_figure(name), FIGURES / f"profile_{name}.png")
    save(one_client(), FIGURES / "one_client.png")
    save(coordinations(), FIGURES / "coordinations.png")
    planned = ds.plan(ROOT / "configs" / "digits.yaml", methods=PLANNED, rounds=4)
    planned.plot("timeline", FIGURES / "timeline.png")


def profile_figure(name: str) -> Figure:
    """The capacities of the first four clients over four rounds."""
    overrides = [f"profile={{name: {name}, {OPTIONS[name]}}}", "method=fedavg"]
    task = build(load_experiment(ROOT / "configs" / "digits.yaml", overrides)[0])
    until_s = N_ROUNDS * task.deadline_s
    with look():
        figure = Figure(figsize=(5.6, 2.0))
        axes = figure.subplots()
        for client_id, colour in enumerate(COLOURS):
            client = Client(task, client_id, Round(1, N_ROUNDS, 0.0, task.local.lr))
            times, levels = steps_of(task, client.capacity, until_s)
            shift = 0.015 * (client_id - 1.5)  # equal levels stay apart
            axes.step(times, levels + shift, where="post", color=colour, label=f"client {client_id}")
        for number in range(1, N_ROUNDS):
            axes.axvline(number * task.deadline_s, color="0.6", linewidth=0.8, linestyle=(0, (4, 2)))
        axes.set(xlim=(0, until_s), xlabel="simulated time (s); dashed: a new round", ylabel="level")
        axes.set_ylim(0, 1.05 * max(1.0, axes.get_ylim()[1]))
        figure.legend(loc="outside upper center", ncols=len(COLOURS))
    return figure


def one_client() -> Figure:
    """A round of configs/digits.yaml with many changes: capacity, dropout vectors, costs of the steps."""
    _, task, client, plan = chosen_round()
    full_macs = task.macs_per_example(task.full)
    with look():
        figure = Figure(figsize=(6.4, 4.4))
        axes = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1.1, 1))
        times, levels = steps_of(task, client.capacity, task.deadline_s)
        axes[0].step(times, levels, where="post", color=COLOURS[0], linewidth=2)
        axes[0].set(ylabel="capacity\n(relative)", ylim=(0, 1.05 * levels.max()))
        title = f"client {client.id}, round {client.round.number}: each step fits the capacity of its moment"
        axes[0].set_title(title, loc="left")
        strips(axes[1], task, plan)
        axes[2].bar(
            [step.start_s for step in plan.steps],
            [step.macs / (step.n_examples * full_macs) for step in plan.steps],
            [step.end_s - step.start_s for step in plan.steps],
            align="edge",
            color=COLOURS[1],
            edgecolor="white",
            linewidth=0.4,
        )
        axes[2].axvline(task.deadline_s, color="0.3", linewidth=0.9, linestyle=(0, (4, 2)))
        axes[2].set(
            ylabel="cost of a step\n(share of full)",
            xlabel="simulated time in the round (s); dashed: deadline",
            xlim=(0, 1.01 * task.deadline_s),
        )
    return figure


def coordinations() -> Figure:
    """The jobs and the server's steps of a run of each coordination, with the staleness of late updates."""
    with look(), tempfile.TemporaryDirectory() as folder:
        figure = Figure(figsize=(6.4, 8.0))
        panels = figure.subplots(len(COORDINATIONS), 1, sharex=True)
        for axes, (name, (n_steps, options)) in zip(panels, COORDINATIONS.items(), strict=True):
            own = yaml.safe_load(f"{{name: {name}, {options}}}")
            config = {**SERVED, "rounds": n_steps, "coordination": own}
            done = ds.run(config, f"{folder}/{name}", grid="serial")
            jobs_of_server(axes, done)
            axes.set_title(f"{name}{f' ({options})' if options else ''}", loc="left", fontsize=9)
        panels[-1].set(xlim=(0, UNTIL_S), xlabel="simulated time (s)")
        merged, lost = Patch(color=COLOURS[0]), Patch(facecolor="white", edgecolor=COLOURS[1], hatch="////")
        step = Line2D([], [], color="0.3", linewidth=0.9, linestyle=(0, (4, 2)))
        shown = "merged; number: staleness", "cancelled", "step of the server"
        figure.legend([merged, lost, step], shown, loc="outside upper center", ncols=3)
    return figure


def jobs_of_server(axes: Axes, run: ds.Run) -> None:
    """A bar for each job of a run; a job of a round begins with it."""
    rounds, jobs = run.rounds.set_index("round")["sim_s"], run.clients.copy()
    if "start_s" not in jobs:
        jobs["start_s"] = jobs["round"].map(rounds.shift(fill_value=0.0))
        jobs = jobs.assign(end_s=jobs["start_s"] + jobs["sim_s"], staleness=0, cancelled=0)
    for job in jobs.to_dict("records"):
        drawn: dict[str, Any] = {"color": COLOURS[0]}
        if job["cancelled"]:
            drawn = {"facecolor": "white", "edgecolor": COLOURS[1], "hatch": "////", "linewidth": 0.8}
        width_s = job["end_s"] - job["start_s"] - 0.08
        axes.barh(job["client_id"], width_s, 0.7, job["start_s"] + 0.04, **drawn)
        if job["staleness"] and not job["cancelled"] and job["end_s"] <= UNTIL_S:
            label: dict[str, Any] = {"ha": "right", "va": "center", "color": "white", "fontsize": 7}
            axes.text(job["end_s"] - 0.12, job["client_id"], f"{job['staleness']:.0f}", **label)
    for end_s in rounds:
        axes.axvline(end_s, color="0.3", linewidth=0.9, linestyle=(0, (4, 2)))
    axes.set(ylabel="client", ylim=(SERVED["n_clients"] - 0.4, -0.6), yticks=range(SERVED["n_clients"]))
    axes.tick_params(axis="y", labelsize=7)
    axes.grid(visible=False)


def chosen_round() -> tuple[Experiment, Task, Client, Schedule]:
    """The round of configs/digits.yaml that shows most."""
    experiment = load_experiment(ROOT / "configs" / "digits.yaml")[0]
    task = build(experiment)
    rounds = [(client, replay(experiment, task, client)) for client in clients(task)]
    client, plan = max(rounds, key=lambda one: to_see(one[1]))
    return experiment, task, client, plan


def strips(axes: Axes, task: Task, plan: Schedule) -> None:
    """A row per layer, a cell per step: the darker, the more of its filters the step keeps."""
    groups = task.structure.groups
    edges = np.array([step.start_s for step in plan.steps] + [plan.steps[-1].end_s])
    kept = np.array(
        [[n / g.channels for n, g in zip(s.choice.counts, groups, strict=True)] for s in plan.steps]
    )
    drawn = axes.pcolormesh(edges, np.arange(len(groups) + 1), kept.T, cmap="Blues", vmin=0, vmax=1.2)
    for start_s in edges[1:-1]:
        axes.axvline(start_s, color="white", linewidth=0.4)
    axes.set_yticks(np.arange(len(groups)) + 0.5, [f"layer {i + 1}" for i in range(len(groups))])
    axes.set(ylabel="dropout vector")
    axes.invert_yaxis()
    axes.grid(visible=False)
    bar = axes.figure.colorbar(drawn, ax=axes, pad=0.01, ticks=[0, 0.5, 1], boundaries=np.linspace(0, 1, 51))
    bar.set_label("filters kept")


def clients(task: Task) -> Iterator[Client]:
    """Every client in each of the first ten rounds."""
    for number in range(1, 11):
        now = Round(number, 60, (number - 1) * task.deadline_s, task.local.lr)
        yield from (Client(task, client_id, now) for client_id in range(len(task.split)))


def to_see(plan: Schedule) -> tuple[int, float]:
    """(vectors that hold for a second, minus the longest step in seconds); a long or late round has none."""
    held_s: dict[tuple[int, ...], float] = {}
    for step in plan.steps:
        held_s[step.choice.counts] = held_s.get(step.choice.counts, 0.0) + step.end_s - step.start_s
    n_long = sum(span_s >= 1 for span_s in held_s.values())
    longest_s = max((step.end_s - step.start_s for step in plan.steps), default=0.0)
    shows_all = plan.status == "completed" and plan.n_planned <= 30
    return n_long if shows_all else 0, -longest_s


def replay(experiment: Experiment, task: Task, client: Client) -> Schedule:
    """The client's round in simulated time; it does not depend on the arithmetic."""
    levels = experiment.method.levels(task)
    assert levels is not None
    start = levels.at_start(client)
    assert start is not None

    def choose(moment: Moment) -> Choice:
        level = levels.now(moment, start)
        return Choice(level.counts, level.macs_per_example)

    times: dict[str, Any] = {"start_s": 0.0, "end_s": task.deadline_s}
    return schedule(client.batch_sizes, client.capacity, choose, **times, overrun=task.overrun)


def steps_of(task: Task, capacity: Capacity, until_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) times and (n,) relative levels of a capacity, to draw with steps; the last one is at until_s."""
    times, levels = [], []
    for from_s, to_s, macs_per_s in capacity.pieces(0.0):
        times.append(from_s)
        levels.append(macs_per_s / task.devices.macs_per_s)
        if to_s >= until_s:
            break
    return np.array([*times, until_s]), np.array([*levels, levels[-1]])


if __name__ == "__main__":
    main()
