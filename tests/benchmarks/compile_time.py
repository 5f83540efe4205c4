"""What it takes to compile programs:
`python -m tests.benchmarks.compile_time [ENGINE [PROGRAM...]]`.

For `inlined`, and for the corpus, unless others are named. Every program is built once a round,
after one round in which LLVM warms up; the time is the process's own, so that others on the machine
take nothing of it. An engine that is kept in the cache is loaded from there.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import click
from tabulate import tabulate

from vmlab import corpus
from vmlab.cli import parameters
from vmlab.engines import Engine
from vmlab.program import Program

from . import arguments

ROUNDS = 9


def build_ms(engine: Engine, program: Program) -> float:
    start = time.process_time_ns()
    arguments.build(engine, program)
    return (time.process_time_ns() - start) / 1e6


@click.command(help=__doc__)
@click.argument("engine", type=parameters.engine, default="inlined")
@click.argument("programs", type=arguments.program, metavar="[PROGRAM...]", nargs=-1)
def main(engine: Engine, programs: Sequence[Program]) -> None:
    programs = programs or [corpus.load(name) for name in corpus.names()]
    rounds = [[build_ms(engine, program) for program in programs] for _ in range(1 + ROUNDS)]
    rows = []
    for program, times in zip(programs, zip(*rounds[1:], strict=True), strict=True):
        size = sum(len(function.code) for function in program.functions)
        rows.append((size, arguments.title(program), statistics.median(times), min(times)))
    headers = ["instructions", "program", "median, ms", "least, ms"]
    print(tabulate(sorted(rows), headers, tablefmt="github", floatfmt=".0f"))


if __name__ == "__main__":
    main()
