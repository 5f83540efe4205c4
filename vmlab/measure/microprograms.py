"""Programs in which one instruction dominates, made from the instruction table.

A unit puts an instruction's operands on the stack, executes it, and takes its results off again:
its stack effect says how, so that a new row of the table gets its programs without a word here. A
program repeats units in a loop. Every operand is 3, which is a divisor, an index, a length and a
shift count alike, so that nothing traps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from vmlab.assembler import assemble
from vmlab.isa import VARIANTS, Flow, Operand, Type, Variant
from vmlab.program import Program

# Units in the body of a loop, and in all turns of it together: few enough for their output and
# their arrays to stay within the limits of a run.
UNITS = 24
TURNS = 250

# Programs that mix units at random, beside those that repeat one.
MIXED = 24

_NUMBER = {Type.INT: "3", Type.FLOAT: "3.0"}
_NAME = {
    Type.INT: "i",
    Type.FLOAT: "f",
    Type.INT_ARRAY: "ints",
    Type.FLOAT_ARRAY: "floats",
}
_ARRAY_LENGTH = 4


# Where operands come from and results go: (from, to).
_PLACES = (("push", "pop"), ("load", "store"), ("gload", "gstore"))
_Place = tuple[str, str]


def microprograms() -> list[Program]:
    """For every variant of an instruction a program a place of operands and results; and programs
    that mix them. `ret` has none: it comes with `call`."""
    variants = [v for v in VARIANTS.values() if v.opcode.flow is not Flow.RETURN]
    programs = [
        _program(f"{variant.name}, {' and '.join(place)}", [(variant, place)] * UNITS)
        for variant in variants
        for place in _PLACES
    ]
    generator = random.Random(1)
    for number in range(MIXED):
        units = [(generator.choice(variants), generator.choice(_PLACES)) for _ in range(UNITS)]
        programs.append(_program(f"mix {number}", units))
    return programs


def _program(name: str, units: Sequence[tuple[Variant, _Place]]) -> Program:
    body = [
        f"    {line}"
        for number, (variant, place) in enumerate(units)
        for line in _unit(variant, place, f"after{number}")
    ]
    variables = [(_NAME[type_] + suffix, type_) for type_ in Type for suffix in ("", "_out")]
    values = {type_: f" = {number}" for type_, number in _NUMBER.items()}
    text = [
        *(f"global g{name}: {type_}{values.get(type_, '')}" for name, type_ in variables),
        "func nothing()",
        "    ret",
        "end",
        f"func main(turns: int = {TURNS})",
        *(f"    local {name}: {type_}" for name, type_ in variables),
        *(f"    {line}" for line in _set_up()),
        "again:",
        *body,
        "    load turns",
        "    push 1",
        "    sub",
        "    dup",
        "    store turns",
        "    jnz again",
        "    ret",
        "end",
    ]
    return assemble("\n".join(text), f"<{name}>")


def _set_up() -> Iterator[str]:
    for type_, number in _NUMBER.items():
        yield from (f"push {number}", f"store {_NAME[type_]}")
        array = _NAME[type_.array]
        yield from (f"push {_ARRAY_LENGTH}", f"newarr {type_}", "dup")
        yield from (f"store {array}", f"gstore g{array}")


def _unit(variant: Variant, place: _Place, label: str) -> Iterator[str]:
    source, sink = place
    yield from (_feed(source, type_) for type_ in _types(variant.effect.pops))
    yield f"{variant.opcode.name} {_operand(variant, label)}"
    if variant.opcode.operand is Operand.LABEL:
        yield f"{label}:"
    yield from (_drain(sink, type_) for type_ in reversed(_types(variant.effect.pushes)))


def _operand(variant: Variant, label: str) -> str:
    return {
        None: "",
        Operand.LITERAL: _NUMBER[Type.INT],
        Operand.LOCAL: _NAME[Type.INT],
        Operand.GLOBAL: f"g{_NAME[Type.INT]}",
        Operand.LABEL: label,
        Operand.FUNCTION: "nothing",
        Operand.ELEMENT: Type.INT,
    }[variant.opcode.operand]


def _types(words: Sequence[str]) -> list[Type]:
    """The types of the words of a stack effect, as they are here: what may be of any type is an
    int, and a call passes nothing."""
    types = {"T[]": Type.INT_ARRAY, **{type_.value: type_ for type_ in Type}}
    return [types.get(word, Type.INT) for word in words if word not in ("args", "result")]


def _feed(source: str, type_: Type) -> str:
    if source == "push":
        # There are no literals of arrays.
        return f"push {_NUMBER[type_]}" if type_ in _NUMBER else f"load {_NAME[type_]}"
    return f"{source} {_variable(source, type_)}"


def _drain(sink: str, type_: Type) -> str:
    return sink if sink == "pop" else f"{sink} {_variable(sink, type_)}_out"


def _variable(instruction: str, type_: Type) -> str:
    """The local or the global, whichever the instruction takes."""
    return f"g{_NAME[type_]}" if instruction.startswith("g") else _NAME[type_]
