"""What `sched` measures, and what it asks of a system that it measures."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from vmlab.kernels.scheduler.bench import BATCH as BATCH
from vmlab.kernels.scheduler.bench import CAPACITY as CAPACITY

# Before each waking, so that the other worker sleeps by then.
SETTLE_NANOSECONDS = 50_000


class Operation(enum.Enum):
    """What is measured, in nanoseconds; `PARKED` in bytes."""

    LAUNCH = "launch, run, finish"
    DESCRIPTOR = "launch, up to the descriptor"
    ARGUMENTS = "launch, up to the argument block"
    STATUS = "launch, up to the status"
    QUEUE = "launch, up to the queue"
    LATENCY = "launch to first instruction"
    YIELD = "yield"
    UNBUFFERED = "unbuffered channel, round trip"
    BUFFERED = "buffered channel, a value"
    WAKE = "wake on a worker that sleeps"
    PARKED = "a waiting task, bytes"
    GROWTH = "growth of a stack, 2 to 4 KiB"
    MAP_TABLE = "stack map, from the table"
    MAP_COMPUTED = "stack map, computed anew"


# The stages of a launch, each with those before it.
STAGES = (Operation.DESCRIPTOR, Operation.ARGUMENTS, Operation.STATUS, Operation.QUEUE)


class Unavailable(Exception):
    """A system cannot be measured here; the message says why, and what would help."""


class System(ABC):
    """Something that runs tasks. `share`: of the samples, for those that take long."""

    name: str
    workers = 1
    share = 1.0

    def version(self) -> str | None:
        """Of what is measured; None for what is vmlab's own. Only after a measurement."""
        return None

    @abstractmethod
    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        """So many samples; None if there is no such operation. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time stamp counter.

    nanoseconds_a_tick  against `time.perf_counter_ns`
    cost_ticks          what two readings are apart: the median, which is subtracted
    resolution_ticks    the step that nine of ten make, of two readings in a row that differ: on
                        many CPUs the counter goes on by several ticks at a time
    """

    nanoseconds_a_tick: float
    cost_ticks: float
    resolution_ticks: int

    def nanoseconds(self, ticks: Sequence[int], operations: int) -> list[float]:
        """Of one operation each, where a sample is so many."""
        factor = self.nanoseconds_a_tick / operations
        return [(taken - self.cost_ticks) * factor for taken in ticks]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a piece of work took: on the clock, and of all processors together."""

    seconds: float
    processor_seconds: float
