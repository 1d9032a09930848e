"""What thins nothing or merges nothing is said: before a run, after it, and in a sweep."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from bundled import inputs_of, options_for
from rich.console import Console
from shares import front_of_shares
from torch import nn
from toys import TOY, WHOLE_TOY, toy

from distreal_sim.base.plugins import load, names
from distreal_sim.config.build import build
from distreal_sim.inspection.cautions import of_rounds, of_world
from distreal_sim.inspection.check import print_check
from distreal_sim.models import Model
from distreal_sim.results import runs as results
from distreal_sim.run import run
from distreal_sim.sweep.cells import load_cells
from distreal_sim.sweep.preview import print_cells
from distreal_sim.sweep.run import check_cells, run_sweep
from distreal_sim.thinning.coupling.groups import find_groups

LARGE = ("densenet100_bc", "densenet40_bc", "femnist_cnn", "mobilenet_v2", "preresnet", "resnet18", "vgg11")
"""Networks that take long to look at."""

ZERO_ONLY = (
    "warning: the front of method {} has the zero vector only, so nothing is thinned and every client trains "
    "the whole network, as fedavg does; "
)


class Mlp(nn.Sequential):
    """Two hidden linear layers."""

    def __init__(self, n_classes: int) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, n_classes)
        )


class Mixed(nn.Sequential):
    """A convolution before a hidden linear layer."""

    def __init__(self, n_classes: int) -> None:
        super().__init__(
            nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 6), nn.ReLU(), nn.Linear(6, n_classes)
        )


def warned(out: Path, **changes: Any) -> list[str]:
    """What `run` warns of."""
    lines: list[str] = []
    run(toy(**changes), out, grid="serial", warn=lines.append)
    return lines


def plan(**changes: Any) -> str:
    text = io.StringIO()
    print_check(toy(**changes), Console(file=text))
    return text.getvalue()


@pytest.mark.parametrize("method", ["distreal"])
@pytest.mark.parametrize(("model", "only_linear", "n_rates"), [("Mlp", True, 2), ("Mixed", False, 1)])
def test_auto_thins_what_there_is_to_thin(method: str, model: str, only_linear: bool, n_rates: int) -> None:
    """Both linear layers where they are all; the convolution alone where there is one."""
    experiment = toy(method=method, model=f"{__name__}.{model}")
    assert experiment.resolved()["method"]["drop_linear"] is only_linear
    front = build(experiment).front
    assert front is not None
    assert (len(front.groups), len(front.entries) > 1) == (n_rates, True)
    given = toy(method={"name": method, "drop_linear": only_linear}, model=f"{__name__}.{model}")
    assert given.hash() == experiment.hash()


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in names(Model)],
)
def test_bundled_networks_need_no_look(name: str) -> None:
    """Each says itself whether linear layers are all that can be thinned, so none is built to know it."""
    inputs = inputs_of(name)
    with torch.random.fork_rng(devices=[]):
        module = inputs.build(load(Model, name).model_validate(options_for(name)), 10)
    structure = find_groups(module, inputs.examples(2))
    only_linear = not structure.thinnable(False) and bool(structure.thinnable(True))
    assert load(Model, name).only_linear is only_linear
    assert structure.thinnable("auto") == structure.thinnable(only_linear)
    assert toy(model=name).resolved()["method"]["drop_linear"] is only_linear


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"model": f"{__name__}.Mlp", "method": {"name": "distreal", "drop_linear": False}},
            "hidden linear layers are all there is to thin: set method.drop_linear to true",
        ),
        ({"model": "logistic"}, "model logistic has no hidden layer that could be thinned"),
        (
            {"method": {"name": "distreal", "filters": "ordered", "front": {"uniform": 1}}},
            "give it others under method.front",
        ),
    ],
)
def test_a_front_that_leaves_no_choice(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    """The run warns once, and `check` with the same words; a front of two entries is no reason to."""
    method = changes.get("method", {}).get("name", "distreal")
    expected = ZERO_ONLY.format(method) + why
    assert warned(tmp_path / "one", rounds=1, **changes) == [expected]
    assert f"\nwarning     {expected.removeprefix('warning: ')}\n" in plan(**changes)
    assert warned(tmp_path / "two", rounds=1, method={"name": "distreal", "front": {"uniform": 2}}) == []


@pytest.mark.parametrize(
    ("width", "counts", "said"),
    [
        (0.5, (8, 16, 32), None),
        (0.125, (2, 4, 8), "496 of 24,058 parameters"),
        (1 / 16, (1, 2, 4), "163 of 24,058 parameters, and 1 filter in conv1.conv"),
        (1 / 64, (1, 1, 1), "53 of 24,058 parameters, and 1 filter in 3 groups"),
    ],
)
def test_a_network_of_which_little_is_left(
    width: float, counts: tuple[int, ...], said: str | None, tmp_path: Path
) -> None:
    """The run warns, and `check` with the same words. 3x3 filters without biases, two numbers of batch norm a
    filter, and a classifier of 10 outputs with biases.
    """
    a, b, c = counts
    assert said is None or said.startswith(f"{9 * (a + a * b + b * c) + 2 * (a + b + c) + 10 * c + 10} of ")
    changes = {"model": {"name": "small_cnn"}, "method": {"name": "small", "width": width}, "rounds": 1}
    expected = [
        f"warning: method small leaves {said}; a wider network may do better even where the weakest clients "
        "are late: tune its width"
    ]
    endless = {"name": "constant", "level": float("inf")}
    assert warned(tmp_path / "run", **changes, profile=endless) == (expected if said else [])
    assert plan(**changes, profile=endless).count("\nwarning") == bool(said)
    assert said is None or f"\nwarning     {expected[0].removeprefix('warning: ')}\n" in plan(**changes)


def test_a_small_network_that_was_configured_so(tmp_path: Path) -> None:
    """53 parameters of the user's own choice are no reason to warn."""
    changes = {"model": {"name": "small_cnn", "width": 1}, "method": {"name": "small", "width": 1.0}}
    endless = {"name": "constant", "level": float("inf")}
    assert warned(tmp_path / "run", **changes, rounds=1, profile=endless) == []


def test_the_zero_vector_for_fewer_steps_leaves_no_choice(tmp_path: Path) -> None:
    """Several entries, and nothing is thinned."""
    front = front_of_shares(tmp_path / "front.json", {0.0: (0.25, 0.5, 1.0)})
    method = {"name": "distreal", "front": str(front)}
    found = "its search found no thinned vector that is worth more than fewer full steps"
    assert warned(tmp_path / "run", rounds=1, method=method) == [ZERO_ONLY.format("distreal") + found]
    front_of_shares(front, {0.5: (0.5,), 0.0: (1.0,)})
    assert warned(tmp_path / "other", rounds=1, method=method) == []


@pytest.mark.parametrize("known", [True, False])
def test_a_front_below_fewer_full_steps(known: bool, tmp_path: Path) -> None:
    """The run warns once and `check` with the same words, with the numbers of the front's file; of a file
    without them nothing is said.
    """
    front = build(toy(method={"name": "distreal", "front": {"uniform": 4}})).front
    assert front is not None
    at = {"relative_macs": 0.5, "value": -0.3, "interval": [-0.4, -0.2]}
    worth = {"pays": [], "pays_in_the_mean": [], "loses": [[0.1, 0.9]], "best": at, "worst": at}
    made = {"reevaluation": {"thinning": worth}} if known else {}
    dataclasses.replace(front, made=made).save(tmp_path / "front.json")
    method = {"name": "distreal", "front": str(tmp_path / "front.json")}
    expected = "warning: the front of method distreal lies below fewer full steps from 10 to 90 % of the MACs"
    assert warned(tmp_path / "run", rounds=1, method=method) == ([expected] if known else [])
    text = " ".join(plan(method=method).split())
    assert (expected.removeprefix("warning: ") in text) is known


def test_a_front_of_other_filters(tmp_path: Path) -> None:
    """What a search with random filters measured says nothing of ordered ones: not where thinning pays, nor
    where it loses; with random filters, both are said.
    """
    experiment = toy(method={"name": "distreal", "front": {"uniform": 4}})
    front = build(experiment).front
    assert front is not None
    at = {"relative_macs": 0.5, "value": -0.3, "interval": [-0.4, -0.2]}
    worth = {"pays": [[0.9, 1.0]], "pays_in_the_mean": [], "loses": [[0.1, 0.9]], "best": at, "worst": at}
    plain = experiment.resolved()
    made = {"experiment": {key: plain[key] for key in ("dataset", "method")}}
    dataclasses.replace(front, made={**made, "reevaluation": {"thinning": worth}}).save(tmp_path / "f.json")
    method = {"name": "distreal", "front": str(tmp_path / "f.json"), "filters": "ordered"}
    expected = (
        "warning: the front of method distreal was searched with method.filters=random; with "
        "method.filters=ordered its scores may be others, and where it pays is not known"
    )
    assert warned(tmp_path / "ordered", rounds=1, method=method) == [expected]
    text = " ".join(plan(method=method).split())
    assert expected.removeprefix("warning: ") in text
    assert "thinning pays" not in text
    text = " ".join(plan(method={**method, "filters": "random"}).split())
    assert "was searched with" not in text
    assert "thinning pays from 90 to 100 % of the MACs" in text
    assert "lies below fewer full steps from 10 to 90 % of the MACs" in text


def test_a_front_that_was_measured_with_other_filters(tmp_path: Path) -> None:
    """Of uniform rates that were measured with ordered filters nothing is known with random ones, and a run
    warns of nothing; with ordered ones it warns.
    """
    experiment = toy(method={"name": "distreal", "front": {"uniform": 4}, "filters": "ordered"})
    front = build(experiment).front
    assert front is not None
    at = {"relative_macs": 0.5, "value": -0.3, "interval": [-0.4, -0.2]}
    worth = {"pays": [], "pays_in_the_mean": [], "loses": [[0.1, 0.9]], "best": at, "worst": at}
    plain = experiment.resolved()
    measured = {"experiment": {key: plain[key] for key in ("dataset", "method")}}
    made = {"measured": measured, "reevaluation": {"thinning": worth}}
    dataclasses.replace(front, made=made).save(tmp_path / "f.json")
    method = {"name": "distreal", "front": str(tmp_path / "f.json")}
    unknown, below = "not known whether thinning pays", "lies below fewer full steps from 10 to 90 %"
    for filters, is_known in (("random", False), ("ordered", True)):
        text = " ".join(plan(method={**method, "filters": filters}).split())
        assert (unknown in text, below in text) == (not is_known, is_known)
    assert warned(tmp_path / "random", rounds=1, method=method) == []


def test_a_run_in_which_nobody_finishes(tmp_path: Path) -> None:
    """Capacity 0; then one that is never enough where late updates are lost; then enough."""
    never = "warning: nothing was merged in any of the 4 rounds, so the network is the initial one: "
    zero = {"profile": {"name": "constant", "level": 0.0}}
    slow = {"profile": {"name": "constant", "level": 1e-3}, "method": "fedavg", "overrun": "drop"}
    assert warned(tmp_path / "zero", **zero) == [f"{never}no client finished in time"]
    assert warned(tmp_path / "slow", **slow) == [f"{never}no client finished in time"]
    nobody = {"availability": {"name": "random", "share": 1e-9}}
    assert warned(tmp_path / "nobody", **nobody) == [f"{never}no client was available"]
    assert warned(tmp_path / "enough", profile="constant") == []
    said = "nothing would be merged: no client finishes in time"
    assert (said in plan(**zero), said in plan(**slow), said in plan(profile="constant")) == (
        True,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("merged", "said"), [((0, 0, 1, 2), "2 of 4 rounds: no client"), ((0, 1, 2), ""), ((1,), "")]
)
def test_half_of_the_rounds(merged: tuple[int, ...], said: str, tmp_path: Path) -> None:
    """Two of four are worth a word, one of three is not; of two clients that count one is partial."""
    head = "n_selected,n_completed,n_partial,n_diverged"
    rows = [f"5,{n - n // 2},{n // 2},0" for n in merged]
    (tmp_path / "rounds.csv").write_text("\n".join([head, *rows, ""]))
    lines = of_rounds(tmp_path)
    assert len(lines) == bool(said)
    assert all(said in line for line in lines)


def test_updates_that_diverge(tmp_path: Path) -> None:
    """With endless capacity all of them do, at level 1 the largest clients are late instead."""
    local = {**TOY["local"], "lr": 1e30, "nonfinite": "exclude"}
    never = "warning: nothing was merged in any of the 4 rounds, so the network is the initial one: "
    endless = {"name": "constant", "level": float("inf")}
    said = warned(tmp_path / "all", local=local, method="fedavg", profile=endless)
    assert said == [f"{never}every update diverged"]
    said = warned(tmp_path / "some", local=local, method="fedavg", profile="constant", overrun="drop")
    assert said == [f"{never}every update was late or diverged"]


def test_a_world_of_empty_batteries_or_little_memory(tmp_path: Path) -> None:
    """At the reserve from the start; then a kilobyte: both merge nothing, and say why. A client that has 25 J
    for its first job is down in 4 of 5 rounds.
    """
    never = (
        "warning: nothing was merged in any of the 4 rounds, so the network is the initial one: every client "
    )
    energy = {"name": "per_mac", "joules_per_mac": 1e-6}
    down = {"name": "idle", "capacity_j": 100, "start": 0.2, "charge_w": 0}
    assert warned(tmp_path / "down", energy=energy, battery=down) == [
        f"{never}was out of memory or battery",
        "warning: 100 % of the selected clients had no battery left for their work: they are charged too "
        "little, or selected too often",
    ]
    assert warned(tmp_path / "small", memory={"name": "constant", "size_bytes": 1000}) == [
        f"{never}was out of memory"
    ]


def test_from_python_it_is_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="nothing was merged in the only round"):
        run(toy(profile={"name": "constant", "level": 0.0}, rounds=1), tmp_path / "run", grid="serial")


def test_a_sweep_of_networks_of_different_size(tmp_path: Path) -> None:
    """`check` and `sweep` warn that the fleets differ, once; with levels in MAC/s they do not."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**WHOLE_TOY, "method": "fedavg", "rounds": 1}))

    def lines_of(**changes: Any) -> tuple[list[str], str]:
        content = {"base": "toy.yaml", "grid": {"model.width": [4, 8]}, "seeds": [1, 2], **changes}
        (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
        _, cells, _ = load_cells(tmp_path / "sweep.yaml")
        lines: list[str] = []
        check_cells(cells, lines.append)
        text = io.StringIO()
        print_cells(cells, Console(file=text))
        return lines, text.getvalue()

    lines, shown = lines_of()
    assert len(lines) == 1
    assert lines[0].startswith(
        "warning: with profile.unit=relative the fleets differ: level 1 is 373 kMAC/s in "
    )
    assert lines[0].split() == shown.split()[-len(lines[0].split()) :]
    fixed = {"profile.unit": "macs_per_s", "profile.level_1_macs_per_s": 1e5}
    lines, shown = lines_of(overrides=fixed)
    assert lines == []
    assert "warning" not in shown


def test_a_sweep_names_its_cells(tmp_path: Path) -> None:
    """The zero vector alone once for both seeds, before the cells; those that merged nothing one by one."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**TOY, "model": "logistic", "rounds": 1}))
    levels = {"grid": {"profile": [{"name": "constant", "level": 0.0}, "constant"]}, "seeds": [1, 2]}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"base": "toy.yaml", **levels}))
    sweep, cells, _ = load_cells(tmp_path / "sweep.yaml")
    lines: list[str] = []
    run_sweep(sweep, cells, tmp_path / "out", n_workers=1, warn=lines.append)
    assert [line.partition(": ")[0] for line in lines] == [
        "constant level=0.0", "constant", "constant level=0.0, seed 1", "constant level=0.0, seed 2",
    ]  # fmt: skip
    assert ["zero vector only" in line for line in lines] == [True, True, False, False]


def test_a_run_in_which_nobody_finishes_or_nothing_is_thinned(tmp_path: Path) -> None:
    """Clients at half their need, then at nine times of it; 3 rounds of 5."""
    weak = {"name": "constant", "level": 0.5}
    (line,) = warned(tmp_path / "weak", method="fedavg", profile=weak, rounds=3)
    assert line == (
        "warning: not one of 15 selected clients completed its work; all that was merged is partial"
    )
    strong = {"name": "constant", "level": 9.0}
    (line,) = warned(tmp_path / "strong", method="heterofl", profile=strong, rounds=3)
    assert line.startswith("warning: method heterofl never thinned: ")
    assert warned(tmp_path / "fedavg", method="fedavg", profile=strong, rounds=3) == []


@pytest.mark.parametrize(("n_empty", "told"), [(10, True), (9, False)])
def test_many_rounds_in_a_row_without_a_merge(n_empty: int, told: bool, tmp_path: Path) -> None:
    """10 of 25 rounds in a row are told of, 9 are not; other rounds merge 5 updates."""
    n_merged = [5] * 10 + [0] * n_empty + [5] * (15 - n_empty)
    rounds = pd.DataFrame({"n_selected": 5, "n_completed": n_merged, "n_partial": 0, "n_diverged": 0})
    rounds.to_csv(tmp_path / "rounds.csv", index=False)
    found = results.Run(tmp_path, {}, rounds, "own", 1)
    assert of_world(found) == told * [f"warning: nothing was merged in {n_empty} rounds in a row"]
