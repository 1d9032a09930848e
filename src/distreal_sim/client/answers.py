"""Answers of clients that do not train: the gradient or the loss of the model that they are sent.

A pass for a gradient costs as much as an epoch of training, one for a loss its forward pass; where time is
measured, that share of a training step's time. Batch norm sees mini-batches of `local.batch_size`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor

from distreal_sim.client.client import Client
from distreal_sim.client.gradients import GradientSum, with_gradient
from distreal_sim.client.messages import Job, Update
from distreal_sim.client.schedule import Choice, keep_all
from distreal_sim.client.traffic import Traffic
from distreal_sim.client.train import skip, train
from distreal_sim.thinning.cost import forward_macs
from distreal_sim.thinning.engine.engine import Engine

LOSS_BYTES = 4
"""Bytes of a loss: a float32."""


def answer(client: Client, job: Job) -> Update:
    """What `job.round.asks` the client for, of its first `job.round.steps` mini-batches, or of all with 0.

    A `gradient` is in the update's arrays (`gradients.gradient_of`), a `loss` is its train_loss; both are
    means over the examples of the mini-batches that it has finished.
    """
    task, asks, full = client.task, job.round.asks, client.task.full
    if not client.has_memory_for(full):
        return skip(client, "out_of_memory")
    planned = client.epoch[: job.round.steps or None]
    macs, charge = task.macs_per_example(full), task.charge_per_example(full)
    whole, total = task.traffic(task.model_sizes), GradientSum()
    if asks == "loss":
        forward = forward_macs(task.structure, full)
        charge, macs = math.ceil(charge * (forward / macs)), forward
        whole = Traffic(whole.download_bytes, LOSS_BYTES)

    def compute(engine: Engine, x: Tensor, y: Tensor, mask: Any, lr: float) -> float:
        if asks == "gradient":
            return total.add(engine, x, y)
        return float(task.scoring.learning.loss(engine.forward(x), y).item())

    choice = Choice(full, macs, keep_all, compute, charge)
    update = train(replace(client, planned=tuple(planned)), job, lambda moment: choice, whole, trained=())
    if asks == "loss" or not update.is_merged or not task.computes:
        return update
    return with_gradient(update, total.mean({name: job.arrays[name] for name in task.engine.names}))
