"""The task: network, data and devices of one run; built once, then only read.

A process keeps one Task. Pickled, it travels without the scratch memory of its engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.settings import Evaluation, Local, Overrun, Weight
from distreal_sim.client.traffic import Traffic
from distreal_sim.codecs import Codec
from distreal_sim.data.datasets import Data, Examples
from distreal_sim.data.partitions import Split
from distreal_sim.devices.devices import Devices
from distreal_sim.fronts.front import Front
from distreal_sim.recipe.scoring import Scoring
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.engine.engine import Engine, Scaling
from distreal_sim.thinning.engine.layout import layout_of
from distreal_sim.thinning.measured.table import Charges
from distreal_sim.thinning.peak_memory import PeakMemory, TrainingStep, peak_memory_of
from distreal_sim.thinning.structure import Counts, MemoryFormat, Structure


class Merges(Protocol):
    """The server's merge, where the method has none of its own (`merging.merges.Merge`)."""

    @property
    def weighs_by(self) -> Weight:
        """What a client weighs in an average, for methods that average in their own way."""
        ...

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        """The next state."""
        ...


READ_AT_ONCE = 1 << 18
"""Size of one read of a client's examples, in values: small enough for the cache, and large enough that
reading small batches takes less time than training on them."""


@dataclass(frozen=True)
class Task:
    """Network, data and devices of one run.

    scoring: what the network learns, and its scores in tests; own_tests: examples of `data.train` that each
    client is tested on, None if none are held out; module: the network as initialised; structure:
    its coupling groups; configured: those of the experiment's network, which the method may have narrowed or
    extended; devices: the clients' resources; overrun: what becomes of a client that is still computing at
    the deadline; front: None unless the method uses one; scaling: how a thinned network scales the
    activations that it keeps; computes: False if training is only timed; charges: what the clock charges if
    time is measured, None if it charges MACs.
    """

    seed: int
    deadline_s: float
    overrun: Overrun
    local: Local
    merge: Merges
    codec: Codec
    download_codec: Codec
    evaluation: Evaluation
    scoring: Scoring
    data: Data
    split: Split
    own_tests: Split | None
    module: nn.Module
    structure: Structure
    configured: Structure
    devices: Devices
    front: Front | None
    scaling: Scaling
    device: str
    computes: bool = True
    charges: Charges | None = None

    @cached_property
    def engine(self) -> Engine:
        """This process's training engine; every job loads its own parameters into it."""
        return Engine(
            self.module,
            self.structure,
            **self.local.optimizer.engine_options(),
            clip_norm=self.local.clip_norm,
            scaling=self.scaling,
            precision=self.local.precision,
            running=self.evaluation.batch_norm == "running",
            loss_fn=self.scoring.learning.loss_fn,
            device=self.device,
        )

    def __getstate__(self) -> dict[str, Any]:
        scratch = ("engine", "memo", "_costs", "_peaks", "_peak_memory", "_normalisation", "_memory_format")
        return {key: value for key, value in self.__dict__.items() if key not in scratch}

    @cached_property
    def memo(self) -> dict[str, Any]:
        """Values that other modules compute once for this task, by name; they do not travel."""
        return {}

    @cached_property
    def _costs(self) -> dict[Counts, int]:
        return {}

    def macs_per_example(self, counts: Counts) -> int:
        """MACs of one training step on one example, forward and backward, with these channels kept."""
        if counts not in self._costs:
            self._costs[counts] = training_macs(self.structure, counts)
        return self._costs[counts]

    def charge_per_example(self, counts: Counts) -> int:
        """MACs of capacity that such a step takes per example: those of `macs_per_example` unless time is
        measured. Raises InputError for one that was not measured.
        """
        macs = self.macs_per_example(counts)
        return macs if self.charges is None else self.charges.of(counts, None, macs)

    @cached_property
    def _peaks(self) -> dict[tuple[Counts, int], int]:
        return {}

    @cached_property
    def _peak_memory(self) -> PeakMemory:
        step = training_step(self.data, self.scoring, self.local)
        return peak_memory_of(self.module, self.structure, step)

    def peak_bytes(self, counts: Counts, n_examples: int) -> int:
        """Bytes at the peak of a whole training step on a mini-batch, with these channels kept."""
        key = counts, n_examples
        if key not in self._peaks:
            self._peaks[key] = self._peak_memory(counts, n_examples)
        return self._peaks[key]

    @property
    def full(self) -> Counts:
        """(G,) channels of each group of the whole network."""
        return self.structure.full_counts()

    @property
    def is_narrowed(self) -> bool:
        """Whether the method trains a narrower network than the configured one."""
        configured = self.configured.full_counts()
        return len(configured) == len(self.full) and configured != self.full

    @cached_property
    def model_sizes(self) -> tuple[int, ...]:
        """Number of values in each array of the whole model, as a job and a whole update carry it."""
        return tuple(array.size for array in self.engine.export().values())

    def traffic(
        self, sizes: Sequence[int], sent: Sequence[int] | None = None, *, coverage: bool = False
    ) -> Traffic:
        """Bytes of a job with arrays of these sizes, and of an update with arrays of the sizes `sent`.

        sent: the same as `sizes` if not given. coverage: whether the client also uploads which
        channels its steps kept.
        """
        upload_bytes = self.codec.n_bytes(sizes if sent is None else sent)
        return Traffic(self.download_codec.n_bytes(sizes), upload_bytes, coverage)

    def predicted_macs(self, client_id: int, start_s: float) -> float:
        """Estimated MACs of a client's round that begins at start_s, without calling the method.

        The planned work with the full network, or the MACs that its capacity allows until the deadline,
        whichever is less.
        """
        planned = sum(batch_sizes(len(self.split[client_id]), self.local))
        full_macs = planned * self.macs_per_example(self.full)
        return min(float(full_macs), self.devices.capacity(client_id, start_s).offered(0.0, self.deadline_s))

    @cached_property
    def _memory_format(self) -> MemoryFormat:
        """The memory format in this process; it depends on the processor."""
        return layout_of(self.local.memory_format, self.structure, self.device)

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor] | None:
        if self.data.mean is None or self.data.std is None:
            return None
        shape = (1, -1) + (1,) * (len(self.data.shape) - 1)
        return (
            torch.from_numpy(self.data.mean).reshape(shape).to(self.device),
            torch.from_numpy(self.data.std).reshape(shape).to(self.device),
        )

    def batch(self, examples: Examples, indices: np.ndarray | slice) -> tuple[Tensor, Tensor]:
        """Inputs and what stands in y of some examples, on the device.

        Inputs: normalised (n, C, ...) float32, or (n, L) int64 token ids.
        """
        stored = _copy(examples.x, indices)
        last = stored.ndim == 4 and self._memory_format == "channels_last"
        layout = torch.channels_last if last else torch.preserve_format
        y = torch.from_numpy(_copy(examples.y, indices)).to(self.device)
        if self.data.vocabulary is not None:
            return torch.from_numpy(stored).to(self.device), y
        x = torch.from_numpy(stored).to(self.device, torch.float32, memory_format=layout)
        if self._normalisation is None:
            return x, y
        mean, std = self._normalisation
        return x.sub_(mean).div_(std), y

    def augmented(self, x: Tensor, rngs: Rngs) -> Tensor:
        """Normalised images x (n, C, H, W), changed by `local.augment`; rngs: those of their mini-batch."""
        mean, std = self._normalisation or (torch.zeros(()), torch.ones(()))
        top = 255.0 if self.data.train.x.dtype == np.uint8 else 1.0
        for place, change in enumerate(self.local.augment):
            own = Rngs(rngs.seed, (*rngs.key, place))
            if change.in_unit_range:
                x = (change.apply((x * std + mean) / top, own) * top - mean) / std
            else:
                x = change.apply(x, own)
        last = self._memory_format == "channels_last"
        return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

    def batches(self, examples: Examples, batches: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields `batch` for each of the index arrays in `batches`."""
        at_once = READ_AT_ONCE // math.prod(self.data.shape)
        first = 0
        while first < len(batches):
            last, n_examples = first + 1, len(batches[first])
            while last < len(batches) and n_examples + len(batches[last]) <= at_once:
                n_examples += len(batches[last])
                last += 1
            x, y = self.batch(examples, np.concatenate(batches[first:last]))
            sizes = [len(batch) for batch in batches[first:last]]
            yield from zip(x.split_with_sizes(sizes), y.split_with_sizes(sizes), strict=True)
            first = last


def training_step(data: Data, scoring: Scoring, local: Local) -> TrainingStep:
    """A step on the task's loss, as the closed form of its memory needs it."""
    return TrainingStep(
        torch.from_numpy(data.blank(1)),
        torch.from_numpy(_copy(data.train.y, slice(0, 1))),
        scoring.learning.loss_fn,
        n_states=len(local.optimizer.states),
        weight_decay=local.optimizer.weight_decay > 0,
    )


def _copy(array: np.ndarray, indices: np.ndarray | slice) -> np.ndarray:
    """Exactly one copy, for a slice as for an index array."""
    return np.array(array[indices]) if isinstance(indices, slice) else array.take(indices, axis=0)
