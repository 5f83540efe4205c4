"""The differential test for as long as one likes: `python -m tests.differential.long_run 100000 7`
checks 100 000 programs from seed 7, straight code for timing on every tenth; with `tasks` behind
it, programs with tasks and channels."""

from __future__ import annotations

import time
from collections import Counter

import click

from .examples import each
from .generator import programs
from .test_engines_agree import check


def run(examples: int, first: int, coroutines: bool) -> None:
    ends: Counter[str] = Counter()
    start = time.monotonic()

    def one(text: str) -> None:
        trap = check(text, timed=ends.total() % 10 == 0).trap
        ends[trap.trap.value if trap else "ended"] += 1
        if ends.total() % 1_000 == 0:
            print(f"{ends.total():,} in {time.monotonic() - start:,.0f} s", flush=True)

    each(programs(coroutines=coroutines), examples, first, one)
    print(f"{ends.total():,} programs from seed {first} agree on every engine: {dict(ends)}")


@click.command(help=__doc__)
@click.argument("examples", type=click.IntRange(min=1))
@click.argument("seed", type=int)
@click.argument("tasks", type=click.Choice(["tasks"]), metavar="[tasks]", required=False)
def main(examples: int, seed: int, tasks: str | None) -> None:
    run(examples, seed, tasks is not None)


if __name__ == "__main__":
    main()
