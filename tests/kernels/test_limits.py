"""Limits at their exact boundaries: the last thing allowed, and the first one that is not."""

from __future__ import annotations

import math

import pytest
from native_engines import NATIVE, agreed, every_engine, program, run
from test_trap_places import LINEAR, TREE

from vmlab.isa import Trap
from vmlab.outcome import DEFAULT_MAX_DEPTH, Limits, Outcome

# Depth. The recursions end well by themselves at any depth.

WELL = LINEAR.replace("push 1\n        load n\n        div", "push 7\n        load n\n        add")

PING_PONG = """
    func ping(n: int) -> int
        load n
        jz bottom
        load n
        push 1
        sub
        call pong
        push 1
        add
        ret
    bottom:
        push 0
        ret
    end
    func pong(n: int) -> int
        load n
        jz bottom
        load n
        push 1
        sub
        call ping
        push 2
        mul
        ret
    bottom:
        push 1
        ret
    end
    func main(n: int) -> int
        load n
        call ping
        ret
    end"""

# `tree` with 0 as its fatal leaf has none; its depth is the first argument plus 2.
SHALLOW_TREE = TREE.replace("print", "pop")

CHAIN = (
    "func f0() -> int\npush 5\nret\nend\n"
    + "".join(f"func f{n}() -> int\ncall f{n - 1}\npush 3\nmul\nret\nend\n" for n in range(1, 12))
    + "func main() -> int\ncall f11\nret\nend\n"
)


def trap_of(outcome: Outcome) -> Trap | None:
    return outcome.trap and outcome.trap.trap


@pytest.mark.parametrize("text", [WELL, PING_PONG], ids=["linear", "mutual"])
def test_depth_of_recursion(text: str) -> None:
    for frames in (*range(2, 41), 100, 1_000, DEFAULT_MAX_DEPTH):
        fits = frames - 2  # beside main's and the first call's
        assert trap_of(agreed(text, fits, max_depth=frames)) is None
        for depth in (fits + 1, fits + 2, 2 * frames):
            outcome = agreed(text, depth, max_depth=frames)
            assert trap_of(outcome) is Trap.CALL_DEPTH_EXCEEDED
            assert outcome.trap is not None
            assert len(outcome.trap.chain) == frames
    assert trap_of(agreed(text, 0, max_depth=1)) is Trap.CALL_DEPTH_EXCEEDED


def test_depth_of_a_tree_of_calls() -> None:
    for depth in range(6):
        assert trap_of(agreed(SHALLOW_TREE, depth, 0, max_depth=depth + 2)) is None
        outcome = agreed(SHALLOW_TREE, depth, 0, max_depth=depth + 1)
        assert trap_of(outcome) is Trap.CALL_DEPTH_EXCEEDED


def test_depth_of_calls_without_recursion() -> None:
    for frames in range(1, 15):
        outcome = agreed(CHAIN, max_depth=frames)
        assert trap_of(outcome) is (Trap.CALL_DEPTH_EXCEEDED if frames < 13 else None)


def test_main_alone_needs_one_frame() -> None:
    assert agreed("func main() -> int\npush 1\nret\nend", max_depth=1).result == 1


# Heap

ARRAYS = """
    func main(a: int, b: int) -> int
        local x: int[]
        local y: float[]
        load a
        newarr int
        store x
        load b
        newarr float
        store y
        load x
        len
        load y
        len
        add
        ret
    end"""


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (1, 0), (5, 8), (1000, 999)])
def test_heap_fits_exactly(a: int, b: int) -> None:
    needed = 8 * (a + 1) + 8 * (b + 1)
    for spare in (0, 1, 7, 8, 1_000):
        assert agreed(ARRAYS, a, b, max_heap=needed + spare).result == a + b
    for missing in (1, 7, 8):
        outcome = agreed(ARRAYS, a, b, max_heap=needed - missing)
        assert trap_of(outcome) is Trap.OUT_OF_MEMORY
        assert outcome.trap is not None
        assert outcome.trap.place.instruction == 4


def test_no_heap_has_no_room_for_an_array_without_elements() -> None:
    for max_heap in range(8):
        outcome = agreed(ARRAYS, 0, 0, max_heap=max_heap)
        assert outcome.trap is not None
        assert outcome.trap.place.instruction == 1
    assert agreed("func main() -> int\npush 1\nret\nend", max_heap=0).result == 1


@pytest.mark.parametrize(
    "length", [2**27 - 1, 2**27, 2**31, 2**32, 2**60, 2**61 - 1, 2**61, 2**62, 2**63 - 1]
)
def test_lengths_beyond_all_memory(length: int) -> None:
    """In particular where the bytes, or the words with the header, do not fit in 64 bits."""
    assert trap_of(agreed(ARRAYS, length, 0, max_heap=1 << 20)) is Trap.OUT_OF_MEMORY
    assert trap_of(agreed(ARRAYS, 3, length, max_heap=1 << 20)) is Trap.OUT_OF_MEMORY


@pytest.mark.parametrize("length", [-1, -2, -(2**31), -(2**61), -(2**63) + 1, -(2**63)])
def test_negative_lengths(length: int) -> None:
    assert trap_of(agreed(ARRAYS, length, 0)) is Trap.NEGATIVE_LENGTH
    assert trap_of(agreed(ARRAYS, 0, length, max_heap=0)) is Trap.OUT_OF_MEMORY


def test_arrays_are_zero_in_memory_that_was_used_before() -> None:
    text = """
        func main(fill: int) -> int
            local a: int[]
            local i: int
            local sum: int
            push 50
            newarr int
            store a
        again:
            load a
            load i
            aload
            load sum
            add
            store sum
            load a
            load i
            load fill
            astore
            load i
            push 1
            add
            dup
            store i
            push 50
            lt
            jnz again
            load sum
            ret
        end"""
    for fill in (-1, 5, 0):
        assert agreed(text, fill, max_heap=51 * 8).result == 0


# Output

PRINTS = """
    func show(i: int)
        load i
        push 1
        and
        jz even
        load i
        float
        print
        ret
    even:
        load i
        print
        ret
    end
    func main(n: int)
        local i: int
    again:
        load i
        call show
        load i
        push 1
        add
        dup
        store i
        load n
        lt
        jnz again
        ret
    end"""


def test_output_fits_exactly() -> None:
    for n in (1, 2, 3, 17):
        whole = agreed(PRINTS, n, max_output=n)
        assert whole.output == tuple(float(i) if i % 2 else i for i in range(n))
        assert trap_of(whole) is None
        outcome = agreed(PRINTS, n, max_output=n - 1)
        assert trap_of(outcome) is Trap.OUTPUT_LIMIT_EXCEEDED
        assert outcome.output == whole.output[:-1]
        assert outcome.trap is not None
        assert [p.function for p in outcome.trap.chain] == [0, 1]
    assert agreed("func main() -> int\npush 1\nret\nend", max_output=0).result == 1


# Fuel

EVERYTHING = """
    global count: int = 2
    func leaf(a: int[], i: int) -> int
        load i
        print
        load a
        load i
        aload
        push 10
        load i
        sub
        div
        gload count
        push 1
        add
        gstore count
        ret
    end
    func spin(n: int)
        local x: float
    again:
        load n
        push 1
        sub
        store n
        load x
        push 0.5
        add
        store x
        load n
        jnz again
        load x
        print
        ret
    end
    func twice(a: int[], i: int) -> int
        load i
        jz bottom
        load a
        load i
        push 1
        sub
        call twice
        load a
        load i
        call leaf
        add
        ret
    bottom:
        push 2
        call spin
        push 1
        ret
    end
    func main() -> int
        local a: int[]
        push 5
        newarr int
        store a
        load a
        push 2
        push 77
        astore
        load a
        push 3
        call twice
        gload count
        xor
        ret
    end"""


def test_every_amount_of_fuel() -> None:
    whole = agreed(EVERYTHING)
    assert whole.trap is None
    assert whole.instructions is not None
    for fuel in range(whole.instructions):
        outcome = agreed(EVERYTHING, fuel=fuel)
        assert trap_of(outcome) is Trap.OUT_OF_FUEL
        assert outcome.instructions == fuel
    for fuel in (whole.instructions, whole.instructions + 1, 2**63 - 1):
        assert agreed(EVERYTHING, fuel=fuel) == whole


def test_fuel_and_another_trap_at_the_same_instruction() -> None:
    """An instruction that there is no fuel for does not trap by itself."""
    text = "func main()\npush 1\npush 0\ndiv\nprint\nret\nend"
    assert [trap_of(agreed(text, fuel=fuel)) for fuel in range(5)] == [
        *[Trap.OUT_OF_FUEL] * 3,
        *[Trap.DIVIDE_BY_ZERO] * 2,
    ]
    text = "func f()\ncall f\nret\nend\nfunc main()\ncall f\nret\nend"
    for fuel in range(12):
        outcome = agreed(text, fuel=fuel, max_depth=6)
        assert trap_of(outcome) is (Trap.OUT_OF_FUEL if fuel < 6 else Trap.CALL_DEPTH_EXCEEDED)


@every_engine
def test_builds_for_timing_refuse_fuel(engine: str) -> None:
    with pytest.raises(ValueError, match="counting"):
        run(EVERYTHING, engine, False, fuel=10)


# Limits themselves


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("max_depth", (0, -1, -(2**63), 2**63, 2**70)),
        ("max_heap", (-1, -8, 2**63, 2**70)),
        ("max_output", (-1, -(2**63), 2**63, 2**70)),
        ("fuel", (-1, -(2**63), 2**63, 2**70)),
        ("timeout", (-0.5, -math.inf, math.nan)),
    ],
)
def test_limits_that_make_no_sense(name: str, values: tuple[float, ...]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=name):
            Limits(**{name: value})


def test_limits_at_their_ends() -> None:
    text = "func main() -> int\npush 1\nret\nend"
    assert program(text).run("reference").result == 1
    Limits(max_depth=1, max_heap=0, max_output=0, fuel=0, timeout=0)
    assert agreed(text, fuel=2**63 - 1).result == 1


@pytest.mark.parametrize("engine", NATIVE)
def test_a_run_with_other_limits_than_the_one_before(engine: str) -> None:
    for counting in (True, False):
        for limits in (
            {},
            {"max_depth": 5},
            {"max_output": 1},
            {"max_heap": 16},
            {},
            {"max_depth": 4, "max_heap": 1 << 20},
            {"max_depth": 12_345},
        ):
            expected = run(EVERYTHING, "reference", True, **limits)
            assert not expected.differences(run(EVERYTHING, engine, counting, **limits))
