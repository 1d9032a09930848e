"""The experiment: everything that determines a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr, SerializeAsAny, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.base.sources import Sources, check_same, reading, sources_of
from distreal_sim.base.values import ConfigModel, ConfigPath
from distreal_sim.client.columns import (
    ASKED,
    CHARGED,
    CONTROLLED,
    OF_JOBS,
    OF_RELAYS,
    PEAK_MEMORY,
    Column,
)
from distreal_sim.client.energy import BATTERY, ENERGY
from distreal_sim.client.settings import Evaluation, Local, Overrun
from distreal_sim.codecs import Codec
from distreal_sim.codecs.plain import Plain
from distreal_sim.config._linear import settled_linear
from distreal_sim.config.checks import (
    check_battery,
    check_budget,
    check_controller,
    check_coordination,
    check_download_codec,
    check_energy,
    check_merge,
    check_overrun,
    check_partition,
    check_relays,
    check_selection,
    check_statistics,
    check_watched_rounds,
)
from distreal_sim.config.identity import NO_EFFECT, hash_of, values_of
from distreal_sim.config.kinds import plain, plugins_in
from distreal_sim.config.watched import Best, Stop
from distreal_sim.data.datasets import Dataset
from distreal_sim.data.partitions import Partition
from distreal_sim.devices.availability import Availability
from distreal_sim.devices.availability.always import Always
from distreal_sim.devices.batteries import Battery, Rechargeable
from distreal_sim.devices.batteries.none import Mains
from distreal_sim.devices.catalogue import DEVICE_FILES, Device, calibrated_device
from distreal_sim.devices.controllers import Controller
from distreal_sim.devices.controllers.full import Full
from distreal_sim.devices.energy import Energy
from distreal_sim.devices.energy.none import Uncounted
from distreal_sim.devices.links import Links
from distreal_sim.devices.links.unlimited import Unlimited
from distreal_sim.devices.memory import Memory
from distreal_sim.devices.memory.unlimited import Unlimited as UnlimitedMemory
from distreal_sim.devices.profiles import Profile
from distreal_sim.merging.merges import Merge
from distreal_sim.merging.merges.average import Average
from distreal_sim.methods import Method, check_trains
from distreal_sim.models import Model
from distreal_sim.recipe.tasks import LearningTask
from distreal_sim.recipe.tasks.auto import Auto
from distreal_sim.results.trackers import Tracker
from distreal_sim.server.coordination import Coordination
from distreal_sim.server.coordination.rounds import Rounds
from distreal_sim.server.selection import Selection
from distreal_sim.server.selection.uniform import Uniform
from distreal_sim.thinning.measured.file import read_costs
from distreal_sim.thinning.measured.table import CostTable


class Experiment(ConfigModel):
    """Everything that determines a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("experiment", description="label for readers; not part of the config hash")
    seed: int = Field(1, ge=0, description="determines every random draw")
    rounds: int = Field(ge=1, description="number of rounds")
    deadline_s: float = Field(gt=0, allow_inf_nan=False, description="simulated seconds of a round")
    round_end: Literal["fixed", "early"] = Field(
        "fixed", description="a round lasts deadline_s, or ends when every selected client is done"
    )
    overrun: Overrun = Field(
        "partial",
        description="a client still computing at the deadline: its update is lost, its finished steps count, "
        "or the server waits for it",
    )
    n_clients: int | None = Field(
        None, ge=1, description="number of clients; a by_writer partition determines it"
    )
    clients_per_round: int = Field(ge=1, description="clients selected for each round")
    dataset: SerializeAsAny[Dataset] = Field(description="the data")
    partition: SerializeAsAny[Partition] = Field(description="how the data are divided among the clients")
    model: SerializeAsAny[Model] = Field(description="the network")
    task: SerializeAsAny[LearningTask] = Field(
        Auto(), description="what the network learns: its loss, and what it needs of the data"
    )
    local: Local = Field(description="a client's planned work: epochs or steps, batch_size, lr, ...")
    profile: SerializeAsAny[Profile] = Field(description="the clients' capacity as a function of time")
    link: SerializeAsAny[Links] = Field(Unlimited(), description="how fast bytes reach and leave a client")
    availability: SerializeAsAny[Availability] = Field(Always(), description="which clients can be selected")
    energy: SerializeAsAny[Energy] = Field(
        Uncounted(), description="the energy that the clients take; with it the tables have columns of joules"
    )
    controller: SerializeAsAny[Controller] = Field(
        Full(), description="at which speed devices compute and at which power they send"
    )
    battery: SerializeAsAny[Battery] = Field(
        Mains(), description="what the clients' energy comes from, and when it charges"
    )
    memory: SerializeAsAny[Memory] = Field(
        UnlimitedMemory(), description="what the clients' training may take"
    )
    method: SerializeAsAny[Method] = Field(description="the federated learning algorithm")
    merge: SerializeAsAny[Merge] = Field(Average(), description="how updates are averaged")
    codec: SerializeAsAny[Codec] = Field(Plain(), description="how updates are encoded for the upload")
    download_codec: SerializeAsAny[Codec] = Field(
        Plain(), description="how the model is encoded for its way to the clients"
    )
    coordination: SerializeAsAny[Coordination] = Field(
        Rounds(), description="when clients start and when the server merges: in rounds, or by events"
    )
    selection: SerializeAsAny[Selection] = Field(
        Uniform(), description="which of the available clients take part"
    )
    cost: Literal["macs", "measured"] | ConfigPath = Field(
        "macs",
        description="what a training step costs on the simulated clock: its MACs; its time, measured on this "
        "machine before the run; or its time in a file of `distreal-sim measure` or, a .yaml, of `calibrate`",
    )
    evaluation: Evaluation = Field(Evaluation(), description="how and when the global model is tested")
    stop: Stop | None = Field(
        None, description="when the run ends before its last round; left out: it does not"
    )
    best: Best | None = Field(
        None, description="by which metric the best model is kept; left out: only the last one is"
    )
    trackers: tuple[SerializeAsAny[Tracker], ...] = Field(
        (), description="where the rounds are sent while the run goes on"
    )
    checkpoint_every: int = Field(10, ge=1, description="rounds between checkpoints")
    job_timeout_wall_s: float | None = Field(
        None,
        gt=0,
        description="real seconds after which a Ray worker without an answer is killed and its job redone",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "cpu", description="where tensors live; auto: a GPU if there is one"
    )

    _sources: Sources = PrivateAttr(default_factory=dict)
    _measured: CostTable | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        if self.n_clients is not None and self.clients_per_round > self.n_clients:
            raise ValueError(
                f"clients_per_round ({self.clients_per_round}) must not exceed n_clients ({self.n_clients})"
            )
        check_trains(self.method)
        check_overrun(self.overrun, self.method)
        check_relays(self.method, self.merge, self.coordination)
        check_partition(self.partition, self.dataset)
        check_merge(self.merge, self.method, self.clients_per_round)
        codecs = {"codec": self.codec, "download_codec": self.download_codec}
        check_statistics(self.evaluation, self.merge, self.method, codecs, self.coordination)
        check_download_codec(self.download_codec)
        check_energy(self.energy, self.availability)
        check_controller(self.controller, self.energy, self.coordination)
        check_selection(self.selection, self.coordination, self.energy)
        check_battery(self.battery, self.energy, self.availability, self.method, self.controller)
        for key in ("stop", "best"):
            watched = getattr(self, key)
            if watched is not None and (key == "best" or watched.by_tests):
                check_watched_rounds(key, self.evaluation, self.rounds)
        if self.stop is not None:
            check_budget(self.stop.budget, self.energy)
        check_coordination(
            self.coordination, self.merge, self.round_end, self.clients_per_round, self.n_clients
        )
        self._sources = sources_of(self._modules())
        return self

    @model_validator(mode="before")
    @classmethod
    def _settle(cls, values: Any) -> Any:
        """Fills in the values that the package chooses, so that all other checks see the values in use."""
        if not isinstance(values, Mapping):
            return values
        method, model, dataset = (values.get(key) for key in ("method", "model", "dataset"))
        if isinstance(method, Method) and isinstance(model, Model) and isinstance(dataset, Dataset):
            method = settled_linear(method, model, dataset)
            return {**values, "method": method.settled(plain(model), plain(dataset))}
        return values

    @property
    def sources(self) -> Sources:
        """The user's source files that the plug-ins come from, as they were when the config was read."""
        return self._sources

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns beside those of every run: of costs, devices, jobs, relays, questions and the method."""
        charged = () if self.cost == "macs" else (CHARGED,)
        energy = ENERGY if self.energy.counts else ()
        battery = BATTERY if isinstance(self.battery, Rechargeable) else ()
        peak = (PEAK_MEMORY,) if self.memory.limits else ()
        jobs = () if self.coordination.in_rounds else OF_JOBS
        controlled = CONTROLLED if self.controller.acts else ()
        relays = OF_RELAYS if self.method.relays else ()
        asked = (ASKED,) if self.selection.asks else ()
        return (*charged, *energy, *battery, *controlled, *peak, *jobs, *relays, *asked, *self.method.columns)

    @property
    def costs(self) -> CostTable | None:
        """Measured costs, read from their file or attached by `with_measured`; None where MACs count, or
        `cost_device` does.

        Raises InputError where there are none.
        """
        if self.cost == "macs" or self.cost_device is not None:
            return None
        if isinstance(self.cost, Path):
            return read_costs(self.cost)
        if self._measured is None:
            raise InputError(
                "cost: measured needs a machine on which the whole run is measured first; make a file with "
                "`distreal-sim measure CONFIG --out cost.json` and set cost=cost.json"
            )
        return self._measured

    @property
    def cost_device(self) -> Device | None:
        """The calibrated device whose times steps take, where `cost` is a device file.

        Raises InputError where the file is none of a calibrated device.
        """
        if isinstance(self.cost, Path) and self.cost.suffix in DEVICE_FILES:
            return calibrated_device(self.cost)
        return None

    @property
    def needs_measuring(self) -> bool:
        """Whether costs are to be measured and nothing is attached yet."""
        return self.cost == "measured" and self._measured is None

    def with_measured(self, table: CostTable) -> Self:
        """The experiment with what was measured for it."""
        own = self.model_copy()
        own._measured = table
        return own

    def by_macs(self) -> Self:
        """The experiment with steps that cost their MACs."""
        return self.model_copy(update={"cost": "macs"})

    def ending(self, rounds: int, stop: Stop | None) -> Self:
        """The same experiment with another end."""
        return self.model_copy(update={"rounds": rounds, "stop": stop})

    def readers(self, attribute: str) -> list[str]:
        """Files of plug-ins, and of what the user's import, whose code reads an attribute of this name."""
        return reading(self._modules(), attribute)

    def check_sources(self) -> None:
        """Raises InputError where this process has imported other source code than `sources`."""
        if self.sources:
            check_same(tuple(self._modules()), tuple(self.sources.items()))

    def _modules(self) -> list[str]:
        """The modules of the plug-ins and of their base classes."""
        used = [plugin for key, plugin in plugins_in(self) if key not in NO_EFFECT]
        kinds = [kind for plugin in used for kind in type(plugin).__mro__]
        named = [path for plugin in used for path in plugin.code]
        return [*dict.fromkeys(kind.__module__ for kind in kinds), *named]

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, defaults included, as plain YAML types."""
        return values_of(self, plain)

    def hash(self, *, with_sources: bool = True) -> str:
        """16 hex digits that identify the computation (`hash_of`).

        with_sources: the user's own source files enter too, with their content.
        """
        return hash_of(self, self.cost, self.sources if with_sources else {})
