"""Builds the task of an experiment: reads and partitions the data, initialises and sizes the network."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from torch import nn

from distreal_sim.base.errors import InputError, naming
from distreal_sim.base.process import give_back_freed_memory
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.task import Task, training_step
from distreal_sim.config import Experiment
from distreal_sim.config.charges import with_charges
from distreal_sim.config.checks import check_augmentations, check_classes, check_owners, check_parts
from distreal_sim.config.weakest import fits_all
from distreal_sim.data.datasets import Data, Dataset, Examples
from distreal_sim.data.loaded import load_checked
from distreal_sim.data.own_tests import hold_out_of_each
from distreal_sim.data.partitions import Split
from distreal_sim.devices.devices import Devices
from distreal_sim.devices.units import macs_per_s_of_level_1
from distreal_sim.fronts.front import Front, fingerprint
from distreal_sim.recipe.scoring import scoring_of
from distreal_sim.recipe.tasks import LearningTask
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.structure import Structure, ThinningError

VALIDATED = 50
"""Clients of a user's own profile that are looked at before round 1."""


def build(experiment: Experiment, loaded: Data | None = None) -> Task:
    """The task of an experiment; the same for the same experiment in every process.

    loaded: the data of the experiment's data set, for callers that have loaded them already.
    Raises InputError for mistakes that only the data show, such as too few examples or a model that cannot be
    thinned.
    """
    rngs = Rngs(experiment.seed)
    data, held = hold_out(loaded or load_data(experiment.dataset), experiment.dataset.validation, rngs)
    if experiment.evaluation.data == "validation":
        if not len(held):
            raise InputError(
                f"evaluation.data: dataset.validation ({experiment.dataset.validation:g}) holds out "
                "no training example; set it to, for example, 0.1"
            )
        data = dataclasses.replace(data, test=held)
    data = dataclasses.replace(data, test=sample(data.test, experiment.evaluation.examples, rngs))
    learning = experiment.task.settled(data, experiment.dataset.name)
    if experiment.local.label_smoothing:
        learning = learning.smoothed(experiment.local.label_smoothing)
    scoring = scoring_of(learning, experiment.evaluation.metrics, data.targets, experiment.evaluation.classes)
    check_classes(experiment.partition, experiment.dataset, data)
    check_augmentations(experiment.local.augment, experiment.dataset.name, data)
    with naming(f"partition {experiment.partition.name}"):
        split = experiment.partition.split(
            data.train.y, data.writers, experiment.n_clients, rngs("partition")
        )
    own_tests = None
    if experiment.evaluation.clients:
        check_owners(experiment.partition)
        split, own_tests = hold_out_of_each(split, experiment.evaluation.client_share, rngs("client tests"))
    if experiment.clients_per_round > len(split):
        raise InputError(
            f"clients_per_round ({experiment.clients_per_round}) must not exceed the number of clients "
            f"({len(split)})"
        )
    most = experiment.coordination.most_running(experiment.clients_per_round)
    if most > len(split):
        raise InputError(
            f"coordination.name {experiment.coordination.name}: up to {most} clients at once must not exceed "
            f"the number of clients ({len(split)}); lower clients_per_round"
        )
    with rngs.seeded_globals("initialisation"), naming(f"model {experiment.model.name}"):
        full = experiment.model.build(data.shape, data.n_outputs, data.vocabulary)
    with rngs.seeded_globals("tracing"):
        try:
            full_structure = _structure_of(full, data)
        except ThinningError as error:
            if experiment.method.trains_parts:
                raise
            why = (
                f"method {experiment.method.name} needs it too: what a step costs is counted in the same way"
            )
            raise ThinningError(f"{error} ({why} for all methods)") from error
        _check_outputs(experiment.model.name, full, data, learning)
    planned = planned_examples(split, experiment)
    full_macs = training_macs(full_structure, full_structure.full_counts())
    if not full_macs:
        raise InputError(
            f"model {experiment.model.name} has no convolution, linear layer or other product, whose cost "
            "could be counted"
        )
    check_parts(experiment.method, experiment.model.name, full_structure)
    macs_per_s = macs_per_s_of_level_1(experiment.profile, planned, full_macs, experiment.deadline_s)
    devices = Devices(
        seed=experiment.seed,
        deadline_s=experiment.deadline_s,
        macs_per_s=macs_per_s,
        profile=experiment.profile,
        links=experiment.link,
        availability=experiment.availability,
        energy=experiment.energy,
        controller=experiment.controller,
        memory=experiment.memory,
        battery=experiment.battery,
    )
    with naming(f"profile {experiment.profile.name}"):
        experiment.profile.check_fleet(len(split))
    devices.validate(range(min(VALIDATED, len(split))))
    step = training_step(data, scoring, experiment.local)
    fits = fits_all(experiment, full, full_structure, devices, split.sizes, planned, step)
    with rngs.seeded_globals("method's network"):  # a method may add parameters of its own
        with naming(f"method {experiment.method.name}"):
            module = experiment.method.network(full, full_structure, fits)
        structure = full_structure if module is full else _structure_of(module, data)
    if split.sizes.min() < 2 and any(
        isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules()
    ):
        raise InputError(
            f"client {int(np.argmin(split.sizes))} holds 1 example, and batch normalisation cannot train on "
            f"one; {experiment.partition.remedy()}, or use a model without batch normalisation"
        )
    if experiment.local.batch_size == 1:
        _check_single_examples(experiment.model.name, module, data)
    task = Task(
        seed=experiment.seed,
        deadline_s=experiment.deadline_s,
        overrun=experiment.overrun,
        local=experiment.local,
        merge=experiment.merge,
        codec=experiment.codec,
        download_codec=experiment.download_codec,
        evaluation=experiment.evaluation,
        scoring=scoring,
        data=data,
        split=split,
        own_tests=own_tests,
        module=module,
        structure=structure,
        configured=full_structure,
        devices=devices,
        front=_front(experiment, module, structure),
        scaling=experiment.method.scaling_of(module),
        device=_device(experiment.device),
    )
    task = with_charges(experiment, task, full, full_macs)
    give_back_freed_memory()
    return task


def configured_network(experiment: Experiment, data: Data) -> tuple[nn.Module, Structure]:
    """The network of the config, as initialised, which a method may narrow or extend; and its groups."""
    rngs = Rngs(experiment.seed)
    with rngs.seeded_globals("initialisation"):
        module = experiment.model.build(data.shape, data.n_outputs, data.vocabulary)
    with rngs.seeded_globals("tracing"):
        return module, _structure_of(module, data)


_KNOWN: dict[tuple[object, ...], Structure] = {}
"""Structures of bundled networks that this process has traced: a sweep's cells build the same ones."""


def _structure_of(module: nn.Module, data: Data) -> Structure:
    """`find_groups`, once for each bundled network; the user's own are traced every time."""
    example = torch.from_numpy(data.blank(2))
    if not all(type(part).__module__.startswith(("torch.nn.", "distreal_sim.")) for part in module.modules()):
        return find_groups(module, example)
    key = (repr(module), fingerprint(module), data.shape, data.vocabulary)
    if key not in _KNOWN:
        _KNOWN[key] = find_groups(module, example)
    return _KNOWN[key]


def load_data(dataset: Dataset) -> Data:
    """The data of a data set; draws from global generators are the same for every experiment."""
    with Rngs(0).seeded_globals("data set"):
        return load_checked(dataset)


def hold_out(data: Data, share: float, rngs: Rngs) -> tuple[Data, Examples]:
    """Splits off a random share of the training examples: (remaining data, examples held out)."""
    order = rngs("validation").permutation(len(data.train))
    n_held = round(share * len(data.train))
    held, kept = np.sort(order[:n_held]), np.sort(order[n_held:])
    examples = Examples(data.train.x[held], data.train.y[held])
    if not n_held:
        return data, examples
    return (
        dataclasses.replace(
            data,
            train=Examples(data.train.x[kept], data.train.y[kept]),
            writers=None if data.writers is None else data.writers[kept],
        ),
        examples,
    )


def sample(examples: Examples, n: int | None, rngs: Rngs) -> Examples:
    """n examples drawn without replacement, in the order of the data set; None: all of them.

    Raises InputError where there are fewer than n.
    """
    if n is None:
        return examples
    if n > len(examples):
        raise InputError(f"evaluation.examples: {n} is more than the {len(examples)} there are")
    chosen = np.sort(rngs("test sample").permutation(len(examples))[:n])
    return Examples(examples.x[chosen], examples.y[chosen])


def planned_examples(split: Split, experiment: Experiment) -> np.ndarray:
    """(n_clients,) number of examples in each client's planned local work, repeats counted."""
    local = experiment.local
    if local.epochs is not None:
        return split.sizes * local.epochs
    distinct, which = np.unique(split.sizes, return_inverse=True)
    return np.array([sum(batch_sizes(int(n), local)) for n in distinct])[which]


def _check_outputs(name: str, module: nn.Module, data: Data, learning: LearningTask) -> None:
    """Raises InputError unless the network returns what the task needs."""
    with torch.no_grad(), naming(f"model {name}"):
        outputs = copy.deepcopy(module)(torch.from_numpy(data.blank(2)))
    learning.check_outputs(name, data, outputs, 2)


def _check_single_examples(name: str, module: nn.Module, data: Data) -> None:
    """Raises InputError where the network cannot train on one example at a time."""
    with Rngs(0).seeded_globals("tracing"), torch.no_grad():
        try:
            copy.deepcopy(module).train()(torch.from_numpy(data.blank(1)))
        except Exception as error:  # for example batch normalisation with one value per channel
            raise InputError(
                f"local.batch_size (1): model {name} cannot train on one example at a time ({error}); set it "
                "to 2 or more, or use a model without batch normalisation"
            ) from error


def _front(experiment: Experiment, module: nn.Module, structure: Structure) -> Front | None:
    """The method's front; a front made here gets the names of this experiment's model and data set.

    Raises InputError for a front of shares where a client must finish all planned steps.
    """
    front = experiment.method.build_front(module, structure)
    if front is None:
        return None
    if front.has_shares and experiment.overrun != "partial":
        raise InputError(
            f"overrun {experiment.overrun} cannot be used with a front of shares: entries of a share below "
            "1 leave planned steps undone at the deadline; set overrun to partial, or use a front without "
            "shares"
        )
    return dataclasses.replace(
        front,
        made={"model": experiment.model.name, "dataset": experiment.dataset.name} | dict(front.made),
    )


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: torch sees no CUDA device here; set device: cpu or auto")
    return name
