"""One executable run again and again, and several at once: no run sees anything of another."""

from __future__ import annotations

import ctypes
import gc
import mmap
import threading
from collections.abc import Callable

import pytest
from native_engines import NATIVE, agreed, every_build, executable, program, run

from vmlab.assembler import assemble
from vmlab.engines import ENGINES
from vmlab.isa import Trap
from vmlab.outcome import Limits, Outcome

# It keeps state of every kind: globals, arrays, locals, output.
STATEFUL = """
    global count: int = 40
    global mean: float = -0.0
    global kept: int[]
    func step(n: int) -> int
        local fresh: int
        gload count
        push 1
        add
        gstore count
        gload kept
        len
        load n
        newarr int
        gstore kept
        gload kept
        push 0
        aload
        add
        gload kept
        push 0
        push 77
        astore
        load fresh
        add
        push 5
        store fresh
        gload count
        print
        gload mean
        print
        gload mean
        load n
        float
        add
        gstore mean
        ret
    end
    func main(n: int, divisor: int) -> int
        local i: int
        local sum: int
    again:
        load n
        call step
        load sum
        add
        store sum
        load i
        push 1
        add
        dup
        store i
        load n
        lt
        jnz again
        load sum
        load divisor
        div
        ret
    end"""


@every_build
def test_iterations_do_what_one_run_does(build: tuple[str, bool]) -> None:
    stateful = executable(STATEFUL, *build)
    for args in ((5, 1), (5, 0)):  # a result, a trap
        expected = run(STATEFUL, "reference", True, args)
        for iterations in (1, 2, 7):
            outcome = stateful.call(args, Limits(), iterations).outcome
            assert not expected.differences(outcome), iterations


@pytest.mark.parametrize("engine", NATIVE)
def test_fuel_and_back_edges_are_those_of_one_iteration(engine: str) -> None:
    stateful = executable(STATEFUL, engine, True)
    expected = run(STATEFUL, "reference", True, (5, 1))
    limits = Limits(fuel=expected.instructions)
    for iterations in (1, 3):
        assert not expected.differences(stateful.call((5, 1), limits, iterations).outcome)
        assert stateful.back_edges == 4


@every_build
def test_other_arguments_and_limits_in_turn(build: tuple[str, bool]) -> None:
    for args, limits in (
        ((5, 1), {}),
        ((9, 3), {}),
        ((5, 1), {"max_output": 7}),
        ((5, 0), {}),
        ((9, 3), {"max_heap": 300}),
        ((5, 1), {"max_depth": 1}),
        ((5, 1), {}),
    ):
        expected = run(STATEFUL, "reference", True, args, **limits)
        assert not expected.differences(run(STATEFUL, *build, args, **limits)), (args, limits)


TIMES = 15


def at_once(*calls: Callable[[], Outcome]) -> list[list[Outcome]]:
    """What each of the calls gives, TIMES times, all in threads that run at the same time."""
    ready = threading.Barrier(len(calls))
    outcomes: list[list[Outcome]] = [[] for _ in calls]

    def work(call: Callable[[], Outcome], into: list[Outcome]) -> None:
        ready.wait()
        for _ in range(TIMES):
            into.append(call())

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(calls, outcomes, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


OTHER = STATEFUL.replace("push 77", "push 78").replace("= 40", "= -3")


@every_build
def test_threads_with_executables_of_their_own(build: tuple[str, bool]) -> None:
    engine, counting = build
    cases = [(STATEFUL, (60, 1)), (STATEFUL, (60, 0)), (OTHER, (50, 7)), (STATEFUL, (3, 1))]
    executables = [ENGINES[engine].build(program(text), counting=counting) for text, _ in cases]
    outcomes = at_once(
        *(
            lambda x=executable, a=args: x.call(a, Limits()).outcome
            for executable, (_, args) in zip(executables, cases, strict=True)
        )
    )
    for (text, args), found in zip(cases, outcomes, strict=True):
        expected = run(text, "reference", True, args)
        assert len(found) == TIMES
        assert not any(expected.differences(outcome) for outcome in found)


def test_threads_that_compile_at_the_same_time() -> None:
    def compile_and_run(engine: str, number: int) -> Outcome:
        text = f"func main() -> int\npush {number}\nprint\npush {number}\nret\nend"
        return ENGINES[engine].build(assemble(text), counting=False).call((), Limits()).outcome

    engines = ("inlined", "template", "inlined", "template")
    outcomes = at_once(
        *(lambda e=engine, n=number: compile_and_run(e, n) for number, engine in enumerate(engines))
    )
    for number, found in enumerate(outcomes):
        assert [outcome.result for outcome in found] == [number] * TIMES


@every_build
def test_nothing_is_left_of_an_executable_that_is_dropped(build: tuple[str, bool]) -> None:
    engine, counting = build

    def objects_after_building() -> int:
        ENGINES[engine].build(program(STATEFUL), counting=counting)
        gc.collect()
        return len(gc.get_objects())

    objects_after_building()
    gc.freeze()  # what there is already need not be looked through
    try:
        assert objects_after_building() - objects_after_building() in range(-20, 20)
    finally:
        gc.unfreeze()


@every_build
def test_code_that_moved_does_the_same(build: tuple[str, bool]) -> None:
    engine, counting = build
    executable = ENGINES[engine].build(program(STATEFUL), counting=counting)
    first = executable.call((4, 1), Limits()).outcome
    codes, data, contexts = set(), set(), set()
    for _ in range(5):
        if not executable.relocate():
            assert engine == "cpython"  # whose code is no machine code
            return
        assert not first.differences(executable.call((4, 1), Limits()).outcome)
        codes.add(executable.address)
        data.add(executable.state.stack.address)
        contexts.add(ctypes.addressof(executable.state.context) % mmap.PAGESIZE)
    assert len(codes) > 1 and len(data) > 1 and len(contexts) > 1


def test_executables_come_and_go() -> None:
    """The machine code and memory of one that is dropped are not missed by the others."""
    for engine in NATIVE:
        for n in range(1, 12):
            short_lived = ENGINES[engine].build(program(STATEFUL), counting=False)
            assert short_lived.call((n, 1), Limits()).outcome.trap is None
            del short_lived
    assert agreed(STATEFUL, 4, 0).trap.trap is Trap.DIVIDE_BY_ZERO
