"""Tasks on machine stacks: what they hold, how many there are, and that functions are plain ones.
What programs see is tested with that of the other engines, in test_tasks.py."""

from __future__ import annotations

import platform
import re
import signal
import threading
from types import FrameType

import pytest
from native_engines import agreed, executable
from test_coroutines import DOWN, LAUNCHING, value_of_down
from test_machine_code import body
from test_tasks import DEEP, PARKED, program

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import EngineUnavailable, Executable, find
from vmlab.isa import Trap
from vmlab.kernels import cross, task_stackful
from vmlab.kernels.machine_stacks import HEADER_WORDS
from vmlab.outcome import Limits, Place

STACKFUL = ["inlined+stackful", "template+stackful"]
BUILDS = [(engine, counting) for engine in STACKFUL for counting in (True, False)]

every_stackful = pytest.mark.parametrize("engine", STACKFUL)
on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="stacks are of x86-64")

TASKS = "func main()\nyield\nret\nend"
ENDLESS = "func endless() -> int\nyield\ncall endless\npush 1\nadd\nret\nend\n"


# Where there are none


@pytest.mark.parametrize("name", ["threaded+stackful", "switch+boxed+stackful"])
def test_interpreters_have_no_machine_stacks(name: str) -> None:
    with pytest.raises(ValueError, match="'stackful' can be added to inlined and template only"):
        find(name)


@every_stackful
def test_without_tasks_there_are_none(engine: str) -> None:
    with pytest.raises(EngineUnavailable, match="the program has no tasks"):
        find(engine).build(assemble("func main()\nret\nend"), counting=False)


def test_inlined_takes_nothing_else() -> None:
    with pytest.raises(EngineUnavailable, match="add it to 'template'"):
        find("inlined+tagged+stackful").build(assemble(TASKS), counting=False)


def no_architecture(_name: str) -> str:
    raise cross.Unsupported("this machine is something else")


@pytest.mark.parametrize("base", [lambda _name: "aarch64", no_architecture])
def test_other_architectures_refuse(monkeypatch: pytest.MonkeyPatch, base: object) -> None:
    monkeypatch.setattr(cross, "base", base)
    with pytest.raises(EngineUnavailable, match="on x86-64 only"):
        find("inlined+stackful").build(assemble(TASKS), counting=False)


# What a stack holds


@on_x86_64
@pytest.mark.parametrize("depth", [0, 1, 50, 9_999, 10_000])
def test_stacks_are_left_and_entered_at_any_depth(depth: int) -> None:
    outcome = agreed(corpus.source("deep_yield"), 3, depth, builds=BUILDS)
    assert outcome.result == (2 * (3 + depth) if depth < 10_000 else None)


@on_x86_64
def test_values_come_back() -> None:
    text = program(
        "push 30, push 1.0, spawn down, push 30, push 2.0, spawn down, join, print, join, print",
        "", DOWN,
    )  # fmt: skip
    outcome = agreed(text, builds=BUILDS)
    assert outcome.output == tuple(value_of_down(30, x) for x in (2.0, 1.0))


@on_x86_64
@pytest.mark.parametrize("main", ["call endless, print", "spawn endless, join, print"])
@pytest.mark.parametrize("max_depth", [1, 2, 10, 100_000])
def test_deep_recursion_ends_at_the_limit(main: str, max_depth: int) -> None:
    outcome = agreed(program(main, "", ENDLESS), builds=BUILDS, max_depth=max_depth)
    assert outcome.trap is not None
    assert outcome.trap.trap is Trap.CALL_DEPTH_EXCEEDED
    assert len(outcome.trap.chain) == max_depth


@on_x86_64
@every_stackful
@pytest.mark.parametrize("main", ["call endless, print", "spawn endless, join, print"])
def test_a_stack_that_is_used_up_is_told_of(
    monkeypatch: pytest.MonkeyPatch, engine: str, main: str
) -> None:
    # Half a megabyte a stack; two, and as many for the VM's stack, where that is in memory.
    space = 1 << (25 if engine == "inlined+stackful" else 28)
    monkeypatch.setattr(task_stackful, "ADDRESS_SPACE", space)
    built = find(engine).build(assemble(program(main, "", ENDLESS)), counting=False)
    message = r"the machine stack of a task \([\d,]+ bytes\) is used up before 90,000 frames"
    with pytest.raises(EngineUnavailable, match=message):
        built.call((), Limits(max_depth=90_000))
    trap = built.call((), Limits(max_depth=1_000)).outcome.trap
    assert trap is not None and len(trap.chain) == 1_000


@on_x86_64
def test_a_deadlock_unwinds_main_from_wherever_it_waits() -> None:
    """Main waits three calls deep, on a stack of its own, when another task finds nobody ready."""
    functions = """
    func deeper(n: int)
        load n
        jz bottom
        load n
        push 1
        sub
        call deeper
        ret
    bottom:
        push 0
        chan int
        recv
        pop
        pop
        ret
    end
    func other()
        yield
        gload c
        push 1
        send
        ret
    end"""
    text = program(
        "push 0, chan int, gstore c, spawn other, pop, push 2, call deeper", "", functions
    )
    found = agreed(text, builds=BUILDS).trap
    assert found is not None and found.trap is Trap.DEADLOCK
    assert found.chain == (Place(1, 9), Place(1, 5), Place(1, 5), Place(0, 6))


@on_x86_64
def test_growing_is_charged_at_the_same_instruction() -> None:
    text = program("push 40, push 0.5, push 2, spawn deep, join, print", "", DEEP)
    builds = [(engine, True) for engine in STACKFUL]
    for words in range(0, 1_200, 37):
        agreed(text, builds=builds, max_heap=224 + 8 * words)


@on_x86_64
@every_stackful
def test_signals_are_handled_on_any_stack(engine: str) -> None:
    """Their frames fit below whatever runs."""
    assert threading.current_thread() is threading.main_thread()
    built = executable(corpus.source("ring"), engine, False)
    expected = built.call((20_000, 50), Limits()).outcome
    handled = []

    def handle(number: int, _frame: FrameType | None) -> None:
        handled.append(number)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        while len(handled) < 20:
            assert not expected.differences(built.call((20_000, 50), Limits()).outcome)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# How many there are


def stacks_used(built: Executable) -> int:
    context = built.state.context
    first = context.segments + 8 * HEADER_WORDS
    return (context.fresh_segment - first) // built._stride


@on_x86_64
@every_stackful
def test_stacks_are_used_again(engine: str) -> None:
    built = executable(LAUNCHING, engine, False)
    for rounds in (1, 1_000):
        assert built.call((rounds,), Limits(), iterations=3).outcome.trap is None
        assert stacks_used(built) == 2


@on_x86_64
@every_stackful
def test_tasks_that_do_not_wait_share_one_stack(engine: str) -> None:
    text = program(
        "push 500, again:, dup, spawn short, pop, push 1, sub, dup, jnz again, pop, yield", "",
        "func short(n: int)\nload n\nprint\nret\nend\n",
    )  # fmt: skip
    assert agreed(text, builds=[(engine, False)]).output == tuple(range(500, 0, -1))
    assert stacks_used(executable(text, engine, False)) == 2


@on_x86_64
@every_stackful
def test_there_are_as_many_as_a_run_needs(engine: str) -> None:
    built = find(engine).build(assemble(PARKED), counting=False)
    for tasks in (10, 2_000, 20_000, 10):
        outcome = built.call((tasks,), Limits()).outcome
        assert (outcome.result, outcome.trap) == (0, None)
        assert stacks_used(built) == tasks + 1


@on_x86_64
def test_more_than_memory_is_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_stackful, "most_stacks", lambda: 100)
    built = find("inlined+stackful").build(assemble(PARKED), counting=False)
    assert built.call((99,), Limits()).outcome.trap is None
    message = "more than 100 of its tasks are under way at once"
    with pytest.raises(EngineUnavailable, match=message):
        built.call((100,), Limits())
    assert built.call((99,), Limits()).outcome.trap is None


@on_x86_64
@every_stackful
@pytest.mark.parametrize("kept", [10, 1_000])
def test_memory_of_many_stacks_comes_back(
    monkeypatch: pytest.MonkeyPatch, engine: str, kept: int
) -> None:
    monkeypatch.setattr(task_stackful, "KEPT_STACKS", kept)
    built = find(engine).build(assemble(PARKED), counting=False)
    built.call((300,), Limits())
    words = built._regions["segments"].words
    each = built._stride // 8
    starts = range(HEADER_WORDS, HEADER_WORDS + 300 * each, each)
    touched = [any(words[start : start + each]) for start in starts]
    # The last one of those lies within a page of the next.
    assert sum(touched) == pytest.approx(min(kept, 300), abs=1)


# Machine code


@on_x86_64
@pytest.mark.parametrize("counting", [False, True])
@every_stackful
def test_functions_that_suspend_are_plain_ones(engine: str, counting: bool) -> None:
    """They are called and return; a jump through a register is an exchange of stacks."""
    text = program("push 3, push 1.0, call down, print", "", DOWN)
    code = find(engine).build(assemble(text), counting=counting).machine_code()
    assert code is not None
    versions = [name for name in ("vm.down", "vm.down.exact") if f"{name}:" in code]
    suspends = [line for name in versions for line in body(code, name)]
    assert any(line.startswith("callq") and "vm.down" in line for line in suspends)
    assert any(line.startswith("retq") for line in suspends)
    jumps = [line for line in suspends if re.match(r"jmpq\s+\*", line)]
    assert jumps and set(jumps) == {"jmpq\t*%rax"}
    assert len(jumps) == sum("(%rdx), %rsp" in line for line in suspends)


@on_x86_64
@every_stackful
def test_code_can_be_shown_and_moved(engine: str) -> None:
    built = executable(corpus.source("ring"), engine, False)
    assert "musttail" not in (built.ir() or "musttail")
    expected = built.call((10, 100), Limits()).outcome
    places = {name: memory.region.address for name, memory in built.memory().items()}
    assert built.relocate()
    assert not expected.differences(built.call((10, 100), Limits()).outcome)
    for name in ("stack", "records", "blocks", "segments"):
        assert built.memory()[name].region.address != places[name]
