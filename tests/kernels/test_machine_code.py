"""The engines are what they say: facts about their machine code."""

from __future__ import annotations

import platform
import re

import llvmlite.binding as llvm
import pytest

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import find
from vmlab.kernels import native
from vmlab.kernels.encoding import HALT, PLAIN
from vmlab.machinecode import count_indirect_jumps

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="facts about x86-64 code, and this is another CPU"
)

# A chain of comparisons with constants, which compilers like to turn into a jump table.
CHAIN = (
    "func main(n: int) -> int\n"
    + "".join(f"load n\npush {k}\neq\njz l{k}\npush {k * k + 7}\nret\nl{k}:\n" for k in range(40))
    + "push -1\nret\nend\n"
)

STRAIGHT = ("inlined", "template")
PROGRAMS = ("fib", "sieve", "matmul", "nbody", "quicksort", "queens", "hashtable", "crc32")


def code_of(engine: str, text: str, counting: bool = False) -> str:
    code = find(engine).build(assemble(text), counting=counting).machine_code()
    assert code is not None
    return code


def code_bytes(object_code: bytes) -> bytes:
    sections = llvm.ObjectFileRef.from_data(object_code).sections()
    return b"".join(section.data() for section in sections if section.is_text())


@pytest.mark.parametrize("engine", ["threaded", "switch"])
def test_what_is_shown_is_what_runs(engine):
    built = find(engine).build(corpus.load("fib"), counting=False)
    module = native.optimise(built._make_ir())
    machine = native.target_machine(native.FAR)
    assert machine.emit_assembly(module.clone()) == built.machine_code()
    assert code_bytes(machine.emit_object(module)) == code_bytes(built._unit.object_code)


def body(assembly: str, function: str) -> list[str]:
    """The instructions of a function."""
    match = re.search(rf'^"?{re.escape(function)}"?:(.*?)^\.Lfunc_end', assembly, re.M | re.S)
    assert match is not None
    lines = (line.split("#")[0].strip() for line in match[1].splitlines())
    return [line for line in lines if line and not line.startswith(".") and line[-1] != ":"]


@pytest.mark.parametrize("counting", [False, True])
def test_switch_has_one_indirect_jump(counting: bool) -> None:
    code = code_of("switch", corpus.source("sum"), counting)
    assert count_indirect_jumps(code, "x86_64") == 1


@pytest.mark.parametrize("counting", [False, True])
def test_threaded_has_one_indirect_jump_in_every_handler(counting: bool) -> None:
    code = code_of("threaded", corpus.source("sum"), counting)
    for name in PLAIN.handlers:
        jumps = [line for line in body(code, f"op.{name}") if re.match(r"jmpq?\s+\*", line)]
        assert len(jumps) == (0 if name == HALT else 1), name
    assert count_indirect_jumps(code, "x86_64") == len(PLAIN.handlers) - 1


@pytest.mark.parametrize("engine", ["threaded", "threaded+cached"])
def test_threaded_moves_the_pc_in_place(engine: str) -> None:
    code = code_of(engine, corpus.source("sum"))
    for name in "load", "store", "push", "add.int":
        lines = body(code, f"op.{name}")
        assert sum(re.match(r"addq\s+\$\d+, %r12", line) is not None for line in lines) == 1, lines
        assert not any(re.match(r"leaq.*\(%r12\)|movq.*, %r12", line) for line in lines), lines


@pytest.mark.parametrize("engine", STRAIGHT)
@pytest.mark.parametrize("name", PROGRAMS)
def test_straight_code_has_no_indirect_jump(engine: str, name: str) -> None:
    assert count_indirect_jumps(code_of(engine, corpus.source(name)), "x86_64") == 0


@pytest.mark.parametrize("engine", STRAIGHT)
def test_a_chain_of_comparisons_makes_no_jump_table(engine: str) -> None:
    assert count_indirect_jumps(code_of(engine, CHAIN), "x86_64") == 0


# Ten additions without a branch: 1 load and 10 pushes, 10 additions.
ADDITIONS = (
    "func f(n: int) -> int\nload n\n"
    + "".join(f"push {k}\nadd\n" for k in range(100, 110))
    + "ret\nend\nfunc main(n: int) -> int\nload n\ncall f\nret\nend\n"
)


def test_template_stores_what_every_instruction_pushes_and_inlined_folds_it() -> None:
    template = code_of("template", ADDITIONS)
    for k in range(100, 110):
        assert re.search(rf"movq\s+\${k}, \d*\(%\w+\)", template), k
    # Each addition takes its operands from memory and puts the sum back there.
    stored = re.findall(r"addq\s+%\w+, \d*\(%\w+\)|movq\s+%\w+, \d*\(%\w+\)", template)
    assert len(stored) >= 10
    inlined = code_of("inlined", ADDITIONS)
    assert f"${sum(range(100, 110))}" in inlined or f"{sum(range(100, 110))}(%" in inlined
    assert not re.search(r"\$10\d, ", inlined)
