"""The techniques that buy time back are what they say: facts about their machine code, and the
cases in which they could go wrong alone."""

from __future__ import annotations

import platform
import re
from collections import Counter

import pytest
from native_engines import executable, run
from test_machine_code import body, code_of

from vmlab.assembler import assemble
from vmlab.engines import EngineUnavailable, find
from vmlab.isa import Trap
from vmlab.kernels.encoding import PLAIN
from vmlab.machinecode import count_indirect_jumps
from vmlab.outcome import Limits

on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="facts about x86-64 code")

SUM = """
func main(n: int = 9) -> int
    local total: int
again:
    load total
    load n
    add
    store total
    load n
    push 1
    sub
    dup
    store n
    jnz again
    load total
    ret
end"""

# `cached`: operands below calls with and without arguments and results.
CALLS = """
global seen: int
func note(n: int)
    load n
    gstore seen
    ret
end
func nothing()
    local k: int
    push 3
    store k
    ret
end
func seven() -> int
    push 7
    ret
end
func deep(n: int, m: float) -> int
    load n
    jz done
    load n
    load n
    push 1
    sub
    load m
    push 0.5
    mul
    call deep
    call nothing
    add
    ret
done:
    load m
    push 0.0
    eq
    ret
end
func main(n: int = 5) -> int
    call nothing
    push 100
    load n
    call note
    call seven
    call nothing
    add
    load n
    push 1.0
    call deep
    gload seen
    print
    add
    ret
end"""


@pytest.mark.parametrize("name", ["cached", "threaded+cached", "threaded+cached+late"])
@pytest.mark.parametrize("counting", [True, False])
def test_operands_below_a_call_are_kept(name: str, counting: bool) -> None:
    for n in 0, 5, 9_000:
        expected = run(CALLS, "reference", True, (n,))
        found = executable(CALLS, name, counting).call((n,), Limits()).outcome
        assert not expected.differences(found)


def test_a_main_without_result_and_without_operands() -> None:
    text = "func main()\npush 4\nprint\nret\nend"
    assert run(text, "cached", False).output == (4,)


@pytest.mark.parametrize("kind", ["tagged", "boxed", "cells"])
def test_what_does_not_fit_into_a_register_is_refused(kind: str) -> None:
    with pytest.raises(EngineUnavailable, match="one word"):
        find(f"switch+cached+{kind}").build(assemble(SUM), counting=False)


def accesses(engine: str, opcode: str) -> list[str]:
    """The instructions of a handler that read or write the stack: sp is in %r13, fp in %r14."""
    lines = body(code_of(engine, SUM), f"op.{opcode}")
    return [line for line in lines if re.search(r"\(%r1[34]", line) and not line.startswith("lea")]


@on_x86
@pytest.mark.parametrize(
    ("opcode", "in_memory", "cached"),
    [
        ("add.int", 3, 1),
        ("not", 2, 0),
        ("dup", 2, 1),
        ("load", 2, 2),
        ("store", 2, 2),
        ("pop", 0, 1),
    ],
)
def test_a_cached_top_saves_accesses_to_the_stack(opcode: str, in_memory: int, cached: int) -> None:
    """Two where an instruction pops and pushes, none where it only pushes; `pop` costs one."""
    for engine, expected in ("threaded", in_memory), ("threaded+cached", cached):
        found = accesses(engine, opcode)
        # x86 can read, compute and write in one instruction.
        both = sum(re.match(r"(add|not)q\s.*\)$", line) is not None for line in found)
        assert len(found) + both == expected, found


@on_x86
def test_cached_has_the_jumps_of_its_dispatch() -> None:
    assert count_indirect_jumps(code_of("cached", SUM), "x86_64") == 1
    code = code_of("threaded+cached", SUM)
    assert count_indirect_jumps(code, "x86_64") == len(PLAIN.handlers) - 1


@on_x86
def test_subroutine_calls_a_function_an_instruction() -> None:
    code = code_of("subroutine", SUM)
    program, calls = assemble(SUM), body(code, "run")
    called = Counter(line.split()[1] for line in calls if line.startswith("call"))
    names = [f"op.{variant.name}" for variant in program.stack_maps[0].variants]
    end = names.index("op.jnz")
    assert called == Counter(names[:end] + names[end + 1 : -1])
    assert count_indirect_jumps(code, "x86_64") == 0
    for name in set(called):
        lines = body(code, name)
        assert lines[-1].startswith("ret")
        assert not any(line.startswith(("call", "jmp")) for line in lines)


@on_x86
def test_subroutine_calls_also_where_a_function_can_suspend() -> None:
    text = SUM.replace("store total", "store total\nyield")
    code = code_of("subroutine", text)
    called = {line.split()[1] for line in body(code, "vm.main") if line.startswith("call")}
    assert {"op.load", "op.add.int", "op.push", "op.sub.int", "op.store"} <= called
    assert "op.yield" not in called


def test_what_subroutine_calls_knows_what_tasks_cost() -> None:
    text = "func main()\npush 0\nchan int\npop\npush 3\nnewarr int\npop\nret\nend"
    for counting in (True, False):
        assert run(text, "subroutine", counting, max_heap=64 + 32).trap is None
        trapped = run(text, "subroutine", counting, max_heap=64 + 31).trap
        assert trapped is not None and trapped.trap is Trap.OUT_OF_MEMORY
