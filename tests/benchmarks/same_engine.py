"""How often a comparison calls an engine different from itself:
`python -m tests.benchmarks.same_engine [ENGINE] [PROGRAM]`.

First with the same code in memory on both sides: at 95 % confidence that must be at most one
comparison in twenty, or the intervals are not what they claim to be. Then with the code loaded
twice, as it is for two engines: what is found on top of that is where code and data came to lie.
"""

from __future__ import annotations

import sys
from collections import Counter

from vmlab import corpus
from vmlab.comparison import QUICK_ROUNDS
from vmlab.engines import find
from vmlab.measure.clock import measure_clock
from vmlab.measure.sampling import Subject, sample
from vmlab.measure.statistics import Verdict, corrected, judge
from vmlab.outcome import Limits, bind_arguments
from vmlab.supervise import Supervisor

COMPARISONS = 200


def verdicts(engine: str, name: str, loads: int) -> Counter[Verdict]:
    program, clock = corpus.load(name), measure_clock()
    args = bind_arguments(program, {})
    found: Counter[Verdict] = Counter()
    with Supervisor() as supervisor:
        for seed in range(COMPARISONS):
            built = [find(engine).build(program, counting=False) for _ in range(loads)]
            subjects = [
                Subject(side, executable, args, supervisor.call(executable, args, Limits()).outcome)
                for side, executable in (("one", built[0]), ("other", built[-1]))
            ]
            rounds = sample(
                supervisor, subjects, QUICK_ROUNDS, seed, Limits(), clock, lambda *_: None
            )
            one, other = rounds.samples.values()
            ratios = [a / b for a, b in zip(one, other, strict=True)]
            found[judge(ratios, corrected(1))[1]] += 1
    return found


def main(engine: str = "switch", name: str = "fib") -> None:
    print(f"{COMPARISONS} quick comparisons of {engine} with itself on {name}")
    for loads, what in (1, "the same code"), (2, "the code loaded twice"):
        found = verdicts(engine, name, loads)
        different = found[Verdict.FASTER] + found[Verdict.SLOWER]
        counts = ", ".join(f"{verdict}: {found[verdict]}" for verdict in Verdict)
        print(f"{what}: {different / COMPARISONS:.1%} called different ({counts})", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
