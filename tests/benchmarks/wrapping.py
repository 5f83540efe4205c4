"""What it costs on CPython that ints wrap: `python -m tests.benchmarks.wrapping [PROGRAM...]`.

Python's own ints do not, so generated code tests results that may leave 64 bits. Where their
ranges say that they cannot, it does not; here it is timed against code that tests them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean

import click
from tabulate import tabulate

from vmlab import corpus
from vmlab.comparison import QUICK_ROUNDS
from vmlab.cpython.executable import CPython
from vmlab.cpython.source import translate
from vmlab.cpython.translate import Form
from vmlab.measure.clock import measure_clock
from vmlab.measure.sampling import Subject, sample, silent
from vmlab.measure.statistics import corrected, median_interval
from vmlab.outcome import Limits, bind_arguments
from vmlab.program import Program
from vmlab.supervise import Supervisor

from . import arguments

FORMS = {"by ranges": Form(), "everywhere": Form(wrapping=True)}
NAMES = ("collatz", "fannkuch", "fib", "matmul", "quicksort", "sieve", "sum")


def tests(program: Program, form: Form) -> int:
    """How many places of a program test whether an int has left 64 bits."""
    return translate(program, form).text.count("<= INT_MAX")


def row(supervisor: Supervisor, program: Program) -> tuple[str | int | float, ...]:
    args = bind_arguments(program, {})
    subjects = []
    for label, form in FORMS.items():
        executable = CPython(program, counting=False, form=form)
        outcome = supervisor.call(executable, args, Limits()).outcome
        subjects.append(Subject(label, executable, args, outcome))
    rounds = sample(supervisor, subjects, QUICK_ROUNDS, 1, Limits(), measure_clock(), silent)
    ranged, everywhere = (rounds.samples[label] for label in FORMS)
    ratios = [a / b for a, b in zip(everywhere, ranged, strict=True)]
    ratio = median_interval(ratios, corrected(1))
    counts = (tests(program, form) for form in FORMS.values())
    return arguments.title(program), *counts, ratio.median, f"{ratio.low:.2f} to {ratio.high:.2f}"


@click.command(help=__doc__)
@click.argument("programs", type=arguments.program_without_tasks, metavar="[PROGRAM...]", nargs=-1)
def main(programs: Sequence[Program]) -> None:
    with Supervisor() as supervisor:
        rows = [row(supervisor, program) for program in programs or map(corpus.load, NAMES)]
    ratios = [row[3] for row in rows]
    rows.append(("geometric mean", "", "", geometric_mean(ratios), ""))
    headers = ["program", "tests by ranges", "tests everywhere", "times as long", "interval"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main()
