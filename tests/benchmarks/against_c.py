"""`inlined` against the same algorithms in C: `python -m tests.benchmarks.against_c` from the
checkout prints a table. Both run in turn in one process, the best of gcc -O2 and -O3 counts."""

from __future__ import annotations

import random
import statistics
import time

import click
from tabulate import tabulate

from vmlab import corpus
from vmlab.engines import ENGINES
from vmlab.outcome import Limits, bind_arguments
from vmlab.supervise import Supervisor

from . import native

ROUNDS = 31


@click.command(help=__doc__)
def main() -> None:
    rows = []
    with Supervisor() as supervisor:
        for name in native.NAMES:
            program = corpus.load(name)
            args = bind_arguments(program, {})
            executable = ENGINES["inlined"].build(program, counting=False)
            twins = {level: native.compile_c(name, flags) for level, flags in native.LEVELS.items()}
            times: dict[str, list[float]] = {"inlined": [], **{level: [] for level in twins}}
            for turn in range(ROUNDS + 1):
                for which in random.sample(list(times), len(times)):
                    if which == "inlined":
                        executable.relocate()  # what its place does to its time differs by round
                        supervisor.call(executable, args, Limits())
                        took = supervisor.call(executable, args, Limits()).nanoseconds
                    else:
                        start = time.perf_counter_ns()
                        twins[which](*args)
                        took = time.perf_counter_ns() - start
                    if turn:  # the first is a warm-up
                        times[which].append(took / 1e6)
            best = min(twins, key=lambda level: statistics.median(times[level]))
            ratios = [a / b for a, b in zip(times["inlined"], times[best], strict=True)]
            medians = [statistics.median(times[which]) for which in times]
            rows.append([name, *medians, statistics.median(ratios), best])
    headers = ["program", "inlined, ms", *(f"C {level}, ms" for level in native.LEVELS)]
    digits = ("", ".3f", ".3f", ".3f", ".2f", "")
    print(tabulate(rows, [*headers, "ratio", "to"], tablefmt="github", floatfmt=digits))


if __name__ == "__main__":
    main()
