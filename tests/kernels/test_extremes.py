"""Every computing instruction on operands at the ends of their ranges, against the reference:
as variables, as a constant beside a variable, and as constants, which compilers compute."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import pytest
from native_engines import agreed

from vmlab.isa import INT_MAX, INT_MIN, VARIANTS, Type, Variant
from vmlab.program import Number

INTS = (INT_MIN, INT_MIN + 1, -(2**32), -64, -7, -1, 0, 1, 3, 63, 64, 2**31, 2**53 + 1, INT_MAX)
FEW_INTS = (INT_MIN, -7, -1, 0, 8, 63, INT_MAX)
FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 0.1, -2.5, 0.49999999999999994, 2.0**52 + 0.5, -(2.0**53)),
    *(2.0**63, -(2.0**63), math.nextafter(2.0**63, 0), math.nextafter(-(2.0**63), -math.inf)),
    *(5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308),
    *(math.inf, -math.inf, math.nan),
)
FEW_FLOATS = (0.0, -0.0, -2.5, 5e-324, 1.7976931348623157e308, math.inf, math.nan)

ALL = {"int": INTS, "float": FLOATS}
FEW = {"int": FEW_INTS, "float": FEW_FLOATS}

# What computes one number from one or two, by its stack effect.
COMPUTING: dict[str, list[Variant]] = {}
for variant in VARIANTS.values():
    effect = variant.effect
    numbers = {Type.INT, Type.FLOAT}
    if variant.opcode.operand is None and effect.pops and {*effect.pops, *effect.pushes} <= numbers:
        COMPUTING.setdefault(str(effect), []).append(variant)
# The builds that are optimised with the program in sight; to the others a constant is any word.
OPTIMISED = [("inlined", False), ("template", False)]

EFFECTS = [effect for effect in COMPUTING if not effect.endswith("--")]  # without print


def choice(effect: str, bodies: Sequence[str]) -> str:
    """A program of `k`, `a` and, for two operands, `b`: it computes `bodies[k]`."""
    pops, result = (part.split() for part in effect.split("--"))
    params = "".join(f", {name}: {type_}" for name, type_ in zip("ab", pops, strict=False))
    return f"func main(k: int{params}) -> {result[0]}\n{_branch(bodies, 0, len(bodies))}end\n"


def _branch(bodies: Sequence[str], first: int, end: int) -> str:
    if end - first == 1:
        return f"{bodies[first]}\nret\n"
    middle = (first + end) // 2
    return (
        f"load k\npush {middle}\nge\njnz from{middle}_{end}\n{_branch(bodies, first, middle)}"
        f"from{middle}_{end}:\n{_branch(bodies, middle, end)}"
    )


def lines(*instructions: str) -> str:
    return "\n".join(instructions)


def operands(effect: str, values: dict[str, tuple[Number, ...]]) -> Iterator[tuple[Number, ...]]:
    return itertools.product(*(values[type_] for type_ in effect.split("--")[0].split()))


def parts(variants: Sequence[Variant], size: int) -> Iterator[Sequence[Variant]]:
    """Few enough that compilers look at a program of them as closely as at any small one."""
    return (variants[at : at + size] for at in range(0, len(variants), size))


def test_the_table_is_covered() -> None:
    assert {"int int -- int", "float float -- float", "float -- int", "int -- float"} <= {*EFFECTS}
    assert len(COMPUTING["int int -- int"]) >= 21


@pytest.mark.parametrize("effect", EFFECTS)
def test_variables(effect: str) -> None:
    loads = [f"load {name}" for name, _ in zip("ab", effect.split("--")[0].split(), strict=False)]
    bodies = [lines(*loads, variant.opcode.name) for variant in COMPUTING[effect]]
    text = choice(effect, bodies)
    for k in range(len(bodies)):
        for values in operands(effect, ALL):
            agreed(text, k, *values)


TWO_OPERANDS = [effect for effect in EFFECTS if len(effect.split("--")[0].split()) == 2]


@pytest.mark.parametrize("effect", TWO_OPERANDS)
def test_a_constant_beside_a_variable(effect: str) -> None:
    left, right = effect.split("--")[0].split()
    for variants in parts(COMPUTING[effect], 3):
        bodies = [
            body
            for variant in variants
            for body in (
                *(lines("load a", f"push {c!r}", variant.opcode.name) for c in FEW[right]),
                *(lines(f"push {c!r}", "load b", variant.opcode.name) for c in FEW[left]),
            )
        ]
        text = choice(effect, bodies)
        for k in range(len(bodies)):
            for a in ALL[left]:
                agreed(text, k, a, a, builds=OPTIMISED)


@pytest.mark.parametrize("effect", EFFECTS)
def test_constants(effect: str) -> None:
    for variants in parts(COMPUTING[effect], 6):
        bodies = [
            lines(*(f"push {c!r}" for c in values), variant.opcode.name)
            for variant in variants
            for values in operands(effect, FEW)
        ]
        text = choice(effect, bodies)
        zeros = [0 if type_ == "int" else 0.0 for type_ in effect.split("--")[0].split()]
        for k in range(len(bodies)):
            agreed(text, k, *zeros, builds=OPTIMISED)
