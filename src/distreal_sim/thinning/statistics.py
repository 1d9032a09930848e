"""Tests of an engine's network or a sub-network, and re-estimation of its batch-norm statistics.

Statistics for testing are the cumulative average over some batches, as in HeteroFL's static batch norm
(Diao, Ding, Tarokh, ICLR 2021, arXiv:2010.01264): the mean over the batches of each batch's mean and
unbiased variance, while the network normalises with the batch's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from distreal_sim.thinning.engine.engine import Engine, Run
from distreal_sim.thinning.masks import Mask


def outputs_in_test(
    engine: Engine,
    statistics: Mapping[str, np.ndarray],
    x: Tensor,
    mask: Mask | None = None,
    run: Run | None = None,
) -> Tensor:
    """The loaded network's outputs for x, as in a test.

    statistics: from `mean_statistics`, for the same sub-network; empty: batch norm uses those of this batch.
    mask: the sub-network to test; None: the full width. run(network, x): computes them, if they are not the
    network's own outputs. The network is otherwise in evaluation mode (no dropout).
    """
    with engine.testing(mask) as (module, norms), torch.no_grad():
        for name, norm in norms.items():
            for key in ("running_mean", "running_var"):
                if statistics:
                    value = torch.from_numpy(np.array(statistics[f"{name}.{key}"]))
                    norm._buffers[key] = value.to(device=x.device, dtype=engine.dtype)
        outputs: Tensor = module(x) if run is None else run(module, x)
        return outputs


def batch_statistics(
    engine: Engine, batches: Iterable[Tensor], mask: Mask | None = None
) -> dict[str, np.ndarray]:
    """Sums over the batches of each batch's means and unbiased variances, float64.

    batches: inputs (n, C, ...). mask: the sub-network; None: the full width. Returns
    `MODULE.running_mean` and `MODULE.running_var` of every normalisation that keeps statistics; shards of
    batches can be added.
    """
    sums: dict[str, np.ndarray] = {}
    counts = engine.structure.full_counts() if mask is None else mask.counts(engine.structure)
    with engine.testing(mask) as (module, norms), torch.no_grad():
        for x in batches:
            for name, norm in norms.items():
                layout = engine.structure.tensors[f"{name}.running_mean"]
                # With momentum 1 the running statistics equal those of this batch.
                norm.train()
                norm.track_running_stats, norm.momentum = True, 1.0
                width = layout.cut_shape(counts)
                norm._buffers["running_mean"] = torch.zeros(width, dtype=engine.dtype, device=x.device)
                norm._buffers["running_var"] = torch.ones(width, dtype=engine.dtype, device=x.device)
            module(x)
            for name, norm in norms.items():
                for key in ("running_mean", "running_var"):
                    value = norm._buffers[key].double().cpu().numpy()
                    full_name = f"{name}.{key}"
                    sums[full_name] = sums[full_name] + value if full_name in sums else value
    return sums


def mean_statistics(sums: Mapping[str, np.ndarray], n_batches: int) -> dict[str, np.ndarray]:
    """Statistics for `outputs_in_test`, float32, from the summed `batch_statistics` of n_batches batches."""
    return {name: (value / n_batches).astype(np.float32) for name, value in sums.items()}
