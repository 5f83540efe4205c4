"""Operations with tasks and channels that are called, as in a program with many of them: they do
what they do where they are emitted in place."""

from __future__ import annotations

import platform
from collections import Counter

import pytest
from hostile_programs import operations
from native_engines import run
from test_machine_code import body
from test_tasks import (
    CHANNEL,
    FAIL,
    PRINTED,
    SEND,
    STACKFUL,
    TASK,
    TRAPPED,
    WAIT,
    program,
)

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import find
from vmlab.isa import Trap
from vmlab.kernels import task_functions
from vmlab.outcome import Limits, Outcome, bind_arguments

BUILDS = [
    ("inlined", False), ("template+tagged", True), *[(name, True) for name in STACKFUL[1:]]
]  # fmt: skip

DEADLOCKS = [
    "gload c, push 1, send",
    "push 1, spawn put, join",
    "push 3, spawn waiting, dup, spawn wait, pop, spawn wait, join, pop",
    "push 1, spawn put, pop, push 1, spawn put, pop, push 4, spawn waiting, spawn wait, pop,"
    "gload c, recv, pop, pop, gload c, recv, pop, pop, gload c, recv, pop, pop",
]
WAITING = "func waiting(n: int) -> int\npush 0\nchan int\nrecv\npop\nret\nend\n"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_functions, "INLINED_OPERATIONS", -1)


def agreed(text: str, **limits: int) -> Outcome:
    expected = run(text, "reference", True, **limits)
    for engine, counting in BUILDS:
        built = find(engine).build(assemble(text), counting=counting)
        differences = expected.differences(built.call((), Limits(**limits)).outcome)
        assert not differences, (engine, counting, differences)
    return expected


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize("case", PRINTED)
def test_prints(case: str) -> None:
    main, declarations, functions, _ = PRINTED[case]
    assert agreed(program(main, declarations, functions)).trap is None


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize("case", TRAPPED)
def test_traps(case: str) -> None:
    main, functions, limits, *_ = TRAPPED[case]
    assert agreed(program(main, "", functions), **limits).trap is not None


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize("main", DEADLOCKS)
def test_deadlocks(main: str) -> None:
    text = program(f"push 0, chan int, gstore c, {main}", "", SEND + WAIT + WAITING)
    trap = agreed(text).trap
    assert trap is not None and trap.deadlock is not None


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize(
    ("main", "cost"),
    [("push 7, chan int, pop", CHANNEL + 7 * 8), ("push 1, spawn fail, pop", TASK)],
)
def test_what_they_cost(main: str, cost: int) -> None:
    text = program(main, "", FAIL)
    assert agreed(text, max_heap=cost).trap is None
    trap = agreed(text, max_heap=cost - 1).trap
    assert trap is not None and trap.trap is Trap.OUT_OF_MEMORY


@pytest.mark.usefixtures("called")
@pytest.mark.parametrize("name", ["ring", "ping_pong", "pipeline", "fan", "philosophers"])
def test_several_workers(name: str) -> None:
    text = corpus.source(name)
    parsed = assemble(text)
    args = tuple(bind_arguments(parsed, {}))
    alone = find("inlined").build(parsed, counting=False).call(args, Limits()).outcome
    together = find("inlined").build(parsed, counting=False, workers=2)
    outcome = together.call(args, Limits(), iterations=2).outcome
    assert (outcome.result, outcome.trap) == (alone.result, None)
    assert Counter(outcome.output) == Counter(alone.output)


# Which programs call


@pytest.mark.skipif(platform.machine() != "x86_64", reason="facts about x86-64 code")
def test_many_are_called_and_few_are_not() -> None:
    most = task_functions.INLINED_OPERATIONS
    for count, calls in ((most - 1, False), (most, True)):
        code = find("inlined").build(assemble(operations(count)), counting=True).machine_code()
        assert code is not None
        assert any("op.send" in line for line in body(code, "vm.main")) == calls
