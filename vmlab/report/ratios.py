"""Several comparisons in one table: a row a program, a column a ratio of two engines' times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING

from vmlab.report.numbers import significant
from vmlab.report.table import NONE

if TYPE_CHECKING:
    from vmlab.comparison import Comparison
    from vmlab.measure.statistics import Interval

Ratio = tuple[str, str]


def to_baseline(comparison: Comparison) -> list[Ratio]:
    """The ratios of a comparison's own table."""
    first, *others = (engine.name for engine in comparison.engines)
    return [(name, first) for name in others]


def ratio_table(comparisons: Sequence[Comparison], ratios: Sequence[Ratio], format: str) -> str:
    """The medians of these ratios, in parentheses where a ratio's bounds hold 1; and at the end
    their geometric means: the mean for which it is all the same which engine's times are divided by
    which's (Fleming and Wallace, How not to lie with statistics, CACM 29(3), 1986). A mean that is
    not over all programs says over how many."""
    import tabulate

    found = [[_interval(c, ratio) for ratio in ratios] for c in comparisons]
    rows = [[program_name(c), *map(_cell, row)] for c, row in zip(comparisons, found, strict=True)]
    if len(comparisons) > 1:
        columns = zip(*found, strict=True)
        known = ([ratio.median for ratio in column if ratio is not None] for column in columns)
        rows.append(["geometric mean", *(mean(ratios, len(comparisons)) for ratios in known)])
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


def mean(ratios: Sequence[float], programs: int) -> str:
    """The geometric mean, which says over how many it is where that is not all programs."""
    if not ratios:
        return NONE
    text = significant(geometric_mean(ratios))
    return text if len(ratios) == programs else f"{text} (of {len(ratios)})"


def program_name(comparison: Comparison) -> str:
    return Path(comparison.program.path).stem
