"""The times of a program's instructions as a table, as JSON and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmlab.measure.statistics import CONFIDENCE
from vmlab.report.numbers import significant
from vmlab.report.parts import UNIT, Part
from vmlab.report.table import NONE

if TYPE_CHECKING:
    from vmlab.measure.opcodes import OpcodeTimes
    from vmlab.measure.statistics import Bounded

_HEADERS = (
    "instruction", "executed", "share", "share of time", "ns an execution", "beside the mean",
)  # fmt: skip

_LEAST_DRAWN = 0.001


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
    rows.append(["all", f"{executed:,}", "100%", "100%", significant(times.nanoseconds), NONE])
    return tabulate.tabulate(
        rows,
        _HEADERS,
        tablefmt=format,
        disable_numparse=True,
        colalign=["left", "right", "right", "left", "left", "left"],
    )


def _percent(share: Bounded) -> str:
    low, high = 100 * share.low, 100 * share.high
    return f"{share.value:.1%} ({low:.1f} to {high:.1f})"


def _bounded(ns: Bounded) -> str:
    if not ns.value:
        return f"below {significant(ns.high)}"
    return f"{significant(ns.value)} ({significant(ns.low)} to {significant(ns.high)})"


def notes(times: OpcodeTimes) -> list[str]:
    """What one must know to read the table."""
    from vmlab.measure.opcodes import ENGINE

    return [
        f"instructions: on {ENGINE}, interrupted at {times.samples:,} random moments, each counted"
        " for the instruction whose machine code was running; how often each is executed is exact;"
        f" with {CONFIDENCE:.0%} confidence, all true shares lie within the bounds in brackets"
        " (score intervals)",
        "dearer, cheaper: an execution takes more or less than the mean instruction's;"
        " not resolved: the bounds hold both",
        "what the CPU waits for before an instruction is counted for that instruction: for its"
        " operands, and after a wrongly predicted jump for the jump to it",
    ]


def to_json(times: OpcodeTimes) -> dict[str, Any]:
    from vmlab.measure.opcodes import ENGINE

    return {
        "engine": ENGINE,
        "samples": times.samples,
        "nanoseconds": times.nanoseconds,
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


def _json(bounded: Bounded) -> dict[str, float]:
    return {"value": bounded.value, "low": bounded.low, "high": bounded.high}


def picture(times: OpcodeTimes, title: str, format: str) -> bytes:
    """A bar an instruction, together as long as the mean instruction takes; without those that
    take less than `_LEAST_DRAWN` of the time. `format` is one of `plots.FORMATS`."""
    from vmlab.measure.opcodes import ENGINE
    from vmlab.report import plots

    parts = [
        (opcode.name, opcode.time.times(times.nanoseconds))
        for opcode in times.opcodes
        if opcode.time.value >= _LEAST_DRAWN
    ]
    figure = plots.by_opcode(
        [Part(name, time.value, time.low, time.high) for name, time in parts],
        title=title,
        subtitle=f"on {ENGINE}, interrupted at {times.samples:,} moments; {CONFIDENCE:.0%} bounds"
        " (score intervals)",
        unit=f"{UNIT} of the program",
    )
    return plots.rendered(figure, format)
