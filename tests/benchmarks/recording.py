"""What it costs that workers write down what they do:
`python -m tests.benchmarks.recording [ROUNDS [ENGINE]]`.

Each program runs as `run` has it and as `trace` has it, in turn, on one worker and on two. The
memory for what is written has been used before, as in `trace` that for 100,000 events is.
"""

from __future__ import annotations

import itertools
import statistics

import click

from vmlab import corpus
from vmlab.engines import COMPILED, find
from vmlab.kernels.scheduler.layout import Note
from vmlab.kernels.task_recording import recorder
from vmlab.outcome import Limits, bind_arguments

PROGRAMS = ("ring", "concurrent_sieve", "fan")
ROOM = 2_000_000  # more than any of them takes


@click.command(help=__doc__)
@click.argument("rounds", type=click.IntRange(min=1), default=101)
@click.argument("engine", type=click.Choice(COMPILED), metavar="[ENGINE]", default="inlined")
def main(rounds: int, engine: str) -> None:
    print("| program | workers | run, ms | recorded, ms | ratio | notes | ns a note |")
    print("|---|---|---|---|---|---|---|")
    for name, workers in itertools.product(PROGRAMS, (1, 2)):
        program = corpus.load(name)
        args = bind_arguments(program, {})
        plain = find(engine).build(program, counting=False, workers=workers)
        recording = recorder(program, engine, workers, ROOM)
        recording.call(args, Limits())
        times, notes = [], []
        for _ in range(rounds):
            alone, recorded = (side.call(args, Limits()).nanoseconds for side in (plain, recording))
            times.append((alone, recorded))
            notes.append(sum(len(recording._written(log)) for log in recording._logs) // Note.words)
        medians = [f"{statistics.median(side) / 1e6:.2f}" for side in zip(*times, strict=True)]
        ratio = statistics.median(recorded / alone for alone, recorded in times)
        each = [(b - a) / number for (a, b), number in zip(times, notes, strict=True)]
        print(
            f"| {name} | {workers} | {' | '.join(medians)} | {ratio:.2f}"
            f" | {statistics.median(notes):,.0f} | {statistics.median(each):.0f} |"
        )


if __name__ == "__main__":
    main()
