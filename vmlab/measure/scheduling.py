"""What tasks cost on the scheduler kernel and on what else is installed, in interleaved rounds.

A sample of most operations is the mean of a batch of `BATCH`, since one alone is shorter than the
clock can see; a distribution is that of the batches of all rounds. Only the latency of a launch,
waking, and the growth of Go's stacks are single events. What reading the clock takes has been
subtracted from each."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import vmlab
from vmlab.comparison import DEFAULT_ROUNDS, QUICK_ROUNDS
from vmlab.measure.clock import timestamp
from vmlab.measure.machine import describe_machine
from vmlab.measure.sampling import Progress, draw_order, silent
from vmlab.measure.sched_go import Go
from vmlab.measure.sched_native import NativeScheduler, calibrate
from vmlab.measure.sched_python import SYSTEMS
from vmlab.measure.sched_systems import Operation, Unavailable
from vmlab.measure.sched_threads import PosixThreads
from vmlab.measure.sched_vm import VirtualMachine
from vmlab.scheduling import ABSENT, Cell, Parallel, Scheduling

if TYPE_CHECKING:
    from vmlab.measure.sched_systems import Clock, System

_SAMPLES = 200  # of a system in a round

# Parallel work: as many tasks, of as many rounds of a generator of random numbers, some ten
# microseconds; so often in a round.
_WORK_TASKS, _WORK_ROUNDS, _WORK_REPEATS = 1_000, 5_000, 4


def measure(
    *,
    quick: bool = False,
    seed: int | None = None,
    progress: Progress = silent,
) -> Scheduling:
    """Measure every system, in rounds of random order; with `quick`, fewer rounds. Systems that are
    not there keep their cells, with the reason."""
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
        cell.rounds.clear()  # as many as the others have, or none: they are compared round by round
        return
    if samples is None:
        cell.reason = ABSENT
    else:
        cell.rounds.append(list(samples))
