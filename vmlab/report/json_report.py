"""Comparisons as JSON and back. schema.json, beside this file, documents every field.

Values of the virtual machine are strings in the form that `print` gives them: JSON has neither NaN
nor infinities, and some readers round its integers to 53 bits.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import vmlab
from vmlab.diagnostics import shortened
from vmlab.isa import Trap
from vmlab.measure.agreement import Agreement, Disagreement
from vmlab.measure.clock import Clock
from vmlab.measure.counters import Counters
from vmlab.measure.machine import Fact
from vmlab.measure.sampling import Rounds
from vmlab.outcome import Deadlock, Outcome, Place, TrapReport, Waiter, format_number
from vmlab.program import Number
from vmlab.report import schemas

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

    from vmlab.comparison import Comparison, Row

SCHEMA = "vmlab-compare/1"

# What comes of reading, or of deriving from, values that are missing or not what they should be.
_DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError,
)  # fmt: skip

Object = dict[str, Any]


def schema() -> Object:
    """The JSON Schema of a comparison."""
    return schemas.load("schema.json")


@functools.cache
def _validator() -> Validator:
    import jsonschema

    return jsonschema.Draft202012Validator(schema())


def to_json(comparison: Comparison) -> str:
    return json.dumps(_comparison(comparison), indent=2) + "\n"


def from_json(text: str) -> Comparison:
    """Read a comparison back. What follows from the measurements (rows, verdict, notes, warnings)
    is derived again, which shows whether they are whole. Raises ValueError, with a message for the
    user, if the text is no comparison, one in another version of the schema, or damaged."""
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"this is not JSON: {error}") from None
    found = data.get("schema", data) if isinstance(data, dict) else data
    if found != SCHEMA:
        name, _, version = str(found).partition("/")
        if isinstance(found, str) and name == SCHEMA.partition("/")[0] and version:
            raise ValueError(
                f"this result is in the schema '{found}', and vmlab {vmlab.__version__} reads"
                f" '{SCHEMA}': read it with the version that wrote it ({data.get('vmlab')})"
            )
        raise ValueError(
            f"expected a result in the schema '{SCHEMA}', found {shortened(repr(found))}"
        )
    from jsonschema.exceptions import best_match

    damaged = f"this result is damaged, it does not follow the schema '{SCHEMA}'"
    if (wrong := best_match(_validator().iter_errors(data))) is not None:
        # The message quotes what is wrong, which may be all samples.
        found = repr(wrong.instance)
        message = wrong.message.replace(found, shortened(found), 1)
        raise ValueError(f"{damaged}: {wrong.json_path}: {message}")
    try:
        comparison = _read_comparison(data)
        _check_samples(comparison)
        to_json(comparison)
    except _DAMAGE as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{damaged}: {kind}{error}") from None
    return comparison


def _comparison(c: Comparison) -> Object:
    return {
        "schema": SCHEMA,
        "vmlab": c.vmlab,
        "created": c.created,
        "program": {"path": c.program.path, "digest": c.program.digest, "text": c.program.text},
        "arguments": {name: format_number(value) for name, value in c.arguments.items()},
        "machine": machine_facts(c.machine),
        "counters": {"available": c.counters.available, "reason": c.counters.reason},
        "clock": {
            "source": c.clock.source,
            "resolution_nanoseconds": c.clock.resolution_nanoseconds,
            "cost_nanoseconds": c.clock.cost_nanoseconds,
        },
        "engines": [
            {
                "name": e.name,
                "adds": e.adds,
                "unavailable": e.unavailable,
                "compile_seconds": e.compile_seconds,
                "from_cache": e.from_cache,
                "indirect_jumps": e.indirect_jumps,
            }
            for e in c.engines
        ],
        "agreement": {
            "run": c.agreement.run,
            "engines": list(c.agreement.engines),
            "expectations": c.agreement.expectations,
            "outcome": None if c.agreement.outcome is None else _outcome(c.agreement.outcome),
            "disagreements": [
                {
                    "engine": d.engine,
                    "run": d.run,
                    "field": d.field,
                    "found": d.found,
                    "expected": d.expected,
                    "others": list(d.others),
                }
                for d in c.agreement.disagreements
            ],
            "left_out": c.agreement.left_out,
        },
        "rounds": None if c.rounds is None else _rounds(c.rounds),
        "folded": c.folded,
        "rows": [_row(row) for row in c.rows],
        "baseline": c.baseline,
        "confidence": c.confidence,
        "verdict": c.verdict,
        "notes": list(c.notes),
        "warnings": list(c.warnings),
    }


def machine_facts(machine: Mapping[str, Fact]) -> Object:
    return {
        key: {"label": fact.label, "value": fact.value}
        if fact.unreadable is None
        else {"label": fact.label, "unreadable": fact.unreadable}
        for key, fact in machine.items()
    }


def _outcome(outcome: Outcome) -> Object:
    trap = outcome.trap
    return {
        "result": None if outcome.result is None else format_number(outcome.result),
        "output": [format_number(value) for value in outcome.output],
        "trap": None
        if trap is None
        else {
            "name": trap.trap.value,
            "chain": [asdict(place) for place in trap.chain],
            "launches": [asdict(place) for place in trap.launches],
            "deadlock": None if trap.deadlock is None else asdict(trap.deadlock),
        },
        "instructions": outcome.instructions,
    }


def _rounds(rounds: Rounds) -> Object:
    return {
        "seed": rounds.seed,
        "iterations": rounds.iterations,
        "order": [list(names) for names in rounds.order],
        "samples_nanoseconds": {name: list(times) for name, times in rounds.samples.items()},
    }


def _row(row: Row) -> Object:
    ratio = row.ratio
    return {
        "engine": row.engine.name,
        "seconds": row.seconds,
        "nanoseconds_per_instruction": row.nanoseconds_per_instruction,
        "ratio": None
        if ratio is None
        else {
            "median": ratio.median,
            "low": ratio.low,
            "high": ratio.high,
            "coverage": ratio.coverage,
        },
        "verdict": row.verdict,
        "folded": row.folded,
        "outliers": row.outliers,
        "break_even": row.break_even,
    }


def _read_comparison(data: Object) -> Comparison:
    from vmlab.comparison import Built, Comparison, ProgramText

    agreement, rounds = data["agreement"], data["rounds"]
    return Comparison(
        program=ProgramText(**data["program"]),
        arguments={name: _number(value) for name, value in data["arguments"].items()},
        created=data["created"],
        vmlab=data["vmlab"],
        machine={key: Fact(**fact) for key, fact in data["machine"].items()},
        counters=Counters(**data["counters"]),
        clock=Clock(**data["clock"]),
        engines=tuple(Built(**engine) for engine in data["engines"]),
        agreement=Agreement(
            run=agreement["run"],
            engines=tuple(agreement["engines"]),
            expectations=agreement["expectations"],
            outcome=None if agreement["outcome"] is None else _read_outcome(agreement["outcome"]),
            disagreements=tuple(
                Disagreement(**{**d, "others": tuple(d["others"])})
                for d in agreement["disagreements"]
            ),
            left_out=agreement["left_out"],
        ),
        rounds=None if rounds is None else _read_rounds(rounds),
        folded=data["folded"],
    )


def _check_samples(comparison: Comparison) -> None:
    """What no schema can say: every engine that was timed has a sample a round."""
    rounds = comparison.rounds
    if rounds is None:
        return
    for engine in comparison.engines:
        found, wanted = len(rounds.samples.get(engine.name, ())), len(rounds.order)
        if engine.unavailable is None and found != wanted:
            raise ValueError(
                f"$.rounds.samples_nanoseconds.{engine.name}: expected {wanted} samples, one for"
                f" each round in $.rounds.order, found {found}"
            )


def _read_outcome(data: Object) -> Outcome:
    trap = data["trap"]
    return Outcome(
        result=None if data["result"] is None else _number(data["result"]),
        output=tuple(map(_number, data["output"])),
        trap=None if trap is None else _read_trap(trap),
        instructions=data["instructions"],
    )


def _read_trap(data: Object) -> TrapReport:
    deadlock = data["deadlock"]
    return TrapReport(
        Trap(data["name"]),
        _read_places(data["chain"]),
        _read_places(data["launches"]),
        None
        if deadlock is None
        else Deadlock(deadlock["count"], tuple(map(_read_waiter, deadlock["waiters"]))),
    )


def _read_places(data: list[Object]) -> tuple[Place, ...]:
    return tuple(Place(**place) for place in data)


def _read_waiter(data: Object) -> Waiter:
    places = {name: Place(**data[name]) for name in ("place", "origin")}
    return Waiter(**{**data, **places})


def _read_rounds(data: Object) -> Rounds:
    return Rounds(
        seed=data["seed"],
        iterations=data["iterations"],
        order=tuple(map(tuple, data["order"])),
        samples={name: tuple(times) for name, times in data["samples_nanoseconds"].items()},
    )


def _number(text: str) -> Number:
    try:
        return int(text)
    except ValueError:
        return float(text)
