"""Comparisons as pictures: of one, what each rung of its ladder adds; of several, a bar each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmlab.report import bars
from vmlab.report.parts import UNIT, Part, ladder

if TYPE_CHECKING:
    from vmlab.comparison import Comparison


def picture(comparisons: Sequence[Comparison], format: str) -> bytes:
    """As a file of one of `plots.FORMATS`. Raises ValueError where there is nothing to draw."""
    from vmlab.report import plots

    if len(comparisons) == 1:
        parts = ladder(comparisons[0])
        title, subtitle = _titles(comparisons)
        figure = plots.waterfall(
            parts.rungs, parts.beside, title=title, subtitle=subtitle, unit=UNIT
        )
    else:
        rows = _rows(comparisons)
        title, subtitle = _titles(comparisons)
        figure = plots.stacked(rows, title=title, subtitle=subtitle, unit=UNIT)
    return plots.rendered(figure, format)


def text_picture(comparisons: Sequence[Comparison], width: int, *, ascii_only: bool) -> str:
    """As text of this width. Raises ValueError where there is nothing to draw."""
    if len(comparisons) == 1:
        parts = ladder(comparisons[0])
        drawn = bars.waterfall(parts.rungs, parts.beside, width=width, ascii_only=ascii_only)
    else:
        drawn = bars.stacked(_rows(comparisons), width=width, ascii_only=ascii_only)
    title, subtitle = _titles(comparisons)
    return f"{title}, {UNIT}\n{subtitle}\n\n{drawn}\n"


def _rows(comparisons: Sequence[Comparison]) -> list[tuple[str, tuple[Part, ...]]]:
    """The rungs of each, without the engines beside the ladder, which are no parts of it."""
    rows = [(Path(c.program.path).stem, ladder(c).rungs) for c in comparisons]
    for name, rungs in rows:
        if not rungs:
            raise ValueError(f"{name}: no engine of the ladder was timed, so there are no parts")
    return rows


def _titles(comparisons: Sequence[Comparison]) -> tuple[str, str]:
    """What was run, and how far to trust it. All of them were timed."""
    first = comparisons[0]
    title = (
        f"{Path(first.program.path).name}: {first.agreement.run}"
        if len(comparisons) == 1
        else "What each rung of the ladder adds"
    )
    rounds = sorted({len(c.rounds.order) for c in comparisons if c.rounds is not None})
    confidences = sorted({c.confidence for c in comparisons})
    cpus = sorted({str(c.machine["cpu"]) for c in comparisons})
    return title, (
        f"medians of {_range(rounds, '')} rounds, {_range(confidences, '.2%')} bounds (sign test);"
        f" {', '.join(cpus)}"
    )


def _range(values: Sequence[float], form: str) -> str:
    return " to ".join(f"{value:{form}}" for value in dict.fromkeys((values[0], values[-1])))
