"""The event clock: simulated time moves from event to event, and in no other way.

One heap of events, keyed (time, priority, sequence), so that the order of events never depends on anything
else, such as the order in which results arrive.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import Generic, TypeVar

Event = TypeVar("Event")


class Clock(Generic[Event]):
    """Simulated time and the events to come.

    now_s: simulated time, that of the last event; it never decreases.
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self._heap: list[tuple[float, int, int, Event]] = []
        self._n_scheduled = 0

    def schedule(self, time_s: float, event: Event, priority: int = 0) -> None:
        """Adds an event. Of events at the same time those of lower priority numbers come first, then those
        that were scheduled first.

        time_s: not before now_s; inf for an event that never comes, which is left out. Raises ValueError for
        a time that has passed, and for NaN.
        """
        if not time_s >= self.now_s:
            raise ValueError(
                f"an event at {time_s} s must not be before {self.now_s} s, the time on the clock"
            )
        if time_s < math.inf:
            heappush(self._heap, (time_s, priority, self._n_scheduled, event))
            self._n_scheduled += 1

    @property
    def next_s(self) -> float:
        """Time of the next event; inf if there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def advance(self) -> Event:
        """Removes the next event and moves the time to it. Raises IndexError if there is none."""
        self.now_s, _, _, event = heappop(self._heap)
        return event
