"""The Python source of programs: it reads well, does what it says by itself, and its names are
the program's."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import indent
from unittest.mock import patch

import pytest

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.cpython.executable import CPython
from vmlab.cpython.runtime import Machine
from vmlab.cpython.source import translate
from vmlab.cpython.translate import Form
from vmlab.engines import EngineUnavailable
from vmlab.outcome import Limits
from vmlab.program import Program
from vmlab.reference import Reference

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.txt"), key=lambda path: path.name)


def source(program: Program) -> str:
    return translate(program, Form()).text


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    assert source(corpus.load(path.stem)) == path.read_text()


def test_there_are_golden_sources() -> None:
    assert len(GOLDEN) == 4


def test_the_readme_shows_what_there_is() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert indent(source(corpus.load("sum")), "    ") in readme


@pytest.mark.parametrize("form", [Form(), Form(counting=True, frames=True)])
def test_an_instruction_that_nobody_has_written_is_refused_by_name(form: Form) -> None:
    program = assemble("func main(x: float) -> float\nload x\nsqrt\nret\nend")
    with (
        patch.dict("vmlab.cpython.translate._CALLED", clear=True),
        pytest.raises(EngineUnavailable, match="'sqrt'"),
    ):
        translate(program, form)


@pytest.mark.parametrize("name", ["sieve", "queens", "nbody", "hashtable"])
def test_the_text_is_the_program(name: str) -> None:
    program = corpus.load(name)
    machine = Machine()
    namespace = {"ints": machine.ints, "floats": machine.floats, "put": machine.put}
    exec(source(program), namespace)
    args = program.expectations[0].args
    expected = Reference(program, counting=False).call(args, Limits()).outcome
    assert namespace["main"](*args) == expected.result
    assert tuple(machine.output) == expected.output


@pytest.mark.parametrize("name", ["fannkuch", "nbody"])
def test_the_text_compiles_to_the_code_that_runs(name: str) -> None:
    translated = translate(corpus.load(name), Form())
    runs, reads = {}, {}
    exec(compile(translated.module, "tree", "exec"), runs)
    exec(compile(ast.parse(translated.text), "text", "exec"), reads)
    assert runs["main"].__code__.co_code == reads["main"].__code__.co_code


HOSTILE_NAMES = """
    global None: int = 3
    global put: float = 1.5
    global __debug__: int = 5
    func len(lambda: int, wrap: int) -> int
        local len: int
        local it: int
        local s0: int
        local t0: int
        local goto: int
        load lambda
        load wrap
        mul
        store it
        load it
        load it
        mul
        gload None
        add
        gload __debug__
        add
        store len
        load len
        load it
        sub
        ret
    end
    func ints(int: int) -> int[]
        load int
        newarr int
        ret
    end
    func main(depth: int, executed: int) -> int
        local main: int[]
        load executed
        call ints
        store main
        load main
        len
        gload put
        print
        load depth
        load executed
        call len
        add
        ret
    end"""


def test_names_that_mean_something_in_python() -> None:
    program = assemble(HOSTILE_NAMES)
    for counting in (True, False):
        executable = CPython(program, counting)
        for args in ((3, 4), (2**40, 2**30), (1, -1), (5, 0)):
            expected = Reference(program, counting=True).call(args, Limits()).outcome
            assert not expected.differences(executable.call(args, Limits()).outcome)


def body(code: str, params: str = "a: int, b: int", result: str = "int", locals_: str = "") -> str:
    """The statements that a function of these instructions becomes."""
    lines = "\n".join(line.strip() for line in code.split(","))
    local = "".join(f"local {name}: int\n" for name in locals_.split())
    program = assemble(
        f"func f({params}) -> {result}\n{local}{lines}\nret\nend\nfunc main()\nret\nend"
    )
    text = source(program)
    function = text[text.index("def f") : text.index("def main")]
    return "; ".join(line.strip() for line in function.splitlines()[1:] if line)


BOUNDED = "push 1000, mod, store a, load b, push 1000, mod, store b"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # What cannot leave 64 bits does not wrap.
        ("load a, push 9, and, load b, push 9, and, mul", "return (a & 9) * (b & 9)"),
        # What passes through operations on low bits wraps once.
        (
            "load a, load b, mul, push 7, xor, load b, add, store a, load a",
            "a = (a * b ^ 7) + b; if not INT_MIN <= a <= INT_MAX:; a = wrap(a); return a",
        ),
        ("load a, load b, mul, push 255, and", "return a * b & 255"),
        # An operand is read before its local changes.
        ("load a, load b, store a, load a, xor", "t0 = a; a = b; return t0 ^ a"),
        ("load a, load b, swap, store b, store a, load a", "t0 = b; b = a; a = t0; return a"),
        # A comparison is a number only where one is needed.
        ("load a, load b, lt", "return 1 if a < b else 0"),
        ("load a, load b, lt, push 0, eq", "return 1 if a >= b else 0"),
        ("load a, load b, lt, load a, push 3, eq, and", "return 1 if a < b and a == 3 else 0"),
    ],
)
def test_expressions(code: str, expected: str) -> None:
    assert body(code) == expected


def test_comparisons_of_floats_are_not_turned_around() -> None:
    """A NaN is neither less nor greater or equal."""
    text = body("load a, load b, lt, push 0, eq", params="a: float, b: float")
    assert text == "return 1 if not a < b else 0"


def test_a_global_is_read_before_a_call_that_comes_after_it() -> None:
    text = """
        global g: int = 2
        func change() -> int
            push 40
            gstore g
            push 1
            ret
        end
        func main() -> int
            gload g
            call change
            add
            gload g
            call change
            swap
            sub
            add
            ret
        end"""
    program = assemble(text)
    expected = Reference(program, counting=True).call((), Limits()).outcome
    assert expected.result == 3 + 1 - 40
    for counting in (True, False):
        found = CPython(program, counting).call((), Limits()).outcome
        assert not expected.differences(found)
