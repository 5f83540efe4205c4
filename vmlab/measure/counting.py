"""What a VM instruction comes to in the machine: counted by its counters, and by a simulator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import vmlab
from vmlab.comparison import ProgramText
from vmlab.engines import COMPARED, EngineUnavailable, Executable, Sample, expand, find
from vmlab.measure import cachegrind
from vmlab.measure.agreement import Agreement, Pair, agree, contrast
from vmlab.measure.clock import timestamp
from vmlab.measure.counters import EVENTS, CounterGroup, Reading
from vmlab.measure.machine import Fact, describe_machine
from vmlab.measure.sampling import Progress, timed_limits
from vmlab.outcome import Limits, Outcome, bind_arguments
from vmlab.program import Number, Program
from vmlab.supervise import Supervisor

# Counts are differences between some runs and more of them: so many more that they execute this
# many VM instructions, against which what does not quite cancel is small.
SIMULATED_INSTRUCTIONS = 1_000_000
MEASURED_INSTRUCTIONS = 10_000_000

# How often each engine is measured; the median counts.
REPETITIONS = 7


@dataclass(frozen=True, slots=True)
class EngineCounts:
    """What one run of the program comes to on an engine.

    adds         the mechanism that it adds to its neighbour
    unavailable  why it could not run the program here; None if it could
    measured     by the keys of `counters.EVENTS`, a run
    simulated    by the keys of `cachegrind.EVENTS`, a run
    """

    name: str
    adds: str
    unavailable: str | None
    measured: Mapping[str, Reading]
    simulated: Mapping[str, Reading]


@dataclass(frozen=True, slots=True)
class Counts:
    """What `count` found. `agreement` says what the engines did; where they disagree, or agree that
    the program traps, nothing was counted. The other fields are those of a `Comparison`."""

    program: ProgramText
    arguments: Mapping[str, Number]
    created: str
    vmlab: str
    machine: Mapping[str, Fact]
    agreement: Agreement
    engines: tuple[EngineCounts, ...]

    @property
    def instructions(self) -> int | None:
        """VM instructions of a run that was counted; None if none was."""
        outcome = self.agreement.outcome
        return None if outcome is None or outcome.trap is not None else outcome.instructions


def count(
    program: Program,
    engines: Sequence[str] | None = None,
    args: Mapping[str, Number] | None = None,
    *,
    limits: Limits | None = None,
    progress: Progress,
) -> Counts:
    """Run one program on several engines, see that they do the same, and count what the machine
    does for it. Parameters and exceptions are those of `measure.compare`."""
    names = COMPARED if engines is None else expand(engines)
    chosen = [find(name) for name in names]
    values = bind_arguments(program, args or {})
    limits = limits or Limits()
    created = timestamp()
    machine = describe_machine()

    pairs: dict[str, Pair] = {}
    unable: dict[str, str] = {}
    for done, engine in enumerate(chosen):
        progress(f"building {engine.name}", done, len(chosen), None)
        try:
            pairs[engine.name] = Pair.of(program, engine.name)
        except EngineUnavailable as reason:
            unable[engine.name] = str(reason)

    measured: dict[str, Mapping[str, Reading]] = {}
    simulated: dict[str, Mapping[str, Reading]] = {}
    with Supervisor() as supervisor:
        agreement = agree(supervisor, program, values, pairs, unable, limits, progress)
        outcome = agreement.outcome
        if outcome is not None and outcome.trap is None:
            run = _Run(supervisor, program, values, timed_limits(limits), agreement.run, outcome)
            ready = [name for name in pairs if name not in unable]
            for done, name in enumerate(ready):
                timed = pairs[name].timed
                progress(f"counting on {name}", done, len(ready), None)
                measured[name] = _measure(run, timed)
                progress(f"simulating {name}", done, len(ready), None)
                simulated[name] = _simulate(run, name, timed)

    return Counts(
        program=ProgramText(program.source.path, program.digest, program.source.text),
        arguments=dict(zip((p.name for p in program.main.params), values, strict=True)),
        created=created,
        vmlab=vmlab.__version__,
        machine=machine,
        agreement=agreement,
        engines=tuple(
            EngineCounts(
                engine.name,
                engine.adds,
                unable.get(engine.name),
                measured.get(engine.name, {}),
                simulated.get(engine.name, {}),
            )
            for engine in chosen
        ),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """A call of `main`, named `name`, and what it does on every engine."""

    supervisor: Supervisor
    program: Program
    args: Sequence[Number]
    limits: Limits
    name: str
    outcome: Outcome

    def on(self, executable: Executable, iterations: int) -> None:
        """Raises KeyboardInterrupt on Ctrl-C."""
        sample = self.supervisor.call(executable, self.args, self.limits, iterations)
        if sample.outcome.interrupted:
            raise KeyboardInterrupt

    def runs_for(self, instructions: int) -> int:
        """The runs that execute so many VM instructions, one at least."""
        return math.ceil(instructions / max(self.outcome.instructions or 1, 1))


class Counted(Executable):
    """An executable whose calls are counted: `readings` is what the last one came to."""

    def __init__(self, executable: Executable) -> None:
        self._executable = executable
        self.readings: dict[str, Reading] = {}

    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        # Opened here, since counters count the thread that opens them.
        with CounterGroup() as group:
            before = group.state()
            sample = self._executable.call(args, limits, iterations)
            self.readings = group.between(before, group.state())
        return sample

    def interrupt(self) -> None:
        self._executable.interrupt()


def _measure(run: _Run, executable: Executable) -> dict[str, Reading]:
    """Of one run: the median of differences between so many runs and twice as many, in which the
    way from Python to the machine code and back cancels."""
    with CounterGroup() as group:
        if not group.counts_anything:
            return {key: Reading(None, reason) for key, reason in group.reasons.items()}
    counted = Counted(executable)
    runs = run.runs_for(MEASURED_INSTRUCTIONS)
    pairs = []
    for _ in range(REPETITIONS):
        run.on(counted, runs)
        fewer = counted.readings
        run.on(counted, 2 * runs)
        pairs.append((fewer, counted.readings))
    return {key: _difference([(a[key], b[key]) for a, b in pairs], runs) for key in EVENTS}


def _difference(pairs: Sequence[tuple[Reading, Reading]], runs: int) -> Reading:
    readings = [reading for pair in pairs for reading in pair]
    for reading in readings:
        if reading.count is None:
            return reading
    differences = [(b.count or 0) - (a.count or 0) for a, b in pairs]
    share = min(reading.share for reading in readings)
    return Reading(max(median(differences), 0) / runs, share=share)


def _simulate(run: _Run, name: str, executable: Executable) -> dict[str, Reading]:
    def check(found: Outcome) -> str | None:
        differences = contrast(
            run.program, run.name, name, found, run.outcome, ("the engine in this process",)
        )
        return str(differences[0]) if differences else None

    try:
        if (reason := cachegrind.missing_tools()) is not None:
            raise cachegrind.CannotSimulate(reason)
        run.on(executable, 1)
        standalone = executable.standalone()
        counts = cachegrind.simulate(standalone, check, run.runs_for(SIMULATED_INSTRUCTIONS))
    except (cachegrind.CannotSimulate, EngineUnavailable) as reason:
        return {key: Reading(None, str(reason)) for key in cachegrind.EVENTS}
    return {key: Reading(value) for key, value in counts.items()}
