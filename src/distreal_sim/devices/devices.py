"""Resources of the simulated clients by client and time, for one client or for many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from distreal_sim.devices.availability import Availability, Presences
from distreal_sim.devices.batteries import Battery, Cell, Rechargeable
from distreal_sim.devices.batteries.none import Mains
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.controllers import Controller
from distreal_sim.devices.controllers.full import Full
from distreal_sim.devices.energy import Energy
from distreal_sim.devices.energy.none import Uncounted
from distreal_sim.devices.links import Links, Radio, Transfers, Use
from distreal_sim.devices.many import Capacities, OneByOne
from distreal_sim.devices.many_links import links_of
from distreal_sim.devices.memory import Memory
from distreal_sim.devices.memory.unlimited import Unlimited
from distreal_sim.devices.presence import Attended, Presence
from distreal_sim.devices.profile_checks import Checked, is_ours, validate
from distreal_sim.devices.profiles import Profile, Timeline, Timelines
from distreal_sim.devices.rngs import ClientRngs, OneOrMany, bulk


@dataclass(frozen=True)
class Devices:
    """The devices of all clients: functions of the seed and the arguments, without state.

    deadline_s: the planned length of a round; macs_per_s: MAC/s of capacity level 1, of all clients, or
    (n_clients,) of each. A further resource is another plug-in here, with methods for one client and for
    many.
    """

    seed: int
    deadline_s: float
    macs_per_s: float | np.ndarray
    profile: Profile
    links: Links
    availability: Availability
    energy: Energy = field(default_factory=Uncounted)
    controller: Controller = field(default_factory=Full)
    memory: Memory = field(default_factory=Unlimited)
    battery: Battery = field(default_factory=Mains)

    def level_1(self, client_ids: OneOrMany) -> OneOrMany:
        """MAC/s of capacity level 1 of a client, or of many: (n,), or one number that they share."""
        return self.macs_per_s[client_ids] if isinstance(self.macs_per_s, np.ndarray) else self.macs_per_s

    @property
    def median_level_1(self) -> float:
        """MAC/s of capacity level 1 of the median client."""
        return float(np.median(self.macs_per_s))

    def capacity(self, client_id: int, start_s: float) -> Capacity:
        """The client's capacity during a round that begins at absolute time start_s; 0 while it is away."""
        line: Timeline = self._timeline(client_id)
        if (there := self._presence(client_id)) is not None:
            line = Attended(line, there)
        return Capacity(line, float(self.level_1(client_id)), start_s)

    def capacities(self, client_ids: np.ndarray, start_s: np.ndarray) -> Capacities:
        """The capacities of many clients; start_s: (n,) absolute times at which their rounds begin."""
        lines: Timelines
        if ask := bulk(self.profile.timeline):
            lines = ask(client_ids, self._rngs("profile", client_ids), self.deadline_s)
            if not is_ours(self.profile):
                lines = Checked(lines, self.profile, client_ids, self.deadline_s)
        else:
            lines = OneByOne([self._timeline(client_id) for client_id in client_ids.tolist()])
        if (there := self._presences(client_ids)) is not None:
            lines = Attended(lines, there)
        return Capacities(lines, self.level_1(client_ids), start_s)

    def validate(self, client_ids: Iterable[int]) -> None:
        """Walks the first round of some clients of a user's own profile; raises InputError as `validate`."""
        if not is_ours(self.profile):
            validate(self.profile, self._timeline, client_ids, self.deadline_s)

    def link(self, client_id: int, use: Use) -> Transfers:
        """The client's link in a round."""
        return self.links.link(client_id, use, self._rngs("network", client_id))

    def radio(self, client_id: int, use: Use) -> Radio | None:
        """The radio of the client's uploads in a round; None where there is no model of it."""
        return self.links.radio(client_id, use, self._rngs("network", client_id))

    def memory_bytes(self, client_id: int) -> float:
        """Bytes that the client's training may take."""
        own = self.profile.memory_bytes(client_id, self._rngs("profile", client_id))
        return float(self.memory.memory_bytes(client_id, self._rngs("memory", client_id), own))

    def memories(self, client_ids: np.ndarray) -> np.ndarray:
        """(n,) `memory_bytes` of these clients."""
        own, limit = bulk(self.profile.memory_bytes), bulk(self.memory.memory_bytes)
        if own is None or limit is None:
            return np.array([self.memory_bytes(client_id) for client_id in client_ids.tolist()], float)
        of_devices = own(client_ids, self._rngs("profile", client_ids))
        found = limit(client_ids, self._rngs("memory", client_ids), of_devices)
        return np.array(np.broadcast_to(found, client_ids.shape), float)

    @property
    def have_batteries(self) -> bool:
        """Whether the clients' energy may run out."""
        return isinstance(self.battery, Rechargeable)

    def cell(self, client_id: int) -> Cell:
        """The client's battery; only if they have any."""
        assert isinstance(self.battery, Rechargeable)
        return self.battery.cell(self._rngs("battery", client_id))

    def charger(self, client_id: int, start_s: float, *, at_work: bool = False) -> Capacity:
        """The power in W that reaches the client's battery, in time relative to start_s; only if they have
        any. at_work: while the client has a job.
        """
        assert isinstance(self.battery, Rechargeable)
        line = self.battery.charging(self._rngs("battery", client_id), self._presence(client_id))
        charges = self.battery.at_work or not at_work
        return Capacity(line, self.battery.charge_w if charges else 0.0, start_s)

    def links_of(self, client_ids: np.ndarray, use: Use) -> Transfers:
        """The links of many clients, each in a round of its own; use: of (n,) arrays."""
        return links_of(self.links, client_ids, use, self._rngs("network", client_ids))

    def available(self, client_ids: np.ndarray, round_number: int, start_s: float) -> np.ndarray:
        """(n,) bool: which of these clients can be selected for the round, which begins at start_s."""
        one = self.availability.available
        if ask := bulk(one):
            answer = ask(client_ids, round_number, self._rngs("availability", client_ids))
            able = np.broadcast_to(answer, client_ids.shape)
        else:
            answers = [one(c, round_number, self._rngs("availability", c)) for c in client_ids.tolist()]
            able = np.array(answers, bool)
        if (there := self._presences(client_ids)) is None or not len(client_ids):
            return able
        levels, _ = there.piece(np.full(len(client_ids), start_s), np.arange(len(client_ids)))
        return able & (levels > 0)

    @property
    def come_and_go(self) -> bool:
        """Whether clients may leave within a round."""
        return isinstance(self.availability, Presences)

    def presence(self, client_id: int, start_s: float) -> Presence | None:
        """When the client is there in a round that begins at start_s; None: all the time."""
        if not isinstance(self.availability, Presences) or (line := self._presence(client_id)) is None:
            return None
        return Presence(line, start_s, self.availability.when == "pause")

    def _presence(self, client_id: int) -> Timeline | None:
        """When the client is there, in absolute time; None: always."""
        if not isinstance(self.availability, Presences):
            return None
        return self.availability.presence(client_id, self._rngs("availability", client_id), self.deadline_s)

    def _presences(self, client_ids: np.ndarray) -> Timelines | None:
        """When each of these clients is there; None: always."""
        if not isinstance(self.availability, Presences):
            return None
        if ask := bulk(self.availability.presence):
            lines: Timelines = ask(client_ids, self._rngs("availability", client_ids), self.deadline_s)
            return lines
        return OneByOne([cast("Timeline", self._presence(client_id)) for client_id in client_ids.tolist()])

    def _timeline(self, client_id: int) -> Timeline:
        timeline = self.profile.timeline(client_id, self._rngs("profile", client_id), self.deadline_s)
        if is_ours(self.profile):
            return timeline
        return Checked(timeline, self.profile, client_id, self.deadline_s)

    def _rngs(self, kind: str, client_id: int | np.ndarray) -> ClientRngs:
        """kind: profile, network (the links) or availability; part of the key of every draw."""
        return ClientRngs(self.seed, kind, client_id)
