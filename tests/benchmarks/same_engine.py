"""How often a comparison calls an engine different from itself:
`python -m tests.benchmarks.same_engine [ENGINE] [PROGRAM]`.

Both sides are built and loaded on their own, as two engines are. At 95 % confidence at most one
comparison in twenty may find them different, or the intervals are not what they claim to be.
"""

from __future__ import annotations

from collections import Counter

import click

from vmlab.cli import parameters
from vmlab.comparison import QUICK_ROUNDS
from vmlab.engines import Engine
from vmlab.measure.clock import measure_clock
from vmlab.measure.sampling import Subject, sample, silent
from vmlab.measure.statistics import Verdict, corrected, judge
from vmlab.outcome import Limits, bind_arguments
from vmlab.program import Program
from vmlab.supervise import Supervisor

from . import arguments

COMPARISONS = 200


def verdicts(engine: Engine, program: Program) -> Counter[Verdict]:
    clock, args = measure_clock(), bind_arguments(program, {})
    found: Counter[Verdict] = Counter()
    with Supervisor() as supervisor:
        for seed in range(COMPARISONS):
            subjects = []
            for side in ("one", "other"):
                executable = arguments.build(engine, program)
                agreed = supervisor.call(executable, args, Limits()).outcome
                subjects.append(Subject(side, executable, args, agreed))
            rounds = sample(supervisor, subjects, QUICK_ROUNDS, seed, Limits(), clock, silent)
            one, other = rounds.samples.values()
            ratios = [a / b for a, b in zip(one, other, strict=True)]
            found[judge(ratios, corrected(1))[1]] += 1
    return found


@click.command(help=__doc__)
@click.argument("engine", type=parameters.engine, default="switch")
@click.argument("program", type=arguments.program, default="fib")
def main(engine: Engine, program: Program) -> None:
    found = verdicts(engine, program)
    different = found[Verdict.FASTER] + found[Verdict.SLOWER]
    counts = ", ".join(f"{verdict}: {found[verdict]}" for verdict in Verdict)
    print(
        f"{COMPARISONS} quick comparisons of {engine.name} with itself on"
        f" {arguments.title(program)}: {different / COMPARISONS:.1%} called different ({counts})"
    )


if __name__ == "__main__":
    main()
