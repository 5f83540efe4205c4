"""How much the order of an interpreter's handlers moves its time, and what is left of that where
every round draws another order: `python -m tests.benchmarks.handler_order [ENGINE...]`.

For each program an engine is built several times. Some builds keep one order each, at another place
in every round; the others are what `compare` times. All run in the same interleaved rounds. The
spread of a group is the slowest build's median time by the fastest's: builds differ by nothing but
luck.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from tabulate import tabulate

from vmlab import corpus
from vmlab.engines import find
from vmlab.kernels.native import Unit
from vmlab.measure.clock import measure_clock
from vmlab.measure.sampling import Subject, sample, silent
from vmlab.outcome import Limits, bind_arguments
from vmlab.supervise import Supervisor

ENGINES = ("switch", "threaded", "tagged", "boxed", "late")
PROGRAMS = ("bubble_sort", "matmul", "nbody", "sieve")
BUILDS = 6
ROUNDS = 21


class OneOrder(Unit):
    """Machine code that keeps the order that it has."""

    reordered = Unit.relocated


def medians(engine: str, name: str) -> tuple[list[float], list[float]]:
    """Of the builds with an order each, and of those that draw one every round: the nanoseconds
    that a run takes."""
    program, clock = corpus.load(name), measure_clock()
    args = bind_arguments(program, {})
    subjects = []
    with Supervisor() as supervisor:
        for build in range(2 * BUILDS):
            executable = find(engine).build(program, counting=False)
            if build < BUILDS:
                executable.relocate()
                executable._unit = OneOrder(**vars(executable._unit))
            agreed = supervisor.call(executable, args, Limits()).outcome
            subjects.append(Subject(str(build), executable, args, agreed))
        rounds = sample(supervisor, subjects, ROUNDS, 0, Limits(), clock, silent)
    found = [statistics.median(rounds.samples[s.name]) / rounds.iterations for s in subjects]
    return found[:BUILDS], found[BUILDS:]


def main(engines: Sequence[str]) -> None:
    rows = []
    for engine in engines or ENGINES:
        for name in PROGRAMS:
            fixed, drawn = medians(engine, name)
            spreads = (max(group) / min(group) for group in (fixed, drawn))
            rows.append((engine, name, *spreads))
    headers = ("engine", "program", "one order a build", "an order a round")
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main(sys.argv[1:])
