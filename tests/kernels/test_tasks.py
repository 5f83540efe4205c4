"""Coroutines: the order of tasks, what channels hand on, traps, limits; the reference does what the
README says, and all engines that run coroutines do the same."""

from __future__ import annotations

import platform
import weakref

import pytest
from native_engines import agreed as agreed_on
from native_engines import executable, name_of, run
from test_interrupts import SOON, Running, trap_of

from vmlab.assembler import assemble
from vmlab.engines import EngineUnavailable, Executable, find
from vmlab.isa import WORD_BYTES, Trap
from vmlab.kernels.tasks import block_words
from vmlab.kernels.values import CELL_WORDS, VALUE
from vmlab.outcome import MAX_LAUNCHES, Deadlock, Limits, Outcome, Place, Waiter
from vmlab.program import Number

INTERPRETERS = [
    *("threaded", "switch", "tagged", "boxed", "late"),
    *("quickened", "switch+boxed+late+quickened", "threaded+cached", "register", "super"),
    *("direct", "threaded+super+direct"),
    *("switch+copy", "threaded+tagged+copy+barrier", "threaded+boxed+late+copy+barrier"),
]
STACKFUL = ["inlined+stackful", "template+stackful"] if platform.machine() == "x86_64" else []
ENGINES = ["inlined", "template", *STACKFUL, *INTERPRETERS]
# Straight code takes long to optimise, most of all with boxes.
BUILDS = [(engine, counting) for engine in ENGINES for counting in (True, False)] + [
    ("subroutine", True),
    ("template+tagged", True),
    ("template+boxed+late", True),
]
if STACKFUL:
    BUILDS.remove(("template+stackful", False))
    BUILDS.append(("template+boxed+late+stackful", True))


def agreed(text: str, *args: Number, **limits: int) -> Outcome:
    return agreed_on(text, *args, builds=BUILDS, **limits)


def lines(code: str) -> str:
    return "\n".join(line.strip() for line in code.split(","))


def program(main: str, declarations: str = "", functions: str = "", result: str = "") -> str:
    """`main` and `declarations` are separated by commas; the global `c` is a channel."""
    declared = f"{lines(declarations)}\n" if declarations else ""
    return (
        f"global c: chan[int]\nfunc main() {result}\n{declared}{lines(main)}\nret\nend\n{functions}"
    )


# Each prints its number, yields, and prints ten times that.
TWICE = "func twice(n: int)\nload n\nprint\nyield\nload n\npush 10\nmul\nprint\nret\nend\n"
SEND = "func put(n: int)\ngload c\nload n\nsend\nload n\nprint\nret\nend\n"
TAKE = "func take(n: int)\ngload c\nrecv\nprint\nprint\nload n\nprint\nret\nend\n"
WAIT = "func wait(t: task[int]) -> int\nload t\njoin\ndup\nprint\nret\nend\n"
SLOW = "func slow(n: int) -> int\nyield\nyield\nload n\nret\nend\n"

# Main's code, declarations, functions, and what is printed.
PRINTED = {
    "a task starts when its turn comes": (
        "push 1, spawn twice, pop, push 7, print, yield, push 8, print, yield, yield", "", TWICE,
        "7 1 8 10",
    ),
    "first come, first served": (
        "push 1, spawn twice, push 2, spawn twice, pop, pop, yield, yield, yield", "", TWICE,
        "1 2 10 20",
    ),
    "what ends main ends the program": (
        "push 1, spawn twice, pop, yield", "", TWICE, "1",
    ),
    "a task alone goes on at once": ("yield, push 1, print, yield", "", "", "1"),
    "join waits": (
        "push 1, spawn twice, join, push 3, print", "", TWICE, "1 10 3",
    ),
    "a result can be taken again": (
        "push 5, spawn slow, store t, load t, join, print, load t, join, print",
        "local t: task[int]", SLOW, "5 5",
    ),
    "several wait for one, in order": (
        "push 5, spawn slow, dup, store t, spawn wait, load t, spawn wait, load t, join, print,"
        "join, print, join, print", "local t: task[int]", SLOW + WAIT, "5 5 5 5 5",
    ),
    "a float result": (
        "spawn half, join, print", "", "func half() -> float\npush 0.5\nret\nend\n", "0.5",
    ),
    "tasks that variables start with": (
        "load t, join, load i, join, print, load f, join, print",
        "local t: task, local i: task[int], local f: task[float]", "", "0 0.0",
    ),
    "channels that variables start with": (
        "load i, recv, print, print, load f, recv, print, print",
        "local i: chan[int], local f: chan[float]", "", "0 0 0 0.0",
    ),
    "without room, send waits for recv": (
        "push 0, chan int, gstore c, push 4, spawn put, pop, yield, push 1, print, gload c, recv,"
        "print, print, push 2, print, yield", "", SEND, "1 1 4 2 4",
    ),
    "without room, recv waits for send": (
        "push 0, chan int, gstore c, push 9, spawn take, pop, yield, gload c, push 3, send,"
        "push 1, print, yield", "", TAKE, "1 1 3 9",
    ),
    "with room, send waits when it is used up": (
        "push 2, chan int, gstore c, push 1, spawn put, push 2, spawn put, push 3, spawn put,"
        "pop, pop, pop, yield, push 9, print, gload c, recv, pop, print, yield,"
        "gload c, recv, pop, print, gload c, recv, pop, print", "", SEND, "1 2 9 1 3 2 3",
    ),
    "those who wait to send are served in order": (
        "push 0, chan int, gstore c, push 1, spawn put, push 2, spawn put, pop, pop, yield,"
        "gload c, recv, pop, print, gload c, recv, pop, print, yield", "", SEND, "1 2 1 2",
    ),
    "those who wait to receive are served in order": (
        "push 0, chan int, gstore c, push 1, spawn take, push 2, spawn take, pop, pop, yield,"
        "gload c, push 30, send, gload c, push 40, send, yield", "", TAKE, "1 30 1 1 40 2",
    ),
    "a closed channel is drained": (
        "push 3, chan int, gstore c, gload c, push 5, send, gload c, push 6, send, gload c, close,"
        "gload c, recv, print, print, gload c, recv, print, print, gload c, recv, print, print", "",
        "", "1 5 1 6 0 0",
    ),
    "close lets those go on who wait to receive": (
        "push 0, chan int, gstore c, push 1, spawn take, push 2, spawn take, pop, pop, yield,"
        "gload c, close, yield", "", TAKE, "0 0 1 0 0 2",
    ),
    "a ring of values wraps around": (
        "push 2, chan int, gstore c, push 5, again:, gload c, over, send, gload c, recv, print,"
        "print, push 1, sub, dup, jnz again, pop", "", "", "1 5 1 4 1 3 1 2 1 1",
    ),
    "floats pass as they are": (
        "push 1, chan float, dup, push -0.0, send, dup, recv, print, print, dup, push nan, send,"
        "recv, print, print", "", "", "1 -0.0 1 nan",
    ),
    "task and channel on the stack": (
        "push 1, chan int, push 4, spawn slow, over, push 7, send, swap, recv, print, print, join,"
        "print", "", SLOW, "1 7 4",
    ),
    "main can be called and spawned": (
        "gload c, recv, pop, jnz inner, push 2, chan int, gstore c, gload c, push 1, send,"
        "spawn main, join, push 8, print, ret, inner:, push 7, print", "", "", "7 8",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PRINTED)
def test_prints(case: str) -> None:
    main, declarations, functions, printed = PRINTED[case]
    outcome = agreed(program(main, declarations, functions))
    assert outcome.trap is None
    assert " ".join(map(repr, outcome.output)) == printed


FAIL = "func fail(n: int)\npush 1\nload n\ndiv\nprint\nret\nend\n"
OUTER = "func outer(n: int)\nload n\ncall middle\nret\nend\n"
MIDDLE = "func middle(n: int)\nload n\nspawn fail\njoin\nret\nend\n"

# Main's code, functions, limits, the trap, its chain and its launches. Function 0 is main.
TRAPPED = {
    "a closed channel takes nothing": (
        "push 1, chan int, dup, close, push 2, send", "", {},
        Trap.SEND_ON_CLOSED, [(0, 5)], [],
    ),
    "nor the one that a variable starts with": (
        "gload c, push 2, send", "", {}, Trap.SEND_ON_CLOSED, [(0, 2)], [],
    ),
    "a channel is closed once": (
        "push 1, chan int, dup, close, close", "", {}, Trap.SEND_ON_CLOSED, [(0, 4)], [],
    ),
    "a close finds one who waits to send": (
        "push 0, chan int, gstore c, push 1, spawn put, pop, yield, gload c, close", SEND, {},
        Trap.SEND_ON_CLOSED, [(0, 8)], [],
    ),
    "a negative capacity": (
        "push -1, chan float, pop", "", {}, Trap.NEGATIVE_LENGTH, [(0, 1)], [],
    ),
    "a trap in a task": (
        "push 0, spawn fail, pop, yield", FAIL, {}, Trap.DIVIDE_BY_ZERO, [(1, 2)], [(0, 1)],
    ),
    "a trap in a task of a task": (
        "push 0, spawn outer, join", FAIL + OUTER + MIDDLE, {},
        Trap.DIVIDE_BY_ZERO, [(1, 2)], [(3, 1), (0, 1)],
    ),
    "a trap in a call in a task": (
        "push 0, spawn outer, pop, yield", f"{OUTER}func middle(n: int)\npush 0\ncall fail\nret\n"
        f"end\n{FAIL}", {}, Trap.DIVIDE_BY_ZERO, [(3, 2), (2, 1), (1, 1)], [(0, 1)],
    ),
    "the launcher may have ended": (
        "push 0, spawn middle, pop, yield, yield",
        f"func middle(n: int)\nload n\nspawn fail\npop\nret\nend\n{FAIL}", {},
        Trap.DIVIDE_BY_ZERO, [(2, 2)], [(1, 1), (0, 1)],
    ),
    "depth is counted in each task": (
        "push 2, spawn outer, join", f"{OUTER}func middle(n: int)\nload n\nspawn outer\njoin\nret\n"
        "end\n", {"max_depth": 1}, Trap.CALL_DEPTH_EXCEEDED, [(1, 1)], [(0, 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAPPED)
def test_traps(case: str) -> None:
    main, functions, limits, trap, chain, launches = TRAPPED[case]
    found = agreed(program(main, "", functions), **limits).trap
    assert found is not None
    assert found.trap is trap
    assert found.chain == tuple(Place(*place) for place in chain)
    assert found.launches == tuple(Place(*place) for place in launches)
    assert found.deadlock is None


def waiter(task: int, place: tuple[int, int], number: int, origin: tuple[int, int]) -> Waiter:
    return Waiter(task, Place(*place), number, Place(*origin))


def test_a_deadlock_says_who_waits_for_what() -> None:
    main = (
        "push 0, chan int, gstore c, push 1, spawn twice, push 1, spawn take, pop, join,"
        "push 5, spawn wait_send, join"
    )
    functions = TWICE + TAKE + "func wait_send(n: int)\npush 0\nchan int\nload n\nsend\nret\nend\n"
    found = agreed(program(main, "", functions)).trap
    assert found is not None
    assert (found.trap, found.chain, found.launches) == (Trap.DEADLOCK, (Place(0, 11),), ())
    assert found.deadlock == Deadlock(
        3,
        (
            waiter(0, (0, 11), 3, (0, 10)),
            waiter(2, (2, 1), 1, (0, 1)),
            waiter(3, (3, 3), 2, (3, 1)),
        ),
    )


def test_of_many_in_a_deadlock_the_first_are_told_of() -> None:
    text = program(
        "push 0, chan int, gstore c, push 1000, again:, dup, spawn take, pop, push 1, sub, dup,"
        "jnz again, gload c, recv, pop, pop, pop", "", TAKE
    )  # fmt: skip
    found = agreed(text).trap
    assert found is not None and found.deadlock is not None
    assert found.deadlock.count == 1001
    assert [waiter.task for waiter in found.deadlock.waiters] == list(range(10))


def test_a_deadlock_within_a_call_has_mains_chain() -> None:
    text = program("call deeper", "", "func deeper()\npush 0\nchan int\nrecv\npop\npop\nret\nend")
    found = agreed(text).trap
    assert found is not None
    assert found.chain == (Place(1, 2), Place(0, 0))


# What tasks and channels cost. A task of these functions fits into the first words of its stack.

TASK, RECORD, CHANNEL = 224, 32, 64


def out_of_memory(outcome: Outcome) -> bool:
    return outcome.trap is not None and outcome.trap.trap is Trap.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("main", "cost"),
    [
        ("push 1, spawn twice, pop", TASK),
        ("push 1, spawn twice, push 1, spawn twice, pop, pop", 2 * TASK),
        ("push 1, spawn twice, join, push 1, spawn twice, join", RECORD + TASK),
        ("push 0, chan int, pop", CHANNEL),
        ("push 3, chan float, pop", CHANNEL + 3 * 8),
        ("push 1, chan int, pop, push 2, newarr int, pop", CHANNEL + 8 + 3 * 8),
    ],
)
def test_what_tasks_and_channels_cost(main: str, cost: int) -> None:
    text = program(main, "", TWICE)
    assert agreed(text, max_heap=cost).trap is None
    assert out_of_memory(agreed(text, max_heap=cost - 1))


def framed(words: int) -> str:
    """A function with a frame of so many words, in a task: two are the record of its call."""
    declared = "".join(f"local x{n}: int\n" for n in range(words - 3))
    return f"func framed()\n{declared}push 1\npop\nret\nend\n"


@pytest.mark.parametrize(
    ("words", "further"), [(4, 0), (16, 0), (17, 32), (32, 32), (33, 64), (64, 64), (1_000, 1_024)]
)
def test_what_a_large_frame_costs(words: int, further: int) -> None:
    text = program("spawn framed, join, spawn framed, join", "", framed(words))
    cost = RECORD + TASK + 8 * further
    assert agreed(text, max_heap=cost).trap is None
    assert out_of_memory(agreed(text, max_heap=cost - 1))


DEEP = """
func deep(n: int, a: float, b: int) -> int
    local x: float
    local y: float
    load n
    jz bottom
    push 1000
    load n
    push 1
    sub
    load x
    load b
    call deep
    load n
    add
    add
    ret
bottom:
    load y
    pop
    push 0
    ret
end
"""


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 5, 10, 50, 1000])
def test_what_a_stack_costs_that_grows(depth: int) -> None:
    """Each frame of `deep` has 5 slots, one operand below the arguments, and a record of 2 words;
    the topmost has 4 operands at most."""
    needed = 8 * (depth + 1) - 1 + 4
    further = 0 if needed <= 16 else 1 << (needed - 1).bit_length()
    text = program(f"push {depth}, push 0.5, push 2, spawn deep, join, print", "", DEEP)
    cost = TASK + 8 * further
    outcome = agreed(text, max_heap=cost)
    assert outcome.output == (1000 * depth + depth * (depth + 1) // 2,)
    outcome = agreed(text, max_heap=cost - 1)
    assert out_of_memory(outcome)
    if further > 32:
        assert outcome.trap is not None
        assert outcome.trap.place == Place(1, 8)
        assert outcome.trap.launches == (Place(0, 3),)


def test_stacks_that_grew_and_ended_are_used_again() -> None:
    text = program(
        "push 50, again:, push 100, push 0.5, push 2, spawn deep, join, pop, push 1, sub, dup,"
        "jnz again, print", "", DEEP
    )  # fmt: skip
    assert agreed(text, max_heap=50 * RECORD + TASK + 8 * 1024).output == (0,)


@pytest.mark.parametrize("fuel", range(32))
def test_fuel_is_for_all_tasks_together(fuel: int) -> None:
    text = program("push 1, spawn twice, push 2, spawn twice, join, join", "", TWICE)
    outcome = agreed(text, fuel=fuel)
    assert outcome.instructions == min(fuel, 23)
    assert (outcome.trap is None) is (fuel >= 23)


def test_counts_include_what_tasks_execute() -> None:
    assert agreed(program("push 1, spawn twice, join", "", TWICE)).instructions == 4 + 8


def test_runs_begin_afresh() -> None:
    text = program("push 1, chan int, gstore c, push 7, spawn put, pop, yield", "", SEND)
    for engine, counting in BUILDS:
        built = executable(text, engine, counting)
        for _ in range(2):
            outcome = agreed(text)
            assert outcome.output == (7,)
            assert not outcome.differences(built.call((), Limits(), iterations=3).outcome)


# Each ends never by itself, whatever `n` is, and prints 0 when it has begun.
ENDLESS = {
    "tasks that yield": """
        func turn()
        again:
            yield
            jmp again
        end
        func main(n: int)
            spawn turn
            spawn turn
            pop
            pop
            push 0
            print
            call turn
            ret
        end""",
    "a task that recurses": """
        func down(n: int) -> int
            yield
            load n
            push 1
            add
            call down
            ret
        end
        func main(n: int)
            push 0
            print
            push 0
            spawn down
            join
            pop
            ret
        end""",
    "very many tasks that wait": """
        func stay(c: chan[int])
            load c
            recv
            pop
            pop
            ret
        end
        func main(n: int)
            local c: chan[int]
            push 0
            chan int
            store c
        more:
            load c
            spawn stay
            pop
            load n
            push 1
            sub
            dup
            store n
            jnz more
            yield
            push 0
            print
        again:
            jmp again
        end""",
}


@pytest.mark.parametrize("build", BUILDS, ids=name_of)
@pytest.mark.parametrize("name", ENDLESS)
def test_another_thread_ends_it(build: tuple[str, bool], name: str) -> None:
    limits = Limits(max_depth=10_000_000, max_heap=1 << 34)
    running = Running(executable(ENDLESS[name], *build), (100_000,), limits)
    running.wait_for_output()
    sample, seconds = running.stop()
    assert seconds < SOON
    assert trap_of(sample) is Trap.INTERRUPTED
    assert sample.outcome.output == (0,)


def test_of_many_launches_the_nearest_are_told_of() -> None:
    """Each task launches the next and waits for it; the last traps."""
    text = """
        func next(n: int)
            load n
            jz last
            load n
            push 1
            sub
            spawn next
            join
            ret
        last:
            push 1
            push 0
            div
            pop
            ret
        end
        func main(n: int)
            load n
            spawn next
            join
            ret
        end"""
    for tasks in (5, MAX_LAUNCHES + 5):
        trap = agreed(text, tasks).trap
        assert trap is not None
        launches = (*[Place(0, 5)] * tasks, Place(1, 1))
        assert trap.launches == launches[:MAX_LAUNCHES]


# Memory


@pytest.mark.parametrize("engine", ENGINES)
def test_very_many_tasks_are_ended_and_their_memory_comes_back(engine: str) -> None:
    built = find(engine).build(assemble(ENDLESS["very many tasks that wait"]), counting=False)
    # Of a machine stack, each task touches a page.
    running = Running(built, (50_000 if engine in STACKFUL else 1_000_000,), Limits())
    running.wait_for_output()
    sample, seconds = running.stop()
    assert seconds < SOON
    assert trap_of(sample) is Trap.INTERRUPTED
    maps = [weakref.ref(memory.region._map) for memory in built.memory().values()]
    del built, running
    assert [memory() for memory in maps] == [None] * len(maps)


PARKED = """
func stay(c: chan[int])
    load c
    recv
    pop
    pop
    ret
end
func main(n: int) -> int
    local c: chan[int]
    push 0
    chan int
    store c
more:
    load c
    spawn stay
    pop
    load n
    push 1
    sub
    dup
    store n
    jnz more
    yield
    load c
    close
    spawn idle
    join
    load n
    ret
end
func idle()
    ret
end
"""


def used(built: Executable, fresh: str, region: str) -> int:
    context = built.state.context
    return getattr(context, f"fresh_{fresh}") - getattr(context, region)


def test_a_task_that_waits_takes_224_bytes() -> None:
    built = executable(PARKED, "threaded", False)
    for count in (1_000, 2_000, 1_000):
        assert built.call((count,), Limits(), iterations=2).outcome.result == 0
        # Descriptors and first stacks of all, main's and that of `idle`.
        assert used(built, "block", "blocks") == 192 * (count + 2)
        # Records stay.
        assert used(built, "record", "records") == 32 * (count + 2)
        assert built.state.context.task_words * 8 == CHANNEL + RECORD * (count + 1)


@pytest.mark.parametrize("engine", INTERPRETERS)
def test_what_a_task_had_is_used_again(engine: str) -> None:
    text = program(
        "push 1000, again:, push 100, push 0.5, push 2, spawn deep, join, pop, push 1, sub, dup,"
        "jnz again, print", "", DEEP
    )  # fmt: skip
    built = executable(text, engine, False)
    assert built.call((), Limits()).outcome.output == (0,)
    values = built.state.values
    assert used(built, "block", "blocks") == 2 * 8 * block_words(values)
    # Stacks of 32, 64, ... 1024 words.
    assert used(built, "segment", "segments") == 8 * (64 + values.words * (2048 - 32))


@pytest.mark.parametrize("engine", ["boxed", "late", "template+boxed"])
def test_every_cell_is_free_in_the_end(engine: str) -> None:
    main, declarations, functions, _ = PRINTED["several wait for one, in order"]
    for text, args in ((program(main, declarations, functions), ()), (PARKED, (9,))):
        built = executable(text, engine, False)
        assert built.call(args, Limits(), iterations=2).outcome.trap is None
        context, cells = built.state.context, built.state.cells
        free, cell = set(), context.free_cell
        while cell:
            assert cell not in free
            free.add(cell)
            cell = cells.words[(cell - context.cells) // WORD_BYTES + VALUE]
        assert len(free) == (context.fresh_cell - context.cells) // (CELL_WORDS * WORD_BYTES)


def test_memory_in_pieces_is_refused() -> None:
    """Stacks of ever larger sizes, of each as many as the limit allows. They all fit, but what
    is free is in pieces of sizes that are not asked for."""
    sizes = [32 << n for n in range(5)]
    heap_words = 1 << 13
    functions = "".join(framed(words).replace("framed", f"f{words}") for words in sizes)
    tasks = {words: 3 * heap_words // 4 // (words + 28) for words in sizes}
    main = ",".join(f"{f'spawn f{words}, pop,' * tasks[words]} yield" for words in sizes)
    text = program(main, "", functions)
    limits = {"max_heap": 8 * heap_words}
    # Straight code has no stacks that grow.
    straight = [(engine, True) for engine in ("inlined", "template")]
    assert agreed_on(text, builds=straight, **limits).trap is None
    for engine, counting in ((engine, True) for engine in INTERPRETERS):
        with pytest.raises(EngineUnavailable, match="in pieces of wrong sizes"):
            run(text, engine, counting, **limits)
        assert run(text, engine, counting, max_heap=8 * 4 * heap_words).trap is None


@pytest.mark.parametrize(
    "engine",
    ["textbook", "cpython"],
)
def test_engines_without_tasks_say_so(engine: str) -> None:
    with pytest.raises(EngineUnavailable, match="coroutines"):
        find(engine).build(assemble(program("yield")), counting=False)
