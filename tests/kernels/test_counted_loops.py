"""Counted loops run without checks and safepoints where nobody can tell: results, traps and their
places are the reference's, whatever numbers the loop gets, and it can be stopped."""

from __future__ import annotations

import itertools
import re
import threading
import time

import pytest
from native_engines import agreed, executable, program
from test_interrupts import SOON

from vmlab.isa import INT_MAX, INT_MIN, Trap
from vmlab.kernels.loops import STRIP, versioned_loops
from vmlab.outcome import Limits

INLINED = [("inlined", False)]


def lines(code: str) -> str:
    return "\n".join(line.strip() for line in code.split(","))


def looping(test: str, step: str, body: str) -> str:
    """main(i, end, step, k, size): the loop over arrays `a`, `b` and the global `shared`."""
    return f"""
    global shared: int[]
    func main(i: int, end: int, step: int, k: int, size: int) -> int
        local a: int[]
        local b: float[]
        local x: int
        {lines("load size, newarr int, dup, store a, gstore shared")}
        {lines("load size, newarr float, store b")}
    head:
        {lines(test)}
        {lines(body)}
        {lines(f"load i, {step}, store i")}
        jmp head
    out:
        {lines("load x, load i, xor, ret")}
    end"""


def proven(text: str) -> int:
    """How many array accesses need no check in the program's bare loops."""
    loops = {
        id(loop): loop for within in versioned_loops(program(text)) for loop in within.values()
    }
    return sum(len(loop.counted.accesses) for loop in loops.values() if loop.counted)


# The tests of loops that count upward, and downward.
UPWARD = {
    "lt": "load i, load end, lt, jz out",
    "le": "load i, load end, le, jz out",
    "ge": "load i, load end, ge, jnz out",
    "exchanged": "load end, load i, gt, jz out",
}
DOWNWARD = {
    "gt": "load i, load end, gt, jz out",
    "ge": "load i, load end, ge, jz out",
    "lt": "load i, load end, lt, jnz out",
    "exchanged": "load end, load i, le, jz out",
}
SUM = "load a, load i, aload, load x, add, store x"
MARK = "load a, load i, load k, add, load i, push 1, add, astore"
ONE_UP, ONE_DOWN, ANY_STEP = "push 1, add", "push 1, sub", "load step, add"


@pytest.mark.parametrize("test", UPWARD)
def test_upward(test: str) -> None:
    text = looping(UPWARD[test], ONE_UP, SUM + ", " + MARK)
    assert proven(text) == 2
    for first, k in itertools.product((-2, -1, 0, 1, 8, 9, 10), (-9, -1, 0, 1, INT_MAX, INT_MIN)):
        agreed(text, first, 9, 1, k, 9, builds=INLINED)


@pytest.mark.parametrize("test", DOWNWARD)
def test_downward(test: str) -> None:
    text = looping(DOWNWARD[test], ONE_DOWN, SUM + ", " + MARK)
    assert proven(text) == 2
    for end in (-2, -1, 0, 1):
        agreed(text, 8, end, -1, 0, 9, builds=INLINED)
    for first, k in itertools.product((-2, -1, 0, 1, 8, 9, 10), (-1, 0, 1, INT_MAX, INT_MIN)):
        agreed(text, first, 0, -1, k, 9, builds=INLINED)


@pytest.mark.parametrize("end", [-1, 0, 1])
def test_strips(end: int) -> None:
    """One and several, with ends in front of, at and behind the array's."""
    upward, downward = looping(UPWARD["lt"], ONE_UP, MARK), looping(DOWNWARD["gt"], ONE_DOWN, MARK)
    for size in (STRIP - 1, STRIP, STRIP + 1, 2 * STRIP + 1):
        agreed(upward, 0, size + end, 1, 0, size, builds=INLINED)
        agreed(downward, size - 1, end - 1, -1, 0, size, builds=INLINED)


def test_every_place_of_a_trap_on_the_way() -> None:
    """The array ends at each iteration of a loop, once before and once behind the strip's end."""
    text = looping(UPWARD["lt"], ONE_UP, SUM + ", load i, push 64, rem, jnz on, load i, print, on:")
    for size in (0, 1, 2, 5, 63, 64, 65, STRIP - 1, STRIP, STRIP + 1, STRIP + 64):
        outcome = agreed(text, 0, INT_MAX, 1, 0, size, builds=INLINED)
        assert outcome.trap is not None
        assert outcome.trap.trap is Trap.INDEX_OUT_OF_RANGE
        assert len(outcome.output) == (size + 63) // 64


@pytest.mark.parametrize("direction", ["upward", "downward"])
def test_steps(direction: str) -> None:
    """Also such as lead nowhere, away from the bound, or around the ends of the ints: these loops
    end in a trap."""
    upward = direction == "upward"
    test = UPWARD["lt"] if upward else DOWNWARD["gt"]
    text = looping(test, ANY_STEP, MARK)
    assert proven(text) == 1
    sign = 1 if upward else -1
    for step in (1, 2, 3, 7, 1 << 30, 1 << 31, (1 << 31) + 1, 1 << 62, INT_MAX):
        for first, end in ((0, 20), (0, 21), (3, 24), (0, 3 * STRIP)):
            way = (first, end) if upward else (end - 1, first - 1)
            agreed(text, *way, sign * step, 0, end, builds=INLINED)
    for first, step in ((5, -sign), (5, INT_MIN)):
        agreed(text, first, sign * 100, step, 0, 9, builds=INLINED)


@pytest.mark.parametrize("step", [1, 1 << 31])
def test_counters_that_wrap_around(step: int) -> None:
    """From beyond the greatest int to the least and on, until the index is none any more."""
    first, trapped = INT_MAX - 7, []
    for test, move in itertools.product(("lt", "le"), (f"push {step}, add", ANY_STEP)):
        text = looping(UPWARD[test], move, MARK)
        for end in (INT_MAX - 1, INT_MAX):
            outcome = agreed(text, first, end, step, -first, 8, builds=INLINED)
            trapped.append(outcome.trap is not None)
    assert any(trapped)


def test_slopes() -> None:
    """An index that wraps around on its way, back into the array even, is seen."""
    text = looping(UPWARD["lt"], ONE_UP, "load a, load i, load k, mul, aload, print")
    assert proven(text) == 1
    for k in (0, 1, -1, 3, 1 << 30, 1 << 32, 1 << 61, 1 << 62, INT_MIN, INT_MAX):
        for first, end in ((0, 3), (0, 9), (-2, 1), (-8, 1), (4, 9)):
            agreed(text, first, end, 1, k, 9, builds=INLINED)


# Programs with accesses that must not be proven, or not all of them, and how many are.
IN_LOOP = {
    "the bound moves": ("load i, load end, lt, jz out", ONE_UP,
                        SUM + ", load end, push 1, sub, store end", 0),
    "the array changes": (UPWARD["lt"], ONE_UP,
                          SUM + ", push 2, newarr int, store a", 0),
    "a global array changes": (UPWARD["lt"], ONE_UP,
                               "gshared, load i, aload, store x, push 2, newarr int, gstore shared",
                               0),
    "a global array stays": (UPWARD["lt"], ONE_UP, "gshared, load i, aload, store x", 1),
    "the counter moves twice": (UPWARD["lt"], ONE_UP,
                                SUM + ", load i, push 1, add, store i", 0),
    "behind the step": (UPWARD["lt"], "push 1, add, dup, store i, load a, swap, aload, pop, load i",
                        SUM, 0),
    "an index from the array": (UPWARD["lt"], ONE_UP, "load a, load a, load i, aload, aload, pop",
                                1),
    "an index that is no linear function": (UPWARD["lt"], ONE_UP,
                                            SUM + ", load a, load i, load i, mul, aload, pop", 1),
    "something before the test": ("load i, print, " + UPWARD["lt"], ONE_UP, SUM, 0),
    "a bound that is a length": ("load i, load a, len, lt, jz out", ONE_UP, SUM, 1),
    "a bound that is a number": ("load i, push 6, lt, jz out", ONE_UP, SUM, 1),
    "a break": (UPWARD["lt"], ONE_UP, SUM + ", load i, push 5, eq, jnz out", 1),
    "a condition": (UPWARD["lt"], ONE_UP,
                    "load i, jz on, load a, load i, push 1, sub, load i, astore, on:", 1),
    "floats": (UPWARD["lt"], ONE_UP,
               "load b, load i, load b, load i, aload, push 1.5, add, astore", 2),
    "a division": (UPWARD["lt"], ONE_UP, SUM + ", load x, load i, push 4, sub, div, store x", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_LOOP)
def test_what_is_in_a_loop(name: str) -> None:
    test, step, body, accesses = IN_LOOP[name]
    text = looping(test, step, body.replace("gshared", "gload shared"))
    assert proven(text) == accesses
    for first, end, size in ((0, 9, 9), (0, 4, 9), (0, 9, 4), (-1, 9, 9), (3, 3, 9), (0, 9, 0)):
        agreed(text, first, end, 1, 0, size, builds=INLINED)


# A loop over `i` that control may enter in its middle, from another that counts too.
ENTERED_IN_THE_MIDDLE = """
    func main(n: int, size: int) -> int
        local a: int[]
        local i: int
        local x: int
        local rounds: int
        load size
        newarr int
        store a
    again:
        load rounds
        push 1
        add
        dup
        store rounds
        push 4
        gt
        jnz out
        load rounds
        push 1
        and
        jnz middle
    head:
        load i
        load n
        lt
        jz again
        load x
        push 3
        add
        store x
    middle:
        load a
        load i
        load x
        astore
        load i
        push 1
        add
        store i
        jmp head
    out:
        load i
        load x
        add
        ret
    end"""

NESTED = """
    func main(n: int, size: int) -> int
        local a: int[]
        local i: int
        local j: int
        local x: int
        load size
        newarr int
        store a
    rows:
        load i
        load n
        lt
        jz out
        push 0
        store j
    columns:
        load j
        load n
        lt
        jz next
        load a
        load i
        load n
        mul
        load j
        add
        load x
        astore
        load x
        load a
        load j
        load n
        mul
        load i
        add
        aload
        add
        push 1
        add
        store x
        load j
        push 1
        add
        store j
        jmp columns
    next:
        load i
        push 1
        add
        store i
        jmp rows
    out:
        load x
        ret
    end"""


@pytest.mark.parametrize("text", [ENTERED_IN_THE_MIDDLE, NESTED], ids=["entered", "nested"])
def test_loops_in_loops(text: str) -> None:
    for n in (-1, 0, 1, 2, 5, 9):
        for size in (0, n, n * n - 1, n * n, 100):
            agreed(text, n, size, builds=INLINED)


def test_it_can_be_stopped() -> None:
    """One loop, of a million million iterations that depend on each other."""
    step = "load x, push 6364136223846793005, mul, load a, push 0, aload, add, store x"
    text = looping(UPWARD["lt"], ONE_UP, step)
    assert proven(text) == 1
    endless = executable(text, "inlined", False)
    samples = []
    thread = threading.Thread(
        target=lambda: samples.append(endless.call((0, 1 << 40, 1, 0, 1), Limits()))
    )
    thread.start()
    time.sleep(0.05)
    start = time.perf_counter()
    endless.interrupt()
    thread.join()
    assert time.perf_counter() - start < SOON
    [sample] = samples
    assert sample.outcome.trap is not None
    assert sample.outcome.trap.trap is Trap.INTERRUPTED


def test_llvm_can_make_vectors_of_it() -> None:
    ir = executable(looping(UPWARD["lt"], ONE_UP, SUM), "inlined", False).ir()
    assert ir is not None
    assert re.search(r"add <\d+ x i64>", ir)
