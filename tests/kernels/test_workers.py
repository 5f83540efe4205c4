"""Programs with tasks on several workers: what does not depend on the order of tasks is as on the
reference; limits, traps and deadlocks hold; nothing is lost, however often they run."""

from __future__ import annotations

import functools
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import interrupted
from test_coroutines import DOWN, value_of_down
from test_interrupts import SOON, Running, trap_of
from test_tasks import (
    CHANNEL,
    DEEP,
    ENDLESS,
    FAIL,
    MIDDLE,
    OUTER,
    PARKED,
    RECORD,
    TAKE,
    TASK,
    TWICE,
    framed,
    out_of_memory,
    program,
    waiter,
)

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import EngineUnavailable, Executable, find
from vmlab.isa import Trap
from vmlab.kernels import task_workers
from vmlab.outcome import Limits, Outcome, Place, bind_arguments
from vmlab.program import Number
from vmlab.stack import start_deep_thread
from vmlab.supervise import supervised

Build = tuple[str, int]  # and its workers
BUILDS = [("inlined", 2), ("inlined", 4), ("template", 3)]


def builds(*chosen: Build) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("build", chosen, ids=[f"{e}-{n}" for e, n in chosen])


every_build = builds(*BUILDS)
# Where much has to be compiled.
every_engine = builds(BUILDS[0], BUILDS[-1])


@functools.cache
def built(text: str, engine: str, workers: int) -> Executable:
    return find(engine).build(assemble(text), counting=False, workers=workers)


@functools.cache
def expected(text: str, args: tuple[Number, ...] = ()) -> Outcome:
    return find("reference").build(assemble(text), counting=True).call(args, Limits()).outcome


def run(text: str, build: Build, *args: Number, **limits: int) -> Outcome:
    return built(text, *build).call(args, Limits(**limits)).outcome


# What does not depend on the order


@every_build
@pytest.mark.parametrize(
    "name",
    ["ring", "ping_pong", "pipeline", "fan", "concurrent_sieve", "many_tasks", "philosophers"],
)
def test_the_corpus(build: Build, name: str) -> None:
    text = corpus.source(name)
    args = tuple(bind_arguments(assemble(text), {}))
    alone = find("inlined").build(assemble(text), counting=False).call(args, Limits()).outcome
    outcome = built(text, *build).call(args, Limits(), iterations=2).outcome
    assert (outcome.result, outcome.trap) == (alone.result, None)
    assert Counter(outcome.output) == Counter(alone.output)


@every_engine
@pytest.mark.parametrize("depth", [0, 2, 50])
def test_frames_of_callers_come_back(build: Build, depth: int) -> None:
    text = program(
        f"push {depth}, push 1.0, spawn down, push {depth}, push 2.0, spawn down, join, print,"
        f"join, print, push {depth}, push 3.0, call down, print", "", DOWN
    )  # fmt: skip
    wanted = tuple(value_of_down(depth, x) for x in (2.0, 1.0, 3.0))
    for _ in range(20):
        assert run(text, build).output == wanted


# Everybody prints its number twice; with frames too large for the scheduler's own lists.
CROWD = f"""
func one(n: int) -> int
{"".join(f"local x{n}: int{chr(10)}" for n in range(80))}
    load n
    print
{"".join(f"load x{n}{chr(10)}" for n in range(80))}
    yield
{"add" + chr(10)} {("add" + chr(10)) * 78}
    load n
    add
    dup
    print
    ret
end
func main(n: int) -> int
    local t: task[int]
    local sum: int
    load n
    jz done
    load n
    spawn one
    load n
    push 1
    sub
    call main
    swap
    join
    add
    ret
done:
    push 0
    ret
end
"""


@every_build
def test_output_is_whole_and_complete(build: Build) -> None:
    for _ in range(10):
        outcome = run(CROWD, build, 300)
        assert (outcome.result, outcome.trap) == (300 * 301 // 2, None)
        assert sorted(outcome.output) == sorted([*range(1, 301)] * 2)
        assert run(CROWD, build, 300, max_output=600).trap is None
        outcome = run(CROWD, build, 300, max_output=599)
        assert outcome.trap is not None and outcome.trap.trap is Trap.OUTPUT_LIMIT_EXCEEDED
        assert len(outcome.output) == 599


@every_build
def test_nothing_is_lost(build: Build) -> None:
    """No launch, and no waking of a task or of a worker."""
    text = corpus.source("fan")
    wanted = expected(text, (60, 7)).result
    executable = built(text, *build)
    for _ in range(200):
        outcome = executable.call((60, 7), Limits()).outcome
        assert (outcome.result, outcome.trap) == (wanted, None)


# Many join one, and each result is taken twice, while it ends.
JOINING = """
func slow(n: int) -> int
    load n
    jz done
    yield
done:
    load n
    push 7
    add
    ret
end
func taker(t: task[int]) -> int
    load t
    join
    load t
    join
    add
    ret
end
func main(n: int) -> int
    local t: task[int]
    local sum: int
again:
    load n
    push 1
    and
    spawn slow
    store t
    load t
    spawn taker
    load t
    spawn taker
    load t
    spawn taker
    join
    load sum
    add
    store sum
    load t
    join
    load sum
    add
    store sum
    join
    load sum
    add
    store sum
    join
    load sum
    add
    store sum
    load n
    push 1
    sub
    dup
    store n
    jnz again
    load sum
    ret
end
"""


@every_build
def test_many_join_one(build: Build) -> None:
    for _ in range(3):
        outcome = run(JOINING, build, 5_000)
        assert (outcome.result, outcome.trap) == (2_500 * 7 * (7 + 8), None)


# Data races: all tasks change the globals, an array among them, and look into what they find.
RACES = """
global a: int[]
global c: chan[int]
global t: task[int]
global x: int
func quick(n: int) -> int
    load n
    ret
end
func race(n: int) -> int
    local i: int
again:
    load i
    push 15
    and
    push 1
    add
    newarr int
    gstore a
    load i
    push 3
    and
    chan int
    dup
    close
    gstore c
    gload c
    recv
    pop
    pop
    load i
    spawn quick
    gstore t
    gload t
    join
    pop
    ; the index may be right for one array, and looked up in another
    push 0
    gstore x
sum:
    gload x
    gload a
    len
    ge
    jnz next
    gload a
    push 0
    aload
    gload x
    add
    gstore x
    gload x
    push 1
    add
    gstore x
    jmp sum
next:
    load i
    push 1
    add
    dup
    store i
    load n
    lt
    jnz again
    load n
    ret
end
func main(n: int) -> int
    local i: int
    load n
    spawn race
    load n
    spawn race
    load n
    spawn race
    load n
    call race
    swap
    join
    add
    swap
    join
    add
    swap
    join
    add
    ret
end
"""


@every_build
def test_data_races_do_not_bring_the_process_down(build: Build) -> None:
    for _ in range(5):
        outcome = run(RACES, build, 2_000)
        assert outcome.trap is None and outcome.result == 8_000


# A counted loop over an array that others replace by shorter and longer ones.
REPLACED = """
global a: int[]
func replace(n: int)
again:
    push 1
    newarr int
    gstore a
    push 300
    newarr int
    gstore a
    load n
    push 1
    sub
    dup
    store n
    jnz again
    ret
end
func look(n: int) -> int
    local i: int
again:
    push 0
    store i
loop:
    load i
    push 300
    ge
    jnz over
    gload a
    load i
    aload
    print
    load i
    push 1
    add
    store i
    jmp loop
over:
    load n
    push 1
    sub
    dup
    store n
    jnz again
    push 0
    ret
end
func main(n: int) -> int
    push 300
    newarr int
    gstore a
    load n
    push 50
    mul
    spawn replace
    pop
    load n
    call look
    ret
end
"""


@every_engine
def test_an_array_that_others_replace_is_checked_at_each_access(build: Build) -> None:
    caught = 0
    for _ in range(20):
        trap = run(REPLACED, build, 1_000).trap
        assert trap is None or trap.trap is Trap.INDEX_OUT_OF_RANGE
        caught += trap is not None
    assert caught


# Traps

TRAPPED = {
    "a trap in a task": ("push 0, spawn fail, join", FAIL, [(1, 2)], [(0, 1)]),
    "a trap in a task of a task": (
        "push 0, spawn outer, join", FAIL + OUTER + MIDDLE, [(1, 2)], [(3, 1), (0, 1)],
    ),
    "a trap in a call in a task": (
        "push 0, spawn outer, join", f"{OUTER}func middle(n: int)\npush 0\ncall fail\nret\nend\n"
        f"{FAIL}", [(3, 2), (2, 1), (1, 1)], [(0, 1)],
    ),
}  # fmt: skip

# Others are busy, or take turns.
BESIDE = """
func busy(n: int)
again:
    load n
    push 1
    add
    store n
    jmp again
end
func turn()
again:
    yield
    jmp again
end
"""


@every_engine
@pytest.mark.parametrize("beside", ["push 0, spawn busy, pop,", "spawn turn, pop,"])
@pytest.mark.parametrize("case", TRAPPED)
def test_traps_while_others_run(build: Build, case: str, beside: str) -> None:
    main, functions, chain, launches = TRAPPED[case]
    text = program(beside + main, "", functions + BESIDE)
    shift = beside.count(",")
    for _ in range(5):
        trap = run(text, build).trap
        assert trap is not None and trap.trap is Trap.DIVIDE_BY_ZERO
        assert trap.chain == tuple(Place(*place) for place in chain)
        moved = [(f, at + shift if f == 0 else at) for f, at in launches]
        assert trap.launches == tuple(Place(*place) for place in moved)


@every_build
def test_depth_is_counted_in_each_task(build: Build) -> None:
    functions = f"{OUTER}func middle(n: int)\nload n\nspawn outer\njoin\nret\nend\n"
    trap = run(program("push 2, spawn outer, join", "", functions), build, max_depth=1).trap
    assert trap is not None and trap.trap is Trap.CALL_DEPTH_EXCEEDED
    assert (trap.chain, trap.launches) == ((Place(1, 1),), (Place(0, 1),))


@every_engine
def test_channels_refuse_as_with_one_worker(build: Build) -> None:
    for main, at in (
        ("push 1, chan int, dup, close, push 2, send", 5),
        ("gload c, push 2, send", 2),
        ("push 1, chan int, dup, close, close", 4),
        ("push -1, chan float, pop", 1),
    ):
        text = program(main)
        assert run(text, build).trap == expected(text).trap
        trap = run(text, build).trap
        assert trap is not None and trap.place == Place(0, at)


@every_build
def test_a_deadlock_says_who_waits_for_what(build: Build) -> None:
    main = (
        "push 0, chan int, gstore c, push 1, spawn twice, dup, join, push 1, spawn take, pop, join,"
        "push 5, spawn wait_send, dup, gstore t, join"
    )
    functions = (
        TWICE + TAKE + "func wait_send(n: int)\npush 0\nchan int\nload n\nsend\nret\nend\n"
        "global t: task\n"
    )
    text = program(main, "", functions)
    trap = expected(text).trap
    assert trap is not None and trap.deadlock is not None and trap.deadlock.count == 3
    for _ in range(20):
        assert run(text, build).trap == trap


@every_build
def test_several_that_wait_for_one_are_told_of(build: Build) -> None:
    wait = "func wait(t: task)\nload t\njoin\nret\nend\n"
    main = (
        "push 0, chan int, gstore c, push 1, spawn take, store t, load t, spawn wait, load t,"
        "spawn wait, load t, join, pop, pop"
    )
    trap = run(program(main, "local t: task", TAKE + wait), build).trap
    assert trap is not None and trap.deadlock is not None
    assert trap.deadlock.waiters == (
        waiter(0, (0, 11), 1, (0, 4)),
        waiter(1, (1, 1), 1, (0, 1)),
        waiter(2, (2, 1), 1, (0, 4)),
        waiter(3, (2, 1), 1, (0, 4)),
    )


# Limits


@every_engine
@pytest.mark.parametrize(
    ("main", "cost"),
    [
        ("push 1, spawn twice, join, push 1, spawn twice, join", RECORD + TASK),
        ("push 0, chan int, pop", CHANNEL),
        ("push 3, chan float, pop", CHANNEL + 3 * 8),
        ("push 1, chan int, pop, push 2, newarr int, pop", CHANNEL + 8 + 3 * 8),
        ("spawn framed, join, spawn framed, join", RECORD + TASK + 8 * 64),
        ("push 50, push 0.5, push 2, spawn deep, join, print", TASK + 8 * 512),
    ],
)
def test_what_tasks_and_channels_cost(build: Build, main: str, cost: int) -> None:
    text = program(main, "", TWICE + framed(40) + DEEP)
    assert run(text, build, max_heap=cost).trap is None
    assert out_of_memory(run(text, build, max_heap=cost - 1))


@every_engine
@pytest.mark.parametrize("made", ["chan int", "newarr float"])
def test_sizes_that_are_too_large(build: Build, made: str) -> None:
    text = f"func main(n: int)\nyield\nload n\n{made}\npop\nret\nend\n"
    for size in (2**63 - 1, 2**62, 2**27):
        assert out_of_memory(run(text, build, size))
    assert run(text, build, 2**10).trap is None


@every_build
def test_accounts_are_exact_in_the_end(build: Build) -> None:
    """All arrays fit to the last word, whoever asked for them; one word more is too much."""
    functions = "func make(n: int)\nagain:\npush 2\nnewarr int\npop\n"
    functions += "load n\npush 1\nsub\ndup\nstore n\njnz again\nret\nend\n"
    text = program(
        "push 1000, spawn make, push 1000, spawn make, push 1000, spawn make, join, join, join",
        "", functions,
    )  # fmt: skip
    arrays = 3_000 * 3 * 8
    for _ in range(10):
        assert run(text, build, max_heap=arrays + 3 * TASK).trap is None
        assert out_of_memory(run(text, build, max_heap=arrays + 3 * RECORD - 8))


@every_build
def test_memory_for_frames_never_runs_out(build: Build) -> None:
    """However small the limit is: free descriptors and frames may be with any worker."""
    text = program(
        "push 3000, again:, push 2, push 0.5, push 2, spawn deep, push 1, spawn twice, join, join,"
        "pop, push 1, sub, dup, jnz again, pop", "", DEEP + TWICE.replace("print", "pop")
    )  # fmt: skip
    heap = 6_000 * RECORD + 2 * (TASK - RECORD) + 8 * 32
    assert run(text, build, max_heap=heap).trap is None


@every_build
def test_a_hundred_thousand_tasks_wait(build: Build) -> None:
    executable = built(PARKED, *build)
    outcome = executable.call((100_000,), Limits(), iterations=2).outcome
    assert (outcome.result, outcome.trap) == (0, None)
    state = executable.state  # type: ignore[attr-defined]
    assert state.context.task_words * 8 >= CHANNEL + RECORD * 100_001


# Being stopped


@every_build
@pytest.mark.parametrize("name", ENDLESS)
def test_another_thread_ends_it(build: Build, name: str) -> None:
    limits = Limits(max_depth=10_000_000, max_heap=1 << 34)
    running = Running(built(ENDLESS[name], *build), (100_000,), limits)
    running.wait_for_output()
    sample, seconds = running.stop()
    assert seconds < SOON
    assert trap_of(sample) is Trap.INTERRUPTED
    assert sample.outcome.output == (0,)


@every_build
def test_a_timeout_ends_it(build: Build) -> None:
    text = program("push 0, spawn busy, pop, spawn turn, pop, again:, yield, jmp again", "", BESIDE)
    executable = built(text, *build)
    for timeout in (0, 0.02):
        start = time.perf_counter()
        sample = supervised(executable, (), Limits(timeout=timeout))
        assert time.perf_counter() - start < SOON
        assert trap_of(sample) is Trap.INTERRUPTED


def test_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "endless.vm").write_text(ENDLESS["tasks that yield"])
    command = [sys.executable, "-m", "vmlab", "run", "endless.vm", "--arg", "n=0", "--workers", "2"]
    code, errors, seconds = interrupted(command, "0\n", cwd=tmp_path)
    assert seconds < SOON
    assert code == 130
    assert "interrupted" in errors


# What is refused


@pytest.mark.parametrize(
    ("engine", "workers", "counting", "why"),
    [
        ("switch", 2, False, "it has one worker"),
        ("template+tagged", 2, False, "it has one worker"),
        ("reference", 2, True, "it has one worker"),
        ("cpython", 2, False, "it has one worker"),
        ("inlined", 33, False, "at most 32"),
        ("inlined", 2, True, "counted"),
    ],
)
def test_what_is_refused(engine: str, workers: int, counting: bool, why: str) -> None:
    with pytest.raises(EngineUnavailable, match=why):
        find(engine).build(assemble(program("yield")), counting=counting, workers=workers)


def test_threads_that_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have begun end; then it runs again."""
    text = corpus.source("fan")
    started = []

    def start(work: Callable[[], None], *, daemon: bool) -> None:
        if len(started) == 2:
            raise OSError("the system grants no thread")
        started.append(work)
        start_deep_thread(work, daemon=daemon)

    with monkeypatch.context() as patch:
        patch.setattr(task_workers, "start_deep_thread", start)
        with pytest.raises(EngineUnavailable, match="cannot start 4 workers"):
            run(text, ("inlined", 4), 10_000_000, 4)
    assert run(text, ("inlined", 4), 100, 4).result == expected(text, (100, 4)).result


def test_a_program_without_tasks_needs_no_workers() -> None:
    with pytest.raises(EngineUnavailable, match="no tasks"):
        find("inlined").build(corpus.load("fib"), counting=False, workers=2)


def test_thirty_two_workers() -> None:
    text = corpus.source("fan")
    assert run(text, ("inlined", 32), 100, 40).result == expected(text, (100, 40)).result
