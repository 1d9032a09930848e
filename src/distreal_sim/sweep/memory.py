"""How much memory a run needs, estimated before it begins, and how many runs fit at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from distreal_sim.base.process import KERNEL_BYTES, N_KERNELS
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.task import Task
from distreal_sim.run import WINDOW_PER_WORKER

PROCESS_BYTES = 400 * 2**20
"""Python, torch and Flower in one process, before any data (measured: 330 to 380 MiB resident)."""

MODEL_COPIES = 12
"""Full-size copies of the parameters that a run holds in addition to its updates: state, momentum, scratch
memory of the engine, and the merge's sums, which are of twice the width."""

STATE_COPIES = 2
"""Those of each state of the optimizer, resident and scratch; the first is among MODEL_COPIES."""

WIDTHS = 5
"""Fewest sub-networks that are counted for a run without a front: the levels of HeteroFL and its like."""

KEPT_FREE = 0.2
"""Share of the available memory that is left to others."""


def run_bytes(task: Task, n_levels: int = WIDTHS) -> int:
    """Bytes that one process needs for a run of the task: an estimate, on the safe side.

    The data set twice (as read and as dealt out), the parameters in every copy, the updates that may wait for
    the merge, the activations of a training step or a test batch, whichever is more, and the kernels that
    oneDNN compiles for sub-networks and batches of different sizes. n_levels: sub-networks of the method
    where it uses no front.
    """
    data = task.data
    arrays = [data.train.x, data.train.y, data.test.x, data.test.y]
    data_bytes = sum(array.nbytes for array in arrays)
    model_bytes = sum(int(p.numel() * p.element_size()) for p in task.module.state_dict().values())
    outputs = _output_bytes(task.module, data.blank(1))
    largest_batch = min(task.local.batch_size, int(task.split.sizes.max()))
    # A training step keeps every output and forms a gradient of it; a test batch holds two layers at a time.
    training_bytes = 2 * largest_batch * sum(outputs)
    test_bytes = 2 * min(task.evaluation.batch_size, len(data.test)) * max(outputs)
    more_states = max(0, len(task.local.optimizer.states) - 1)
    copies = MODEL_COPIES + STATE_COPIES * more_states + WINDOW_PER_WORKER + 1
    return (
        PROCESS_BYTES
        + 2 * data_bytes
        + copies * model_bytes
        + max(training_bytes, test_bytes)
        + _kernel_bytes(task, max(WIDTHS, n_levels))
    )


def _kernel_bytes(task: Task, n_levels: int) -> int:
    """One forward and two backward kernels of each convolution at each width and size of a batch."""
    n_batches = len({size for n in np.unique(task.split.sizes) for size in batch_sizes(int(n), task.local)})
    n_convolutions = sum(isinstance(part, nn.modules.conv._ConvNd) for part in task.module.modules())
    n_widths = n_levels if task.front is None else len(task.front.vectors)
    return KERNEL_BYTES * min(N_KERNELS, 3 * n_convolutions * n_widths * n_batches)


def n_fitting(bytes_each: int, free_bytes: int) -> int:
    """How many runs fit at once; one is always tried."""
    return max(1, int(free_bytes * (1 - KEPT_FREE)) // bytes_each)


def _output_bytes(module: nn.Module, example: np.ndarray) -> list[int]:
    """Bytes of each layer's output for one example."""
    found: list[int] = []

    def note(layer: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            found.append(output.numel() * output.element_size())

    leaves = [layer for layer in module.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(note) for layer in leaves]
    was_training = module.training
    try:
        with torch.no_grad():
            module.eval()(torch.from_numpy(example).to(next(module.parameters()).device))
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return found
