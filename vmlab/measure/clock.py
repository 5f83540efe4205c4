"""The clock that engines are timed with: what it is, how fine it ticks, and what reading it costs.

Every engine reads `time.perf_counter_ns` just before and just after the program runs.
"""

from __future__ import annotations

import datetime
import itertools
import time
from dataclasses import dataclass
from statistics import median

_READINGS = 2_000


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock as found on this machine.

    source                  the system's clock behind it
    resolution_nanoseconds  the smallest step it was seen to make
    cost_nanoseconds        what one reading takes: the median over many
    """

    source: str
    resolution_nanoseconds: int
    cost_nanoseconds: float

    @property
    def error_nanoseconds(self) -> float:
        """How far a timed stretch may be off because of the clock itself: a tick, and a reading
        that is inside the stretch."""
        return self.resolution_nanoseconds + self.cost_nanoseconds


def timestamp() -> str:
    """This moment, to the second: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def measure_clock() -> Clock:
    """Measure the clock; takes about a millisecond."""
    now = time.perf_counter_ns
    readings = [now() for _ in range(_READINGS)]
    steps = [later - earlier for earlier, later in itertools.pairwise(readings)]
    ticks = [step for step in steps if step > 0]
    # Where the clock ticks more slowly than it is read, most steps are 0: the cost is the mean.
    cost = median(steps) or sum(steps) / len(steps)
    return Clock(
        source=time.get_clock_info("perf_counter").implementation,
        resolution_nanoseconds=min(ticks, default=1),
        cost_nanoseconds=cost,
    )
