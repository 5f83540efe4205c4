"""The result of a comparison: what was measured, and everything that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Literal

from vmlab.measure.agreement import EXPECTATION, Agreement
from vmlab.measure.clock import Clock
from vmlab.measure.counters import Counters
from vmlab.measure.machine import Fact, disturbances
from vmlab.measure.sampling import Rounds
from vmlab.measure.statistics import (
    CONFIDENCE,
    Interval,
    Verdict,
    corrected,
    far_out,
    halves,
    judge,
    median_interval,
)
from vmlab.program import Number
from vmlab.report.numbers import duration, interval, listing, significant

# Rounds unless told otherwise, and with `quick`. Over 11 rounds, up to four intervals (of five
# engines) still leave out the smallest and the largest ratio: one disturbed round does no harm.
DEFAULT_ROUNDS = 31
QUICK_ROUNDS = 11

# The engine whose time a compiled engine must save to pay back its compile time: the plainest
# interpreter. Where it was not timed, the slowest engine.
_YARDSTICK = "switch"

_DISTURBING_CLOCK_ERROR = 0.01
_DISTURBING_OUTLIERS = 0.1


@dataclass(frozen=True, slots=True)
class ProgramText:
    """The program that was compared. `digest` is that of `Program`."""

    path: str
    digest: str
    text: str


@dataclass(frozen=True, slots=True)
class Built:
    """An engine with the program on it.

    adds             the mechanism it adds to its neighbour
    unavailable      why it could not run the program here; None if it could
    compile_seconds  what making the timed code took, or loading it from the cache
    from_cache       whether any of it came from there
    indirect_jumps   in its machine code; None where it makes none, or none that we can read
    """

    name: str
    adds: str
    unavailable: str | None = None
    compile_seconds: float = 0.0
    from_cache: bool = False
    indirect_jumps: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An engine's line in the table. What does not apply is None.

    seconds         the median time of one run
    nanoseconds_per_instruction  that time by executed VM instruction
    ratio           its time to the baseline's, from the ratios within each round
    verdict         on that ratio
    folded          the compiler folded the program's work: there is no ratio to take
    outliers        its samples that lie far out (see `statistics.far_out`)
    break_even      the runs after which the time saved against `switch` (if that was not timed,
                    against the slowest engine) has paid back the compile time
    """

    engine: Built
    seconds: float | None = None
    nanoseconds_per_instruction: float | None = None
    ratio: Interval | None = None
    verdict: Verdict | None = None
    folded: bool = False
    outliers: int | None = None
    break_even: int | Literal["never"] | None = None


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured. `rounds` is None if nothing was timed: the engines disagree, or
    they agree that the program traps.

    arguments   `main`'s, by name
    created     date and time of the run, UTC, ISO 8601
    vmlab       the version that ran it
    folded      the engine whose compiler folded the program's work away, if one did
    """

    program: ProgramText
    arguments: Mapping[str, Number]
    created: str
    vmlab: str
    machine: Mapping[str, Fact]
    counters: Counters
    clock: Clock
    engines: tuple[Built, ...]
    agreement: Agreement
    rounds: Rounds | None
    folded: str | None

    # What was timed

    @cached_property
    def _seconds(self) -> dict[str, float]:
        """The median time of a run, by engine."""
        if self.rounds is None:
            return {}
        return {
            engine.name: median(self.rounds.samples[engine.name]) / self.rounds.iterations / 1e9
            for engine in self.engines
            if engine.unavailable is None
        }

    @cached_property
    def baseline(self) -> str | None:
        """The engine that the others' ratios are taken to: the first that was timed and did not
        fold the program."""
        return next((name for name in self._seconds if name != self.folded), None)

    @property
    def confidence(self) -> float:
        """Of each interval, so that all of them hold together with `CONFIDENCE`."""
        return corrected(len(self._seconds.keys() - {self.baseline, self.folded}))

    def ratios(self, engine: str, other: str) -> list[float]:
        """The time of one engine to that of another, in each round. Raises ValueError where there
        is none."""
        for name in (engine, other):
            if name not in self._seconds:
                raise ValueError(f"there is no ratio of {engine} to {other}: {name} was not timed")
            if name == self.folded:
                raise ValueError(
                    f"there is no ratio of {engine} to {other}: the compiler of {name} folded"
                    " the program's work away"
                )
        assert self.rounds is not None
        samples = self.rounds.samples
        return [a / b for a, b in zip(samples[engine], samples[other], strict=True)]

    def ratio(self, engine: str, other: str) -> Interval:
        """The median of `ratios`. Raises ValueError where there are none."""
        return median_interval(self.ratios(engine, other), self.confidence)

    # What follows

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(self._row(engine) for engine in self.engines)

    def _row(self, engine: Built) -> Row:
        if self.rounds is None or engine.name not in self._seconds:
            return Row(engine)
        seconds = self._seconds[engine.name]
        outliers = far_out(self.rounds.samples[engine.name])
        if engine.name == self.folded:
            return Row(engine, seconds, folded=True, outliers=outliers)
        assert self.baseline is not None and self.agreement.outcome is not None
        ratio = verdict = None
        if engine.name != self.baseline:
            ratio, verdict = judge(self.ratios(engine.name, self.baseline), self.confidence)
        instructions = self.agreement.outcome.instructions
        return Row(
            engine,
            seconds,
            seconds * 1e9 / instructions if instructions else None,
            ratio,
            verdict,
            outliers=outliers,
            break_even=self._break_even(engine),
        )

    def _break_even(self, engine: Built) -> int | Literal["never"] | None:
        slowest = max(self._seconds, key=self._seconds.__getitem__)
        yardstick = _YARDSTICK if _YARDSTICK in self._seconds else slowest
        if engine.name == yardstick:
            return None
        saved = self._seconds[yardstick] - self._seconds[engine.name]
        return math.ceil(engine.compile_seconds / saved) if saved > 0 else "never"

    @property
    def verdict(self) -> str:
        """The comparison in one sentence."""
        if self.agreement.disagreements:
            one = self.agreement.disagreements[0]
            cause = "An expect line fails" if one.field == EXPECTATION else "The engines disagree"
            return f"{cause}, so nothing was timed: {one}."
        if self.agreement.outcome is not None and self.agreement.outcome.trap is not None:
            trap = self.agreement.outcome.trap.trap
            return f"On all engines the program traps ({trap}), so nothing was timed."
        parts = []
        if resolved := self._with_verdict(Verdict.FASTER, Verdict.SLOWER):
            (name, ratio), *rest = resolved
            first = f"{name} takes {interval(ratio)} times as long as {self.baseline}"
            parts.append(listing([first, *(f"{name} {interval(ratio)}" for name, ratio in rest)]))
        if unresolved := self._with_verdict(Verdict.UNRESOLVED):
            names = listing([f"{name} {interval(ratio)}" for name, ratio in unresolved])
            parts.append(f"no difference from {self.baseline} is resolved for {names}")
        if unstable := self._with_verdict(Verdict.UNSTABLE):
            names = listing([f"{name} {interval(ratio)}" for name, ratio in unstable])
            parts.append(f"the rounds contradict each other for {names}")
        if not parts and self.baseline is not None:
            time = duration(self._seconds[self.baseline])
            parts.append(f"{self.baseline} takes {time} a run, with nothing to compare it with")
        if self.folded is not None:
            parts.append(f"the compiler of {self.folded} folded the program's work away")
        return "; ".join(parts) + "."

    def _with_verdict(self, *verdicts: Verdict) -> list[tuple[str, Interval]]:
        return [
            (row.engine.name, row.ratio)
            for row in self.rows
            if row.ratio is not None and row.verdict in verdicts
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What one must know to read the table."""
        notes = [str(self.agreement)]
        if self.agreement.left_out is not None:
            notes.append(f"the reference took no part: {self.agreement.left_out}")
        notes += [f"{e.name} took no part: {e.unavailable}" for e in self.engines if e.unavailable]
        jumps = {row.engine.name: row.engine.indirect_jumps for row in self.rows if row.seconds}
        unread = [name for name, count in jumps.items() if count is None]
        if 0 < len(unread) < len(jumps):
            notes.append(
                f"no indirect jumps of {listing(unread)}: there is no machine code to read them in"
            )
        if self.folded is not None:
            notes.append(
                f"the compiler of {self.folded} folded the program's work away: its loops do"
                " nothing but count, so its time says nothing about the program's instructions"
            )
        if self.rounds is not None and any(row.ratio for row in self.rows):
            notes.append(
                f"a ratio is the median of those within {len(self.rounds.order)} rounds; with"
                f" {CONFIDENCE:.0%} confidence, all true medians lie within the bounds in brackets"
                " (sign test)"
            )
        if outliers := [
            f"{row.outliers} of {row.engine.name}" for row in self.rows if row.outliers
        ]:
            notes.append(
                f"samples far out (beyond Tukey's outer fences), counted in: {listing(outliers)}"
            )
        return tuple(notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes times and verdicts less reliable, each with its cause and what helps."""
        if self.rounds is None:
            return ()
        unresolved = [name for name, _ in self._with_verdict(Verdict.UNRESOLVED)]
        if not unresolved:
            return self.troubles
        return (
            *self.troubles,
            f"{len(self.rounds.order)} rounds do not tell {listing(unresolved)} from"
            f" {self.baseline}; {self._more_rounds} would show a smaller difference",
        )

    @property
    def _more_rounds(self) -> str:
        assert self.rounds is not None
        rounds = len(self.rounds.order)
        return f"--rounds {DEFAULT_ROUNDS if rounds < DEFAULT_ROUNDS else 2 * rounds - 1}"

    @property
    def troubles(self) -> tuple[str, ...]:
        """What makes the times less reliable, each with its cause and what helps."""
        if self.rounds is None:
            return ()
        found = [f"{d.what}; {d.remedy}" for d in disturbances(self.machine) if d.grave]
        rounds = len(self.rounds.order)
        shortest = min(self._seconds, key=self._seconds.__getitem__)
        sample = self._seconds[shortest] * self.rounds.iterations
        error = self.clock.error_nanoseconds / 1e9 / sample
        if error > _DISTURBING_CLOCK_ERROR:
            argument = next(iter(self.arguments), None)
            found.append(
                f"{shortest}'s samples take {duration(sample)}, of which the clock's own error is"
                f" {error:.0%}, and the other engines leave no time for more runs; give the program"
                " more to do" + (f" (--arg {argument}=...)" if argument else "")
            )
        if disturbed := [
            f"{row.outliers} of {row.engine.name}"
            for row in self.rows
            if row.outliers is not None and row.outliers > _DISTURBING_OUTLIERS * rounds
        ]:
            found.append(
                f"of {rounds} samples each, {listing(disturbed)} lie far out: something else used"
                f" the machine; stop it, or see through it with {self._more_rounds}"
            )
        for row in self.rows:
            name = row.engine.name
            if row.verdict is Verdict.UNSTABLE and self.baseline is not None:
                ratios = self.ratios(name, self.baseline)
                first, second = (significant(h.median) for h in halves(ratios, self.confidence))
                found.append(
                    f"the machine changed while {name} was timed: its ratio was {first} in the"
                    f" first half of the rounds and {second} in the second; repeat the comparison"
                    f" with {self._more_rounds}"
                )
        return tuple(found)

    @property
    def exit_code(self) -> int:
        """What the command line ends with: 1 if the engines disagree, 70 if the program traps."""
        if self.agreement.outcome is None:
            return 1
        return 0 if self.agreement.outcome.trap is None else 70

    # Reports

    def table(self, format: str = "simple") -> str:
        """The rows as text, in one of `tabulate.tabulate_formats`."""
        from vmlab.report.table import table

        return table(self, format)

    def to_json(self) -> str:
        """All of it as JSON; vmlab/report/schema.json documents every field."""
        from vmlab.report.json_report import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """The comparison that `to_json` wrote. Raises ValueError if the text holds none."""
        from vmlab.report.json_report import from_json

        return from_json(text)

    def __str__(self) -> str:
        """The report as `vmlab compare` prints it."""
        from vmlab.report import text

        return text.report(self)

    def _repr_html_(self) -> str:
        from vmlab.report.html import html

        return html(self)
