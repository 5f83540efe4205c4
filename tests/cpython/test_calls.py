"""Calls on CPython: interruptions reach the program and nothing else, and the limit of recursion
is as before afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from unittest.mock import patch

import pytest

from vmlab.assembler import assemble
from vmlab.cpython.executable import CPython
from vmlab.cpython.interruption import Interrupted, Interruptible
from vmlab.isa import Trap
from vmlab.outcome import Limits
from vmlab.reference import Reference
from vmlab.supervise import supervised

ENDLESS = "func main()\nhere:\njmp here\nend"
SHORT = "func main() -> int\npush 6\npush 7\nmul\nret\nend"
RECURSION = """
    func down(n: int) -> int
        load n
        jz bottom
        load n
        push 1
        sub
        call down
        push 1
        add
        ret
    bottom:
        push 5
        print
        push 0
        ret
    end
    func main(n: int) -> int
        load n
        call down
        ret
    end"""


def trap_of(sample) -> Trap | None:
    return sample.outcome.trap and sample.outcome.trap.trap


def test_an_interruption_never_strikes_outside_of_the_call() -> None:
    """However many threads ask, and however short the calls are."""
    calls = Interruptible()
    finish = threading.Event()
    ended: list[type | None] = []

    def work() -> None:
        for _ in range(2_000):
            pass

    def ask() -> None:
        while not finish.is_set():
            calls.interrupt()

    def call() -> None:
        # On a busy machine it can take long until one is struck.
        while not finish.is_set() and (len(ended) < 500 or len(set(ended)) < 2):
            error = calls.call(work)
            # What follows would be hit.
            for _ in range(20):
                pass
            ended.append(error and type(error))

    askers = [threading.Thread(target=ask) for _ in range(3)]
    caller = threading.Thread(target=call)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in (*askers, caller):
            thread.start()
        caller.join(60)
    finally:
        finish.set()
        sys.setswitchinterval(before)
        for thread in askers:
            thread.join()
    assert len(ended) >= 500
    assert set(ended) == {None, Interrupted}


def test_of_two_interruptions_the_first_knows_the_place() -> None:
    calls = Interruptible()
    ending = threading.Event()

    def spin() -> None:
        while True:
            pass

    def work() -> None:
        try:
            spin()
        finally:
            ending.set()
            while True:
                time.sleep(0.001)

    def interrupt_twice() -> None:
        while calls._thread is None:
            time.sleep(0.001)
        time.sleep(0.01)
        calls.interrupt()
        ending.wait()
        calls.interrupt()

    interrupting = threading.Thread(target=interrupt_twice)
    interrupting.start()
    error = calls.call(work)
    interrupting.join()
    assert error is not None and error.__traceback__ is not None
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)][-1] == "spin"


# As a debugger would follow it; once more after a call that was interrupted.
FOLLOWED = f"""
import sys
from vmlab.assembler import assemble
from vmlab.cpython.executable import CPython
from vmlab.outcome import Limits
from vmlab.supervise import supervised

def follow():
    sys.settrace(lambda frame, event, arg: None)
    executable.call((), Limits())
    sys.settrace(None)

for text, timeout in ({SHORT!r}, None), ({ENDLESS!r}, 0.05):
    executable = CPython(assemble(text), False)
    print(supervised(executable, (), Limits(timeout=timeout)).outcome.trap is None)
    executable = CPython(assemble({SHORT!r}), False)
    follow()
"""


def test_code_can_be_followed_after_a_call(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FOLLOWED], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("True\nFalse\n", "")


@pytest.mark.parametrize("counting", [True, False])
def test_the_place_of_an_operation_whose_result_is_kept_later(counting: bool) -> None:
    """It is written as `s0 %= s1` where the block ends, at `jz`."""
    text = """func main() -> int
        push 1
        push 0
        jz one
        push 0
        jmp divide
    one:
        push 0
    divide:
        mod
        push 0
        jz two
        push 0
        jmp result
    two:
        push 0
    result:
        add
        ret
    end"""
    trap = CPython(assemble(text), counting).call((), Limits()).outcome.trap
    assert trap == Reference(assemble(text), True).call((), Limits()).outcome.trap
    assert trap is not None and trap.chain[0].instruction == 6


@pytest.mark.parametrize("counting", [True, False])
@pytest.mark.parametrize("compare", ["eq", "ne"])
def test_what_can_only_be_zero_or_trap_is_computed(counting: bool, compare: str) -> None:
    """A condition that is compared with 0 is the condition or its opposite: the 0 is left out."""
    text = f"""func main(n: int) -> int
        load n
        push 0
        eq
        push 0
        load n
        rem
        {compare}
        ret
    end"""
    for n in 0, 1:
        expected = Reference(assemble(text), True).call((n,), Limits()).outcome
        found = CPython(assemble(text), counting).call((n,), Limits()).outcome
        assert not expected.differences(found)


@pytest.mark.parametrize("counting", [True, False])
def test_an_interruption_before_the_program_begins(counting: bool) -> None:
    executable = CPython(assemble(RECURSION), counting)
    assert executable.call((2,), Limits()).outcome.output == (5,)
    with patch.object(executable._calls, "call", lambda work: Interrupted()):
        outcome = executable.call((2,), Limits()).outcome
    assert outcome.trap is not None
    assert outcome.trap.trap is Trap.INTERRUPTED
    assert outcome.output == ()
    assert outcome.instructions == (0 if counting else None)


@pytest.mark.parametrize("counting", [True, False])
def test_a_call_that_waits_for_another_is_interrupted_too(counting: bool) -> None:
    endless = CPython(assemble(ENDLESS), counting)
    waiting = CPython(assemble(SHORT), counting)
    samples = []
    thread = threading.Thread(target=lambda: samples.append(endless.call((), Limits())))
    thread.start()
    while not endless._calls._thread:
        time.sleep(0.001)
    start = time.monotonic()
    outcome = supervised(waiting, (), Limits(timeout=0.02)).outcome
    assert time.monotonic() - start < 1
    assert outcome.trap is not None
    assert outcome.trap.trap is Trap.INTERRUPTED
    endless.interrupt()
    thread.join(10)
    assert trap_of(samples[0]) is Trap.INTERRUPTED
    assert waiting.call((), Limits()).outcome.result == 42


@pytest.mark.parametrize("counting", [True, False])
@pytest.mark.parametrize("n", [5, 20_000, 9_998, 9_999])
def test_the_limit_of_recursion_is_restored(counting: bool, n: int) -> None:
    before = sys.getrecursionlimit()
    program = assemble(RECURSION)
    outcome = CPython(program, counting).call((n,), Limits()).outcome
    assert sys.getrecursionlimit() == before
    assert not outcome.differences(Reference(program, counting).call((n,), Limits()).outcome)
    assert (outcome.trap is None) == (n <= 9_998)


def test_the_limit_of_recursion_is_not_lowered() -> None:
    """Other threads may be deeper than the program is allowed to be."""
    program = assemble(RECURSION)
    executable = CPython(program, counting=False)
    lowest = []

    before = sys.getrecursionlimit()
    original = executable._machine.put

    def put(value: int) -> None:
        lowest.append(sys.getrecursionlimit())
        original(value)

    for depth in (50, 5_000):
        for code in (executable._code, executable._counts_frames):
            code.namespace["put"] = put
        assert executable.call((3,), Limits(max_depth=depth)).outcome.result == 3
        found = executable.call((depth,), Limits(max_depth=depth)).outcome
        assert found.trap is not None
        assert found.trap.trap is Trap.CALL_DEPTH_EXCEEDED
        assert len(found.trap.chain) == depth
    assert min(lowest) >= before


def test_the_arrays_of_a_run_that_trapped_are_not_kept() -> None:
    text = "func main(n: int)\npush 9\nnewarr int\npush 9\naload\npop\nret\nend"
    program = assemble(text)
    executable = CPython(program, counting=False)
    made = []
    original = executable._machine.ints

    class Watched(list):
        pass

    def ints(length: int) -> list[int]:
        made.append(Watched(original(length)))
        return made[-1]

    executable._code.namespace["ints"] = ints
    assert trap_of(executable.call((1,), Limits())) is Trap.INDEX_OUT_OF_RANGE
    references = sys.getrefcount(made[0])
    assert references == 2  # of `made`, and of that call itself
