"""What `vmlab sched` measured, as one picture by Matplotlib: times on a logarithmic axis, and the
memory of a waiting task below. Made to be read in black and white."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from vmlab.measure.sched_systems import Operation
from vmlab.measure.statistics import CONFIDENCE, median_interval
from vmlab.report.plots import SETTINGS, rendered
from vmlab.report.sched_report import typical
from vmlab.scheduling import Distribution

if TYPE_CHECKING:
    from vmlab.measure.sched_systems import Clock, System
    from vmlab.scheduling import Cell, Scheduling

_ROW_INCHES = 0.17
_OWN, _OTHER = "black", "white"  # fills of the marks


def picture(result: Scheduling, format: str) -> bytes:
    """A file of one of `plots.FORMATS`."""
    return rendered(_figure(result), format)


@rc_context(SETTINGS)
def _figure(result: Scheduling) -> Figure:
    times = [_rows(result, o) for o in Operation if o is not Operation.PARKED]
    memory = [_rows(result, Operation.PARKED)]
    heights = [sum(len(rows) + 2 for _, rows in groups) for groups in (times, memory)]
    figure = Figure(figsize=(8, 1.6 + _ROW_INCHES * sum(heights)), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=heights)
    upper.set_title("What tasks cost", loc="left", fontsize=11, pad=34)
    upper.annotate(
        f"{result.rounds} rounds. Mark: median (P50) of all samples, filled for vmlab's kernel;"
        " thick line: 95 % bounds of the\n"
        "median of the rounds' medians (sign test); thin line: to the 99th percentile (P99)."
        " Less is better.",
        (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=8,
    )  # fmt: skip
    _draw(upper, times, result.clock)
    upper.set_xlabel("nanoseconds an operation, logarithmic")
    _draw(lower, memory, result.clock)
    lower.set_xlabel("bytes a task, logarithmic")
    return figure


Group = tuple[str, list[tuple["System", "Cell"]]]


def _rows(result: Scheduling, operation: Operation) -> Group:
    cells = [(system, result.cells[operation, system.name]) for system in result.systems]
    return operation.value, [(system, cell) for system, cell in cells if cell.rounds]


def _draw(axes: Axes, groups: list[Group], clock: Clock) -> None:
    """Every group with its name above it. What the clock did not see is drawn at a
    tick of it."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    labels, row = {}, 0
    for name, rows in groups:
        axes.annotate(
            name, (0, row), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=9, fontweight="bold",
        )  # fmt: skip
        row += 1
        for system, cell in rows:
            labels[row] = system.name
            _mark(axes, row, system.name.startswith("vmlab"), cell, clock)
            row += 1
        row += 1
    axes.set_yticks(list(labels), list(labels.values()), fontsize=8)
    axes.set_ylim(row - 1, -1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", which="major", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right * (right / left) ** 0.12)  # for the numbers


def _mark(axes: Axes, row: int, own: bool, cell: Cell, clock: Clock) -> None:
    found = Distribution.of(cell.samples)
    least = clock.nanoseconds_a_tick
    p50, p99 = max(found.p50, least), max(found.p99, least)
    axes.plot([p50, p99], [row, row], color="black", linewidth=0.7)
    axes.plot([p99], [row], color="black", marker="|", markersize=5)
    if len(cell.rounds) > 1:
        medians = [max(statistics.median(samples), least) for samples in cell.rounds]
        bounds = median_interval(medians, CONFIDENCE)
        axes.plot(
            [bounds.low, bounds.high], [row, row], color="black", linewidth=3.5,
            solid_capstyle="butt",
        )  # fmt: skip
    axes.plot(
        [p50], [row], marker="o", markersize=5, color="black", markeredgewidth=1,
        markerfacecolor=_OWN if own else _OTHER,
    )  # fmt: skip
    axes.annotate(
        typical(found, clock), (max(p99, p50), row), xytext=(7, 0), textcoords="offset points",
        va="center", fontsize=7,
    )  # fmt: skip
