"""Several comparisons in one table: a row a program, a column a ratio of two engines' times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from vmlab.measure.statistics import Interval, corrected, mean_ratios, median_interval
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
    """The median of `mean_ratios`, with the bounds of the sign test. It says over how many programs
    it is where that is not all."""
    known = [c.ratios(*ratio) for c in comparisons if _interval(c, ratio) is not None]
    if not known:
        return NONE
    means = mean_ratios(known)
    try:
        interval = median_interval(means, confidence)
    except ValueError:  # too few rounds for so many means: anything is possible
        interval = Interval(median(means), 0, math.inf, 1)
    return (
        cell(interval) if len(known) == len(comparisons) else f"{cell(interval)}, of {len(known)}"
    )


def program_name(comparison: Comparison) -> str:
    return Path(comparison.program.path).stem
