"""`check` and `inspect` through the command line; every number is derived in its test's docstring."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from distreal_sim.base.errors import InputError
from distreal_sim.cli import app, main
from distreal_sim.config import load_experiment
from distreal_sim.config.build import build
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.inspection.estimate import forecast

ROOT = Path(__file__).parents[2]

SMALL: dict[str, Any] = {
    "name": "tiny [b]",
    "seed": 3,
    "rounds": 5,
    "deadline_s": 10.0,
    "n_clients": 10,
    "clients_per_round": 4,
    "dataset": {"name": "digits"},
    "partition": {"name": "iid"},
    "model": {"name": "small_cnn"},
    "local": {"epochs": 1, "batch_size": 16, "lr": 0.1},
    "profile": {"name": "constant", "level": 1.0},
    "method": {"name": "fedavg"},
    "evaluation": {"every": 2},
}
"""Ten clients with 143 or 144 of the 1,437 digits each, as powerful as the full model needs."""

LAYERS = {"conv1.conv": 9_216, "conv2.conv": 73_728, "conv3.conv": 73_728, "linear": 640}
"""small_cnn on 8 x 8 inputs: 16*9*64, 32*144*16, 64*288*4, 64*10 forward MACs."""

FULL = 2 * 9_216 + 3 * (73_728 + 73_728 + 640)
"""Training MACs: the first layer needs no gradient of its input. 462,720."""

UNMEASURED = "not known whether thinning pays; `search` with `front` measures it"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


def cli(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def section(output: str, label: str) -> list[str]:
    """Lines of the plan under a label."""
    lines, inside = [], False
    for line in output.splitlines():
        inside = line[:12].strip() == label if line[:12].strip() else inside
        if inside:
            lines.append(line[12:])
    return lines


def rows(output: str) -> list[list[str]]:
    """Cells of the lines of all tables' bodies."""
    lines = [line for line in output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_plan_of_fedavg(config: Path) -> None:
    """1,437 = 7 x 144 + 3 x 143: sizes 143, 144, 144 (min, median, max), of 16: 9 mini-batches each (143 =
    8 x 16 + 15). Parameters and MACs: see small_cnn. Level 1 = 144 x 462,720 / 10 s = 6.663 MMAC/s. At level
    1 a client with 143 or 144 examples just finishes: everyone. 24,058 parameters of 4 bytes: 96.2 kB.
    Five rounds, evaluated after the second, the fourth and the last: 3 evaluations.
    """
    out = cli("check", config)
    hash_ = load_experiment(config)[0].hash()
    assert section(out, "experiment") == [f"tiny [b], seed 3, config hash {hash_}"]
    assert "1,437 training and 360 test examples of 1 x 8 x 8, 10 classes" in section(out, "data set")
    assert section(out, "clients") == ["10, of which 4 a round"]
    assert "examples a client: min 143, median 144, max 144" in section(out, "partition")
    model = section(out, "model")
    assert model[0] == "small_cnn: width=16"
    assert model[1] == "24,058 parameters; 3 coupling groups with 112 channels"
    assert model[2].startswith("per example 157 kMAC forward, 463 kMAC training")
    assert "mini-batches of 16; a client has min 9, median 9, max 9" in section(out, "local work")
    assert FULL == 462_720
    capacity = section(out, "capacity")
    assert capacity[1:] == [
        "level 1 = 6.66 MMAC/s: full model, median client, in 10 s",
        "at t = 0, all 10 clients: min 1, median 1, max 1",
        "that is min 6.66 MMAC/s, median 6.66 MMAC/s, max 6.66 MMAC/s",
        "declared lower bound: 1, or 6.66 MMAC/s",
        "other networks or other work change level 1; to keep it: profile.unit=macs_per_s "
        "profile.level_1_macs_per_s=6663168",
    ]
    assert section(out, "method") == ["fedavg"]
    assert section(out, "overrun") == [
        "partial: of a client that misses the deadline the finished steps count"
    ]
    assert section(out, "merge") == ["average: weight=examples"]
    assert section(out, "front") == []
    assert section(out, "in time") == [
        "the full model at the capacity of t = 0: 100 % of the clients",
        "in round 1 as it comes: 100 % completed, 0 % partial, 0 % dropped",
    ]
    assert section(out, "traffic") == ["a client and round: 96.2 kB down, 96.2 kB up"]
    assert section(out, "simulated") == ["5 rounds of 10 s: 50 s"]
    wall = section(out, "wall time")
    assert wall[0].startswith("ESTIMATE: ")
    assert "with 1 worker" in wall[0]
    assert wall[1].endswith("for 3 evaluations")


def test_who_is_away_does_not_count(config: Path, tmp_path: Path) -> None:
    """Clients 0 and 1 are there from the start, the other eight from t = 15 s on: who is in time, and whose
    capacity, is said of the two.
    """
    later = "".join(f"{client},15,100\n" for client in range(2, 10))
    (tmp_path / "there.csv").write_text("client,start_s,end_s\n0,0,100\n1,0,100\n" + later)
    there = "availability={name: intervals, clock: common, file: " + str(tmp_path / "there.csv") + "}"
    out = cli("check", config, there)
    assert "at t = 0, 2 of 10 clients that are there: min 1, median 1, max 1" in section(out, "capacity")
    assert section(out, "in time") == [
        "the full model at the capacity of t = 0: 100 % of the clients",
        "in round 1 as it comes: 100 % completed, 0 % partial, 0 % dropped",
    ]


def test_plan_of_distreal_at_half_the_capacity(config: Path) -> None:
    """Level 0.5: nobody can finish the full model, everybody the cheapest of 4 uniform entries, which keeps
    4, 8 and 16 channels: 2 * 4*9*64 + 3 * (8*4*9*16 + 16*8*9*4 + 16*10) = 32,736 MACs, 7.1 %. Constant
    capacity: the entry that fits at the start fits to the end: all complete. Coverage: 9 steps x (16, 32,
    64) channels = 18 + 36 + 72 bytes beside the 96,232 of the model. Half the filters cost 120,768 MACs,
    three quarters 264,096: the latter fit 0.5 x 462,720 x 144 MACs once 3 batches were done with half (143
    examples: 2): (3 x 0.5 + 6 x 0.75) / 9 = 0.6667, (2 x 0.5 + 7 x 0.75) / 9 = 0.6944.
    """
    out = cli("check", config, "method.name=distreal", "method.front.uniform=4", "profile.level=0.5")
    assert 2 * 4 * 9 * 64 + 3 * (8 * 4 * 9 * 16 + 16 * 8 * 9 * 4 + 16 * 10) == 32_736
    assert round(100 * 264_096 / FULL) == 57
    assert round(100 * 32_736 / FULL, 1) == 7.1
    assert section(out, "front") == [
        "4 entries of 3 rates, the cheapest with 7.1 % of the full MACs",
        "no entry between 57 % and 100 % of the full MACs",
        "uniform rates; for this model, data set and way of thinning none is bundled",
        UNMEASURED,
    ]
    assert section(out, "in time") == [
        "the full model at the capacity of t = 0: 0 % of the clients",
        "the cheapest entry at the capacity of t = 0: 100 % of the clients",
        "in round 1 as it comes: 100 % completed, 0 % partial, 0 % dropped",
        "100 % are thinned, and keep on average of their channels min 0.6667, median 0.6667, max 0.6944",
    ]
    assert section(out, "traffic") == ["a client and round: 96.2 kB down, 96.4 kB up"]
    measured = [line for line in section(out, "wall time") if line.startswith("measured")]
    assert [line.split(", ")[-1] for line in measured[:2]] == ["front's median entry", "full model"]


def test_overrun_and_absolute_units(config: Path) -> None:
    """3,331,584 MAC/s is half of level 1 (144 x 462,720 / 10 = 6,663,168): of all clients the
    steps that end by 10 s count, 3,331,584 x 10 / (16 x 462,720) = 4.5, so 4 of 9; `drop` drops them all.
    """
    absolute = ("profile.unit=macs_per_s", "profile.level=3331584")
    out = cli("check", config, *absolute, "overrun=drop")
    assert section(out, "capacity")[1] == (
        "level 1 = 1 MAC/s, shown relative to 6.66 MMAC/s: full model, median client, in 10 s"
    )
    assert section(out, "capacity")[2] == "at t = 0, all 10 clients: min 0.5, median 0.5, max 0.5"
    assert section(out, "capacity")[4] == "declared lower bound: 0.5, or 3.33 MMAC/s"
    assert section(out, "in time")[1] == "in round 1 as it comes: 0 % completed, 0 % partial, 100 % dropped"
    out = cli("check", config, *absolute)
    assert section(out, "in time")[1] == "in round 1 as it comes: 0 % completed, 100 % partial, 0 % dropped"
    experiment = load_experiment(config, absolute)[0]
    assert [update.n_steps for update in forecast(experiment, build(experiment), [0, 9])] == [4, 4]
    out = cli("check", config, *absolute, "overrun=wait", "round_end=early")
    assert section(out, "simulated") == ["5 rounds of 10 s: about 50 s"]


def test_transfers_shorten_the_time(config: Path) -> None:
    """Level 1 needs all of the deadline; a download of 96,232 / 2 B at 96,232 B/s leaves 9.5 s: nobody is in.
    What takes energy, and where it comes from, has lines of its own, and every label a blank after it.
    """
    link = "link={name: constant, download_bytes_per_s: 96232, upload_bytes_per_s: .inf}"
    energy = "energy={name: per_mac, joules_per_mac: 1e-10}"
    battery = "battery={name: idle, capacity_j: 4000, charge_w: 5}"
    out = cli("check", config, link, energy, battery, "codec=fp16", "download_codec=fp16", "overrun=partial")
    assert section(out, "energy") == ["per_mac: radio=none, joules_per_mac=1e-10, idle_w=0.0"]
    assert section(out, "battery")[0].startswith("idle: capacity_j=4000.0, start=")
    assert "\ndownload codec fp16\n" in out
    assert section(out, "in time")[0] == "the full model at the capacity of t = 0: 0 % of the clients"


def test_plan_of_small(config: Path) -> None:
    """width 0.5 keeps 8, 16 and 32 channels: 72 + 1,152 + 4,608 weights of convolutions, 2 x 56 of batch
    norm and 330 of the classifier = 6,274 of 24,058 parameters (26 %), 25.1 kB.
    """
    out = cli("check", config, "method.name=small", "method.width=0.5", "profile.level=0.5")
    assert 72 + 1_152 + 4_608 + 112 + 330 == 6_274
    assert section(out, "trained")[1] == "6,274 parameters; 3 coupling groups with 56 channels"
    assert section(out, "trained")[3:] == [
        "filters left in each group: 8/16 16/32 32/64",
        "6,274 of 24,058 parameters left (26 %)",
    ]
    assert section(out, "traffic") == ["a client and round: 25.1 kB down, 25.1 kB up"]
    assert "the narrowed model at the capacity of t = 0: 100 % of the clients" in section(out, "in time")


def test_the_number_that_check_prints_keeps_the_fleet(config: Path) -> None:
    """Half the width: level 1 falls with the MACs of the full network, from 462,720 to 2*4,608 + 3*(18,432 +
    18,432 + 320) = 120,768 an example; with the number printed for the wide one the capacities stay.
    """
    wide = section(cli("check", config), "capacity")
    narrow = section(cli("check", config, "model.width=8"), "capacity")
    assert 144 * 120_768 == 17_390_592
    assert narrow[3] == "that is min 1.74 MMAC/s, median 1.74 MMAC/s, max 1.74 MMAC/s"
    keys = wide[-1].rpartition(": ")[2].split()
    fixed = section(cli("check", config, "model.width=8", *keys), "capacity")
    assert fixed[1] == (
        "level 1 = 6.66 MMAC/s, shown relative to 1.74 MMAC/s: full model, median client, in 10 s"
    )
    assert fixed[3] == wide[3]
    assert len(fixed) == 5


def test_own_work_as_the_unit(config: Path) -> None:
    """Sizes 143, 144, 144 (min, median, max) times 462,720 MACs in 10 s: 6.617 and 6.663 MMAC/s."""
    own = ("profile.unit=relative_own", "profile.level=0.5")
    assert section(cli("check", config, *own), "capacity")[1:] == [
        "level 1 = min 6.62 MMAC/s, median 6.66 MMAC/s, max 6.66 MMAC/s: full model, own work, in 10 s",
        "at t = 0, all 10 clients: min 0.5, median 0.5, max 0.5",
        "that is min 3.31 MMAC/s, median 3.33 MMAC/s, max 3.33 MMAC/s",
        "declared lower bound: 0.5, or 3.31 MMAC/s",
        "other networks or other work change level 1; to keep the median client's: profile.unit=macs_per_s "
        "profile.level_1_macs_per_s=6663168",
    ]
    shown = rows(cli("inspect", "profile", config, *own))
    assert {tuple(row[1:]) for row in shown} == {("0.5", "0.5", "0.5", "0.5", "0.0")}


def test_levels_of_a_method(config: Path) -> None:
    """Widths i/4 keep 4i, 8i and 16i channels; their MACs are those of `front.uniform=4` elsewhere on this
    page: 32,736, 120,768, 264,096 and 462,720: 7.1, 26, 57 and 100 %. 1,702 parameters are 6,808 bytes. Of
    70 widths those of the 64 channels of the last layer differ.
    """
    quarters = ("method.name=heterofl", "method.widths=4")
    out = cli("check", config, *quarters)
    assert section(out, "levels") == ["4 with 7.1 %, 26 %, 57 %, 100 % of the full MACs"]
    cells = [row for row in rows(cli("inspect", "model", config, *quarters)) if len(row) == 6][-4:]
    assert cells[0] == ["0", "32,736", "7.07", "6,808", "6,808", "4 8 16"]
    assert [row[1] for row in cells] == ["32,736", "120,768", "264,096", "462,720"]
    assert section(cli("check", config), "levels") == []
    many = cli("check", config, "method.name=fjord", "method.widths=70")
    assert section(many, "levels") == ["70 with 0.4 % to 100 % of the full MACs, 64 of them different"]


def test_own_code_is_called_that(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profiles_of_mine.py").write_text(
        "from distreal_sim.devices.profiles.constant import Constant\nclass Mine(Constant):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    out = cli("check", config, "profile.name=profiles_of_mine.Mine")
    assert section(out, "capacity")[0].startswith("profiles_of_mine.Mine (runs code from profiles_of_mine)")
    (tmp_path / "my_strategies.py").write_text(
        "from flwr.serverapp.strategy import FedAvg\nclass Mine(FedAvg):\n    pass\n"
    )
    out = cli("check", config, "method.name=fedavg", "merge=flower", "merge.strategy=my_strategies.Mine")
    assert section(out, "merge") == ["flower (runs code from my_strategies): strategy=my_strategies.Mine"]


def test_inspect_model(config: Path) -> None:
    """The layers of LAYERS; shares 18,432, 221,184, 221,184 and 1,920 of 462,720: 4.0, 47.8, 47.8, 0.4 %.
    Weights: 144 + 4,608 + 18,432 + 640 = 23,824; the rest: 2 x 112 of batch norm and 10 biases.
    """
    out = cli("inspect", "model", config, "method.name=distreal")
    cells = rows(out)
    assert cells[0] == ["0", "conv1.conv", "conv", "16", "1", "yes"]
    layers = {row[0]: row[1:] for row in cells[3:]}
    assert layers["conv1.conv"] == ["16x1x3x3", "64", "9,216", "18,432", "4.0 %"]
    assert layers["conv2.conv"] == ["32x16x3x3", "16", "73,728", "221,184", "47.8 %"]
    assert {name: int(layers[name][2].replace(",", "")) for name in LAYERS} == LAYERS
    assert layers["total"] == ["", "", "157,312", "462,720", "100.0 %"]
    assert "24,058 parameters: 23,824 in these weights, 234 elsewhere." in out


def test_inspect_profile_of_redrawn_levels(config: Path) -> None:
    """A factor of U(0.5, 1.5) times a base of 0.4, redrawn twice a round: over five rounds 10 levels, so 9
    changes, 1.8 a round, each within [0.2, 0.6] and their time-average the mean of the ten.
    """
    profile = "profile={name: uniform, low: 0.4, high: 0.4, jitter: 0.5, changes_per_round: 2}"
    out = cli("inspect", "profile", config, profile)
    task = build(load_experiment(config, [profile])[0])
    cells = rows(out)
    assert len(cells) == 10
    for client_id, start, mean, low, high, changes in cells:
        capacity = task.devices.capacity(int(client_id), 0.0)
        levels = [capacity(5.0 * k + 1.0) / 6_663_168 for k in range(10)]
        shown = [float(x) for x in (start, mean, low, high)]
        assert shown == pytest.approx([levels[0], sum(levels) / 10, min(levels), max(levels)], rel=1e-3)
        assert 0.2 <= float(low) <= float(high) <= 0.6
        assert changes == "1.8"
    spark = out.splitlines()[-1]
    assert len(spark) == 120
    assert all(len(set(spark[k : k + 12])) == 1 for k in range(0, 120, 12))


def test_inspect_profile_of_no_and_unlimited_capacity(config: Path) -> None:
    out = cli("inspect", "profile", config, "profile={name: tiers, levels: [0, .inf]}")
    shown = {tuple(row[1:]) for row in rows(out)}
    assert shown == {("0", "0", "0", "0", "0.0"), ("inf", "inf", "inf", "inf", "0.0")}


def test_inspect_front_of_a_config_and_of_its_file(config: Path, tmp_path: Path) -> None:
    """Four uniform entries: 4, 8, 12 and 16 of 16 channels and so on; the cheapest has 32,736 MACs, of which
    4*9*64 + 8*4*9*16 + 16*8*9*4 + 16*10 = 11,680 forward, and 4*9 + 8*36 + 16*72 + 170 parameters in weights
    and classifier, 2 * 28 in normalisation. Hypervolume: 1/4, 2/4 and 3/4 of the filters cost 32,736,
    120,768 and 264,096 MACs; relative to 462,720 they are edges and heights alike.
    """
    overrides = ["method.name=distreal", "method.front.uniform=4"]
    out = cli("inspect", "front", config, *overrides)
    cells = rows(out)
    sizes = ["11,680", "21,056", "1,702", "6,808"]
    assert cells[0] == ["0", "32,736", "7.07", *sizes, "0.07075", "", "0.250", "4 8 16"]
    sizes = ["157,312", "305,408", "24,058", "96,232"]
    assert cells[3] == ["3", "462,720", "100.00", *sizes, "1", "", "1.000", "16 32 64"]
    x = [macs / 462_720 for macs in (32_736, 120_768, 264_096, 462_720)]
    volume = sum((b - a) * a for a, b in zip(x, [*x[1:], 1.05], strict=True))
    assert f"relative to the full network: {volume:.4f}." in out
    front = build(load_experiment(config, overrides)[0]).front
    assert front is not None
    path = tmp_path / "front.json"
    front.save(path)
    assert cli("inspect", "front", path) == out


def test_a_front_of_shares(config: Path, tmp_path: Path) -> None:
    """Half of the examples with half the filters cost half of 120,768 MACs, 13.05 % of the full network's; a
    quarter of them with the full network 25 %, and everybody has those 13.05 % at level 0.2.
    """
    overrides = ["method.name=distreal", "method.front.uniform=4"]
    front = build(load_experiment(config, overrides)[0]).front
    assert front is not None
    _, half, _, full = front.entries
    entries = (replace(half, share=0.5), replace(full, share=0.25, score=0.5), full)
    path = tmp_path / "front.json"
    replace(front, entries=entries, made={"how": "by hand"}).save(path)
    out = cli("inspect", "front", path)
    assert [row[:4] for row in rows(out)] == [
        ["0", "120,768", "0.5", "13.05"],
        ["1", "462,720", "0.25", "25.00"],
        ["2", "462,720", "1", "100.00"],
    ]
    assert "Share: of the planned examples; % of full: share times MACs, by which it is looked up.\n" in out
    out = cli("check", config, "method.name=distreal", f"method.front={path}", "profile.level=0.2")
    assert section(out, "front") == [
        "3 entries of 3 rates, the cheapest with 13 % of the full MACs",
        "2 for a share of the planned examples: min 0.25, median 0.375, max 0.5",
        "by hand",
        UNMEASURED,
    ]
    assert "the cheapest entry at the capacity of t = 0: 100 % of the clients" in section(out, "in time")


def test_a_front_that_was_measured_afresh(config: Path, tmp_path: Path) -> None:
    """0.55 against 0.44 is a gain of 25 %. `check` says only where thinning pays and where it does not, in
    short lines.
    """
    overrides = ["method.name=distreal", "method.front.uniform=4"]
    front = build(load_experiment(config, overrides)[0]).front
    assert front is not None
    at = {"relative_macs": 0.3, "value": 0.08, "interval": [0.04, 0.11]}
    worth = {"pays": [[0.2, 0.5]], "pays_in_the_mean": [[0.1, 0.6]], "loses": [[0.02, 0.1]]}
    fresh: dict[str, Any] = {"found": 0.55, "uniform": 0.44, "gain": 0.25, "gain_interval": [0.2, 0.301]}
    fresh["thinning"] = {**worth, "best": at, "worst": at}
    entries = tuple(replace(entry, score_error=0.0123) for entry in front.entries)
    path = tmp_path / "front.json"
    replace(front, entries=entries, made={"how": "by hand", "reevaluation": fresh}).save(path)
    expected = "hypervolume 0.5500, uniform rates 0.4400: +25.0 %, 95 % interval +20.0 % to +30.1 %"
    out = cli("inspect", "front", path)
    assert f"On fresh seeds: {expected}.\n" in out
    assert [row[8] for row in rows(out)] == ["0.012"] * 4
    assert "On fresh seeds: the front lies below fewer full steps from 2 to 10 % of the MACs, at worst" in out
    checked = cli("check", config, "method.name=distreal", f"method.front={path}")
    assert section(checked, "front")[2:] == [
        "by hand",
        "thinning pays from 20 to 50 % of the MACs, against fewer full steps",
    ]
    assert section(checked, "warning") == [
        "the front of method distreal lies below fewer full steps from 2 to 10 % of the MACs"
    ]
    lost = cli("check", config, "method.name=distreal", f"method.front={path}", "overrun=drop")
    assert section(lost, "front")[3:] == [
        "thinning pays from 20 to 50 % of the MACs, against fewer full steps (overrun=drop loses them)"
    ]
    assert section(lost, "warning") == []


def test_where_time_counts_worth_is_by_macs() -> None:
    """A front says where it pays in MACs; with measured times none of its thinned entries may be cheaper."""
    measured = ROOT / "experiments" / "measured_costs" / "cost.json"
    out = cli("check", ROOT / "configs" / "digits.yaml", f"cost={measured}")
    assert section(out, "front")[-1].endswith("against fewer full steps; by MACs, not by time")
    assert not any("lies below fewer full steps" in line for line in section(out, "warning"))


@pytest.mark.parametrize("content", [None, "{", "[]", '{"entries": []}', '{"format": 1}'])
def test_what_is_no_front_file(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "front.json"
    if content is not None:
        path.write_text(content)
    result = CliRunner().invoke(app, ["inspect", "front", str(path)])
    assert isinstance(result.exception, InputError)
    assert str(path) in str(result.exception)


def test_a_front_without_the_zero_vector(tmp_path: Path) -> None:
    Front((Entry((0.5,), (8,), 10, 0.5),), "m", ("a",), {}).save(tmp_path / "front.json")
    result = CliRunner().invoke(app, ["inspect", "front", str(tmp_path / "front.json")])
    assert "zero vector" in str(result.exception)


def test_inspect_data(config: Path) -> None:
    """Class counts of the clients add up to those of the data set; digits' 360 test examples are every fifth
    of each class, 35 to 37 of them. One client holds everything: 10 classes, and the largest share is the
    largest class of 1,437.
    """
    out = cli("inspect", "data", config, "n_clients=1", "clients_per_round=1")
    overall = [(int(a), int(b)) for a, b in re.findall(r"\d: (\d+) \+ (\d+)", out)]
    assert len(overall) == 10
    assert (sum(a for a, _ in overall), sum(b for _, b in overall)) == (1_437, 360)
    assert "all: 1,437 + 360" in out
    most = max(a for a, _ in overall)
    first = rows(out)[0]
    assert first == [
        "0",
        "1,437",
        "10",
        str([a for a, _ in overall].index(most)),
        f"{100 * most / 1437:.0f} %",
    ]


def test_input_mistakes_exit_with_2(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No front for FedAvg; waiting for a client with capacity 0; more clients than examples."""
    for arguments, message in (
        (["inspect", "front"], "method.name fedavg uses no front"),
        (
            ["check", "profile.level=0", "overrun=wait"],
            "client 0 would keep the server waiting forever",
        ),
        (["check", "n_clients=2000"], "2000"),
    ):
        command, *rest = arguments
        what = [rest.pop()] if command == "inspect" else []
        monkeypatch.setattr("sys.argv", ["distreal-sim", command, *what, str(config), *rest])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert exit_.value.code == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert "Traceback" not in captured.err
        assert captured.out == ""
