"""How much the order of an interpreter's handlers moves its time, and what is left of that where
every round draws another order: `python -m tests.benchmarks.handler_order [ENGINE...]`.

For each program an engine is built several times. Some builds keep one order each, at another place
in every round; the others are what `compare` times. All run in the same interleaved rounds. The
spread of a group is the slowest build's median time by the fastest's: builds differ by nothing but
luck.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import click
from tabulate import tabulate

from vmlab import corpus
from vmlab.cli import parameters
from vmlab.engines import INTERPRETERS, Engine, find
from vmlab.kernels.native import Unit
from vmlab.measure.clock import measure_clock
from vmlab.measure.sampling import Subject, sample, silent
from vmlab.outcome import Limits, bind_arguments
from vmlab.supervise import Supervisor

from . import arguments

ENGINES = ("switch", "threaded", "tagged", "boxed", "late")
PROGRAMS = ("bubble_sort", "matmul", "nbody", "sieve")
BUILDS = 6
ROUNDS = 21


class OneOrder(Unit):
    """Machine code that keeps the order that it has."""

    reordered = Unit.relocated


def interpreter(name: str) -> Engine:
    """The type of an argument that names an engine with handlers."""
    engine = parameters.engine(name)
    if not set(INTERPRETERS).intersection(engine.parts):
        bases = " and ".join(INTERPRETERS)
        raise click.BadParameter(
            f"'{name}' has no handlers to order; {bases} have, and what adds to them"
        )
    return engine


def medians(engine: Engine, name: str) -> tuple[list[float], list[float]]:
    """Of the builds with an order each, and of those that draw one every round: the nanoseconds
    that a run takes."""
    program, clock = corpus.load(name), measure_clock()
    args = bind_arguments(program, {})
    subjects = []
    with Supervisor() as supervisor:
        for build in range(2 * BUILDS):
            executable = arguments.build(engine, program)
            if build < BUILDS:
                executable.relocate()
                executable._unit = OneOrder(**vars(executable._unit))
            agreed = supervisor.call(executable, args, Limits()).outcome
            subjects.append(Subject(str(build), executable, args, agreed))
        rounds = sample(supervisor, subjects, ROUNDS, 0, Limits(), clock, silent)
    found = [statistics.median(rounds.samples[s.name]) / rounds.iterations for s in subjects]
    return found[:BUILDS], found[BUILDS:]


@click.command(help=__doc__)
@click.argument("engines", type=interpreter, metavar="[ENGINE...]", nargs=-1)
def main(engines: Sequence[Engine]) -> None:
    rows = []
    for engine in engines or map(find, ENGINES):
        for name in PROGRAMS:
            fixed, drawn = medians(engine, name)
            spreads = (max(group) / min(group) for group in (fixed, drawn))
            rows.append((engine.name, name, *spreads))
    headers = ("engine", "program", "one order a build", "an order a round")
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main()
