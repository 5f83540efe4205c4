"""The techniques that buy time back are what they say: facts about their machine code, and the
cases in which they could go wrong alone."""

from __future__ import annotations

import platform
import re
from collections import Counter
from pathlib import Path

import pytest
from native_engines import executable, run
from test_machine_code import body, code_of

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import REPLICAS, EngineUnavailable, find
from vmlab.isa import Trap
from vmlab.kernels.encoding import HALT, PLAIN, encode
from vmlab.kernels.interpreter import InterpreterExecutable
from vmlab.machinecode import count, count_indirect_jumps, dialect
from vmlab.outcome import Limits, bind_arguments

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


# Addresses of handlers in the code


def test_direct_code_holds_the_addresses_of_handlers_wherever_these_lie() -> None:
    built, encoded = executable(SUM, "direct", False), encode(assemble(SUM))
    names, seen = list(PLAIN.handlers), set()
    for _ in range(3):
        functions = built.functions()
        for place in (0, *encoded.opcodes):
            address = functions[f"op.{names[encoded.words[place]]}"].start
            assert built._code.words[place] == address
        seen.add(built._code.words[0])
        assert built.call((9,), Limits()).outcome.result == 45
        assert built.relocate()
    assert len(seen) == 3


@on_x86
def test_direct_code_saves_the_load_from_the_table_alone() -> None:
    spoken, codes = dialect("x86_64"), [code_of(name, SUM) for name in ("threaded", "direct")]
    assert spoken is not None
    for name in PLAIN.handlers.keys() - {HALT}:
        threaded, direct = (count("\n".join(body(code, f"op.{name}")), spoken) for code in codes)
        # Around a call the register with the table is put away and brought back.
        saved = 3 if threaded.calls else 1
        assert direct.accesses == threaded.accesses - saved, name
        assert direct.indirect_jumps == threaded.indirect_jumps == 1, name


def test_direct_code_that_moved_is_quickened_still() -> None:
    built = find("threaded+quickened+direct").build(assemble(SUM), counting=True)
    fresh = built.opcodes()
    first = built.call((9,), Limits()).outcome
    quick, before = built.opcodes(), list(built._code.words)
    assert quick.keys() == fresh.keys() and quick != fresh
    built.relocate()
    assert built.opcodes() == quick and list(built._code.words) != before
    assert not first.differences(built.call((9,), Limits()).outcome)


def test_only_what_jumps_in_every_handler_can_do_so_directly() -> None:
    for base in "switch", "template", "inlined":
        with pytest.raises(ValueError, match="'direct' can be added to threaded only"):
            find(f"{base}+direct")


# Replicas


def replicas(executable: InterpreterExecutable) -> list[int]:
    """Of the handlers that the instructions have, in the order of the code."""
    opcodes, count = executable.opcodes(), len(executable.instructions.handlers)
    return [opcodes[place] // count for place in executable._encoded.opcodes]


@pytest.fixture
def two_replicas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They take less time to compile, and must not get into the cache of the others."""
    monkeypatch.setenv("VMLAB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("vmlab.kernels.dispatch.REPLICAS", 2)


@pytest.mark.parametrize("base", ["threaded", "switch"])
def test_instructions_take_replicas_in_turn(base: str) -> None:
    pushes = 2 * REPLICAS + 1
    text = "func main()\n" + "push 7\nprint\n" * pushes + "ret\nend"
    found = replicas(executable(text, f"{base}+replicated", False))
    each = [k % REPLICAS for k in range(pushes)]
    assert found == [replica for k in each for replica in (k, k)] + [0]
    assert set(replicas(executable(text, base, False))) == {0}


def test_a_sequence_is_one_instruction_that_takes_a_replica() -> None:
    text = "func main(n: int) -> int\n" + "load n\npush 1\nadd\nstore n\n" * 3 + "load n\nret\nend"
    built = executable(text, "threaded+super+replicated", False)
    assert replicas(built)[:3] == [0, 1, 2]
    assert built.call((4,), Limits()).outcome.result == 7


@on_x86
def test_replicas_have_the_jumps_of_their_dispatch() -> None:
    code = code_of("replicated", SUM)
    assert count_indirect_jumps(code, "x86_64") == REPLICAS * (len(PLAIN.handlers) - 1)
    code = code_of("switch+replicated", SUM)
    assert count_indirect_jumps(code, "x86_64") == 1
    # A target for each: only those of `halt` have been joined again.
    targets = re.findall(r"^\s+\.quad\s+(\.LBB\w+)$", code, re.M)
    assert len(targets) == REPLICAS * len(PLAIN.handlers)
    assert len(set(targets)) > REPLICAS * (len(PLAIN.handlers) - 1)


QUICKENED = SUM.replace("load total\n    load n", "load total\n    load n\n    push 0\n    add")


@pytest.mark.usefixtures("two_replicas")
@pytest.mark.parametrize("base", ["threaded", "switch", "threaded+direct"])
def test_an_instruction_that_quickens_keeps_its_replica(base: str) -> None:
    built = find(f"{base}+quickened+replicated").build(assemble(QUICKENED), counting=True)
    before = built.opcodes(), replicas(built)
    assert {0, 1} <= set(before[1])
    expected = run(QUICKENED, "reference", True, (9,))
    for _ in range(2):
        assert not expected.differences(built.call((9,), Limits()).outcome)
        assert replicas(built) == before[1] and built.opcodes() != before[0]
        built.relocate()


@pytest.mark.usefixtures("two_replicas")
@pytest.mark.parametrize(
    "name",
    ["threaded+cached", "switch+register", "threaded+boxed+late", "switch+tagged+quickened"],
)
def test_replicas_of_everything(name: str) -> None:
    expected = run(CALLS, "reference", True, (6,))
    for counting in True, False:
        built = find(f"{name}+replicated").build(assemble(CALLS), counting=counting)
        assert set(replicas(built)) == {0, 1}
        assert not expected.differences(built.call((6,), Limits()).outcome)


@pytest.mark.usefixtures("two_replicas")
@pytest.mark.parametrize("part", ["copy+barrier", "quickened", "super+direct"])
def test_replicas_with_tasks(part: str) -> None:
    text = corpus.source("philosophers")
    args = bind_arguments(assemble(text), {})
    expected = run(text, "reference", True, args)
    built = find(f"threaded+{part}+replicated").build(assemble(text), counting=True)
    assert set(replicas(built)) == {0, 1}
    assert not expected.differences(built.call(args, Limits()).outcome)
