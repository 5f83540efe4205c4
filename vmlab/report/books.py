"""Closing the books: the time that the ladder predicts for CPython, beside the time that CPython
takes.

The prediction is the time of the engine that has every mechanism of the ladder at once. What is
left of CPython's time when it is taken away comes from what the ladder does not have; below zero,
CPython does without something that the ladder has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vmlab.attribution import FULL
from vmlab.measure.statistics import CONFIDENCE
from vmlab.report.numbers import interval, significant
from vmlab.report.ratios import mean, program_name
from vmlab.report.table import NONE

if TYPE_CHECKING:
    from vmlab.comparison import Comparison

MEASURED = "cpython"
HEADERS = (
    "program",
    f"predicted ({FULL}), ns",
    f"measured ({MEASURED}), ns",
    "predicted / measured",
    "unexplained, ns",
)


def has_both_sides(comparison: Comparison) -> bool:
    """Whether it timed both engines."""
    timed = comparison.rounds.samples if comparison.rounds else {}
    return FULL in timed and MEASURED in timed


def books_table(comparisons: Sequence[Comparison], format: str) -> str:
    """A row a program, in nanoseconds per VM instruction, and the geometric mean of the ratios."""
    import tabulate

    rows = []
    for comparison in comparisons:
        times = {row.engine.name: row.nanoseconds_per_instruction for row in comparison.rows}
        predicted, measured = times.get(FULL), times.get(MEASURED)
        cells = [NONE] * len(HEADERS[1:])
        if predicted is not None and measured is not None:
            ratio = comparison.ratio(FULL, MEASURED)
            cells = [significant(predicted), significant(measured), interval(ratio)]
            cells.append(significant(measured - predicted))
        rows.append([program_name(comparison), *cells])
    if len(comparisons) > 1:
        average = mean(comparisons, (FULL, MEASURED), CONFIDENCE, interval)
        rows.append(["geometric mean", "", "", average, ""])
    return tabulate.tabulate(
        rows,
        HEADERS,
        tablefmt=format,
        disable_numparse=True,
        colalign=["left", *("right" for _ in HEADERS[1:])],
    )
