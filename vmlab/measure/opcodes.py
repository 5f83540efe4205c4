"""Which instructions a program's time goes to, on `threaded`, whose every instruction is a function
of machine code of its own.

A second thread interrupts the running program at random moments, and a signal handler notes down
where it stands. The share of these moments that an instruction's function gets is its share of the
time: if the moments are those of a Poisson process, they see what an observer of the whole time
sees (Wolff, "Poisson arrivals see time averages", Operations Research 30(2), 1982). Together with
how often each instruction is executed, which is counted exactly, that gives what one execution
takes in this program.

Moments of one call have the place of the code in common, and what else the machine is at: shares
vary between calls by more than so many independent moments would. So the calls are the sample, each
with the code at another place, and bounds are those of the sign test over the calls.

No model of costs is fitted. What an instruction takes depends on what stands around it: costs
fitted to programs in which one instruction dominates predicted the corpus no better than one cost
for all instructions did.
"""

from __future__ import annotations

import enum
import math
import random
import signal
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vmlab.engines import EngineUnavailable, Executable, Sample, find
from vmlab.kernels.program_counter import NoProgramCounter, ProgramCounter
from vmlab.measure.profile import profile
from vmlab.measure.sampling import Progress, timed_limits
from vmlab.measure.statistics import Interval, corrected, median_interval, minimum_rounds
from vmlab.outcome import Limits
from vmlab.program import Number, Program
from vmlab.supervise import Supervisor

ENGINE = "threaded"

# Calls last about so long, for their beginnings and ends not to show.
CALL_SECONDS = 0.15
INTERRUPTIONS_A_SECOND = 4000

# Of an instruction that is met less often in a call, in the mean, little can be said: the median of
# such small counts lies beside their mean.
LEAST_MEETINGS = 5

_HANDLER = "op."
# `jmp.backward` and `ret.value` are the instructions `jmp` and `ret` in one circumstance.
_CIRCUMSTANCES = (".backward", ".value")


class Dearness(enum.StrEnum):
    """An execution of one instruction beside that of the mean instruction."""

    DEARER = "dearer"
    CHEAPER = "cheaper"
    UNRESOLVED = "not resolved"


@dataclass(frozen=True, slots=True)
class OpcodeTime:
    """What an instruction comes to in one run of the program.

    name         of the variant: add.int
    executed     how often, exactly
    share        of all executed instructions
    time         its share of the time; None where it was met in too few moments
    nanoseconds  what one execution takes; None as above
    """

    name: str
    executed: int
    share: float
    time: Interval | None
    nanoseconds: Interval | None

    @property
    def dearness(self) -> Dearness:
        if self.time is None:
            return Dearness.UNRESOLVED
        if self.time.low > self.share:
            return Dearness.DEARER
        return Dearness.CHEAPER if self.time.high < self.share else Dearness.UNRESOLVED


@dataclass(frozen=True, slots=True)
class OpcodeTimes:
    """All intervals hold together.

    opcodes      all that the program executes, the one that takes most of the time first
    elsewhere    the share of the time that is spent outside of all instructions
    nanoseconds  what the mean instruction takes
    calls        that were watched
    moments      at which they were interrupted
    """

    opcodes: tuple[OpcodeTime, ...]
    elsewhere: Interval
    nanoseconds: Interval
    calls: int
    moments: int


@dataclass(frozen=True, slots=True)
class Call:
    """What was seen of a call.

    found        the functions of its machine code that it was in, None for others, and how often
    nanoseconds  of CPU time that a run took
    """

    found: Counter[str | None]
    nanoseconds: float


def measure_opcodes(
    supervisor: Supervisor,
    program: Program,
    args: Sequence[Number],
    limits: Limits,
    rounds: int,
    progress: Progress,
) -> OpcodeTimes | str:
    """The times of the instructions of a program that runs to its end within these limits, from
    `rounds` calls, or more if the intervals need them; if there are no times, the reason. Raises
    KeyboardInterrupt on Ctrl-C."""
    limits = timed_limits(limits)
    progress("counting instructions", 0, 1, None)
    try:
        watched = _Watched(find(ENGINE).build(program, counting=False))
        counted = profile(supervisor, program, args, limits)
    except (EngineUnavailable, NoProgramCounter) as reason:
        return str(reason)
    if counted is None:
        return "the program does not get to its end while its instructions are counted"
    executed = {variant.name: times for variant, times in counted.variants().items()}
    rounds = max(rounds, minimum_rounds(_intervals(executed)))
    _watch(supervisor, watched, args, limits, rounds, progress)
    return opcode_times(executed, watched.calls)


def _watch(
    supervisor: Supervisor,
    watched: _Watched,
    args: Sequence[Number],
    limits: Limits,
    rounds: int,
    progress: Progress,
) -> None:
    def nanoseconds(executable: Executable, iterations: int = 1) -> int:
        sample = supervisor.call(executable, args, limits, iterations)
        if sample.outcome.interrupted:
            raise KeyboardInterrupt
        return sample.nanoseconds

    once = max(1, min(nanoseconds(watched.executable) for _ in range(2)))
    iterations = math.ceil(CALL_SECONDS * 1e9 / once)
    start = time.monotonic()
    while (done := len(watched.calls)) < rounds:
        left = (time.monotonic() - start) / done * (rounds - done) if done else None
        progress("watching instructions", done, rounds, left)
        watched.executable.relocate()
        # Once before, so that its memory is there: the instruction that touches a page first would
        # be charged with it.
        nanoseconds(watched.executable)
        nanoseconds(watched, iterations)


class _Watched(Executable):
    """An executable whose calls are interrupted at random moments. `calls` are those that were."""

    def __init__(self, executable: Executable) -> None:
        self.executable = executable
        self.calls: list[Call] = []
        self._counter = ProgramCounter()

    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        ended = threading.Event()
        interrupting = threading.Thread(
            target=self._interrupt_at_random, args=(threading.get_ident(), ended), daemon=True
        )
        with self._counter.listening():
            interrupting.start()
            start = time.thread_time_ns()
            try:
                sample = self.executable.call(args, limits, iterations)
            finally:
                took = time.thread_time_ns() - start
                ended.set()
                interrupting.join()
        found = Counter(_located(self._counter.take(), self.executable.functions()))
        if found:
            self.calls.append(Call(found, took / iterations))
        return sample

    def _interrupt_at_random(self, thread: int, ended: threading.Event) -> None:
        while not ended.wait(random.expovariate(INTERRUPTIONS_A_SECOND)):
            signal.pthread_kill(thread, self._counter.SIGNAL)

    def interrupt(self) -> None:
        self.executable.interrupt()


def _located(addresses: Iterable[int], functions: dict[str, range]) -> list[str | None]:
    """The function that each address lies in."""
    ordered = sorted(functions.items(), key=lambda function: function[1].start)
    starts = [place.start for _, place in ordered]
    found: list[str | None] = []
    for address in addresses:
        last = bisect_right(starts, address) - 1  # that begins no later
        name, place = ordered[last] if last >= 0 else (None, range(0))
        found.append(name if address in place else None)
    return found


def _intervals(executed: Mapping[str, int]) -> int:
    """A share and a time of every instruction, which stand and fall together; what lies outside of
    them; and the mean."""
    return len(executed) + 2


def opcode_times(executed: Mapping[str, int], calls: Sequence[Call]) -> OpcodeTimes:
    """From how often each variant is executed in a run, and what was seen of calls."""
    instructions = sum(executed.values())
    confidence = corrected(_intervals(executed))
    met = [_by_variant(call.found) for call in calls]
    totals = [call.found.total() for call in calls]

    def opcode(name: str, times: int) -> OpcodeTime:
        time = each = None
        if sum(hits[name] for hits in met) >= LEAST_MEETINGS * len(calls):
            found = [hits[name] / total for hits, total in zip(met, totals, strict=True)]
            time = median_interval(found, confidence)
            pairs = zip(found, calls, strict=True)
            each = median_interval([s * call.nanoseconds / times for s, call in pairs], confidence)
        return OpcodeTime(name, times, times / instructions, time, each)

    opcodes = [opcode(name, times) for name, times in executed.items()]
    opcodes.sort(key=lambda o: (-o.time.median if o.time else 0.0, -o.executed, o.name))
    outside = [
        1 - sum(hits[name] for name in executed) / total
        for hits, total in zip(met, totals, strict=True)
    ]
    return OpcodeTimes(
        tuple(opcodes),
        median_interval(outside, confidence),
        median_interval([call.nanoseconds / instructions for call in calls], confidence),
        len(calls),
        sum(totals),
    )


def _by_variant(found: Counter[str | None]) -> Counter[str]:
    """How often each instruction was met, from the functions that were."""
    hits: Counter[str] = Counter()
    for function, times in found.items():
        if function is not None and function.startswith(_HANDLER):
            name = function.removeprefix(_HANDLER)
            for circumstance in _CIRCUMSTANCES:
                name = name.removesuffix(circumstance)
            hits[name] += times
    return hits
