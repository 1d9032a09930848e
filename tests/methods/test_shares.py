"""`distreal` with a front of shares: between DISTREAL and FedAvg with partial work, which are its ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from choices import from_front
from pieces import Pieces
from shares import VECTORS, front_of_shares
from toys import SGD, toy

from distreal_sim.base.errors import InputError
from distreal_sim.client.schedule import schedule
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.devices.capacity import Capacity
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front, fingerprint, make_front, uniform_rates
from distreal_sim.run import run

LOCAL = {"epochs": 2, "batch_size": 8, "lr": 0.1, "optimizer": SGD}
LINK = {"name": "constant", "download_bytes_per_s": 50_000, "upload_bytes_per_s": 20_000}


def results(out: Path, **changes: Any) -> tuple[bytes, bytes, Any]:
    """rounds.csv, the final parameters, and the clients' rows of a toy run."""
    run(toy(local=LOCAL, rounds=3, **changes), out, grid="serial", warn=lambda line: None)
    names = ("rounds.csv", "model.safetensors")
    rounds, model = ((out / name).read_bytes() for name in names)
    return rounds, model, pq.read_table(out / "clients.parquet").to_pandas()


def test_the_zero_vector_alone_is_fedavg_with_partial_work(tmp_path: Path) -> None:
    """Shares 1/8, 2/8, ..., 1 of the whole network, bit for bit: every column but the bytes of the upload, in
    which `distreal` says of each step that it kept everything. With an unlimited link they take no time.
    """
    front = front_of_shares(tmp_path / "front.json", {0.0: tuple(n / 8 for n in range(1, 9))})
    ours, model, clients = results(tmp_path / "shares", method={"name": "distreal", "front": str(front)})
    theirs, expected, rows = results(tmp_path / "fedavg", method={"name": "fedavg"}, overrun="partial")

    def without_upload(table: bytes) -> list[list[str]]:
        lines = [line.split(",") for line in table.decode().splitlines()]
        column = lines[0].index("upload_bytes")
        return [line[:column] + line[column + 1 :] for line in lines]

    assert without_upload(ours) == without_upload(theirs)
    assert model == expected
    assert (rows.status == "partial").sum() >= 3
    assert clients.drop(columns="upload_bytes").equals(rows.drop(columns="upload_bytes"))
    assert (clients.upload_bytes >= rows.upload_bytes).all()


def test_shares_of_1_are_distreal(tmp_path: Path) -> None:
    """The same front by way of `shares`, and from its file, gives the bytes of {uniform: 8}."""
    task = build(toy(method={"name": "distreal", "front": {"uniform": 1}}))
    groups = task.structure.thinnable("auto")
    rates, made = uniform_rates(8, len(groups)), {"how": "by hand"}
    front = make_front(
        task.structure, groups, rates, None, shares=np.ones(8), model=fingerprint(task.module), made=made
    )
    assert not front.has_shares
    front.save(tmp_path / "front.json")
    plain = results(tmp_path / "plain", method={"name": "distreal", "front": {"uniform": 8}}, link=LINK)
    shares = results(
        tmp_path / "ones", method={"name": "distreal", "front": str(tmp_path / "front.json")}, link=LINK
    )
    assert shares[:2] == plain[:2]
    assert shares[2].equals(plain[2])


def test_both_kinds_of_entries_are_used(tmp_path: Path) -> None:
    """Clients that hand in fewer steps than planned, thinned ones among them, learn neither as with vectors
    alone nor as in FedAvg.
    """
    front = front_of_shares(tmp_path / "front.json")
    _, model, clients = results(tmp_path / "shares", method={"name": "distreal", "front": str(front)})
    fewer = clients[(clients.status == "partial") & (clients.mean_keep_rate < 1)]
    assert len(fewer) >= 2
    vectors = front_of_shares(tmp_path / "vectors.json", dict.fromkeys(VECTORS, (1.0,)))
    _, thinned, _ = results(tmp_path / "vectors", method={"name": "distreal", "front": str(vectors)})
    _, whole, _ = results(tmp_path / "fedavg", method={"name": "fedavg"}, overrun="partial")
    assert len({model, thinned, whole}) == 3


@pytest.mark.parametrize(
    ("levels", "ends", "steps"),
    [
        ((50.0,), (), [("full", 2.0), ("full", 4.0)]),
        ((50.0, 25.0), (2.0,), [("full", 2.0), ("half", 3.6)]),
    ],
)
def test_a_round_by_hand(
    levels: tuple[float, ...], ends: tuple[float, ...], steps: list[tuple[str, float]]
) -> None:
    """Half the filters cost 40 MACs an example and the full network 100. The front: (half, 1/2) at 20,
    (half, 1) at 40, (full, 1/2) at 50, (full, 1) at 100. Four batches of 1, and 50 MAC/s until t = 4.

    t = 0: 200 are enough for (full, 1/2); done at 2. t = 2: 100 so far and 100 to come are 200 again, and it
    keeps to it. With 25 MAC/s from t = 2 on they are 150: not enough for 200, and 50 left not for half
    the filters in all steps, but enough for the 80 of (half, 1/2); done at 3.6. The same again needs 40, of
    which there are 10: undone, 10 charged.
    """
    counts = {"half": (4,), "full": (8,)}
    half, full = counts.values()
    front = Front(
        (
            Entry((0.5,), half, 40, 0.3, share=0.5),
            Entry((0.5,), half, 40, 0.5),
            Entry((0.0,), full, 100, 0.7, share=0.5),
            Entry((0.0,), full, 100, 1.0),
        ),
        "by hand",
        ("conv",),
        {},
    )
    plan = schedule(
        [1, 1, 1, 1],
        Capacity(Pieces(levels, ends), 1.0, 0.0),
        from_front(front),
        start_s=0.0,
        end_s=4.0,
        overrun="partial",
    )
    done = [(s.choice.counts, round(s.end_s, 9)) for s in plan.steps]
    assert done == [(counts[name], end_s) for name, end_s in steps]
    assert (plan.status, plan.compute_end_s) == ("partial", 4.0)
    assert plan.macs == pytest.approx(200 if len(levels) == 1 else 150, abs=1), "MACs are whole"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"overrun": "drop"}, "overrun drop cannot be used with a front of shares"),
        ({"overrun": "wait"}, "overrun wait cannot be used with a front of shares"),
        (
            {"method": {"distil": True}},
            "method.distil cannot be used with a front of shares: its pupils need",
        ),
    ],
)
def test_refused(option: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A front without shares may be used with each of them."""

    def with_front(path: Path) -> Experiment:
        method = {"name": "distreal", "front": str(path), **option.get("method", {})}
        return toy(**{**option, "method": method})

    front = front_of_shares(tmp_path / "front.json")
    with pytest.raises(InputError, match=message):
        build(with_front(front))
    vectors = front_of_shares(tmp_path / "vectors.json", {0.5: (1.0,), 0.0: (1.0,)})
    build(with_front(vectors))
