"""Any control flow becomes loops and conditionals that do the same, irreducible ones included."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from vmlab.assembler import assemble
from vmlab.cpython import structure
from vmlab.cpython.executable import CPython
from vmlab.cpython.source import translate
from vmlab.cpython.translate import Form
from vmlab.engines import EngineUnavailable
from vmlab.outcome import Limits
from vmlab.reference import Reference

# A block: what it does, and where it goes. `n` is used up bit by bit: the program ends.
TARGETS = st.integers(0, 30)
BLOCKS = st.lists(
    st.one_of(
        st.tuples(st.just("jump"), TARGETS),
        st.tuples(st.just("branch"), TARGETS, TARGETS, st.booleans()),
        st.tuples(st.just("fall"), TARGETS),
        st.tuples(st.just("return")),
        # Only a condition: two of those in a row may become one.
        st.tuples(st.just("test"), TARGETS, st.integers(0, 7), st.sampled_from(["jz", "jnz"])),
    ),
    min_size=1,
    max_size=12,
)


def following(blocks: Sequence[tuple], number: int) -> set[int]:
    """The blocks that may come next; len(blocks) is the end."""
    kind, *rest = blocks[number]
    targets = {to % len(blocks) for to in rest[: {"test": 1, "branch": 2}.get(kind, len(rest))]}
    return {
        "jump": targets | {len(blocks)},
        "branch": targets | {len(blocks)},
        "fall": {number + 1, len(blocks)},
        "return": {len(blocks)},
        "test": targets | {number + 1},
    }[kind]


def reachable(blocks: Sequence[tuple]) -> set[int]:
    found, pending = {0}, [0]
    while pending:
        number = pending.pop()
        if number < len(blocks):
            new = following(blocks, number) - found
            found |= new
            pending += new
    return found


def written(blocks: Sequence[tuple]) -> str:
    """A function of these blocks, with two operands on the stack all the time; it prints the
    number of each block that it comes to. Blocks that it cannot come to are left out."""
    code = ["push 5", "push 7"]
    numbers = reachable(blocks)
    for number, (kind, *rest) in enumerate(blocks):
        if number not in numbers:
            continue
        code.append(f"b{number}:")
        if kind == "test":
            code.append(f"load n\npush {rest[1]}\nand\n{rest[2]} b{rest[0] % len(blocks)}")
            continue
        code.append(f"push {number}\nprint\nload n\njz b{len(blocks)}")
        code.append("load n\npush 1\nushr\nstore n")
        code.append(("swap", f"push {number}\nsub", "over\nxor")[number % 3])
        if kind == "return":
            code.append("add\nret")
        elif kind == "jump":
            code.append(f"jmp b{rest[0] % len(blocks)}")
        elif kind == "branch":
            jump = "jz" if rest[2] else "jnz"
            code.append(f"load n\npush 1\nand\n{jump} b{rest[0] % len(blocks)}")
            code.append(f"jmp b{rest[1] % len(blocks)}")
    if len(blocks) in numbers:
        code.append(f"b{len(blocks)}:\nsub\nret")
    return f"func main(n: int) -> int\n{chr(10).join(code)}\nend\n"


def check(text: str, arguments: Sequence[int]) -> None:
    program = assemble(text)
    reference = Reference(program, counting=True)
    builds = [CPython(program, counting) for counting in (True, False)]
    for n in arguments:
        # Blocks that only test can be a loop without an end.
        expected = reference.call((n,), Limits(fuel=3_000)).outcome
        assert not expected.differences(builds[0].call((n,), Limits(fuel=3_000)).outcome)
        assert builds[0].back_edges == reference.back_edges
        if expected.trap is None:
            assert not expected.differences(builds[1].call((n,), Limits()).outcome)


examples = settings(
    max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4)


@examples
@given(BLOCKS, NUMBERS)
def test_any_graph_of_blocks(blocks: Sequence[tuple], arguments: Sequence[int]) -> None:
    text = written(blocks)
    note(text)
    note(source(text))
    check(text, arguments)


@examples
@given(BLOCKS, NUMBERS)
def test_any_graph_by_looking_blocks_up(blocks: Sequence[tuple], arguments: Sequence[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "MOST_BLOCKS", 0)
        check(written(blocks), arguments)


def source(text: str) -> str:
    return translate(assemble(text), Form()).text


def count(text: str, kind: type[ast.AST]) -> int:
    return sum(isinstance(node, kind) for node in ast.walk(ast.parse(text)))


IRREDUCIBLE = """
    func main(n: int) -> int
        load n
        push 1
        and
        jz second
    first:
        load n
        push 3
        sub
        store n
    second:
        load n
        push 2
        sub
        dup
        store n
        push 0
        gt
        jnz first
        load n
        ret
    end"""


def test_a_loop_with_two_entries_looks_blocks_up() -> None:
    assert "block = " in source(IRREDUCIBLE)
    check(IRREDUCIBLE, (0, 1, 2, 30, 31))


def test_a_loop_with_one_entry_does_not() -> None:
    text = source(IRREDUCIBLE.replace("jz second", "pop"))
    assert "block" not in text
    assert count(text, ast.While) == 1


SHORT_CIRCUIT = """
    func main(n: int) -> int
        load n
        push 10
        lt
        jz no
        load n
        push 3
        gt
        jnz yes
        load n
        push 0
        lt
        jz no
    yes:
        push 1
        ret
    no:
        push 0
        ret
    end"""


def test_conditions_are_joined() -> None:
    text = source(SHORT_CIRCUIT)
    assert count(text, ast.If) == 1
    assert "if n >= 10 or not (n > 3 or n < 0):" in text
    check(SHORT_CIRCUIT, range(-3, 14))


TWO_LOOPS = """
    func main(n: int) -> int
        local i: int
        local j: int
    outer:
        load i
        push 1
        add
        store i
        load i
        push 9
        ge
        jnz done
        push 0
        store j
    inner:
        load j
        load n
        eq
        jnz outer
        load j
        push 1
        add
        dup
        store j
        push 5
        eq
        jz inner
        load i
        print
        load i
        load n
        gt
        jz outer
    done:
        load i
        load j
        sub
        ret
    end"""


def test_out_of_two_loops_at_once() -> None:
    check(TWO_LOOPS, range(-1, 12))


def nested_loops(depth: int) -> str:
    """Each goes round twice."""
    body = "load count\npush 1\nadd\nstore count\n"
    for k in range(depth):
        body = (
            f"push 0\nstore i{k}\nloop{k}:\nload i{k}\npush 2\nge\njnz end{k}\n{body}"
            f"load i{k}\npush 1\nadd\nstore i{k}\njmp loop{k}\nend{k}:\n"
        )
    variables = "".join(f"local i{k}: int\n" for k in range(depth))
    return f"func main(n: int) -> int\nlocal count: int\n{variables}{body}load count\nret\nend\n"


def nested_conditionals(depth: int) -> str:
    body = "load n\nprint\n"
    for k in range(depth):
        body = (
            f"load n\npush {k}\nne\njz else{k}\n{body}push {k}\nprint\njmp end{k}\n"
            f"else{k}:\npush -1\nprint\nend{k}:\npush -2\nprint\n"
        )
    return f"func main(n: int) -> int\n{body}load n\nret\nend\n"


@pytest.mark.parametrize("depth", [10, 11])
def test_loops_nested_as_deep_as_python_can(depth: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "MOST_LOOPS", 10)
        assert ("block = " in source(nested_loops(depth))) == (depth > 10)
        check(nested_loops(depth), (0,))


def test_loops_nested_deeper_than_python_can_are_refused() -> None:
    program = assemble(nested_loops(structure.MOST_LOOPS + 1))
    assert CPython(program, counting=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "MOST_LOOPS", 100)
        patch.setattr(structure, "MOST_LEVELS", 100)
        with pytest.raises(EngineUnavailable, match="too many statically nested blocks"):
            CPython(program, counting=False)


@pytest.mark.parametrize("depth", [5, 30, 45, 120])
def test_conditionals_nested_at_will(depth: int) -> None:
    check(nested_conditionals(depth), (0, 3, depth, -1))
    compile(source(nested_conditionals(depth)), "source", "exec")
