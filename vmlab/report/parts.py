"""Times in parts, as plain data for pictures: what each rung of the ladder of engines adds."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmlab.report.numbers import significant

if TYPE_CHECKING:
    from vmlab.comparison import Comparison
    from vmlab.measure.statistics import Interval

UNIT = "ns per VM instruction"


@dataclass(frozen=True, slots=True)
class Part:
    """A bar of a picture: a value and its bounds, all in the unit of the picture's axis."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ladder:
    """A comparison in parts, in nanoseconds per VM instruction.

    rungs   the time of the lowest engine of the ladder that was timed; then, for each further one,
            what its time is more than that of the one before
    beside  the whole times of the engines that are no rungs
    """

    rungs: tuple[Part, ...]
    beside: tuple[Part, ...]


def ladder(comparison: Comparison) -> Ladder:
    """The parts of a comparison, each the median over the rounds with a sign-test interval of
    `comparison.confidence`. What a rung adds is the median of the differences within each round,
    so the parts add up to about the time of the last engine, not to it exactly. An engine that
    folded the program has no part. Raises ValueError where there are none."""
    from vmlab.engines import LADDER

    if comparison.rounds is None:
        raise ValueError("nothing was timed, so there is nothing to draw")
    names = [name for name in comparison.rounds.samples if name != comparison.folded]
    if not names:
        raise ValueError("all that was timed folded the program's work away: nothing to draw")
    rungs = [name for name in LADDER if name in names]
    return Ladder(
        tuple(map(functools.partial(_part, comparison), rungs, [None, *rungs])),
        tuple(_part(comparison, name, None) for name in names if name not in LADDER),
    )


def _part(comparison: Comparison, name: str, lower: str | None) -> Part:
    """An engine's time, or what it is more than another engine's."""
    from vmlab.measure.statistics import median_interval

    assert comparison.rounds is not None and comparison.agreement.outcome is not None
    samples = comparison.rounds.samples
    taken: Sequence[float] = samples[name]
    if lower is not None:
        taken = [time - less for time, less in zip(taken, samples[lower], strict=True)]
    instructions = comparison.agreement.outcome.instructions
    assert instructions
    runs = comparison.rounds.iterations * instructions
    found: Interval = median_interval([time / runs for time in taken], comparison.confidence)
    return Part(name, found.median, found.low, found.high)


def bounded(part: Part, *, signed: bool = False) -> str:
    """A part as text: 0.485 (0.470 to 0.500), with a + in front of what is added if `signed`."""
    value, low, high = map(significant, (part.value, part.low, part.high))
    return f"{'+' if signed and part.value >= 0 else ''}{value} ({low} to {high})"
