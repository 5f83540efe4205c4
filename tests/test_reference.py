"""The oracle's semantics, one corner a case: what the design says, not what the code does."""

from __future__ import annotations

import math
import threading
import time

import pytest

from vmlab.assembler import assemble
from vmlab.isa import INT_MAX, INT_MIN, Trap
from vmlab.outcome import Limits, Outcome, Place, format_number
from vmlab.program import Number, Program
from vmlab.reference import Reference

INF, NAN = math.inf, math.nan
OVERFLOW, BY_ZERO = Trap.INTEGER_OVERFLOW, Trap.DIVIDE_BY_ZERO


def run(program: Program | str, *args: Number, **limits: int) -> Outcome:
    if isinstance(program, str):
        program = assemble(program)
    return Reference(program, counting=True).call(args, Limits(**limits)).outcome


def body(instructions: str, declarations: str = "", result: str = "-> int") -> str:
    """A program of one function; instructions are separated by commas, labels end in colons."""
    lines = (line.strip() for line in f"{declarations},{instructions}".split(","))
    return "\n".join([f"func main() {result}", *lines, "end"])


def kind(value: Number) -> str:
    return "float" if isinstance(value, float) else "int"


# What instructions compute: operands, opcode, result or trap.
COMPUTED = [
    # Integers wrap at both ends.
    ((INT_MAX, 1), "add", INT_MIN),
    ((INT_MIN, -1), "add", INT_MAX),
    ((INT_MIN, 1), "sub", INT_MAX),
    ((INT_MAX, INT_MAX), "mul", 1),
    ((INT_MIN, INT_MIN), "mul", 0),
    ((INT_MIN, -1), "mul", INT_MIN),
    ((3037000500, 3037000500), "mul", 3037000500**2 - 2**64),
    ((INT_MIN,), "neg", INT_MIN),
    ((5,), "neg", -5),
    ((INT_MIN,), "abs", INT_MIN),
    ((-5,), "abs", 5),
    ((-2, 3), "min", -2),
    ((INT_MIN, INT_MAX), "max", INT_MAX),
    # Division: `div` and `rem` toward zero, `floordiv` and `mod` downwards.
    *[((a, b), op, r)
      for (a, b), results in {
          (7, 2): (3, 1, 3, 1),
          (-7, 2): (-3, -1, -4, 1),
          (7, -2): (-3, 1, -4, -1),
          (-7, -2): (3, -1, 3, -1),
          (6, -3): (-2, 0, -2, 0),
          (0, -3): (0, 0, 0, 0),
          (1, INT_MIN): (0, 1, -1, INT_MIN + 1),
          (INT_MIN, INT_MAX): (-1, -1, -2, INT_MAX - 1),
          (INT_MIN, 1): (INT_MIN, 0, INT_MIN, 0),
          (INT_MIN, -1): (OVERFLOW, 0, OVERFLOW, 0),
          (1, 0): (BY_ZERO,) * 4,
          (INT_MIN, 0): (BY_ZERO,) * 4,
      }.items()
      for op, r in zip(("div", "rem", "floordiv", "mod"), results, strict=True)],
    # Bits. Shift counts are taken modulo 64.
    ((0b1100, 0b1010), "and", 0b1000),
    ((0b1100, 0b1010), "or", 0b1110),
    ((0b1100, 0b1010), "xor", 0b0110),
    ((-1, INT_MAX), "xor", INT_MIN),
    ((0,), "not", -1),
    ((INT_MAX,), "not", INT_MIN),
    ((1, 63), "shl", INT_MIN),
    ((3, 63), "shl", INT_MIN),
    ((1, 64), "shl", 1),
    ((1, -1), "shl", INT_MIN),
    ((-8, 1), "shr", -4),
    ((-1, 63), "shr", -1),
    ((-8, 64), "shr", -8),
    ((-1, 60), "ushr", 15),
    ((-1, 64), "ushr", -1),
    ((-1, -1), "ushr", 1),
    ((INT_MIN, 63), "ushr", 1),
    # Comparison.
    *[((a, b), op, int(holds))
      for (a, b), held in {
          (1, 2): "ne lt le", (2, 1): "ne gt ge", (-1, -1): "eq le ge",
          (INT_MIN, INT_MAX): "ne lt le",
          (1.5, 2.5): "ne lt le", (INF, 1.0): "ne gt ge", (0.0, -0.0): "eq le ge",
          (NAN, NAN): "ne", (NAN, 1.0): "ne", (1.0, NAN): "ne",
      }.items()
      for op in ("eq", "ne", "lt", "le", "gt", "ge")
      for holds in [op in held.split()]],
    # Floats: IEEE, and no trap.
    ((0.1, 0.2), "add", 0.30000000000000004),
    ((1e308, 1e308), "add", INF),
    ((INF, INF), "sub", NAN),
    ((1e308, 10.0), "mul", INF),
    ((0.0, INF), "mul", NAN),
    ((5e-324, 0.5), "mul", 0.0),
    ((-0.0, 3.0), "mul", -0.0),
    ((1.0, 3.0), "div", 0.3333333333333333),
    ((1.0, 0.0), "div", INF),
    ((1.0, -0.0), "div", -INF),
    ((-1.0, 0.0), "div", -INF),
    ((0.0, 0.0), "div", NAN),
    ((NAN, 0.0), "div", NAN),
    ((INF, 0.0), "div", INF),
    ((0.0, -1.0), "div", -0.0),
    ((0.0,), "neg", -0.0),
    ((-0.0,), "abs", 0.0),
    ((-INF,), "abs", INF),
    ((-0.0, 0.0), "min", -0.0),
    ((0.0, -0.0), "min", -0.0),
    ((-0.0, 0.0), "max", 0.0),
    ((0.0, -0.0), "max", 0.0),
    ((-0.0, -0.0), "max", -0.0),
    ((NAN, 1.0), "min", NAN),
    ((1.0, NAN), "min", NAN),
    ((NAN, INF), "max", NAN),
    ((INF, NAN), "max", NAN),
    ((-INF, 1.0), "min", -INF),
    # Conversion.
    ((2**53 + 1,), "float", 2.0**53),  # halfway: to the even neighbour
    ((2**53 + 3,), "float", 2.0**53 + 4),
    ((INT_MAX,), "float", 2.0**63),
    ((INT_MIN,), "float", -(2.0**63)),
    ((2.9,), "int", 2),
    ((-2.9,), "int", -2),
    ((-0.0,), "int", 0),
    ((-(2.0**63),), "int", INT_MIN),
    ((math.nextafter(2.0**63, 0),), "int", 2**63 - 1024),
    ((2.0**63,), "int", OVERFLOW),
    ((math.nextafter(-(2.0**63), -INF),), "int", OVERFLOW),
    ((INF,), "int", OVERFLOW),
    ((-INF,), "int", OVERFLOW),
    ((NAN,), "int", OVERFLOW),
    ((2.0,), "sqrt", 1.4142135623730951),
    ((-0.0,), "sqrt", -0.0),
    ((-1.0,), "sqrt", NAN),
    ((-INF,), "sqrt", NAN),
    ((INF,), "sqrt", INF),
    ((NAN,), "sqrt", NAN),
    ((1.5,), "floor", 1.0),
    ((-1.5,), "floor", -2.0),
    ((-0.0,), "floor", -0.0),
    ((-INF,), "floor", -INF),
    ((NAN,), "floor", NAN),
    ((1e300,), "floor", 1e300),
    ((1.5,), "ceil", 2.0),
    ((-0.5,), "ceil", -0.0),
    ((INF,), "ceil", INF),
    ((NAN,), "ceil", NAN),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operands", "opcode", "expected"),
    COMPUTED,
    ids=[f"{op}({', '.join(map(format_number, operands))})" for operands, op, _ in COMPUTED],
)
def test_computes(operands: tuple[Number, ...], opcode: str, expected: Number | Trap) -> None:
    names = "ab"[: len(operands)]
    params = ", ".join(f"{n}: {kind(v)}" for n, v in zip(names, operands, strict=True))
    result = kind(operands[0]) if isinstance(expected, Trap) else kind(expected)
    if opcode == "int":
        result = "int"
    code = [f"func main({params}) -> {result}", *(f"load {n}" for n in names), opcode, "ret", "end"]
    outcome = run("\n".join(code), *operands)
    if isinstance(expected, Trap):
        place = Place(0, len(operands))
        assert outcome.trap is not None
        assert (outcome.trap.trap, outcome.trap.chain) == (expected, (place,))
        assert outcome.instructions == len(operands) + 1
    else:
        # The text tells -0.0 from 0.0 and 1 from 1.0.
        assert outcome.result is not None
        assert format_number(outcome.result) == format_number(expected)
        assert outcome.instructions == len(operands) + 2


FLOAT_LOCAL, INT_ARRAY, FLOAT_ARRAY = "local x: float", "local a: int[]", "local a: float[]"
FOUR_INTS = "push 4, newarr int, store a"

# Whole programs: instructions, declarations, what is printed on the way.
PRINTED = {
    "dup": ("push 1, dup, print, print", "", "1 1"),
    "pop": ("push 1, push 2, pop, print", "", "1"),
    "swap": ("push 1, push 2, swap, print, print", "", "1 2"),
    "over": ("push 1, push 2, over, print, print, print", "", "1 2 1"),
    "rot": ("push 1, push 2, push 3, rot, print, print, print", "", "1 3 2"),
    "moves of other types": ("push 1, push 2.5, swap, print, print", "", "1 2.5"),
    "moves of arrays": ("push 3, newarr int, dup, len, print, len, print", "", "3 3"),
    "locals start at zero": (
        "load i, print, load x, print",
        "local i: int, local x: float",
        "0 0.0",
    ),
    "locals start empty": ("load a, len, print", FLOAT_ARRAY, "0"),
    "store": ("push 2.5, store x, load x, print", FLOAT_LOCAL, "2.5"),
    "arrays start at zero": ("push 2, newarr float, push 1, aload, print", "", "0.0"),
    "an array of none": ("push 0, newarr int, len, print", "", "0"),
    "elements": (
        f"{FOUR_INTS}, load a, push 3, push -9, astore, load a, push 3, aload, print, "
        "load a, push 2, aload, print",
        INT_ARRAY,
        "-9 0",
    ),
    "arrays are references": (
        f"{FOUR_INTS}, load a, load a, push 0, push 7, astore, push 0, aload, print",
        INT_ARRAY,
        "7",
    ),
    "floats as print shows them": (
        "push 0.1, print, push -0.0, print, push 1e100, print, push inf, print, push nan, print",
        "",
        "0.1 -0.0 1e+100 inf nan",
    ),
    "jz jumps on zero alone": ("push 0, jz yes, push 1, print, yes:, push 2, print", "", "2"),
    "jz stays on others": ("push -1, jz no, push 1, print, no:", "", "1"),
    "jnz jumps on others": ("push -1, jnz yes, push 1, print, yes:, push 2, print", "", "2"),
    "jnz stays on zero": ("push 0, jnz no, push 1, print, no:", "", "1"),
}


@pytest.mark.parametrize(
    ("instructions", "declarations", "printed"), PRINTED.values(), ids=PRINTED.keys()
)
def test_prints(instructions: str, declarations: str, printed: str) -> None:
    outcome = run(body(f"{instructions}, ret", declarations, result=""))
    assert outcome.trap is None
    assert outcome.result is None
    assert " ".join(map(format_number, outcome.output)) == printed


# Programs that trap: instructions, declarations, limits, the trap, at which instruction. They
# have printed 1 before, and executed every instruction up to the trapping one once.
TRAPPED = {
    "aload below": (f"{FOUR_INTS}, load a, push -1, aload, pop", INT_ARRAY, {},
                    "index_out_of_range", 7),
    "aload beyond": (f"{FOUR_INTS}, load a, push 4, aload, pop", INT_ARRAY, {},
                     "index_out_of_range", 7),
    "aload far below": (f"{FOUR_INTS}, load a, push {INT_MIN}, aload, pop", INT_ARRAY, {},
                        "index_out_of_range", 7),
    "aload of an empty array": ("load a, push 0, aload, pop", INT_ARRAY, {},
                                "index_out_of_range", 4),
    "astore below": (f"{FOUR_INTS}, load a, push -1, push 0, astore", INT_ARRAY, {},
                     "index_out_of_range", 8),
    "astore beyond": (f"{FOUR_INTS}, load a, push 4, push 0, astore", INT_ARRAY, {},
                      "index_out_of_range", 8),
    "a negative length": ("push -1, newarr int, pop", "", {}, "negative_length", 3),
    "the lowest length": (f"push {INT_MIN}, newarr int, pop", "", {}, "negative_length", 3),
    "an array just too large": ("push 4, newarr int, pop", "", {"max_heap": 39},
                                "out_of_memory", 3),
    "the highest length": (f"push {INT_MAX}, newarr float, pop", "", {}, "out_of_memory", 3),
    "arrays are never freed": ("push 1, newarr int, pop, push 1, newarr int, pop", "",
                               {"max_heap": 31}, "out_of_memory", 6),
    "an array of none takes a word": ("push 0, newarr int, pop, push 0, newarr int, pop", "",
                                      {"max_heap": 15}, "out_of_memory", 6),
    "too much output": ("push 2, print", "", {"max_output": 1}, "output_limit_exceeded", 3),
    "a division": ("push 1, push 0, div, pop", "", {}, "divide_by_zero", 4),
    "a call too deep": ("call main", "", {"max_depth": 1}, "call_depth_exceeded", 2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("instructions", "declarations", "limits", "trap", "at"), TRAPPED.values(), ids=TRAPPED.keys()
)
def test_traps(
    instructions: str, declarations: str, limits: dict[str, int], trap: str, at: int
) -> None:
    outcome = run(body(f"push 1, print, {instructions}, ret", declarations, ""), **limits)
    assert outcome.trap is not None
    assert (outcome.trap.trap, outcome.trap.chain) == (trap, (Place(0, at),))
    assert outcome.instructions == at + 1
    assert outcome.output == (1,)


@pytest.mark.parametrize(
    ("instructions", "limits"),
    [
        ("push 4, newarr int, pop", {"max_heap": 40}),
        ("push 1, print, push 2, print", {"max_output": 2}),
        ("load a, len, pop", {"max_heap": 0}),
    ],
)
def test_limits_may_be_reached(instructions: str, limits: dict[str, int]) -> None:
    assert run(body(f"{instructions}, ret", INT_ARRAY, ""), **limits).trap is None


DESCENT = """
func down(n: int) -> int
    load n
    jz bottom
    load n
    push 1
    sub
    call down
    ret
bottom:
    push 1
    load n
    div
    ret
end

func main(n: int) -> int
    push 100
    load n
    call down
    sub
    ret
end
"""


def test_a_trap_has_the_call_chain() -> None:
    outcome = run(DESCENT, 2)
    assert outcome.trap is not None
    assert outcome.trap.trap is Trap.DIVIDE_BY_ZERO
    assert outcome.trap.chain == (Place(0, 9), Place(0, 5), Place(0, 5), Place(1, 2))
    assert outcome.instructions == 3 + 6 + 6 + 5


@pytest.mark.parametrize(
    ("max_depth", "trap", "chain"),
    [
        (1, Trap.CALL_DEPTH_EXCEEDED, (Place(1, 2),)),
        (3, Trap.CALL_DEPTH_EXCEEDED, (Place(0, 5), Place(0, 5), Place(1, 2))),
        (4, Trap.DIVIDE_BY_ZERO, (Place(0, 9), Place(0, 5), Place(0, 5), Place(1, 2))),
    ],
)
def test_depth_counts_frames(max_depth: int, trap: Trap, chain: tuple[Place, ...]) -> None:
    outcome = run(DESCENT, 2, max_depth=max_depth)
    assert outcome.trap is not None
    assert (outcome.trap.trap, outcome.trap.chain) == (trap, chain)


def test_deep_recursion_does_not_recurse_in_python() -> None:
    outcome = run(DESCENT, 200_000, max_depth=1_000_000)
    assert outcome.trap is not None
    assert outcome.trap.trap is Trap.DIVIDE_BY_ZERO
    assert len(outcome.trap.chain) == 200_002


def test_arguments_and_results_pass_in_order() -> None:
    outcome = run("""
        func weighted(a: int, b: float, c: int) -> float
            local zero: float
            load a
            float
            load b
            mul
            load c
            float
            sub
            load zero
            add
            ret
        end
        func main() -> float
            push 1000.0
            push 3
            push 0.5
            push 7
            call weighted
            sub
            ret
        end
    """)
    assert outcome.result == 1000.0 - (3 * 0.5 - 7)
    assert outcome.instructions == 5 + 10 + 2


LOOP = """
global turns: int = 40

func main(n: int) -> int
again:
    gload turns
    push 1
    add
    gstore turns
    gload turns
    print
    load n
    push 1
    sub
    dup
    store n
    jnz again
    gload turns
    ret
end
"""


def test_globals_start_afresh_in_every_run() -> None:
    executable = Reference(assemble(LOOP), counting=True)
    for _ in range(2):
        outcome = executable.call((3,), Limits(), iterations=2).outcome
        assert (outcome.result, outcome.output) == (43, (41, 42, 43))
        assert outcome.instructions == 3 * 12 + 2
        assert executable.back_edges == 2
        assert executable.output_from(0) == (41, 42, 43)


def test_without_counting_there_are_no_counts() -> None:
    executable = Reference(assemble(LOOP), counting=False)
    assert executable.call((3,), Limits()).outcome == Outcome(43, (41, 42, 43), None, None)
    assert executable.back_edges is None


@pytest.mark.parametrize(
    ("fuel", "at", "output"),
    [(0, 0, ()), (1, 1, ()), (5, 5, ()), (18, 6, (41, 42)), (37, 13, None)],
)
def test_out_of_fuel_is_at_the_instruction_not_executed(
    fuel: int, at: int, output: tuple[int, ...] | None
) -> None:
    outcome = run(LOOP, 3, fuel=fuel)
    assert outcome.trap is not None
    assert (outcome.trap.trap, outcome.trap.chain) == (Trap.OUT_OF_FUEL, (Place(0, at),))
    assert outcome.instructions == fuel
    assert outcome.output == ((41, 42, 43) if output is None else output)


def test_fuel_may_be_used_up() -> None:
    outcome = run(LOOP, 3, fuel=38)
    assert (outcome.trap, outcome.result) == (None, 43)


def test_a_run_that_traps_is_the_last() -> None:
    started = time.perf_counter_ns()
    program = assemble(body("push 1, push 0, div, ret"))
    sample = Reference(program, counting=True).call((), Limits(), iterations=10**9)
    assert sample.outcome.trap is not None
    assert 0 < sample.nanoseconds <= time.perf_counter_ns() - started


def test_the_time_is_that_of_all_runs() -> None:
    executable = Reference(assemble(LOOP), counting=True)
    once = min(executable.call((1000,), Limits()).nanoseconds for _ in range(5))
    assert executable.call((1000,), Limits(), iterations=10).nanoseconds > 5 * once


ENDLESS = {
    "a loop": body("again:, jmp again", result=""),
    "a conditional loop": body("again:, push 0, jz again, ret", result=""),
    "a recursion": "func main()\ncall main\nret\nend",
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS.keys())
def test_interrupt(text: str) -> None:
    executable = Reference(assemble(text), counting=True)
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        executable.interrupt()

    threading.Timer(0.1, ask).start()
    trap = executable.call((), Limits(max_depth=10**9)).outcome.trap
    assert trap is not None
    assert trap.trap is Trap.INTERRUPTED
    assert time.monotonic() - asked[0] < 5  # 0.2 s is the aim; a busy machine needs room
    assert executable.call((), Limits(max_depth=10**9, fuel=100)).outcome.trap != trap


def test_a_request_without_a_call_is_not_kept() -> None:
    executable = Reference(assemble(ENDLESS["a loop"]), counting=True)
    executable.interrupt()
    trap = executable.call((), Limits(fuel=100)).outcome.trap
    assert trap is not None
    assert trap.trap is Trap.OUT_OF_FUEL
