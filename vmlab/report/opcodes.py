"""The times of a program's instructions as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmlab.measure.statistics import CONFIDENCE
from vmlab.report.numbers import with_bounds
from vmlab.report.table import NONE

if TYPE_CHECKING:
    from vmlab.measure.opcodes import OpcodeTimes
    from vmlab.measure.statistics import Interval

_HEADERS = (
    "instruction", "executed", "share", "share of time", "ns an execution", "beside the mean",
)  # fmt: skip


def table(times: OpcodeTimes, format: str) -> str:
    """A row an instruction, the one that takes most of the time first."""
    import tabulate

    rows = [
        [
            opcode.name,
            f"{opcode.executed:,}",
            f"{opcode.share:.1%}",
            _percent(opcode.time),
            _bounded(opcode.nanoseconds),
            opcode.dearness,
        ]
        for opcode in times.opcodes
    ]
    rows.append(["outside of all", NONE, NONE, _percent(times.elsewhere), NONE, NONE])
    executed = sum(opcode.executed for opcode in times.opcodes)
    rows.append(["all", f"{executed:,}", "100%", "100%", _bounded(times.nanoseconds), NONE])
    return tabulate.tabulate(
        rows,
        _HEADERS,
        tablefmt=format,
        disable_numparse=True,
        colalign=["left", "right", "right", "left", "left", "left"],
    )


def _percent(share: Interval | None) -> str:
    if share is None:
        return NONE
    low, high = 100 * share.low, 100 * share.high
    return f"{share.median:.1%} ({low:.1f} to {high:.1f})"


def _bounded(ns: Interval | None) -> str:
    return NONE if ns is None else with_bounds(ns)


def notes(times: OpcodeTimes) -> list[str]:
    """What one must know to read the table."""
    from vmlab.measure.opcodes import ENGINE, LEAST_MEETINGS

    return [
        f"instructions: on {ENGINE}, {times.calls} calls, interrupted at {times.moments:,} random"
        " moments, each counted for the instruction whose machine code was running; how often each"
        " is executed is exact",
        "a share or a time of an instruction is the median over the calls, so they need not add up;"
        f" with {CONFIDENCE:.0%} confidence, all true medians lie within the bounds in brackets"
        " (sign test)",
        "dearer, cheaper: its share of the time is above or below its share of the executed"
        f" instructions; not resolved: the bounds hold that, too, or, where there are none, it was"
        f" met fewer than {LEAST_MEETINGS} times a call",
        "what the CPU waits for before an instruction is counted for that instruction: for its"
        " operands, and after a wrongly predicted jump for the jump to it",
    ]


def to_json(times: OpcodeTimes) -> dict[str, Any]:
    from vmlab.measure.opcodes import ENGINE

    return {
        "engine": ENGINE,
        "calls": times.calls,
        "moments": times.moments,
        "nanoseconds": _json(times.nanoseconds),
        "elsewhere": _json(times.elsewhere),
        "instructions": [
            {
                "instruction": opcode.name,
                "executed": opcode.executed,
                "share": opcode.share,
                "time": _json(opcode.time),
                "nanoseconds": _json(opcode.nanoseconds),
                "beside_mean": opcode.dearness,
            }
            for opcode in times.opcodes
        ],
    }


def _json(interval: Interval | None) -> dict[str, float] | None:
    if interval is None:
        return None
    return {"median": interval.median, "low": interval.low, "high": interval.high}
