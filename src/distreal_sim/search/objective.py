"""How fast a network learns with a dropout vector: the drop of validation loss over a short training.

From each of a few snapshots of a centrally trained network, a few short trainings with the vector are made;
their batches and masks come from the same seeds for every vector (common random numbers), and the masks of
two vectors are nested where one keeps more, so that two scores differ by their vectors only. The loss is
measured on the way too, after smaller shares of the steps: what fewer steps achieve costs no training of
its own. A short training is central, or a round of a fleet (`search.fleet`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.base.text import counted
from distreal_sim.client.batches import batch_indices
from distreal_sim.client.messages import Arrays
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.config.build import build, hold_out, load_data
from distreal_sim.data.datasets import Examples
from distreal_sim.fronts.option import UniformFront
from distreal_sim.methods.distreal import Distreal
from distreal_sim.search.fleet import marginal_drops
from distreal_sim.search.score import Score
from distreal_sim.search.settings import Search, Stream
from distreal_sim.search.space import Space
from distreal_sim.thinning.masks import Mask, draw_orders, take
from distreal_sim.thinning.statistics import batch_statistics, mean_statistics, outputs_in_test
from distreal_sim.thinning.structure import Counts

WORST_LOSS = 100.0
"""Upper limit of a loss, also for NaN: a vector that diverges is bad, not undefined."""

MIXED = 16
"""Equally spaced uniform vectors that mixed pre-training draws from."""


@dataclass(frozen=True)
class Objective:
    """Everything that a process needs to score candidates; pickled, it travels without scratch memory.

    held: examples on which the loss is measured; task.data holds the others. snapshots: parameters;
    before: their losses; statistics: (batches, examples) positions in the training data from which batch-norm
    statistics are estimated.
    """

    search: Search
    method: Distreal
    task: Task
    held: Examples
    statistics: np.ndarray
    snapshots: tuple[Arrays, ...] = ()
    before: tuple[float, ...] = ()

    @property
    def space(self) -> Space:
        """The candidates."""
        structure = self.task.structure
        groups = structure.thinnable(self.method.drop_linear)
        peak_bytes = self._peak_bytes if self.search.costs == "macs_and_memory" else None
        return Space(structure, groups, self.search.d_max, self.search.smallest, peak_bytes)

    def _peak_bytes(self, counts: Counts) -> int:
        """Of a training step of the experiment on a mini-batch of the search."""
        assert self.search.batch_size is not None
        return self.task.peak_bytes(counts, self.search.batch_size)

    def score(self, counts: Counts, stream: Stream) -> Score:
        """Short trainings that keep `counts` channels, from every snapshot with every seed of the stream."""
        repeats = self.search.repeats if stream == "search" else self.search.reevaluation
        measured = self._measured(counts)
        drops = [
            [self._drops(counts, measured, stream, snapshot, repeat) for repeat in range(repeats)]
            for snapshot in range(len(self.snapshots))
        ]
        *fewer, whole = (
            tuple(tuple(after[i] for after in of_snapshot) for of_snapshot in drops)
            for i in range(len(measured))
        )
        shares = (n / self.search.steps for n in measured)
        return Score(whole, tuple((share, Score(d)) for share, d in zip(shares, fewer, strict=False)))

    def _measured(self, counts: Counts) -> tuple[int, ...]:
        """Numbers of steps after which the loss is measured, growing.

        Of the full network also after all steps divided by 2, 4, ... and those divided by the root of two,
        down to one: fewer of its steps are the alternative to every vector.
        """
        steps = self.search.steps
        wanted = [share * steps for share in self.search.shares]
        if counts == self.task.structure.full_counts():
            wanted += [steps / 2 ** (i / 2) for i in range(2 * steps.bit_length())]
        return tuple(sorted({max(1, round(n)) for n in wanted}))

    def _drops(
        self, counts: Counts, measured: Sequence[int], stream: Stream, snapshot: int, repeat: int
    ) -> list[float]:
        """The drops of the loss after the measured numbers of steps of one short training."""
        if self.search.score == "federated":
            return marginal_drops(self, counts, measured, stream, snapshot, repeat)
        rngs = Rngs(self.search.seed, (snapshot, repeat))
        batches = self._batches(self.search.steps, rngs(f"{stream} batches"))
        self.task.engine.load(self.snapshots[snapshot])
        steps = enumerate(self.short_training(counts, batches, rngs, stream), 1)
        return [self.before[snapshot] - self.loss() for done, _ in steps if done in measured]

    def short_training(
        self, counts: Counts, batches: Sequence[np.ndarray], rngs: Rngs, stream: Stream
    ) -> Iterator[Mask | None]:
        """Trains the loaded parameters, a step a mini-batch; yields the mask of each step after it."""
        structure, masks = self.task.structure, rngs(f"{stream} masks")
        resample = self.method.resample
        every = 1 if resample == "batch" else self.search.steps if resample == "round" else resample
        with rngs.seeded_globals(f"{stream} torch"):
            for step, indices in enumerate(batches):
                if step % every == 0:
                    mask = take(structure, draw_orders(structure, masks, self.method.filters), counts)
                x, y = self.task.batch(self.task.data.train, indices)
                self.task.engine.step(x, y, mask, self._lr)
                yield mask

    def loss(self) -> float:
        """Mean validation loss of the loaded network, at full width, batch-norm statistics re-estimated."""
        with Rngs(self.search.seed).seeded_globals("validation"):
            return self._loss()

    def _loss(self) -> float:
        task, size = self.task, self.task.evaluation.batch_size
        statistics: Arrays = {}
        if task.engine.has_statistics and task.evaluation.batch_norm == "reestimate":
            inputs = (task.batch(task.data.train, indices)[0] for indices in self.statistics)
            statistics = mean_statistics(batch_statistics(task.engine, inputs), len(self.statistics))
        total, n = 0.0, 0
        for start in range(0, len(self.held), size):
            x, y = task.batch(self.held, slice(start, start + size))
            outputs = outputs_in_test(task.engine, statistics, x)
            losses, n_losses = task.scoring.learning.losses(outputs.double(), y)
            total, n = total + losses.item(), n + n_losses
        mean = total / n
        return mean if mean < WORST_LOSS else WORST_LOSS

    def with_snapshots(self) -> Objective:
        """Trains the network centrally and takes the snapshots."""
        task, rngs = self.task, Rngs(self.search.seed)
        names = task.engine.names
        start = {n: p.detach().cpu().numpy() for n, p in task.module.named_parameters() if n in names}
        taken: dict[int, Arrays] = {}
        task.engine.load(start)
        last = self.search.snapshots[-1]
        batches = self._batches(last, rngs("pre-training batches"))
        masks = self._pretraining_masks(rngs)
        with rngs.seeded_globals("pre-training"):
            for step in range(last + 1):
                if step in self.search.snapshots:
                    taken[step] = task.engine.export()
                if step < last:
                    x, y = task.batch(task.data.train, batches[step])
                    task.engine.step(x, y, next(masks), self._lr)
        snapshots = tuple(taken.values())
        before = []
        for arrays in snapshots:
            task.engine.load(arrays)
            before.append(self.loss())
        return replace(self, snapshots=snapshots, before=tuple(before))

    def _pretraining_masks(self, rngs: Rngs) -> Iterator[Mask | None]:
        """The kept channels of each step of the central training.

        `mixed`: a uniform vector drawn from MIXED, the zero vector among them, and filters as the
        method draws them; the global model of a run with many unequal clients is trained by such steps.
        """
        structure, uniform = self.task.structure, self.space.uniform(MIXED)
        vectors, filters = rngs("pre-training vectors"), rngs("pre-training masks")
        while True:
            if self.search.pretraining == "full":
                yield None
            else:
                orders = draw_orders(structure, filters, self.method.filters)
                yield take(structure, orders, uniform[int(vectors.integers(len(uniform)))])

    @property
    def _lr(self) -> float:
        assert self.search.lr is not None
        return self.search.lr

    def _batches(self, n_steps: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Positions of n_steps mini-batches.

        `pooled`: whole ones only, a fresh shuffle of all examples for every pass. `clients`: each of examples
        of one client of the experiment, drawn in proportion to its examples, all of them where they are fewer
        than a batch.
        """
        size, n_examples = self.search.batch_size, len(self.task.data.train)
        assert size is not None
        if self.search.data == "clients":
            split = self.task.split
            batches = []
            for _ in range(n_steps):
                place = rng.integers(len(split.order))
                client = int(np.searchsorted(split.offsets, place, side="right")) - 1
                batches.append(rng.permutation(split[client])[:size])
            return batches
        per_pass = n_examples // size
        passes = -(-n_steps // per_pass)
        shuffled = [batch_indices([size] * per_pass, n_examples, rng) for _ in range(passes)]
        return [batch for batches in shuffled for batch in batches][:n_steps]


def make_objective(search: Search, experiment: Experiment) -> Objective:
    """The objective of a search: data held out, network initialised as in the experiment, snapshots taken.

    Raises InputError as `before_snapshots`.
    """
    return before_snapshots(search, experiment).with_snapshots()


def before_snapshots(search: Search, experiment: Experiment) -> Objective:
    """The objective of a search, data held out, network initialised as in the experiment.

    The held-out examples are those that the experiment itself holds out where its dataset.validation is the
    search's. Raises InputError where nothing can be thinned or too few examples remain.
    """
    method = experiment.method
    assert isinstance(method, Distreal)
    assert search.batch_size is not None
    dataset = experiment.dataset.model_copy(update={"validation": search.validation})
    plain = method.model_copy(update={"front": UniformFront(uniform=1)})  # the front may not exist yet
    experiment = experiment.model_copy(update={"dataset": dataset, "method": plain})
    held = hold_out(load_data(dataset), search.validation, Rngs(experiment.seed))[1]
    task = build(experiment.by_macs())
    if not task.structure.thinnable(method.drop_linear):
        raise InputError(
            f"model {experiment.model.name} has no layer that may be thinned, so there is nothing to search; "
            "method.drop_linear: true thins hidden linear layers too"
        )
    n_examples = len(task.data.train)
    if not len(held) or n_examples < search.batch_size:
        raise InputError(
            f"validation ({search.validation}) leaves {counted(n_examples, 'example')} to train on and "
            f"{len(held)} to measure the loss on; at least a batch ({search.batch_size}) and 1 are needed"
        )
    if search.score == "federated" and (search.cohort or 0) > len(task.split):
        raise InputError(
            f"cohort ({search.cohort}) must not exceed the number of clients ({len(task.split)}) of "
            f"{search.experiment}"
        )
    rng = Rngs(search.seed)("statistics")
    n_batches = experiment.evaluation.statistics_batches
    statistics = np.array([rng.permutation(n_examples)[: search.batch_size] for _ in range(n_batches)])
    return Objective(search, plain, task, held, statistics)
