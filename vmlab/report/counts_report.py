"""Counts as a table with notes, and as JSON. counts_schema.json, beside this file, documents every
field of the latter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vmlab.outcome import format_number
from vmlab.report import schemas
from vmlab.report.json_report import machine_facts
from vmlab.report.notes import labelled
from vmlab.report.numbers import listing, significant
from vmlab.report.table import NONE

if TYPE_CHECKING:
    from vmlab.measure.counters import Reading
    from vmlab.measure.counting import Counts, EngineCounts

SCHEMA = "vmlab-counters/1"

_MEASURED, _SIMULATED = "measured", "simulated"

# The columns: an event, its name, and where it comes from.
_COLUMNS = (
    ("instructions", "instructions", _MEASURED),
    ("instructions", "instructions", _SIMULATED),
    ("cycles", "cycles", _MEASURED),
    ("branch_misses", "branch misses", _MEASURED),
    ("branch_misses", "branch misses", _SIMULATED),
    ("l1d_read_misses", "L1d read misses", _MEASURED),
    ("l1d_read_misses", "L1d read misses", _SIMULATED),
)


# What is less, the start and the end of a process may have left.
_LEAST = 0.0001


def table(counts: Counts, format: str = "simple") -> str:
    """Everything by VM instruction, in one of `tabulate.tabulate_formats`."""
    import tabulate

    separator = "\n" if format == "simple" else ", "
    return tabulate.tabulate(
        [
            [engine.name, *(_cell(counts, engine, key, kind) for key, _, kind in _COLUMNS)]
            for engine in counts.engines
        ],
        ["engine", *(f"{name}{separator}{kind}" for _, name, kind in _COLUMNS)],
        tablefmt=format,
        disable_numparse=True,
        colalign=["left", *["right"] * len(_COLUMNS)],
    )


def _readings(engine: EngineCounts, kind: str) -> Mapping[str, Reading]:
    return engine.measured if kind == _MEASURED else engine.simulated


def _cell(counts: Counts, engine: EngineCounts, key: str, kind: str) -> str:
    reading = _readings(engine, kind).get(key)
    if reading is None or reading.count is None or not counts.instructions:
        return NONE
    value = reading.count / counts.instructions
    return f"<{_LEAST}" if 0 < value < _LEAST else significant(value)


def text(counts: Counts) -> str:
    """The table, if anything was counted, and what one must know to read it."""
    if counts.instructions is None:
        return remarks(counts) + "\n"
    head = f"By VM instruction, of {counts.instructions:,} in {counts.agreement.run}:"
    return f"{head}\n\n{table(counts)}\n\n{remarks(counts)}\n"


def remarks(counts: Counts) -> str:
    return labelled(notes(counts))


def notes(counts: Counts) -> Iterator[str]:
    """What the engines did, and the reason of every cell without a number."""
    if counts.agreement.disagreements:
        yield "the engines disagree, so nothing was counted"
    yield str(counts.agreement)
    for engine in counts.engines:
        if engine.unavailable is not None:
            yield f"{engine.name} took no part: {engine.unavailable}"
    if any(r.count is not None for e in counts.engines for r in e.simulated.values()):
        yield (
            "simulated: by valgrind's cachegrind; the instructions are exact, the misses those of"
            " its cache and of its branch predictor, which expects of an indirect jump the target"
            " that it had last"
        )
    yield from _reasons(counts)
    shares = [
        reading.share
        for engine in counts.engines
        for reading in engine.measured.values()
        if reading.share < 1
    ]
    if shares:
        yield (
            f"measured counts are scaled: the counters took turns with others, and ran"
            f" {min(shares):.0%} of the time at least"
        )


def _reasons(counts: Counts) -> Iterator[str]:
    """Each reason once, with all the cells that have it."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for engine in counts.engines:
        for key, name, kind in _COLUMNS:
            reading = _readings(engine, kind).get(key)
            if reading is not None and reading.reason is not None:
                events = found.setdefault((kind, reading.reason), {})
                events.setdefault(engine.name, []).append(name)
    for (kind, reason), engines in found.items():
        whose = "" if len(engines) == len(counts.engines) else f" on {listing(list(engines))}"
        missing = list(dict.fromkeys(name for names in engines.values() for name in names))
        yield f"no {kind} {listing(missing)}{whose}: {reason}"


def schema() -> dict[str, Any]:
    """The JSON Schema of counts."""
    return schemas.load("counts_schema.json")


def to_json(counts: Counts) -> str:
    data = {
        "schema": SCHEMA,
        "vmlab": counts.vmlab,
        "created": counts.created,
        "program": {
            "path": counts.program.path,
            "digest": counts.program.digest,
            "text": counts.program.text,
        },
        "arguments": {name: format_number(value) for name, value in counts.arguments.items()},
        "machine": machine_facts(counts.machine),
        "run": counts.agreement.run,
        "instructions": counts.instructions,
        "engines": [
            {
                "name": engine.name,
                "adds": engine.adds,
                "unavailable": engine.unavailable,
                _MEASURED: {
                    key: {"count": reading.count, "reason": reading.reason, "share": reading.share}
                    for key, reading in engine.measured.items()
                },
                _SIMULATED: {
                    key: {"count": reading.count, "reason": reading.reason}
                    for key, reading in engine.simulated.items()
                },
            }
            for engine in counts.engines
        ],
        "disagreements": [str(d) for d in counts.agreement.disagreements],
        "notes": list(notes(counts)),
    }
    return json.dumps(data, indent=2) + "\n"
