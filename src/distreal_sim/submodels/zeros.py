"""Average percentage of zeros (APoZ): how often the channels of a coupling group are silent after their ReLU.

Hu, Peng, Tai, Tang: Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep
Architectures. 2016, arXiv 1607.03250.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from distreal_sim.base.rng import Rngs
from distreal_sim.client.task import Task
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.structure import FIXED, Structure

BATCH, LR, MOMENTUM = 50, 0.01, 0.9
"""Of the training before zeros are counted, the same for every recipe of the clients."""

RELUS = frozenset({F.relu, F.relu_, F.relu6, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_})


def measured_zeros(task: Task, n_examples: int, n_steps: int) -> np.ndarray:
    """(G,) share of zeros of each group, on training examples that the seed draws.

    Before, a copy of the network takes n_steps steps of SGD on mini-batches of them.
    """
    rngs = Rngs(task.seed)
    rng = rngs("proxy examples")
    n_train = len(task.data.train)
    chosen = rng.choice(n_train, min(n_examples, n_train), replace=False)
    batches = [rng.choice(chosen, min(BATCH, len(chosen)), replace=False) for _ in range(n_steps)]

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        total, n_losses = task.scoring.learning.losses(outputs, y)
        return total / n_losses

    engine = Engine(
        task.module, task.structure, momentum=MOMENTUM, running=True, loss_fn=loss, device=task.device
    )
    parts = np.array_split(chosen, -(-len(chosen) // task.evaluation.batch_size))
    with rngs.seeded_globals("proxy training"):
        for x, y in task.batches(task.data.train, batches):
            engine.step(x, y, None, LR)
        with engine.testing() as (network, _):
            return zeros(network, task.structure, [x for x, _ in task.batches(task.data.train, parts)])


def zeros(network: nn.Module, structure: Structure, inputs: Sequence[Tensor]) -> np.ndarray:
    """(G,) mean over examples, channels and positions of a group's ReLU outputs that are 0.

    Several ReLUs of a group count alike. A ReLU belongs to the groups that the next convolution or linear
    layer reads from it; a group without one has 0. inputs: batches x (n, ...).
    """
    found: dict[int, dict[int, list[tuple[float, int]]]] = {g: {} for g in range(len(structure.groups))}
    waiting: list[Tensor] = []

    def assign(weight: str) -> Callable[..., None]:
        axis = structure.tensors[weight].axes[0 if weight in structure.transposed else 1]
        n_channels = sum(segment.size for segment in axis)

        def hook(layer: nn.Module, args: Any) -> None:
            for number, silent in enumerate(waiting):
                # of a convolution or a plain layer, or of a layer at each place of a sequence
                place = next((d for d in (1, -1) if silent.shape[d] == n_channels), None)
                if place is None:
                    continue
                start = 0
                for segment in axis:
                    own = silent.narrow(place, start, segment.size)
                    start += segment.size
                    if segment.group != FIXED:
                        of_relu = found[segment.group].setdefault(id(layer) + number, [])
                        of_relu.append((own.double().mean().item(), len(own)))
            waiting.clear()

        return hook

    hooks = [
        network.get_submodule(layer.module).register_forward_pre_hook(assign(layer.weight))
        for layer in structure.layers
    ]
    try:
        with torch.no_grad(), _Watching(waiting):
            for x in inputs:
                network(x)
                waiting.clear()
    finally:
        for hook in hooks:
            hook.remove()
    return np.array([_mean_of_relus(list(of_relus.values())) for of_relus in found.values()])


def _mean_of_relus(of_relus: list[list[tuple[float, int]]]) -> float:
    means = [np.average([s for s, _ in own], weights=[n for _, n in own]) for own in of_relus]
    return float(np.mean(means)) if means else 0.0


class _Watching(TorchFunctionMode):
    """Adds to a list which outputs of every ReLU are 0."""

    def __init__(self, waiting: list[Tensor]) -> None:
        super().__init__()
        self._waiting = waiting

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        if func in RELUS:
            self._waiting.append(outputs == 0)
        return outputs
