"""The translation to three-address code: what it emits, and that it means the same."""

from __future__ import annotations

import platform
import re

import pytest
from native_engines import agreed, program
from test_machine_code import body, code_of

from vmlab import corpus
from vmlab.engines import EngineUnavailable, find
from vmlab.isa import Flow, Trap
from vmlab.kernels.encoding import HALT
from vmlab.kernels.register_machine import OPERATIONS
from vmlab.kernels.register_text import listing

BUILDS = [
    (engine, counting) for engine in ("register", "threaded+register") for counting in (True, False)
]


def main(code: str, locals_: str = "") -> str:
    """A function of two ints, with the instructions of `code` between commas."""
    declared = "".join(f"local {name}: int\n" for name in locals_.split())
    lines = "\n".join(line.strip() for line in code.split(","))
    return f"func main(n: int, m: int) -> int\n{declared}{lines}\nret\nend\n"


def operations(text: str) -> list[str]:
    """Those of the first function."""
    code = listing(program(text)).split("\nend")[0]
    return [" ".join(line.split(";")[0].split()[1:]) for line in code.splitlines()[1:]]


def test_a_turn_of_a_loop_is_three_operations() -> None:
    assert operations(corpus.source("sum")) == [
        "move.k i <- 0",
        "move.k total <- 0",
        "lt.int+jz.rr i, n, to 7",
        "add.int.rk i <- i, 1",
        "add.int.ra total <- total, =i",
        "lt.int+jnz.rr i, n, to 3",
        "jmp to 7",
        "ret.r total",
    ]


def test_arguments_are_computed_where_the_callee_finds_them() -> None:
    assert operations(corpus.source("fib")) == [
        "lt.int+jz.rk n, 2, to 2",
        "ret.r n",
        "sub.int.rk s0 <- n, 1",
        "call fib at s0",
        "sub.int.rk s1 <- n, 2",
        "call fib at s1",
        "add.int.ra> =s0 <- s0, =s1",
        "ret.a =s0",
    ]


def test_every_stack_instruction_is_counted_once_where_nothing_is_repeated() -> None:
    code = listing(program(corpus.source("fib")))
    numbers = [int(n) for line in code.splitlines() for n in line.partition(";")[2].split()]
    assert numbers == [*range(16), *range(3)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # What a local held when it was loaded, although it is stored to before the use.
        (
            "load n, load m, store n, load n, sub",
            ["move.r s0 <- n", "move.r n <- m", "sub.int.ra> =s0 <- s0, =n", "ret.a =s0"],
        ),
        # A result goes to the local at once, and its copy is found there.
        (
            "load n, push 1, add, dup, store n, load m, mul",
            ["add.int.rk n <- n, 1", "mul.int.ar> =s0 <- =n, m", "ret.a =s0"],
        ),
        # But not where the old value is still wanted.
        (
            "load n, load n, push 1, add, store n, load n, mul",
            [
                "add.int.rk s1 <- n, 1",
                "move.r s0 <- n",
                "move.r n <- s1",
                "mul.int.ra> =s0 <- s0, =n",
                "ret.a =s0",
            ],
        ),
        # Moves on the stack are none in the code.
        ("load n, load m, swap, over, rot, pop, sub", ["sub.int.rr> =s0 <- n, m", "ret.a =s0"]),
        ("load n, store n, push 3, push 4, pop", ["ret.k 3"]),
        # A result that is wanted again later is not left to the accumulator alone.
        (
            "load n, neg, dup, load m, mul, add",
            [
                "neg.int.r s0 <- n",
                "mul.int.ar> =s1 <- =s0, m",
                "add.int.ra> =s0 <- s0, =s1",
                "ret.a =s0",
            ],
        ),
        ("load n, neg, dup, mul", ["neg.int.r s0 <- n", "mul.int.ar> =s0 <- =s0, s0", "ret.a =s0"]),
        # One constant stands in the code, the other in a register.
        ("push 7, push 2, shl", ["move.k> =s0 <- 7", "shl.ak> =s0 <- =s0, 2", "ret.a =s0"]),
        ("push 7, load n, sub", ["sub.int.kr> =s0 <- 7, n", "ret.a =s0"]),
        ("push 7, load n, lt", ["move.k s0 <- 7", "lt.int.rr> =s0 <- s0, n", "ret.a =s0"]),
        # Where paths meet, every operand is at home; two in each other's place are exchanged.
        (
            "load n, neg, load m, neg, swap, jmp there, there:, sub",
            [
                "neg.int.r s0 <- n",
                "neg.int.r s1 <- m",
                "swap.rr s0, s1 <- s0, s1",
                "jmp to 4",
                "sub.int.rr> =s0 <- s0, s1",
                "ret.a =s0",
            ],
        ),
        # What emits nothing is counted all the same.
        ("load n, pop, jmp there, there:, push 2, pop, done:, load m, jz done, push 1",
         ["jmp to 1", "nop", "jz.r m, to 2", "ret.k 1"]),
    ],
)  # fmt: skip
def test_what_is_emitted(code: str, expected: list[str]) -> None:
    text = main(code)
    assert operations(text) == expected
    for n, m in ((5, 3), (-9, 4), (2**63 - 1, -1)):
        every_fuel(text, n, m)


def every_fuel(text: str, *args: int) -> None:
    """Fuel ends at the same instruction as on the reference, however much there is."""
    whole = agreed(text, *args, builds=BUILDS)
    assert whole.instructions is not None
    for fuel in range(whole.instructions):
        outcome = agreed(text, *args, builds=BUILDS, fuel=fuel)
        assert outcome.trap is not None
        assert outcome.trap.trap is Trap.OUT_OF_FUEL


# Rings of three, operands that are in two places, and calls in the middle of them.
PERMUTED = """
    func f(a: int, b: int, c: int) -> int
        load a
        push 100
        mul
        load b
        push 10
        mul
        add
        load c
        add
        ret
    end
    func main(n: int, m: int) -> int
        local k: int
        load n
        push 1
        add
        load m
        push 2
        add
        load n
        neg
        rot
        load m
        jz zero
        rot
        over
    zero2:
        store k
        rot
        dup
        load k
        call f
        load n
        load k
        push 9
        store k
        load k
        add
        swap
        sub
        mul
        add
        xor
        ret
    zero:
        load m
        jmp zero2
    end
    """


@pytest.mark.parametrize(("n", "m"), [(3, 4), (3, 0), (-7, 11)])
def test_permuted_operands_where_paths_meet(n: int, m: int) -> None:
    every_fuel(PERMUTED, n, m)


TRAPS_IN_THE_MIDDLE = """
    func main(n: int, m: int) -> int
        local a: int[]
        local k: int
        push 4
        newarr int
        store a
        load n
        store k
        load k
        push 0
        store k
        load a
        load n
        load a
        load m
        aload
        push 12
        load m
        div
        store k
        load n
        print
        astore
        load k
        add
        ret
    end
    """


@pytest.mark.parametrize(("n", "m"), [(1, 2), (1, 0), (1, 4), (4, 1), (-1, 3)])
def test_a_trap_is_at_its_instruction_whatever_the_operation_stands_for(n: int, m: int) -> None:
    whole = agreed(TRAPS_IN_THE_MIDDLE, n, m, builds=BUILDS)
    assert whole.instructions is not None
    for fuel in range(whole.instructions + 1):
        agreed(TRAPS_IN_THE_MIDDLE, n, m, builds=BUILDS, fuel=fuel)


WAITING = """
global c: chan[int]
func put(n: int, m: int)
    local k: int
    gload c
    load n
    load m
    sub
    send
    yield
    load k
    print
    ret
end
func main(n: int) -> int
    push 0
    chan int
    gstore c
    load n
    push 5
    swap
    push 9
    load n
    push 2
    store n
    spawn put
    swap
    push 100
    rot
    gload c
    recv
    push 1
    spawn put
    pop
    yield
    gload c
    recv
    pop
    add
    swap
    yield
    join
    add
    gload c
    close
    sub
    yield
    add
    load n
    mul
    ret
end
"""


def test_what_goes_elsewhere_finds_its_operands_at_home() -> None:
    whole = agreed(WAITING, 7, builds=BUILDS)
    assert whole.trap is None and whole.output == (0, 0)
    assert whole.instructions is not None
    for fuel in range(whole.instructions):
        agreed(WAITING, 7, builds=BUILDS, fuel=fuel)


def test_windows_of_what_goes_elsewhere() -> None:
    text = "func main()\npush 1\nspawn f\nyield\njoin\nret\nend\nfunc f(n: int)\nret\nend"
    assert operations(text) == [
        "move.k s0 <- 1",
        "spawn f at s0",
        "yield",
        "join.task at s0",
        "ret",
    ]


@pytest.mark.parametrize("name", ["switch+register+boxed", "threaded+register+late"])
def test_values_are_raw_and_names_bound(name: str) -> None:
    with pytest.raises(EngineUnavailable, match="'register' is made from what the verifier"):
        find(name).build(program(main("load n")), counting=False)


def test_other_bases_have_no_code_to_translate() -> None:
    with pytest.raises(ValueError, match="'register' can be added to threaded and switch only"):
        find("template+register")


on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="facts about x86-64 code")


@on_x86
@pytest.mark.parametrize("counting", [False, True])
def test_handlers_jump_themselves_and_keep_everything_in_registers(counting: bool) -> None:
    code = code_of("threaded+register", corpus.source("sum"), counting)
    for name, handler in OPERATIONS[False].handlers.items():
        lines = body(code, f"op.{name}")
        jumps = sum(re.match(r"jmpq?\s+\*", line) is not None for line in lines)
        ways = 2 if handler.flow is Flow.BRANCH else 1
        assert jumps == (0 if name == HALT else ways), name
        if not counting and not name.startswith("newarr"):  # which calls memset
            assert not any("%rsp" in line or line.startswith("push") for line in lines), name
