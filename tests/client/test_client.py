"""A client's round: its mean loss, and the work that fits it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rounds import ROUND, updates_of
from toys import TOY, toy

from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_indices, batch_sizes
from distreal_sim.client.client import Client
from distreal_sim.client.traffic import Traffic
from distreal_sim.devices.links.constant import Constant as ConstantNetwork
from distreal_sim.devices.profiles.constant import Constant


def test_the_training_loss_is_a_mean_over_examples() -> None:
    """Batches of 16 and one shorter, lr 0: the loss reported is that of all examples in one batch.

    The network has no batch norm, so a mean over batches would only be equal for batches of equal size.
    """
    local = {**TOY["local"], "lr": 0.0, "optimizer": {"momentum": 0.9}}
    experiment = toy(
        local=local, model={"name": "nets.TinyChain"}, method={"name": "fedavg"},
        profile={"name": "constant", "level": 100.0},
    )  # fmt: skip
    task, state, updates = updates_of(experiment)
    unequal = 0
    for update in updates:
        indices = task.split[update.facts.client_id]
        assert update.n_steps == update.facts.n_steps_planned
        task.engine.load(state.arrays)
        x, y = task.batch(task.data.train, indices)
        whole = task.engine.step(x, y, None, 0.0)
        assert update.facts.train_loss == pytest.approx(whole, rel=1e-5)
        sizes = batch_sizes(len(indices), task.local)
        order = batch_indices(sizes, len(indices), Rngs(task.seed, (1, update.facts.client_id))("batches"))
        losses = [
            task.engine.step(*task.batch(task.data.train, indices[batch]), None, 0.0) for batch in order
        ]
        unequal += abs(np.mean(losses) - whole) > 1e-4 * whole
    assert unequal >= 3


@pytest.mark.parametrize(
    ("download_s", "upload_s", "work"),
    [(0.0, 0.0, 10.0), (3.0, 0.0, 7.0), (0.0, 3.0, 7.0), (2.0, 3.0, 5.0), (6.0, 5.0, 0.0)],
)
def test_work_fits_between_the_transfers(download_s: float, upload_s: float, work: float) -> None:
    """10 s at 1,000 MAC/s and 600 bytes a way: what is left between the two is `work` s, or 1,000 MACs for
    each. Just so many fit, one more does not.
    """
    task, _, _ = updates_of(toy(method={"name": "fedavg"}), n_clients=1)
    network = ConstantNetwork(
        download_bytes_per_s=600 / download_s if download_s else float("inf"),
        upload_bytes_per_s=600 / upload_s if upload_s else float("inf"),
    )
    devices = replace(task.devices, links=network, profile=Constant(level=1.0), macs_per_s=1000.0)
    task = replace(task, devices=devices)
    client = Client(task, 0, ROUND)
    macs = round(1000 * work)
    assert client.fits(macs, Traffic(600, 600))
    assert not client.fits(macs + 1, Traffic(600, 600))
