"""An explanation as a picture: what mechanisms cost, and which instructions the time goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmlab.attribution import WORK, Cost
from vmlab.measure.statistics import CONFIDENCE
from vmlab.report.explain import alternatives
from vmlab.report.parts import UNIT, Part

if TYPE_CHECKING:
    from vmlab.attribution import Attribution
    from vmlab.explanation import Explanation
    from vmlab.measure.opcodes import OpcodeTimes


def picture(explanation: Explanation, title: str, format: str) -> bytes:
    """As a file of one of `plots.FORMATS`. Where there are no times of instructions, they are left
    out. Raises ValueError if nothing was timed."""
    from vmlab.report import plots

    attribution, times = explanation.attribution, explanation.opcodes
    if attribution is None:
        raise ValueError(explanation.comparison.verdict)
    full = attribution.scheme.full
    bounds = f"{CONFIDENCE:.0%} bounds (sign test)"
    subtitles = [
        f"mechanisms, added and removed from {full}; medians of {attribution.rounds} rounds,"
        f" {bounds}"
    ]
    instructions: list[Part] = []
    if not isinstance(times, str):
        from vmlab.measure.opcodes import ENGINE

        instructions = instructions_of(times)
        subtitles.append(
            f"instructions, on {ENGINE}; medians of {times.calls} calls, interrupted at"
            f" {times.moments:,} moments, {bounds}"
        )
    figure = plots.where_time_goes(
        mechanisms_of(attribution),
        instructions,
        title=title,
        subtitles=subtitles,
        unit=f"{UNIT} of the program",
    )
    return plots.rendered(figure, format)


def mechanisms_of(attribution: Attribution) -> list[tuple[str, list[Part] | str]]:
    """In the order of the table."""
    return [
        (f"work ({WORK})", _parts(whole=attribution.work)),
        *(
            (row.mechanism.name, _parts(added=row.added, removed=row.removed))
            for row in attribution.rows
        ),
        ("rest", _parts(rest=attribution.rest)),
        (f"all ({attribution.scheme.full})", _parts(whole=attribution.full)),
        *((label, _parts(added=cost)) for label, cost in alternatives(attribution)),
    ]


def _parts(**costs: Cost | str) -> list[Part] | str:
    """Those that there are; if there are none, the reason."""
    intervals = {name: c.nanoseconds for name, c in costs.items() if isinstance(c, Cost)}
    if not intervals:
        return "; ".join(dict.fromkeys(map(str, costs.values())))
    return [Part(name, ns.median, ns.low, ns.high) for name, ns in intervals.items()]


def instructions_of(times: OpcodeTimes) -> list[Part]:
    """Of each that has a time: what its executions take, by all that the program executes."""
    parts = []
    for opcode in times.opcodes:
        if (ns := opcode.nanoseconds) is not None:
            bounds = (opcode.share * each for each in (ns.median, ns.low, ns.high))
            parts.append(Part(opcode.name, *bounds))
    return parts
