"""Timing several executables against each other in interleaved rounds.

A slow drift of the machine (its clock frequency, a neighbour's load) then meets all of them alike
and cancels out of the ratios within a round. Where machine code and data lie in memory moves a time
by some per cent, now and then by much more, and the order of an interpreter's handlers by up to
half, through what the CPU's predictors and caches confuse; so all are drawn anew for each round,
and what is luck varies from round to round instead of looking like a property of the engine
(Curtsinger and Berger, Stabilizer, ASPLOS 2013, randomise more of the layout to the same end).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vmlab.engines import Executable
from vmlab.measure.clock import Clock
from vmlab.outcome import Limits, Outcome
from vmlab.program import Number
from vmlab.supervise import Supervisor

# Calibration makes the shortest sample this long, if a round then takes no longer than a round may.
SAMPLE_NANOSECONDS = 1_000_000
ROUND_NANOSECONDS = 100_000_000

# Even if a round then takes longer, the shortest sample spans this many ticks of the clock.
_TICKS = 10

Progress = Callable[[str, int, int, float | None], None]
"""Called as progress(what is being done, steps done, steps in all, seconds left if known)."""


def silent(doing: str, done: int, total: int, seconds_left: float | None) -> None:
    """A `Progress` that tells nobody."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What takes part in the rounds: an executable, the arguments of its `main`, and what every
    run of it must do."""

    name: str
    executable: Executable
    args: tuple[Number, ...]
    agreed: Outcome


@dataclass(frozen=True, slots=True)
class Rounds:
    """Samples, taken in interleaved rounds.

    seed        what the order was drawn from
    iterations  runs of the program in every sample, the same for all
    order       for each round, the names in the order in which they ran
    samples     by name: for each round, the nanoseconds that all its runs took together
    """

    seed: int
    iterations: int
    order: tuple[tuple[str, ...], ...]
    samples: dict[str, tuple[int, ...]]


class SampleDiffers(Exception):
    """A timed run did not do what had been agreed on."""

    def __init__(self, name: str, outcome: Outcome):
        super().__init__(name)
        self.name = name
        self.outcome = outcome


def timed_limits(limits: Limits) -> Limits:
    """Those of runs that are timed: their code does not count, so it knows no fuel; and a timeout
    for one run says nothing about many."""
    return replace(limits, fuel=None, timeout=None)


def draw_order(names: Sequence[str], rounds: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """The order of every round. For n names each block of n rounds is a randomly chosen cyclic
    Latin square: in a block, each name runs once at each position (the last block may be cut
    short)."""
    generator = random.Random(seed)
    order: list[tuple[str, ...]] = []
    while len(order) < rounds:
        row = generator.sample(names, len(names))
        shifts = generator.sample(range(len(names)), len(names))
        order += [(*row[shift:], *row[:shift]) for shift in shifts]
    return tuple(order[:rounds])


def sample(
    supervisor: Supervisor,
    subjects: Sequence[Subject],
    rounds: int,
    seed: int,
    limits: Limits,
    clock: Clock,
    progress: Progress,
) -> Rounds:
    """Calibrate, and take the samples. All subjects have run once within these limits: they are
    warm, and known to end. Raises `SampleDiffers`, and KeyboardInterrupt on Ctrl-C."""
    iterations = _calibrate(supervisor, subjects, limits, clock, progress)
    by_name = {subject.name: subject for subject in subjects}
    order = draw_order(list(by_name), rounds, seed)
    samples: dict[str, list[int]] = {name: [] for name in by_name}
    start = time.monotonic()
    for done, names in enumerate(order):
        left = (time.monotonic() - start) / done * (rounds - done) if done else None
        progress("timing", done, rounds, left)
        for name in names:
            subject = by_name[name]
            if subject.executable.relocate():
                # It is cold now, and its memory not there yet.
                _timed(supervisor, subject, limits, 1)
            samples[name].append(_timed(supervisor, subject, limits, iterations))
    progress("timing", rounds, rounds, 0.0)
    return Rounds(seed, iterations, order, {name: tuple(t) for name, t in samples.items()})


def _calibrate(
    supervisor: Supervisor,
    subjects: Sequence[Subject],
    limits: Limits,
    clock: Clock,
    progress: Progress,
) -> int:
    """The iteration count for all samples."""
    floor = _TICKS * clock.resolution_nanoseconds
    iterations, rounds = 1, 0
    while True:
        progress("calibrating", rounds, rounds + 1, None)
        times = [_timed(supervisor, subject, limits, iterations) for subject in subjects]
        rounds += 1
        shortest, together = max(1, min(times)), max(1, sum(times))
        growth = min(SAMPLE_NANOSECONDS / shortest, ROUND_NANOSECONDS / together)
        growth = max(growth, floor / shortest)
        if growth < 1.5:
            return iterations
        # The first runs are the slowest: careful steps overshoot less.
        iterations = math.ceil(iterations * min(growth, 10))


def _timed(supervisor: Supervisor, subject: Subject, limits: Limits, iterations: int) -> int:
    taken = supervisor.call(subject.executable, subject.args, limits, iterations)
    if taken.outcome.interrupted:
        raise KeyboardInterrupt
    if taken.outcome.differences(subject.agreed):
        raise SampleDiffers(subject.name, taken.outcome)
    return taken.nanoseconds
