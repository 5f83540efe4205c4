"""Pictures by Matplotlib, of plain data: made to be read in black and white, with the bounds of
every value drawn. A value's unit is named on the axis."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Annotation

from vmlab.report.numbers import significant
from vmlab.report.parts import Part, bounded

FORMATS = ("svg", "png", "pdf")

# Fill and hatch: neighbours in a stack must differ without colour.
_STYLES = (
    ("0.35", ""), ("0.85", ""), ("white", "////"), ("0.6", ""), ("white", "...."),
    ("0.85", "xxxx"), ("white", "\\\\\\\\"), ("0.6", "++++"), ("0.1", ""), ("white", "oo"),
)  # fmt: skip
_BASE, _ADDS, _SAVES, _WHOLE = _STYLES[0], _STYLES[1], _STYLES[2], _STYLES[4]
_THICKNESS = 0.7
_LEGEND_COLUMNS = 90  # that the width has room for, in characters
_REASON_COLUMNS = 64  # that a chart has room for, in the place of a bar
SETTINGS: Any = {
    "font.size": 9.0,
    "hatch.linewidth": 0.6,
    # A $ in a name is one.
    "text.parse_math": False,
    # The same picture is the same file.
    "svg.hashsalt": "vmlab",
}


@rc_context(SETTINGS)
def waterfall(
    rungs: Sequence[Part], beside: Sequence[Part] = (), *, title: str, subtitle: str, unit: str
) -> Figure:
    """Each rung begins where the one before ends: the first is a whole, the others what they add
    (or save). Below, wholes that are no part of the sum."""
    figure, [axes] = _figure([len(rungs) + len(beside)], title, [subtitle], unit)
    legend: dict[str, Patch] = {}
    start = 0.0
    for row, part in enumerate(rungs):
        if row == 0:
            kind, style = "whole, the lowest rung", _BASE
        elif part.value >= 0:
            kind, style = "adds to the one above", _ADDS
        else:
            kind, style = "saves from the one above", _SAVES
        legend.setdefault(kind, _bar(axes, row, start, part, style))
        _label(axes, row, start, part, bounded(part, signed=row > 0))
        start += part.value
        if row + 1 < len(rungs):
            axes.plot([start, start], [row, row + 1], color="black", linewidth=0.6, zorder=0)
    for row, part in enumerate(beside, len(rungs)):
        legend.setdefault("whole, beside the ladder", _bar(axes, row, 0.0, part, _WHOLE))
        _label(axes, row, 0.0, part, bounded(part))
    axes.set_yticks(range(len(rungs) + len(beside)), [p.label for p in (*rungs, *beside)])
    _make_room(axes)
    _legend(figure, legend)
    return figure


@rc_context(SETTINGS)
def stacked(
    rows: Sequence[tuple[str, Sequence[Part]]], *, title: str, subtitle: str, unit: str
) -> Figure:
    """A bar a row, made of its parts; parts of the same label look the same in all rows. Those
    below zero are stacked to the left of it. The number is the sum."""
    figure, [axes] = _figure([len(rows)], title, [subtitle], unit)
    labels = list(dict.fromkeys(part.label for _, parts in rows for part in parts))
    styles = {label: _STYLES[i % len(_STYLES)] for i, label in enumerate(labels)}
    legend: dict[str, Patch] = {}
    for row, (_, parts) in enumerate(rows):
        ends = {True: 0.0, False: 0.0}
        for index, part in enumerate(parts):
            positive = part.value >= 0
            # Side by side, for neighbouring bounds may overlap.
            shift = _THICKNESS * ((index + 1) / (len(parts) + 1) - 0.5)
            bar = _bar(axes, row, ends[positive], part, styles[part.label], shift)
            legend.setdefault(part.label, bar)
            ends[positive] += part.value
        high = max([ends[True], *(_highs(parts))])
        _text(axes, row, high, significant(sum(part.value for part in parts)))
    if any(part.value < 0 for _, parts in rows for part in parts):
        axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    _make_room(axes)
    _legend(figure, {label: legend[label] for label in labels})
    return figure


@rc_context(SETTINGS)
def where_time_goes(
    mechanisms: Sequence[tuple[str, Sequence[Part] | str]],
    instructions: Sequence[Part],
    *,
    title: str,
    subtitles: Sequence[str],
    unit: str,
) -> Figure:
    """Two charts, one below the other, each with a subtitle. Above, a row a mechanism: its parts
    from the top down, those of the same label alike, or the reason why there are none. Below,
    unless there are none, a bar an instruction, the dearest first."""
    heights = [len(mechanisms), len(instructions)] if instructions else [len(mechanisms)]
    figure, [above, *below] = _figure(heights, title, subtitles, unit)
    drawn = [parts for _, parts in mechanisms if not isinstance(parts, str)]
    labels = dict.fromkeys(part.label for parts in drawn for part in parts)
    styles = dict(zip(labels, _STYLES, strict=False))
    legend: dict[str, Patch] = {}
    for row, (_, parts) in enumerate(mechanisms):
        if isinstance(parts, str):
            _text(above, row, 0.0, textwrap.fill(parts, _REASON_COLUMNS)).set_in_layout(False)
            continue
        thickness = _THICKNESS / len(parts)
        for place, part in enumerate(parts):
            at = row - _THICKNESS / 2 + thickness * (place + 0.5)
            bar = _bar(above, at, 0.0, part, styles[part.label], thickness=thickness)
            legend.setdefault(part.label, bar)
            resolved = part.low > 0 or part.high < 0
            _label(above, at, 0.0, part, bounded(part) + ("" if resolved else ", not resolved"))
    above.set_yticks(range(len(mechanisms)), [name for name, _ in mechanisms])
    above.axvline(0, color="black", linewidth=0.8)
    _make_room(above)
    for axes in below:
        ordered = sorted(instructions, key=lambda cost: -cost.value)
        for row, cost in enumerate(ordered):
            _bar(axes, row, 0.0, cost, _ADDS)
            _label(axes, row, 0.0, cost, bounded(cost))
        axes.set_yticks(range(len(ordered)), [cost.label for cost in ordered])
        _make_room(axes)
    _legend(figure, legend)
    return figure


@rc_context(SETTINGS)
def rendered(figure: Figure, format: str) -> bytes:
    """The picture as a file of one of `FORMATS`."""
    file = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    figure.savefig(file, format=format, dpi=150, metadata=undated.get(format))
    return file.getvalue()


def _figure(
    rows: Sequence[int], title: str, subtitles: Sequence[str], unit: str
) -> tuple[Figure, list[Axes]]:
    """Charts of so many rows, from the top down, and values from left to right."""
    height = sum(0.8 + 0.32 * each for each in rows)
    figure = Figure(figsize=(8, 1 + height), layout="constrained")
    charts = figure.subplots(len(rows), squeeze=False, height_ratios=rows)[:, 0]
    charts[0].set_title(title, loc="left", fontsize=11, pad=20)
    for axes in charts[1:]:
        axes.set_title(" ", fontsize=8)  # room for the subtitle
    for axes, number, subtitle in zip(charts, rows, subtitles, strict=False):
        # From the figure's edge on, and not in the layout: else a long one squeezes the charts.
        axes.annotate(
            subtitle, (0, 1), xytext=(6, 7), xycoords=("figure fraction", "axes fraction"),
            textcoords="offset points", fontsize=8,
        ).set_in_layout(False)  # fmt: skip
        axes.set_xlabel(unit)
        axes.set_ylim(number - 0.5, -0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure, list(charts)


def _bar(
    axes: Axes,
    row: float,
    start: float,
    part: Part,
    style: tuple[str, str],
    shift: float = 0.0,
    thickness: float = _THICKNESS,
) -> Patch:
    fill, hatch = style
    bar = axes.barh(
        row, part.value, thickness, left=start, color=fill, hatch=hatch, edgecolor="black",
        linewidth=0.7,
    )  # fmt: skip
    # White below black, to be seen on any fill.
    for color, width in (("white", 2.2), ("black", 1.0)):
        axes.errorbar(
            start + part.value,
            row + shift,
            xerr=[[part.value - part.low], [part.high - part.value]],
            color=color,
            elinewidth=width,
            capthick=width,
            capsize=2.5,
        )
    return bar.patches[0]


def _highs(parts: Sequence[Part]) -> list[float]:
    """Where the upper bounds of stacked parts end."""
    ends, end = [], 0.0
    for part in parts:
        ends.append((end if part.value >= 0 else 0.0) + part.high)
        end += max(part.value, 0.0)
    return ends


def _label(axes: Axes, row: float, start: float, part: Part, text: str) -> None:
    _text(axes, row, start + max(part.high, 0.0), text)


def _text(axes: Axes, row: float, x: float, text: str) -> Annotation:
    return axes.annotate(
        text, (x, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8
    )


def _make_room(axes: Axes) -> None:
    """On the right, for the numbers."""
    left, right = axes.get_xlim()
    axes.set_xlim(left, left + (right - left) * 1.3)


def _legend(figure: Figure, bars: dict[str, Patch]) -> None:
    if len(bars) > 1:
        longest = max(map(len, bars))
        figure.legend(
            list(bars.values()),
            list(bars),
            loc="outside lower center",
            ncols=max(1, min(len(bars), _LEGEND_COLUMNS // (longest + 6))),
            fontsize=8,
            frameon=False,
        )
