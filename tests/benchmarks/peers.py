"""vmlab's interpreters against those published on PyPI, in Markdown:
`python -m tests.benchmarks.peers [--engines NAME,...] [--rounds N]` from the checkout, after
`pip install -e '.[peers]'`.

Every program is written for every peer (`lua`, `wat`); all must give the same result before one of
them is timed. Then they run in interleaved rounds, with one call from Python a sample. Making a
program ready to run is not part of the time, on neither side.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median

import click
from tabulate import tabulate

from vmlab import corpus
from vmlab.cli.parameters import engine_names
from vmlab.cli.status import Status
from vmlab.comparison import DEFAULT_ROUNDS
from vmlab.engines import EngineUnavailable, Executable, find
from vmlab.measure.clock import measure_clock
from vmlab.measure.machine import describe_machine
from vmlab.measure.sampling import Subject, sample
from vmlab.measure.statistics import (
    CONFIDENCE,
    Interval,
    corrected,
    mean_ratios,
    median_interval,
    minimum_rounds,
)
from vmlab.outcome import Limits, Outcome, bind_arguments
from vmlab.report.numbers import duration, interval, listing
from vmlab.report.table import NONE
from vmlab.supervise import Supervisor

from .interpreters import PEERS

ENGINES = ("threaded", "switch", "threaded+register")

# Large enough for a call from Python not to show; small enough for the numbers of all languages.
ARGUMENTS = {
    "fib": {"n": 32},
    "sieve": {"n": 1_000_000},
    "collatz": {"n": 60_000},
    "matmul": {"n": 160},
    "nbody": {"n": 30_000},
    "queens": {"n": 12},
}

NOTES = (
    "above 1, the engine of vmlab is ahead: a ratio is the peer's time to the engine's, the median"
    " of those within {rounds} rounds; with {confidence:.0%} confidence, all true medians lie"
    " within the bounds in brackets (sign test); a geometric mean is taken in every round, over the"
    " programs, and its bounds are for these programs",
    "every program is written as one writes in that language: in Lua and WebAssembly, nbody keeps"
    " a body's numbers in locals while it meets the others, and the .vm program loads them anew;"
    " WebAssembly's sieve has a byte a number, and the arrays of vmlab have eight",
    "the peers do less: WebAssembly checks the bounds of its whole memory and not of an array, a"
    " table of Lua grows where an array of vmlab traps, LuaJIT's numbers are doubles and its bit"
    " operations work on 32 bits, and none of them can be interrupted here; the sizes are such that"
    " all results agree",
)


@dataclass(frozen=True)
class Result:
    """A program's samples by what ran it, in nanoseconds a run, and why what is missing did not."""

    samples: dict[str, list[float]]
    missing: dict[str, str]

    def ratios(self, peer: str, engine: str) -> list[float]:
        """In each round; empty where one of them did not run."""
        if not {peer, engine} <= self.samples.keys():
            return []
        pairs = zip(self.samples[peer], self.samples[engine], strict=True)
        return [a / b for a, b in pairs]


@dataclass(frozen=True)
class Run:
    """All results, by program.

    arguments  of `main`, by program
    releases   what the peers are, by name
    """

    engines: tuple[str, ...]
    arguments: dict[str, dict[str, int]]
    results: dict[str, Result]
    releases: dict[str, str]
    rounds: int

    def ratio(self, name: str, peer: str, engine: str) -> Interval | None:
        """The peer's time to the engine's; the bounds of all hold together."""
        ratios = self.results[name].ratios(peer, engine)
        confidence = corrected(len(self.results) * len(self.engines) * len(PEERS))
        return median_interval(ratios, confidence) if ratios else None

    def mean(self, peer: str, engine: str) -> Interval | None:
        """Over the programs that both ran; the bounds of all hold together."""
        known = [r for result in self.results.values() if (r := result.ratios(peer, engine))]
        means = mean_ratios(known)
        confidence = corrected(len(self.engines) * len(PEERS))
        return median_interval(means, confidence) if means else None

    def fastest(self) -> str | None:
        """The engine with the least geometric mean of its times, of those that ran everything."""
        times = {
            engine: geometric_mean([median(r.samples[engine]) for r in self.results.values()])
            for engine in self.engines
            if all(engine in r.samples for r in self.results.values())
        }
        return min(times, key=times.__getitem__, default=None)


def measure(
    engines: Sequence[str], arguments: dict[str, dict[str, int]], rounds: int, status: Status
) -> Run:
    """Raises ValueError where a peer's result is not that of the others."""
    results = {}
    releases: dict[str, str] = {}
    with Supervisor() as supervisor:
        for name, given in arguments.items():
            program = corpus.load(name)
            args = bind_arguments(program, given)
            subjects: list[Subject] = []
            missing: dict[str, str] = {}
            for done, which in enumerate((*engines, *PEERS)):
                status(f"{name} on {which}", done, len(engines) + len(PEERS))
                try:
                    if which in PEERS:
                        executable: Executable = PEERS[which](name)
                        releases[which] = executable.release
                    else:
                        executable = find(which).build(program, counting=False)
                    outcome = supervisor.call(executable, args, Limits()).outcome
                except EngineUnavailable as reason:
                    missing[which] = str(reason)
                    continue
                _check(name, which, outcome, subjects)
                subjects.append(Subject(which, executable, args, outcome))
            taken = sample(
                supervisor, subjects, rounds, random.getrandbits(32), Limits(), measure_clock(),
                lambda doing, *steps, name=name: status(f"{name}: {doing}", *steps),
            )  # fmt: skip
            samples = {
                which: [time / taken.iterations for time in times]
                for which, times in taken.samples.items()
            }
            results[name] = Result(samples, missing)
    return Run(tuple(engines), arguments, results, releases, rounds)


def _check(name: str, which: str, outcome: Outcome, before: Sequence[Subject]) -> None:
    if before and outcome.differences(before[0].agreed):
        raise ValueError(
            f"{name}: {which} gives {outcome.result}, but {before[0].name} gives"
            f" {before[0].agreed.result}; nothing was timed"
        )


def report(run: Run) -> str:
    releases = [f"{peer} is {release}" for peer, release in run.releases.items()]
    notes = [NOTES[0].format(rounds=run.rounds, confidence=CONFIDENCE), *NOTES[1:], *releases]
    parts = [_times(run), _ratios(run), verdict(run), "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts)


def _times(run: Run) -> str:
    columns = (*run.engines, *PEERS)
    rows = []
    for name, result in run.results.items():
        given = ", ".join(f"{key} = {value:,}" for key, value in run.arguments[name].items())
        cells = [
            duration(median(result.samples[which]) / 1e9)
            if which in result.samples
            else result.missing[which]
            for which in columns
        ]
        rows.append([f"{name}, {given}", *cells])
    return _table(rows, ["median time of a run", *columns])


def _ratios(run: Run) -> str:
    rows = []
    for engine in run.engines:
        for name in run.results:
            ratios = [run.ratio(name, peer, engine) for peer in PEERS]
            rows.append([name, engine, *(interval(r) if r else NONE for r in ratios)])
        means = [run.mean(peer, engine) for peer in PEERS]
        rows.append(["geometric mean", engine, *(interval(m) if m else NONE for m in means)])
    return _table(rows, ["time of", "to", *PEERS])


def _table(rows: list[list[str]], headers: list[str]) -> str:
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def verdict(run: Run) -> str:
    """How the fastest engine does against each peer, and where it is not ahead."""
    engine = run.fastest()
    if engine is None:
        return "No engine ran all programs."
    means = {peer: mean for peer in PEERS if (mean := run.mean(peer, engine)) is not None}
    if not means:
        return f"The fastest engine is {engine}. None of the peers ran."
    times = listing([f"{peer} {interval(mean)}" for peer, mean in means.items()])
    text = (
        f"The fastest engine, by the geometric mean of its times, is {engine}. In the geometric"
        f" mean, times as long as {engine} take: {times}."
    )
    ratios = {(peer, name): run.ratio(name, peer, engine) for peer in means for name in run.results}
    not_ahead = [
        f"{peer} on {name}, {interval(ratio)}, {'behind' if ratio.high < 1 else 'not resolved'}"
        for (peer, name), ratio in ratios.items()
        if ratio is not None and ratio.low <= 1
    ]
    where = (
        f"not ahead of {'; '.join(not_ahead)}" if not_ahead else "ahead of each on every program"
    )
    missed = [peer for peer in PEERS if any(peer in r.missing for r in run.results.values())]
    but = f" Not all was run by {listing(missed)}." if missed else ""
    return f"{text} It is {where}.{but}"


@click.command(help=__doc__)
@click.option(
    "--engines",
    type=engine_names,
    metavar="NAME,...",
    default=",".join(ENGINES),
    show_default=True,
)
@click.option("--rounds", type=int, metavar="N", default=DEFAULT_ROUNDS, show_default=True)
def main(engines: Sequence[str], rounds: int) -> None:
    least = minimum_rounds(len(ARGUMENTS) * len(engines) * len(PEERS))
    if rounds < least:
        raise click.BadParameter(
            f"{rounds} are too few for intervals: give {least} at least", param_hint="--rounds"
        )
    with Status() as status:
        try:
            run = measure(engines, ARGUMENTS, rounds, status)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    machine = describe_machine()
    print(f"{report(run)}\n- measured on {machine['cpu']}")


if __name__ == "__main__":
    main()
