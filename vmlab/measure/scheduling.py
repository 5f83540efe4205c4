"""What tasks cost on the scheduler kernel and on what else is installed, in interleaved rounds.

A sample of most operations is the mean of a batch of `BATCH`, since one alone is shorter than the
clock can see; a distribution is that of the batches of all rounds. Only the latency of a launch,
waking, and the growth of Go's stacks are single events. What reading the clock takes has been
subtracted from each."""

from __future__ import annotations

import enum
import random
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import vmlab
from vmlab.comparison import DEFAULT_ROUNDS, QUICK_ROUNDS
from vmlab.kernels.scheduler.bench import BATCH, CAPACITY
from vmlab.measure.clock import timestamp
from vmlab.measure.machine import Fact, describe_machine
from vmlab.measure.sampling import Progress, draw_order, silent
from vmlab.measure.statistics import Interval, corrected, median_interval

if TYPE_CHECKING:
    from vmlab.measure.sched_native import NativeScheduler

__all__ = [
    "ABSENT", "BATCH", "CAPACITY", "SETTLE_NANOSECONDS", "STAGES", "Clock", "Operation", "System",
    "Unavailable", "measure",
]  # fmt: skip

# The reason of a cell whose system cannot do this at all.
ABSENT = "has no such operation"

# Before each waking, so that the other worker sleeps by then.
SETTLE_NANOSECONDS = 50_000

_SAMPLES = 200  # of a system in a round
_CLOCK_SECONDS = 0.05
_CLOCK_READINGS = 10_000

# Parallel work: as many tasks, of as many rounds of a generator of random numbers, some ten
# microseconds; so often in a round.
_WORK_TASKS, _WORK_ROUNDS, _WORK_REPEATS = 1_000, 5_000, 4


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
            p99=ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
            deviation=statistics.pstdev(ordered),
            mad=statistics.median(abs(sample - p50) for sample in ordered),
        )


@dataclass(frozen=True, slots=True)
class Spent:
    """What a piece of work took: on the clock, and of all processors together."""

    seconds: float
    processor_seconds: float


@dataclass(slots=True)
class Parallel:
    """The same work on one thread and on two, `_WORK_REPEATS` times a round.

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
            for theirs, ours in zip(go.rounds, own.rounds, strict=False)
        ]
        if any(ours <= 0 for _, ours in medians):
            return None  # the clock cannot see it
        ratios = [theirs / ours for theirs, ours in medians]
        if len(ratios) == 1:  # bytes, which are counted
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


def calibrate() -> Clock:
    """Takes some `_CLOCK_SECONDS`."""
    from vmlab.measure.sched_native import clock_ticks, now_ticks

    costs = clock_ticks(_CLOCK_READINGS)
    start, first = time.perf_counter_ns(), now_ticks()
    while time.perf_counter_ns() - start < _CLOCK_SECONDS * 1e9:
        pass
    end, last = time.perf_counter_ns(), now_ticks()
    steps = sorted(step for step in costs if step > 0)
    resolution = steps[len(steps) // 10] if steps else 1
    return Clock((end - start) / (last - first), statistics.median(costs), resolution)


def measure(
    *,
    quick: bool = False,
    seed: int | None = None,
    progress: Progress = silent,
) -> Scheduling:
    """Measure every system, in rounds of random order; with `quick`, fewer rounds. Systems that are
    not there keep their cells, with the reason."""
    from vmlab.measure.sched_native import NativeScheduler

    created = timestamp()
    rounds = QUICK_ROUNDS if quick else DEFAULT_ROUNDS
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    progress("compiling", 0, 1, None)
    clock = calibrate()
    single, alone, two = (
        NativeScheduler(workers, parallel, clock)
        for workers, parallel in ((1, False), (1, True), (2, True))
    )
    systems = [single, alone, two, *others(clock)]
    result = Scheduling(
        vmlab=vmlab.__version__,
        created=created,
        machine=describe_machine(),
        seed=seed,
        rounds=rounds,
        clock=clock,
        systems=systems,
        cells={(o, s.name): Cell() for o in Operation for s in systems},
        work=Parallel([], []),
        bare_work=Parallel([], []),
    )
    by_name = {system.name: system for system in systems}
    start = time.monotonic()
    for done, order in enumerate(draw_order(list(by_name), rounds, seed)):
        left = (time.monotonic() - start) / done * (rounds - done) if done else None
        progress("timing", done, rounds, left)
        for name in order:
            for operation in Operation:
                _measure(by_name[name], operation, result.cells[operation, name])
        _work(alone, two, result)
    return result


def _work(one: NativeScheduler, two: NativeScheduler, result: Scheduling) -> None:
    """Each some 10 ms, and all four after one another, so that they meet the same machine."""
    work = _WORK_TASKS, _WORK_ROUNDS
    for _ in range(_WORK_REPEATS):
        for measured, bare in ((result.work, False), (result.bare_work, True)):
            alone, both = ((s.bare_work if bare else s.work)(*work) for s in (one, two))
            measured.speedups.append(alone.seconds / both.seconds)
            measured.processor_time.append(both.processor_seconds / alone.processor_seconds)


def others(clock: Clock) -> list[System]:
    """What the kernel is compared with."""
    from vmlab.measure.sched_go import Go
    from vmlab.measure.sched_python import SYSTEMS
    from vmlab.measure.sched_threads import PosixThreads
    from vmlab.measure.sched_vm import VirtualMachine

    return [
        VirtualMachine(),
        Go(1),
        Go(2),
        PosixThreads(clock),
        *(system() for system in SYSTEMS),
    ]


def _measure(system: System, operation: Operation, cell: Cell) -> None:
    if cell.reason is not None or (operation is Operation.PARKED and cell.rounds):
        return
    try:
        samples = system.measure(operation, max(10, round(_SAMPLES * system.share)))
    except Unavailable as error:
        cell.reason = str(error)
        return
    if samples is None:
        cell.reason = ABSENT
    else:
        cell.rounds.append(list(samples))
