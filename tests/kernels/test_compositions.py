"""What compositions add, proven by tampering with it and by reading their machine code."""

from __future__ import annotations

import platform
import re

import pytest
from native_engines import executable, run
from test_machine_code import body, code_of

from vmlab.assembler import assemble
from vmlab.engines import BASES, LATE, REPRESENTATIONS, EngineUnavailable, find
from vmlab.isa import WORD_BYTES
from vmlab.kernels.names import ENTRY_WORDS, intern
from vmlab.kernels.values import CELL_TAG, CELL_WORDS, TAG, VALUE
from vmlab.outcome import Limits

COMPOSED = [
    "+".join((base, *parts))
    for base in BASES
    if base != "inlined"
    for parts in [
        *([kind] for kind in REPRESENTATIONS),
        *([kind, *LATE] for kind in REPRESENTATIONS),
        [*LATE],
    ]
]
COMPOSED += ["threaded+quickened", "switch+late+quickened", "switch+boxed+late+quickened"]
COUNTED = [name for name in COMPOSED if "boxed" in name or "cells" in name]

MIXED = """
global total: float = -0.0
global last: int = 7
func half(x: float, n: int) -> float
    local kept: float
    local none: int[]
    load none
    len
    gload last
    add
    gstore last
    load x
    push 0.5
    mul
    store kept
    load kept
    ret
end
func main(n: int = 9) -> float
    local a: float[]
    local i: int
    load n
    newarr float
    store a
again:
    load a
    load i
    load i
    float
    load n
    call half
    astore
    load a
    load i
    aload
    dup
    print
    gload total
    add
    gstore total
    load i
    push 1
    add
    dup
    store i
    load n
    lt
    jnz again
    gload last
    print
    gload total
    ret
end
"""


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("counting", [True, False])
def test_a_program_with_values_of_all_types(name: str, counting: bool) -> None:
    expected = run(MIXED, "reference", True, (9,))
    found = find(name).build(assemble(MIXED), counting=counting)
    for _ in range(2):
        outcome = found.call((9,), Limits(), iterations=3).outcome
        assert not expected.differences(outcome)


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("iterations", [1, 2])
def test_every_cell_is_free_in_the_end(name: str, iterations: int) -> None:
    engine = find(name).build(assemble(MIXED), counting=False)
    engine.call((50,), Limits(), iterations)
    context, cells = engine.state.context, engine.state.cells
    used = (context.fresh_cell - context.cells) // (CELL_WORDS * WORD_BYTES)
    free, cell = set(), context.free_cell
    while cell:
        assert cell not in free
        free.add(cell)
        cell = cells.words[(cell - context.cells) // WORD_BYTES + VALUE]
    assert 0 < len(free) == used
    assert used < 20  # cells were used again: 50 turns make some hundred values


@pytest.mark.parametrize("name", ["inlined+tagged", "inlined+boxed+late"])
def test_nothing_is_added_to_values_in_ssa(name: str) -> None:
    with pytest.raises(EngineUnavailable, match="add it to 'template'"):
        find(name).build(assemble(MIXED), counting=False)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("template+fast", "'fast' cannot be added"),
        ("threaded+cop", "'cop' cannot be added to an engine; did you mean 'copy'"),
        ("template+tagged+boxed", "has one of tagged, boxed, cells"),
        ("switch+late+late", "every other part once"),
        ("reference+late", "parts can be added to inlined, template, threaded, switch$"),
        ("late+copy", "'late' is 'switch\\+boxed\\+late', and can be spelt so"),
        (
            "copy+barrier",
            "'copy' is no engine, but can be added to one: 'threaded\\+copy\\+barrier'",
        ),
        ("stackful", "can be added to one: 'inlined\\+stackful'"),
        ("template+", "'' cannot be added"),
    ],
)
def test_what_cannot_be_composed(name: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        find(name)


# Tampering: a check that is really made finds what the verifier would never let pass.

SUM_OF_CONSTANTS = "func main() -> int\npush 1000\npush 24\nand\nret\nend"


def tampered(name: str, tag: int):
    """`SUM_OF_CONSTANTS` with another tag on its constant 1000."""
    engine = find(name).build(assemble(SUM_OF_CONSTANTS), counting=True)
    words = engine._code.words
    at = words.tolist().index(1000)
    words[at - VALUE + CELL_TAG if "boxed" in name or "cells" in name else at - 1] = tag
    return engine


@pytest.mark.parametrize("base", ["switch", "threaded"])
@pytest.mark.parametrize("kind", REPRESENTATIONS)
def test_types_are_looked_at_where_they_are_checked(base: str, kind: str) -> None:
    name = f"{base}+{kind}"
    assert tampered(name, TAG["int"]).call((), Limits()).outcome.result == 1000 & 24
    wrong = tampered(name, TAG["float"])
    if kind == "cells":
        assert wrong.call((), Limits()).outcome.result == 1000 & 24
    else:
        with pytest.raises(AssertionError, match="an operand of a wrong type in a verified"):
            wrong.call((), Limits())


def test_the_types_of_the_operands_choose_what_add_does() -> None:
    text = "func main() -> int\npush 1000\npush 24\nadd\nret\nend"
    engine = find("tagged").build(assemble(text), counting=True)
    assert engine.call((), Limits()).outcome.result == 1024
    words = engine._code.words
    for constant in 1000, 24:
        words[words.tolist().index(constant) - 1] = TAG["float"]
    # The bits of small ints are denormal floats, whose sum has the sum of the bits.
    assert engine.call((), Limits()).outcome.result == 1024
    words[words.tolist().index(24) - 1] = TAG["int"]
    with pytest.raises(AssertionError, match="an operand of a wrong type"):
        engine.call((), Limits())


TWO_GLOBALS = """
global a: int = 1
global b: int = 2
func main() -> int
    gload a
    ret
end
"""


@pytest.mark.parametrize("name", ["switch+late", "threaded+late", "late"])
def test_a_global_is_found_by_its_name_at_every_access(name: str) -> None:
    engine = find(name).build(assemble(TWO_GLOBALS), counting=True)
    assert engine.call((), Limits()).outcome.result == 1
    table = engine._names.words
    entries = {table[at]: at for at in range(0, len(table), ENTRY_WORDS) if table[at]}
    names = intern(engine.program)
    first, second = entries[names["a"]], entries[names["b"]]
    table[first + 1], table[second + 1] = table[second + 1], table[first + 1]
    assert engine.call((), Limits()).outcome.result == 2
    for at in entries.values():
        table[at] = 0
    with pytest.raises(AssertionError, match="a name without a meaning"):
        engine.call((), Limits())


# Machine code. The handlers of `threaded` are functions of their own; those of `switch` are made
# by the same code.

on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="facts about x86-64 code")


def handler(name: str, opcode: str) -> list[str]:
    return body(code_of(name, SUM_OF_CONSTANTS), f"op.{opcode}")


def count(pattern: str, lines: list[str]) -> int:
    return sum(re.search(pattern, line) is not None for line in lines)


BRANCH, INDIRECT = r"^j(?!mp)\w+\s", r"^jmpq?\s+\*"
TAG_COMPARE = r"^cmp\w\s+\$1,"
DECREMENT, INCREMENT = r"^(dec\w|addq\s+\$-1,|subq\s+\$1,).*\(", r"^(inc\w|addq\s+\$1,).*\("


@on_x86
@pytest.mark.parametrize("opcode", ["xor", "and", "shl", "mod"])
def test_a_type_check_is_a_compare_and_a_branch_an_operand(opcode: str) -> None:
    bare, tagged = handler("threaded", opcode), handler("threaded+tagged", opcode)
    assert count(TAG_COMPARE, tagged) - count(TAG_COMPARE, bare) == 2
    assert count(BRANCH, tagged) - count(BRANCH, bare) == 2
    assert count(INDIRECT, tagged) == count(INDIRECT, bare) == 1
    cells, boxed = handler("threaded+cells", opcode), handler("threaded+boxed", opcode)
    assert count(TAG_COMPARE, boxed) - count(TAG_COMPARE, cells) == 2
    assert count(BRANCH, boxed) - count(BRANCH, cells) == 2


@on_x86
def test_a_generic_instruction_checks_for_both_types() -> None:
    add = handler("threaded+tagged", "add")
    assert (count(TAG_COMPARE, add), count(r"^cmp\w\s+\$2,", add)) == (2, 2)
    assert (count("^addq.*%r", add) >= 1, count("addsd", add)) == (True, 1)
    with pytest.raises(AssertionError):
        handler("threaded+tagged", "add.int")


@on_x86
@pytest.mark.parametrize("kind", ["boxed", "cells"])
def test_boxing_counts_references_and_takes_a_cell_a_result(kind: str) -> None:
    for name in "threaded", "threaded+tagged":
        assert count(DECREMENT, handler(name, "xor")) == 0
        assert count(INCREMENT, handler(name, "load")) == 0
    name = f"threaded+{kind}"
    assert count(DECREMENT, handler(name, "xor")) >= 2
    assert count(r"^movq\s+\$1, \(%r", handler(name, "xor")) == 1  # the new cell's count
    assert count(INCREMENT, handler(name, "load")) == 1
    assert count(DECREMENT, handler(name, "store")) == 1


@on_x86
def test_a_late_name_is_a_probe() -> None:
    for opcode in "gload", "gstore", "call":
        bound, late = handler("threaded", opcode), handler("threaded+late", opcode)
        assert count(BRANCH, late) - count(BRANCH, bound) == 2  # this name; no name
        assert count(INDIRECT, late) == 1
    for opcode in "load", "xor", "jz":
        assert handler("threaded", opcode) == handler("threaded+late", opcode)


def test_recursion_fits_the_machine_stack() -> None:
    for name in "template+boxed+late", "template+tagged":
        text = """
        func deep(n: int) -> int
            load n
            jz done
            load n
            push 1
            sub
            call deep
            push 1
            add
            ret
        done:
            push 0
            ret
        end
        func main(n: int) -> int
            load n
            call deep
            ret
        end"""
        outcome = executable(text, name, True).call((9_000,), Limits()).outcome
        assert outcome.result == 9_000
