"""Every trap, wherever it strikes: its place, the whole call chain, the output before it and the
instruction count are the reference's."""

from __future__ import annotations

import pytest
from native_engines import agreed, every_engine, program, run

from vmlab.isa import COROUTINES, INT_MIN, OPCODES, Trap, Type
from vmlab.kernels.loops import COPIES
from vmlab.kernels.straight import SELF_INLINING
from vmlab.outcome import Place

# What makes an instruction trap, by opcode and trap; `call` and `print` depend on limits and are
# in test_limits.py; what coroutines do is in test_tasks.py.
STRIKES = {
    ("div", Trap.DIVIDE_BY_ZERO): "push 7, push 0, div, pop",
    ("div", Trap.INTEGER_OVERFLOW): f"push {INT_MIN}, push -1, div, pop",
    ("floordiv", Trap.DIVIDE_BY_ZERO): "push 7, push 0, floordiv, pop",
    ("floordiv", Trap.INTEGER_OVERFLOW): f"push {INT_MIN}, push -1, floordiv, pop",
    ("rem", Trap.DIVIDE_BY_ZERO): "push 7, push 0, rem, pop",
    ("mod", Trap.DIVIDE_BY_ZERO): "push 7, push 0, mod, pop",
    ("int", Trap.INTEGER_OVERFLOW): "push nan, int, pop",
    ("newarr", Trap.NEGATIVE_LENGTH): "push -1, newarr float, pop",
    ("newarr", Trap.OUT_OF_MEMORY): f"push {2**62}, newarr int, pop",
    ("aload", Trap.INDEX_OUT_OF_RANGE): "push 3, newarr int, push 3, aload, pop",
    ("astore", Trap.INDEX_OUT_OF_RANGE): "push 3, newarr float, push -1, push 1.5, astore",
}
LIMITED = {
    ("call", Trap.CALL_DEPTH_EXCEEDED),
    ("call", Trap.OUT_OF_MEMORY),
    ("print", Trap.OUTPUT_LIMIT_EXCEEDED),
}


def lines(code: str) -> str:
    return "\n".join(line.strip() for line in code.split(","))


def nested(strike: str) -> str:
    """`strike` in a function that is called at the bottom of two others, in the third turn of a
    loop, with operands alive in every frame and output in between."""
    return f"""
    func inner(n: int) -> int
        load n
        print
        load n
        jnz safe
        {lines(strike)}
    safe:
        load n
        ret
    end
    func middle(n: int, x: float) -> float
        load x
        load n
        call inner
        float
        add
        ret
    end
    func main(n: int) -> float
        local sum: float
    again:
        load sum
        load n
        load sum
        call middle
        add
        store sum
        load n
        push 1
        sub
        dup
        store n
        push 0
        ge
        jnz again
        load sum
        print
        load sum
        ret
    end"""


def test_every_trap_of_the_table_strikes() -> None:
    opcodes = [opcode for opcode in OPCODES.values() if opcode.group != COROUTINES]
    table = {(o.name, trap) for o in opcodes for trap in o.traps}
    assert table == STRIKES.keys() | LIMITED


@pytest.mark.parametrize(("opcode", "trap"), STRIKES)
def test_every_trap_in_a_call_in_a_loop(opcode: str, trap: Trap) -> None:
    text = nested(STRIKES[opcode, trap])
    outcome = agreed(text, 2)
    assert outcome.trap is not None
    assert outcome.trap.trap is trap
    assert [p.function for p in outcome.trap.chain] == [0, 1, 2]
    assert program(text).functions[0].code[outcome.trap.place.instruction].opcode.name == opcode
    assert outcome.output == (2, 1, 0)
    assert outcome.result is None


@pytest.mark.parametrize(("opcode", "trap"), STRIKES)
def test_every_trap_in_main_itself(opcode: str, trap: Trap) -> None:
    outcome = agreed(f"func main()\n{lines(STRIKES[opcode, trap])}\nret\nend")
    assert outcome.trap is not None
    assert outcome.trap.trap is trap
    assert len(outcome.trap.chain) == 1


# Recursion. `inlined` puts copies of a recursive function into itself, so the same call
# instruction is at another place in its code from level to level.

LINEAR = """
    func down(n: int) -> int
        load n
        jz bottom
        load n
        push 1
        sub
        call down
        push 3
        mul
        load n
        xor
        ret
    bottom:
        push 1
        load n
        div
        ret
    end
    func main(n: int) -> int
        load n
        print
        load n
        call down
        ret
    end"""

MUTUAL = """
    func even(n: int, x: float) -> float
        load n
        jz bottom
        load n
        push 1
        sub
        load x
        call odd
        load x
        mul
        ret
    bottom:
        load x
        int
        float
        ret
    end
    func odd(n: int, x: float) -> float
        load n
        jz bottom
        load n
        push 1
        sub
        load x
        push 0.5
        add
        call third
        load x
        add
        ret
    bottom:
        push nan
        int
        float
        ret
    end
    func third(n: int, x: float) -> float
        load n
        jz bottom
        load n
        push 1
        sub
        load x
        call even
        ret
    bottom:
        push 1
        push 0
        rem
        float
        ret
    end
    func main(n: int, x: float) -> float
        load n
        load x
        call even
        ret
    end"""


@pytest.mark.parametrize("text", [LINEAR, MUTUAL], ids=["linear", "mutual"])
def test_the_chain_of_every_depth_of_recursion(text: str) -> None:
    args = (1e300,) if text is MUTUAL else ()
    deepest = SELF_INLINING // min(len(f.code) for f in program(text).functions) + 5
    for depth in (*range(41), deepest - 1, deepest, 2 * deepest, 3 * deepest + 1, 5_000):
        outcome = agreed(text, depth, *args)
        assert outcome.trap is not None
        assert len(outcome.trap.chain) == depth + 2


TREE = """
    global leaves: int
    func tree(depth: int, fatal: int) -> int
        load depth
        jnz inner
        gload leaves
        push 1
        add
        dup
        gstore leaves
        dup
        print
        load fatal
        sub
        push 100
        swap
        div
        ret
    inner:
        load depth
        push 1
        sub
        load fatal
        call tree
        load depth
        push 1
        sub
        load fatal
        call tree
        load depth
        push 1
        sub
        load fatal
        call tree
        add
        add
        ret
    end
    func main(depth: int, fatal: int) -> int
        load depth
        load fatal
        call tree
        ret
    end"""


def test_the_chain_of_every_leaf_of_a_tree_of_calls() -> None:
    calls = [i for i, x in enumerate(program(TREE).functions[0].code) if x.opcode.name == "call"]
    for fatal in range(1, 82):
        outcome = agreed(TREE, 4, fatal)
        assert outcome.output == tuple(range(1, fatal + 1))
        assert outcome.trap is not None
        # The leaf's number in base 3 is the way down to it.
        digits = [(fatal - 1) // 3**level % 3 for level in range(4)]
        assert [p.instruction for p in outcome.trap.chain[1:5]] == [calls[d] for d in digits]
    assert agreed(TREE, 4, 0).trap is None


RECURSIVE_MAIN = """
    func helper(n: int) -> int
        load n
        call main
        ret
    end
    func main(n: int) -> int
        load n
        print
        push 60
        load n
        div
        pop
        load n
        push 1
        sub
        call helper
        ret
    end"""


def test_main_takes_part_in_recursion() -> None:
    for n in range(12):
        outcome = agreed(RECURSIVE_MAIN, n)
        assert outcome.trap is not None
        assert outcome.trap.chain[0] == Place(1, 4)
        assert len(outcome.trap.chain) == 2 * n + 1


# Loops. `inlined` emits an innermost loop as several copies one behind the other.

# By name: the loop, which goes on while `i` is below `n` and accesses array `a` (of `k` elements)
# at `i` in each turn.
LOOPS = {
    "tested at the top": """
    top:
        load i
        load n
        ge
        jnz done
        load a
        load i
        load i
        astore
        load i
        push 1
        add
        store i
        jmp top
    done:""",
    "tested at the bottom": """
    top:
        load a
        load i
        aload
        load i
        add
        pop
        load i
        push 1
        add
        dup
        store i
        load n
        lt
        jnz top""",
    "with a test inside": """
    top:
        load i
        push 3
        rem
        jnz odd
        load a
        load i
        aload
        pop
        jmp next
    odd:
        load a
        load i
        push 7
        astore
    next:
        load i
        push 1
        add
        dup
        store i
        load n
        ge
        jz top""",
    "that ends in two places": """
    top:
        load i
        push 1
        and
        jz second
        load a
        load i
        aload
        load i
        push 1
        add
        store i
        jz top
        jmp top
    second:
        load a
        load i
        push 0
        astore
        load i
        push 1
        add
        store i
        load i
        load n
        lt
        jnz top""",
    "with operands that live around it": """
        push 11
        push 2.5
    top:
        load a
        load i
        aload
        float
        add
        swap
        load i
        xor
        swap
        load i
        push 1
        add
        dup
        store i
        load n
        lt
        jnz top
        print
        print""",
    "in a loop": """
    outer:
        load i
        store j
    top:
        load a
        load j
        push 5
        add
        aload
        pop
        load a
        load j
        load i
        astore
        load j
        push 1
        sub
        dup
        store j
        push 0
        ge
        jnz top
        load i
        push 1
        add
        dup
        store i
        load n
        lt
        jnz outer""",
}


def looping(loop: str) -> str:
    return f"""
    func work(n: int, k: int) -> int
        local i: int
        local j: int
        local a: int[]
        load k
        newarr int
        store a
        {loop}
        load i
        ret
    end
    func main(n: int, k: int) -> int
        load n
        print
        load n
        load k
        call work
        ret
    end"""


@pytest.mark.parametrize("loop", LOOPS)
def test_the_place_in_every_turn_of_a_loop(loop: str) -> None:
    text = looping(LOOPS[loop])
    turns = 2 * COPIES + 5
    struck = set()
    for k in range(turns):
        outcome = agreed(text, turns, k)
        assert outcome.trap is not None
        assert outcome.trap.trap is Trap.INDEX_OUT_OF_RANGE
        assert outcome.output[0] == turns
        struck.add(outcome.trap.place)
    assert struck <= {
        Place(0, i)
        for i, instruction in enumerate(program(text).functions[0].code)
        if instruction.opcode.name in ("aload", "astore")
    }


@pytest.mark.parametrize("loop", LOOPS)
def test_every_number_of_turns(loop: str) -> None:
    """Leaving a loop from each of its copies."""
    for n in range(2 * COPIES + 5):
        assert agreed(looping(LOOPS[loop]), n, 64).trap is None


@every_engine
@pytest.mark.parametrize("counting", [True, False])
def test_an_executable_is_as_good_as_new_after_a_trap(engine: str, counting: bool) -> None:
    text = looping(LOOPS["in a loop"])
    for k in (64, 3, 64, 0, 64):
        assert not run(text, "reference", True, (9, k)).differences(
            run(text, engine, counting, (9, k))
        )


def test_types_of_arrays_do_not_matter_to_the_place() -> None:
    for type_ in (Type.INT, Type.FLOAT):
        for index in (-1, 0, INT_MIN, 2**63 - 1, 2**61, 2**32):
            outcome = agreed(
                f"""
                func main(i: int)
                    push 0
                    newarr {type_}
                    load i
                    aload
                    print
                    ret
                end""",
                index,
            )
            assert outcome.trap is not None
            assert outcome.trap.place == Place(0, 3)
