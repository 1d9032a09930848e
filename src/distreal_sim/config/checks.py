"""Which blocks of a config go together: overruns, merges, statistics and methods; data and partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from distreal_sim.base.errors import InputError, naming
from distreal_sim.base.plugins import load, names
from distreal_sim.base.rng import Rngs
from distreal_sim.client.settings import Evaluation, Overrun
from distreal_sim.codecs import Codec
from distreal_sim.config.watched import Budget
from distreal_sim.data.datasets import Data, Dataset
from distreal_sim.data.partitions import Partition
from distreal_sim.devices.availability import Availability, Presences
from distreal_sim.devices.batteries import Battery, Rechargeable
from distreal_sim.devices.controllers import Controller
from distreal_sim.devices.energy import Energy
from distreal_sim.merging.merges import Merge
from distreal_sim.methods import Method
from distreal_sim.recipe.augmentations import Augmentation
from distreal_sim.recipe.tasks import IN_WORDS
from distreal_sim.server.coordination import Coordination
from distreal_sim.server.selection import Selection
from distreal_sim.thinning.structure import Structure


def check_overrun(overrun: Overrun, method: Method) -> None:
    """Raises ValueError if the method's updates cannot be merged with this overrun."""
    if overrun not in method.overruns:
        allowed = " or ".join(method.overruns)
        raise ValueError(f"overrun = '{overrun}' must be {allowed} with method.name {method.name}")


def check_parts(method: Method, model: str, structure: Structure) -> None:
    """Raises InputError for a method that needs parts of a network of which all is left whole."""
    if not structure.whole or structure.thinnable(True):
        return
    most = structure.whole[0]
    if method.thins:
        what = f"thins a network, and nothing of model {model} can be thinned"
    elif method.trains_parts and not structure.layers:
        what = f"trains parts of a network, and the parts of model {model} are not known"
    else:
        return
    raise InputError(
        f"method.name {method.name} {what}: {most.module} is left whole, because {most.reason}; use a method "
        "that trains the whole network, such as fedavg"
    )


def check_augmentations(augment: Sequence[Augmentation], dataset: str, data: Data) -> None:
    """Raises InputError for augmentations of data that are no images, and those that give other shapes."""
    for change in augment:
        if data.vocabulary is not None or len(data.shape) != 3:
            raise InputError(
                f"local.augment: {change.name} changes images (C, H, W), and an example of data set "
                f"{dataset} has the shape {data.shape}; leave local.augment out"
            )
        try:
            change.check(data.shape)
        except ValueError as error:
            raise InputError(f"local.augment: {change.name}: {error}") from error
        with naming(f"local.augment: {change.name}"):
            changed = change.apply(torch.zeros(2, *data.shape), Rngs(0))
        if (
            not isinstance(changed, Tensor)
            or changed.shape != (2, *data.shape)
            or changed.dtype != torch.float32
        ):
            got = f"{changed.dtype} {tuple(changed.shape)}" if isinstance(changed, Tensor) else type(changed)
            raise InputError(
                f"local.augment: {change.name} must return float32 images of the same shape, for "
                f"{data.shape} it returns {got}"
            )


def check_merge(merge: Merge, method: Method, clients_per_round: int) -> None:
    """Raises ValueError if the merge cannot take the method's updates, or needs more of them."""
    if clients_per_round < merge.least_updates:
        raise ValueError(
            f"clients_per_round ({clients_per_round}) must be at least {merge.least_updates} for "
            f"{merge.title}, which merges no fewer updates"
        )
    if merge.whole_only and method.trains_parts:
        why = "lets clients train parts of the network: it merges updates of the whole network only"
    elif not merge.averages and type(method).merge is not Method.merge:
        why = "has a merge of its own"
    else:
        return
    raise ValueError(
        f"{merge.title} cannot be used with method.name {method.name}, which {why}; use a method like "
        "fedavg, or leave merge out"
    )


def check_coordination(
    coordination: Coordination, merge: Merge, round_end: str, n_per_round: int, n_clients: int | None
) -> None:
    """Raises ValueError for a coordination that these keys do not go with."""
    name = f"coordination.name {coordination.name}"
    if coordination.in_rounds:
        return
    if round_end != "fixed":
        raise ValueError(
            f"round_end {round_end} cannot be used with {name}, which has no rounds; leave it out"
        )
    most = coordination.most_running(n_per_round)
    if n_clients is not None and most > n_clients:
        raise ValueError(
            f"clients_per_round ({n_per_round}) with {name} means up to {most} clients at a time, which must "
            f"not exceed n_clients ({n_clients})"
        )
    if not merge.averages and coordination.overlaps:
        raise ValueError(
            f"{merge.title} cannot be used with {name}, which weighs stale updates: that needs a weighted "
            "mean; leave merge out, or use a synchronous coordination"
        )


def check_relays(method: Method, merge: Merge, coordination: Coordination) -> None:
    """Raises ValueError for clients that start from each other's models where that cannot be done."""
    if not method.relays:
        return
    why = f"method.name {method.name}, whose clients start from each other's models"
    if not coordination.in_rounds:
        raise ValueError(
            f"coordination.name {coordination.name} cannot be used with {why}: that takes rounds"
        )
    if not merge.averages:
        raise ValueError(
            f"{merge.title} cannot be used with {why}: a model of several clients needs a weighted mean; "
            "leave merge out"
        )


def check_statistics(
    evaluation: Evaluation,
    merge: Merge,
    method: Method,
    codecs: Mapping[str, Codec],
    coordination: Coordination,
) -> None:
    """Raises ValueError unless merged running statistics are means of statistics of full-width steps.

    The activations of a sub-network differ from those of the full network that is tested, and a merge that
    does not average, or a codec that loses something, could make a variance negative. codecs: by their keys.
    """
    if evaluation.batch_norm != "running":
        return
    if method.trains_parts:
        why = f"method.name {method.name}, whose clients train parts of the network"
    elif type(method).merge is not Method.merge:
        why = f"method.name {method.name}, which has a merge of its own"
    elif not merge.averages:
        why = merge.title
    elif lossy := [f"{key} {codec.name}" for key, codec in codecs.items() if not codec.exact]:
        why = f"{lossy[0]}, which may make a variance negative"
    elif coordination.overlaps:
        why = f"coordination.name {coordination.name}, whose stale updates may make a variance negative"
    else:
        return
    raise ValueError(
        f"evaluation.batch_norm running cannot be used with {why}: running statistics are averaged like "
        "weights, over clients that train the whole network; use reestimate or batch"
    )


def check_classes(partition: Partition, dataset: Dataset, data: Data) -> None:
    """Raises InputError for a partition by class of data without."""
    if partition.by_class and data.targets != "class":
        raise InputError(
            f"partition {partition.name} divides the examples by their class, and y of data set "
            f"{dataset.name} holds {IN_WORDS[data.targets]}; use iid, by_writer, bootstrap or indices"
        )


def check_watched_rounds(key: str, evaluation: Evaluation, rounds: int) -> None:
    """Raises ValueError where no round is tested on schedule, so that `stop` or `best` has nothing to see."""
    if evaluation.every > rounds:
        raise ValueError(
            f"{key} looks at the tests on schedule, of which there is none: evaluation.every "
            f"({evaluation.every}) must not exceed rounds ({rounds})"
        )


def check_owners(partition: Partition) -> None:
    """Raises InputError where clients share examples: one would be tested on what another trains on."""
    if not partition.disjoint:
        raise InputError(
            f"evaluation.clients cannot be used with partition {partition.name}, whose clients share "
            "examples: those that one is tested on, others train on"
        )


def check_partition(partition: Partition, dataset: Dataset) -> None:
    """Raises ValueError where examples are held out before a partition that names them by number."""
    if partition.counts_all and dataset.validation:
        raise ValueError(
            f"dataset.validation ({dataset.validation:g}) cannot be used with partition {partition.name}, "
            "whose indices count all training examples; set it to 0"
        )


def check_download_codec(codec: Codec) -> None:
    """Raises ValueError for a codec of changes: a model is sent as it is."""
    if not codec.codes_models:
        kind: type[Codec] = Codec  # type: ignore[type-abstract]
        able = ", ".join(name for name in names(kind) if load(kind, name).codes_models)
        raise ValueError(
            f"download_codec: {codec.name} encodes changes of a model that both sides know, and clients do "
            f"not know the last model; valid: {able}"
        )


def check_controller(controller: Controller, energy: Energy, coordination: Coordination) -> None:
    """Raises ValueError for a controller that has no energy to save, or no rounds."""
    if controller.acts and not energy.counts:
        raise ValueError(
            f"controller {controller.name} weighs energy, and energy {energy.name} counts none; choose an "
            "energy such as cubic or points"
        )
    if controller.acts and not coordination.in_rounds:
        raise ValueError(
            f"controller {controller.name} plans rounds, and coordination {coordination.name} has none"
        )


def check_selection(selection: Selection, coordination: Coordination, energy: Energy) -> None:
    """Raises ValueError for a selection that asks clients without rounds, or where energy is counted."""
    if selection.asks and not coordination.in_rounds:
        raise ValueError(
            f"selection {selection.name} asks clients before it selects them, which delays a round, and "
            f"coordination {coordination.name} has none; use coordination rounds, or a selection that does "
            "not ask, such as uniform or power_of_choice with evaluate: never"
        )
    if selection.asks and energy.counts:
        raise ValueError(
            f"energy {energy.name} cannot be used with selection {selection.name}: what clients spend on its "
            "questions is not counted; use energy none, or a selection that does not ask"
        )


def check_energy(energy: Energy, availability: Availability) -> None:
    """Raises ValueError for energy that follows the capacity of clients that pause."""
    if energy.counts and not energy.by_macs and isinstance(availability, Presences):
        raise ValueError(
            f"energy {energy.name} cannot be used with availability {availability.name}, whose clients leave "
            "within a round; use energy per_mac"
        )


def check_battery(
    battery: Battery, energy: Energy, availability: Availability, method: Method, controller: Controller
) -> None:
    """Raises ValueError for a battery that nothing drains, or that charges when nobody knows, for clients
    that start one after another, and for those whose speed is set.
    """
    if not isinstance(battery, Rechargeable):
        return
    if controller.acts:
        raise ValueError(
            f"battery.name {battery.name} cannot be used with controller {controller.name}; use full"
        )
    if method.relays:
        raise ValueError(
            f"battery.name {battery.name} cannot be used with method.name {method.name}, whose clients start "
            "from each other's models: whose battery is down is known at the start of a round only; use none"
        )
    if not energy.counts:
        raise ValueError(
            f"battery.name {battery.name} needs an energy model that says what drains it: set energy.name to "
            "per_mac, points or cubic"
        )
    if battery.needs_presence and not isinstance(availability, Presences):
        raise ValueError(
            f"battery.name {battery.name} charges while its client is there, and availability.name "
            f"{availability.name} does not say when: use markov, diurnal or intervals"
        )


def check_budget(budget: Budget, energy: Energy) -> None:
    """Raises ValueError for a budget of joules that nobody counts."""
    if budget.energy_j is not None and not energy.counts:
        raise ValueError(
            "stop.budget.energy_j needs an energy model that counts joules: set energy.name to per_mac, "
            "points or cubic"
        )
