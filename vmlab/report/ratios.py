"""Several comparisons in one table: a row a program, a column a ratio of two engines' times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import TYPE_CHECKING

from vmlab.measure.statistics import Interval, corrected, median_interval
from vmlab.report.numbers import significant
from vmlab.report.table import NONE

if TYPE_CHECKING:
    from vmlab.comparison import Comparison

Ratio = tuple[str, str]


def to_baseline(comparison: Comparison) -> list[Ratio]:
    """The ratios of a comparison's own table."""
    first, *others = (engine.name for engine in comparison.engines)
    return [(name, first) for name in others]


def ratio_table(comparisons: Sequence[Comparison], ratios: Sequence[Ratio], format: str) -> str:
    """The medians of these ratios, and at the end their geometric means; in parentheses where the
    bounds hold 1."""
    import tabulate

    rows = [[program_name(c), *(_cell(_interval(c, ratio)) for ratio in ratios)]
            for c in comparisons]  # fmt: skip
    if len(comparisons) > 1:
        means = (mean(comparisons, ratio, corrected(len(ratios)), _cell) for ratio in ratios)
        rows.append(["geometric mean", *means])
    return tabulate.tabulate(
        rows,
        ["ratio of times", *(f"{left} / {right}" for left, right in ratios)],
        tablefmt=format,
        disable_numparse=True,
        colalign=["left", *("right" for _ in ratios)],
    )


def _interval(comparison: Comparison, ratio: Ratio) -> Interval | None:
    """None where one of them was not timed, or folded the program."""
    try:
        return comparison.ratio(*ratio)
    except ValueError:
        return None


def _cell(ratio: Interval | None) -> str:
    if ratio is None:
        return NONE
    median = significant(ratio.median)
    return f"({median})" if ratio.low <= 1 <= ratio.high else median


def mean(
    comparisons: Sequence[Comparison],
    ratio: Ratio,
    confidence: float,
    cell: Callable[[Interval], str],
) -> str:
    """The geometric mean over the programs, which says over how many it is where that is not all:
    the mean for which it is all the same which engine's times are divided by which's (Fleming and
    Wallace, How not to lie with statistics, CACM 29(3), 1986).

    It is taken in every round, and from there on treated like the ratios of one program: what is
    shown is the median of the rounds' means, with the bounds of the sign test. Programs are timed
    one after the other and independently, so it does not matter which of their rounds are taken
    together; of those with more rounds than others, the first are. The bounds are for these
    programs, and say nothing about others."""
    known = [c.ratios(*ratio) for c in comparisons if _interval(c, ratio) is not None]
    if not known:
        return NONE
    means = [geometric_mean(ratios) for ratios in zip(*known, strict=False)]
    try:
        interval = median_interval(means, confidence)
    except ValueError:  # too few rounds for so many means: anything is possible
        interval = Interval(median(means), 0, math.inf, 1)
    return (
        cell(interval) if len(known) == len(comparisons) else f"{cell(interval)}, of {len(known)}"
    )


def program_name(comparison: Comparison) -> str:
    return Path(comparison.program.path).stem
