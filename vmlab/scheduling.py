"""What tasks cost on the native scheduler and on other systems: the samples of `sched`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmlab.measure.sched_systems import Operation
from vmlab.measure.statistics import Interval, corrected, median_interval

if TYPE_CHECKING:
    from vmlab.measure.machine import Fact
    from vmlab.measure.sched_systems import Clock, System


# The reason of a cell whose system cannot do this at all.
ABSENT = "has no such operation"


@dataclass(slots=True)
class Cell:
    """The samples of an operation on a system, by round; or why there are none."""

    rounds: list[list[float]] = field(default_factory=list)
    reason: str | None = None

    @property
    def samples(self) -> list[float]:
        return [sample for of_round in self.rounds for sample in of_round]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Nanoseconds (or bytes) of samples: median, 99th percentile, standard deviation, and the
    median absolute deviation from the median, which a few far samples do not move."""

    count: int
    p50: float
    p99: float
    deviation: float
    mad: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Distribution:
        ordered = sorted(samples)
        p50 = statistics.median(ordered)
        return cls(
            count=len(ordered),
            p50=p50,
            p99=ordered[-(-len(ordered) * 99 // 100) - 1],  # the nearest rank
            deviation=statistics.pstdev(ordered),
            mad=statistics.median(abs(sample - p50) for sample in ordered),
        )


@dataclass(slots=True)
class Parallel:
    """The same work on one thread and on two, several times a round.

    speedups        the time that one takes by that of two
    processor_time  the processors' time that two take by that of one: what working together costs,
                    whatever else the machine has to do
    """

    speedups: list[float]
    processor_time: list[float]


@dataclass(slots=True)
class Scheduling:
    """All that was measured. `cells` by operation and system; `work`: parallel work of two workers;
    `bare_work`: that of two threads that share nothing, just after it, which is what the machine
    gives at that time."""

    vmlab: str
    created: str
    machine: Mapping[str, Fact]
    seed: int
    rounds: int
    clock: Clock
    systems: list[System]
    cells: dict[tuple[Operation, str], Cell]
    work: Parallel
    bare_work: Parallel

    def ratio(self, operation: Operation, system: System) -> Interval | None:
        """How many times what it takes goes into what Go takes with as many workers: the median of
        the rounds' ratios of medians, with bounds that hold for all ratios together."""
        if not self._compared(operation, system):
            return None
        go, own = self._go(operation, system), self.cells[operation, system.name]
        medians = [
            (statistics.median(theirs), statistics.median(ours))
            for theirs, ours in zip(go.rounds, own.rounds, strict=True)
        ]
        if any(ours <= 0 for _, ours in medians):
            return None  # the clock cannot see it
        ratios = [theirs / ours for theirs, ours in medians]
        if operation is Operation.PARKED:  # counted, and once
            return Interval(ratios[0], ratios[0], ratios[0], 1.0)
        ratios_in_all = sum(self._compared(o, s) for o in Operation for s in self.systems)
        return median_interval(ratios, corrected(ratios_in_all))

    @property
    def versions(self) -> dict[str, str]:
        """Of the systems that were measured, by name."""
        return {
            system.name: version
            for system in self.systems
            if any(self.cells[operation, system.name].rounds for operation in Operation)
            and (version := system.version()) is not None
        }

    def _go(self, operation: Operation, system: System) -> Cell:
        return self.cells[operation, f"Go, GOMAXPROCS={system.workers}"]

    def _compared(self, operation: Operation, system: System) -> bool:
        go, own = self._go(operation, system), self.cells[operation, system.name]
        return go is not own and bool(go.rounds and own.rounds)
