"""Which instructions a program's time goes to, on `threaded`, whose every instruction is a function
of machine code of its own.

A second thread interrupts the running program at random moments, and a signal handler notes down
where it stands. The share of these moments that an instruction's function gets is its share of the
time: if the moments are those of a Poisson process, they see what an observer of the whole time
sees (Wolff, "Poisson arrivals see time averages", Operations Research 30(2), 1982). Together with
how often each instruction is executed, which is counted exactly, that gives what one execution
takes in this program.

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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vmlab.engines import EngineUnavailable, Executable, Sample, find
from vmlab.isa import Trap
from vmlab.kernels.program_counter import NoProgramCounter, ProgramCounter
from vmlab.measure.profile import profile
from vmlab.measure.sampling import Progress, timed_limits
from vmlab.measure.statistics import Bounded, corrected, proportion
from vmlab.outcome import Limits
from vmlab.program import Number, Program
from vmlab.supervise import Supervisor

ENGINE = "threaded"

# How long the program is watched, and how often it is interrupted. A call is long enough for its
# beginning and its end not to show, and at another place in memory than the one before.
SECONDS = 2.0
CALL_SECONDS = 0.1
INTERRUPTIONS_A_SECOND = 2000

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
    time         its share of the time
    nanoseconds  what one execution takes
    """

    name: str
    executed: int
    share: float
    time: Bounded
    nanoseconds: Bounded

    @property
    def dearness(self) -> Dearness:
        if self.time.low > self.share:
            return Dearness.DEARER
        return Dearness.CHEAPER if self.time.high < self.share else Dearness.UNRESOLVED


@dataclass(frozen=True, slots=True)
class OpcodeTimes:
    """opcodes      all that the program executes, the one that takes most of the time first
    elsewhere    the share of the time that is spent outside of all instructions
    nanoseconds  CPU time of the mean instruction
    samples      moments at which the program was interrupted
    """

    opcodes: tuple[OpcodeTime, ...]
    elsewhere: Bounded
    nanoseconds: float
    samples: int


def measure_opcodes(
    supervisor: Supervisor,
    program: Program,
    args: Sequence[Number],
    limits: Limits,
    progress: Progress,
) -> OpcodeTimes | str:
    """The times of the instructions of a program that runs to its end within these limits; if they
    cannot be had, the reason. Raises KeyboardInterrupt on Ctrl-C."""
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
    runs = _watch(supervisor, watched, args, limits, progress)
    if not watched.found:
        return "the program was never interrupted"
    return _times(executed, watched.found, watched.cpu_nanoseconds / runs)


def _watch(
    supervisor: Supervisor,
    watched: _Watched,
    args: Sequence[Number],
    limits: Limits,
    progress: Progress,
) -> int:
    """Run it until there are enough moments; the number of runs."""

    def nanoseconds(executable: Executable, iterations: int) -> int:
        sample = supervisor.call(executable, args, limits, iterations)
        if sample.outcome.trap is not None and sample.outcome.trap.trap is Trap.INTERRUPTED:
            raise KeyboardInterrupt
        return sample.nanoseconds

    once = max(1, nanoseconds(watched.executable, 1))
    iterations = math.ceil(CALL_SECONDS * 1e9 / once)
    runs = 0
    while watched.cpu_nanoseconds < SECONDS * 1e9:
        seconds = watched.cpu_nanoseconds / 1e9
        progress("interrupting", round(10 * seconds), round(10 * SECONDS), SECONDS - seconds)
        nanoseconds(watched, iterations)
        runs += iterations
    return runs


class _Watched(Executable):
    """An executable whose calls are interrupted at random moments.

    found            the names of the functions that it was in, None for none of its own
    cpu_nanoseconds  of all calls together, as their thread's clock has them
    """

    def __init__(self, executable: Executable) -> None:
        self.executable = executable
        self.found: Counter[str | None] = Counter()
        self.cpu_nanoseconds = 0
        self._counter = ProgramCounter()

    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        self.executable.relocate()
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
                self.cpu_nanoseconds += time.thread_time_ns() - start
                ended.set()
                interrupting.join()
        self.found.update(_located(self._counter.take(), self.executable.functions()))
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


def _times(executed: dict[str, int], found: Counter[str | None], nanoseconds: float) -> OpcodeTimes:
    """`nanoseconds` is the time of a run."""
    hits: Counter[str | None] = Counter()
    for function, times in found.items():
        hits[_variant(function)] += times
    samples, instructions = found.total(), sum(executed.values())
    # The bounds of all hold together: of every instruction, and of what lies outside of them.
    confidence = corrected(len(executed) + 1)
    opcodes = []
    for name, times in executed.items():
        share = proportion(hits[name], samples, confidence)
        each = share.times(nanoseconds / times)
        opcodes.append(OpcodeTime(name, times, times / instructions, share, each))
    opcodes.sort(key=lambda opcode: (-opcode.time.value, -opcode.executed, opcode.name))
    outside = samples - sum(hits[name] for name in executed)
    return OpcodeTimes(
        tuple(opcodes),
        proportion(outside, samples, confidence),
        nanoseconds / instructions,
        samples,
    )


def _variant(function: str | None) -> str | None:
    """The instruction that a function of `ENGINE` is for."""
    if function is None or not function.startswith(_HANDLER):
        return None
    name = function.removeprefix(_HANDLER)
    for circumstance in _CIRCUMSTANCES:
        name = name.removesuffix(circumstance)
    return name
