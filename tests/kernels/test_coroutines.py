"""Coroutines of straight code: what their frames hold, where they are taken from, and that only
functions that can suspend have them."""

from __future__ import annotations

import platform

import pytest
from native_engines import agreed, executable
from test_machine_code import body
from test_tasks import DEEP, PARKED, SLOW, TWICE, lines, program, used

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import Executable, find
from vmlab.isa import Trap, further_stack_words
from vmlab.kernels.callgraph import CallGraph
from vmlab.kernels.frames import Layout
from vmlab.kernels.liveness import live_locals
from vmlab.kernels.operands import Memory, Ssa
from vmlab.kernels.values import RAW
from vmlab.machinecode import count_indirect_jumps
from vmlab.outcome import Limits, Place

STRAIGHT = ["inlined", "template", "subroutine"]
BUILDS = [(engine, counting) for engine in STRAIGHT for counting in (True, False)]

every_straight = pytest.mark.parametrize("engine", STRAIGHT)

# Suspends at every level; the callers keep a local, an operand and the call's place meanwhile.
DOWN = """
func down(n: int, x: float) -> float
    local kept: int
    load n
    store kept
    yield
    load x
    load n
    jz bottom
    load n
    push 1
    sub
    load x
    push 0.5
    add
    call down
    load kept
    float
    add
    add
bottom:
    ret
end
"""


def value_of_down(n: int, x: float) -> float:
    return x + (value_of_down(n - 1, x + 0.5) + n if n else 0.0)


@pytest.mark.parametrize("depth", [0, 1, 2, 50])
def test_frames_of_callers_come_back(depth: int) -> None:
    text = program(
        f"push {depth}, push 1.0, spawn down, push {depth}, push 2.0, spawn down, join, print,"
        f"join, print, push {depth}, push 3.0, call down, print", "", DOWN
    )  # fmt: skip
    outcome = agreed(text, builds=BUILDS)
    assert outcome.output == tuple(value_of_down(depth, x) for x in (2.0, 1.0, 3.0))


# Control that goes into a loop where a task goes on, with other loops around and within.
NESTED = """
func nested(n: int) -> int
    local i: int
    local j: int
    local sum: int
outer:
    load i
    load n
    ge
    jnz done
    push 0
    store j
inner:
    load j
    load i
    ge
    jnz next
    load sum
    load i
    load n
    yield
    mul
    load j
    mul
    add
    store sum
    push 0
crunch:
    push 1
    add
    dup
    load sum
    add
    push 7
    and
    jnz crunch
    load sum
    add
    store sum
    load j
    push 1
    add
    store j
    jmp inner
next:
    load i
    push 1
    add
    store i
    jmp outer
done:
    load sum
    ret
end
"""


def test_loops_go_on_where_they_were() -> None:
    text = program("push 9, spawn nested, push 6, call nested, print, join, print", "", NESTED)
    assert agreed(text, builds=BUILDS).output == agreed(text, builds=[]).output


def test_other_tasks_change_what_a_loop_reads() -> None:
    """A counted loop that lets others run must not prove its accesses beforehand."""
    text = """
    global a: int[]
    func shrink()
        yield
        push 3
        newarr int
        gstore a
        ret
    end
    func main()
        local i: int
        push 10
        newarr int
        gstore a
        spawn shrink
        pop
    again:
        load i
        push 10
        lt
        jz done
        yield
        gload a
        load i
        aload
        print
        load i
        push 1
        add
        store i
        jmp again
    done:
        ret
    end"""
    outcome = agreed(text, builds=BUILDS)
    assert outcome.trap is not None
    assert (outcome.trap.trap, outcome.output) == (Trap.INDEX_OUT_OF_RANGE, (0, 0, 0))


@pytest.mark.parametrize("max_depth", [1, 2, 10, 100_000])
def test_deep_recursion_ends_at_the_limit(max_depth: int) -> None:
    """It takes no machine stack: eight megabytes would not do for so many frames."""
    functions = "func endless() -> int\nyield\ncall endless\npush 1\nadd\nret\nend\n"
    outcome = agreed(
        program("call endless, print", "", functions), builds=BUILDS, max_depth=max_depth
    )
    assert outcome.trap is not None
    assert outcome.trap.trap is Trap.CALL_DEPTH_EXCEEDED
    assert len(outcome.trap.chain) == max_depth
    assert outcome.trap.chain[-1] == Place(0, 0)


def test_chains_go_from_plain_functions_into_frames() -> None:
    """Plain recursion, some of it inlined, below functions that can suspend."""
    text = program(
        "push 5, spawn first, join, print", "",
        lines("func first(n: int) -> int, yield, load n, call second, ret, end") + "\n"
        + lines("func second(n: int) -> int, yield, load n, call third, push 1, add, ret, end")
        + "\n"
        + lines(
            "func third(n: int) -> int, load n, jz bottom, load n, push 1, sub, call third, ret,"
            "bottom:, push 1, push 0, div, ret, end"
        )
    )  # fmt: skip
    outcome = agreed(text, builds=BUILDS)
    assert outcome.trap is not None
    assert outcome.trap.chain == (
        Place(3, 9), *[Place(3, 5)] * 5, Place(2, 2), Place(1, 2),
    )  # fmt: skip
    assert outcome.trap.launches == (Place(0, 1),)


# What lives


def layout(text: str, storage: type) -> Layout:
    parsed = assemble(text)
    return Layout(parsed, CallGraph.of(parsed), storage, RAW)


def test_what_is_written_before_it_is_read_does_not_live() -> None:
    code = "again:, load a, store b, load b, yield, push 1, store b, jz again"
    text = program(code, "local a: int, local b: int")
    assert live_locals(assemble(text).functions[0]) == [1, 1, 3, 1, 1, 1, 1, 0]


def test_a_frame_is_one_cache_line_or_a_few() -> None:
    for name in ("ring", "pipeline", "many_tasks", "ping_pong", "philosophers", "fan"):
        frames = layout(corpus.source(name), Ssa).lines
        assert all(lines <= 2 for lines in frames.values()), (name, frames)
    # Forty locals, one of which lives; 41 words and a header where all stand in memory.
    many = "\n".join(f"local x{n}: int" for n in range(40))
    text = program("load x7, yield, print, load x7, print", many)
    assert layout(text, Ssa).lines == {0: 1}
    assert layout(text, Memory).lines == {0: 6}


# Launches a task, waits for its end, and again.
LAUNCHING = (
    """
func main(n: int) -> float
again:
    push 20
    push 1.0
    spawn down
    join
    pop
    load n
    push 1
    sub
    dup
    store n
    jnz again
    push 0.0
    ret
end"""
    + DOWN
)


def frames_used(built: Executable) -> int:
    return used(built, "segment", "segments")


@every_straight
def test_frames_are_used_again(engine: str) -> None:
    built = executable(LAUNCHING, engine, False)
    memory = []
    for rounds in (1, 1_000):
        assert built.call((rounds,), Limits(), iterations=3).outcome.trap is None
        memory.append(frames_used(built))
    assert memory[0] == memory[1]
    # Main's, and one for each of 21 calls, as many lines as the layout says.
    frames = built._layout.lines
    assert memory[0] == 8 * len(built._layout.sizes) + 64 * (frames[0] + 21 * frames[1])


@every_straight
def test_a_million_tasks_wait(engine: str) -> None:
    built = executable(PARKED, engine, False)
    outcome = built.call((1_000_000,), Limits()).outcome
    assert (outcome.result, outcome.trap) == (0, None)
    # A descriptor and a frame of a line each.
    assert used(built, "block", "blocks") == 64 * (1_000_000 + 2)
    assert built._layout.lines[0] == 1
    assert frames_used(built) < 64 * (1_000_000 + 4) + 64


def test_memory_for_frames_never_runs_out() -> None:
    """Tasks of ever larger frames, as many of each size as the limit allows."""
    functions, main = "", []
    heap_words = 1 << 13
    for words in (1, 9, 17, 33):
        declared = "".join(f"local x{n}: int\n" for n in range(words))
        kept, pops = "".join(f"load x{n}\n" for n in range(words)), "pop\n" * words
        functions += f"func f{words}()\n{declared}{kept}yield\n{pops}ret\nend\n"
        further = further_stack_words(2 * words + 2)
        count = 3 * heap_words // 4 // (28 + further)
        main.append(
            f"push {count}, more{words}:, spawn f{words}, pop, push 1, sub, dup, jnz more{words},"
            "pop, yield, yield"
        )
    text = program(",".join(main), "", functions)
    assert agreed(text, builds=BUILDS, max_heap=8 * heap_words).trap is None
    assert len(layout(text, Ssa).sizes) > 3


# Machine code


@pytest.mark.skipif(platform.machine() != "x86_64", reason="facts about x86-64 code")
@every_straight
@pytest.mark.parametrize("counting", [False, True])
def test_only_resumptions_are_indirect(engine: str, counting: bool) -> None:
    """A function that cannot suspend has no indirect jump and no indirect call; one that can leaves
    by them alone, to whom it resumes."""
    functions = TWICE + SLOW + DEEP.replace("call deep", "call deep\npop\nload n\ncall plain")
    functions += (
        "func plain(n: int) -> int\nload n\njz zero\nload n\npush 1\nsub\ncall plain\nret\n"
    )
    functions += "zero:\npush 1\nret\nend\n"
    text = program("push 1, spawn twice, pop, push 2, spawn slow, join, pop", "", functions)
    built = find(engine).build(assemble(text), counting=counting)
    code = built.machine_code()
    assert code is not None
    for name in ("plain", "deep"):
        if f"vm.{name}:" in code:
            assert not [line for line in body(code, f"vm.{name}") if "*" in line]
    for name in ("main", "twice", "slow"):
        indirect = [line for line in body(code, f"vm.{name}") if "*" in line]
        assert indirect and all(line.startswith("jmpq") for line in indirect)
    leaving = [*(f"vm.{name}" for name in ("main", "twice", "slow")), "ends", "ends.value"]
    indirect = [line for name in leaving for line in body(code, name) if "*" in line]
    assert count_indirect_jumps(code, "x86_64") == len(indirect)


@every_straight
def test_code_can_be_shown_and_moved(engine: str) -> None:
    built = executable(corpus.source("ring"), engine, False)
    assert "musttail" in (built.ir() or "")
    expected = built.call((10, 100), Limits()).outcome
    places = {name: memory.region.address for name, memory in built.memory().items()}
    assert built.relocate()
    assert not expected.differences(built.call((10, 100), Limits()).outcome)
    for name in ("stack", "records", "blocks", "segments"):
        assert built.memory()[name].region.address != places[name]
