"""An explanation as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vmlab.attribution import WORK
from vmlab.measure.statistics import CONFIDENCE
from vmlab.outcome import format_number
from vmlab.report import opcodes
from vmlab.report.json_report import machine_facts
from vmlab.report.notes import labelled
from vmlab.report.numbers import listing, significant, with_bounds
from vmlab.report.table import MARKUP_OF_ONE_LINE, NONE

if TYPE_CHECKING:
    from vmlab.attribution import Attribution, Cost, Scheme
    from vmlab.explanation import Explanation

SCHEMA = "vmlab-explain/2"

_HEADERS = (
    "mechanism",
    "added, ns an instruction",
    "removed, ns an instruction",
    "overlap, ns an instruction",
    "added, share of all",
)
_WIDEST = (None, 32, 32, 32, None)


def table(attribution: Attribution, format: str = "simple") -> str:
    """The attribution as a table, in one of `tabulate.tabulate_formats`."""
    import tabulate

    rows = [
        [
            row.mechanism.name,
            _cell(row.added),
            _cell(row.removed),
            NONE if row.overlap == row.removed else _cell(row.overlap),
            _share(row.added),
        ]
        for row in attribution.rows
    ]
    rows.insert(0, _whole(f"work ({WORK})", attribution.work))
    rows.append(_whole("rest", attribution.rest))
    rows.append(_whole(f"all ({attribution.scheme.full})", attribution.full))
    rows += [_whole(label, cost) for label, cost in alternatives(attribution)]
    wraps = format in set(tabulate.multiline_formats) - MARKUP_OF_ONE_LINE
    return tabulate.tabulate(
        rows,
        _HEADERS,
        tablefmt=format,
        disable_numparse=True,
        maxcolwidths=list(_WIDEST) if wraps else None,
        colalign=["left", "left", "left", "left", "right"],
    )


def alternatives(attribution: Attribution) -> list[tuple[str, Cost | str]]:
    """What stands beside the sum, each with the engine that it is measured on."""
    return [
        (f"{alternative.name} ({alternative.engines[1]})", cost)
        for alternative, cost in zip(
            attribution.scheme.alternatives, attribution.beside, strict=True
        )
    ]


def _whole(name: str, cost: Cost | str) -> list[str]:
    return [name, _cell(cost), NONE, NONE, _share(cost)]


def _cell(cost: Cost | str) -> str:
    if isinstance(cost, str):
        return cost
    unresolved = "" if cost.resolved else ", not resolved"
    return f"{with_bounds(cost.nanoseconds)}{unresolved}"


def _share(cost: Cost | str) -> str:
    """Of a cost that is resolved: a share of what may be nothing would mislead."""
    if isinstance(cost, str) or cost.share is None or not cost.resolved:
        return NONE
    return f"{cost.share:.0%}"


def notes(attribution: Attribution) -> list[str]:
    """What one must know to read the table."""
    return [
        _sum(attribution),
        *(f"{row.mechanism.name}: {row.mechanism.note}" for row in attribution.rows
          if row.mechanism.note),
        *dict.fromkeys(f"{a.name}: {a.note}" for a in attribution.scheme.alternatives),
        f"added: {_bases(attribution.scheme)}; removed: from {attribution.scheme.full}; overlap:"
        " removed - added, above 0 where the mechanism costs more in the whole interpreter",
        f"a cost is the median of the differences within {attribution.rounds} rounds; with"
        f" {CONFIDENCE:.0%} confidence, all true medians lie within the bounds in brackets (sign"
        " test); not resolved: 0 lies within them, too",
        "the bounds cover the noise between rounds and the luck of where machine code and data lie,"
        " which is drawn anew for every round; on x86-64 Linux, so is the order of an interpreter's"
        " handlers",
    ]  # fmt: skip


def _bases(scheme: Scheme) -> str:
    """What the mechanisms are added to; those with an engine of their own by name."""
    by_base: dict[str, list[str]] = {}
    for mechanism in scheme.mechanisms:
        by_base.setdefault(mechanism.added[1], []).append(mechanism.name)
    del by_base["template"]
    others = [f"to {base} ({listing(names)})" for base, names in by_base.items()]
    return f"{', '.join(others)} or to template"


def _sum(attribution: Attribution) -> str:
    rest, full = attribution.rest, attribution.scheme.full
    if isinstance(rest, str):
        return f"there is no sum of work and the added parts: {rest}"
    if not rest.resolved:
        return (
            f"no difference is resolved between {full} and the sum of work and the added parts:"
            f" {with_bounds(rest.nanoseconds)} ns an instruction"
        )
    more = "more" if rest.nanoseconds.median > 0 else "less"
    sizes = (abs(bound) for bound in (rest.nanoseconds.low, rest.nanoseconds.high))
    low, high = sorted(sizes)
    return (
        f"{full} takes {significant(abs(rest.nanoseconds.median))} ({significant(low)} to"
        f" {significant(high)}) ns an instruction {more} than work and the added parts sum up to"
    )


def report(explanation: Explanation) -> str:
    """The tables and the notes."""
    if explanation.attribution is None:
        return f"{explanation.comparison.verdict}\n"
    return f"{tables(explanation, 'simple')}\n{remarks(explanation)}\n"


def tables(explanation: Explanation, format: str) -> str:
    """One by mechanism, and if there is one, one by instruction. Something must have been timed."""
    assert explanation.attribution is not None
    made = [table(explanation.attribution, format)]
    if not isinstance(explanation.opcodes, str):
        made.append(opcodes.table(explanation.opcodes, format))
    return "".join(f"{each}\n\n" for each in made)[:-1]


def remarks(explanation: Explanation) -> str:
    return labelled(_all_notes(explanation))


def _all_notes(explanation: Explanation) -> list[str]:
    assert explanation.attribution is not None
    times = explanation.opcodes
    by_opcode = (
        [f"there are no times of instructions: {times}"]
        if isinstance(times, str)
        else opcodes.notes(times)
    )
    agreed = f"the engines agree on {explanation.comparison.agreement.what}"
    return [agreed, *notes(explanation.attribution), *by_opcode]


def to_json(explanation: Explanation) -> str:
    """An explanation as JSON:

    program, arguments ...    what was run, and where; `instructions` are VM instructions of one run
    work_engine, full_engine  the engines that the parts lie between
    rounds, confidence        all intervals of the costs hold together with this probability
    intervals                 how many that are
    mechanisms                for each `mechanism`: `added`, `removed` and `overlap`, `note` or null
    work, rest, full          costs: of the work, of what the added parts leave over, of all
    alternatives              for each `alternative`: its `cost`, on the engine `added_to`, `note`
    opcodes                   the times of the instructions
    notes, warnings           what the command says besides

    A cost is an object: `nanoseconds` per VM instruction (the median) with its bounds `low` and
    `high`, `share` of the full engine's time or null, and `resolved`, whether 0 lies outside of the
    bounds. Where there is none, it is an object with the `reason`, and so are `opcodes`. The schema
    is vmlab/report/explain.schema.json. Raises ValueError if nothing was timed."""
    attribution, times = explanation.attribution, explanation.opcodes
    if attribution is None:
        raise ValueError(explanation.comparison.verdict)
    comparison = explanation.comparison
    assert comparison.agreement.outcome is not None
    content = {
        "schema": SCHEMA,
        "vmlab": comparison.vmlab,
        "created": comparison.created,
        "program": asdict(comparison.program),
        "arguments": {n: format_number(value) for n, value in comparison.arguments.items()},
        "machine": machine_facts(comparison.machine),
        "instructions": comparison.agreement.outcome.instructions,
        "work_engine": WORK,
        "full_engine": attribution.scheme.full,
        "rounds": attribution.rounds,
        "confidence": CONFIDENCE,
        "intervals": attribution.scheme.intervals,
        "mechanisms": [
            {
                "mechanism": row.mechanism.name,
                "note": row.mechanism.note,
                "added": _cost(row.added),
                "removed": _cost(row.removed),
                "overlap": _cost(row.overlap),
            }
            for row in attribution.rows
        ],
        "work": _cost(attribution.work),
        "rest": _cost(attribution.rest),
        "full": _cost(attribution.full),
        "alternatives": [
            {
                "alternative": alternative.name,
                "added_to": alternative.engines[1],
                "note": alternative.note,
                "cost": _cost(cost),
            }
            for alternative, cost in zip(
                attribution.scheme.alternatives, attribution.beside, strict=True
            )
        ],
        "opcodes": {"reason": times} if isinstance(times, str) else opcodes.to_json(times),
        "notes": _all_notes(explanation),
        "warnings": list(explanation.warnings),
    }
    return json.dumps(content, indent=2) + "\n"


def _cost(cost: Cost | str) -> dict[str, Any]:
    if isinstance(cost, str):
        return {"reason": cost}
    ns = cost.nanoseconds
    return {
        "nanoseconds": ns.median,
        "low": ns.low,
        "high": ns.high,
        "share": cost.share,
        "resolved": cost.resolved,
    }
