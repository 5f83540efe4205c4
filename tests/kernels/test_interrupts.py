"""Programs that never end are ended from outside, soon, on every build; Python runs beside them."""

from __future__ import annotations

import platform
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from native_engines import every_build, executable, program, run
from processes import interrupted

from vmlab.engines import Executable, Sample, find
from vmlab.isa import Trap
from vmlab.outcome import Limits
from vmlab.program import Number
from vmlab.supervise import Supervisor, supervised

# What users are promised is 0.2 s, on a machine that has nothing else to do.
SOON = 5.0

# A chain of calls, each of which makes two of the next: 2**60 calls without a loop or recursion.
DOUBLING = (
    "global g: int\nfunc f0()\ngload g\npush 3\nmul\npush 1\nadd\ngstore g\nret\nend\n"
    + "".join(f"func f{n}()\ncall f{n - 1}\ncall f{n - 1}\nret\nend\n" for n in range(1, 61))
    + "func main(n: int)\npush 0\nprint\ncall f60\nret\nend\n"
)

# Each ends, soon, if `n` is negative, and otherwise after years. Each prints 0 when it has begun.
ENDLESS = {
    "a jump to itself": """
        func main(n: int)
            push 0
            print
            load n
            push 0
            lt
            jnz done
        here:
            jmp here
        done:
            ret
        end""",
    "a tight loop": """
        func main(n: int)
            local i: int
            push 0
            print
        again:
            load i
            push 1
            add
            store i
            load n
            push 0
            ge
            jnz again
            ret
        end""",
    "nested loops": """
        func main(n: int)
            local i: int
            local j: int
            push 0
            print
        outer:
            push 3
            store j
        inner:
            load i
            load j
            xor
            store i
            load j
            push 1
            sub
            dup
            store j
            jnz inner
            load n
            push 0
            ge
            jnz outer
            load i
            pop
            ret
        end""",
    "overlapping loops": """
        func main(n: int)
            push 0
            print
        outer:
            push 0
            pop
        inner:
            load n
            push 0
            gt
            jnz outer
            load n
            jz inner
            ret
        end""",
    "a loop that goes back to the middle of another": """
        func main(n: int)
            local i: int
            push 0
            print
            load n
            push 0
            lt
            jnz done
            load n
            jz middle
        top:
            load i
            push 1
            add
            store i
        middle:
            load i
            push 1
            and
            jz top
            load i
            push 2
            add
            store i
            jmp middle
        done:
            ret
        end""",
    "a loop of calls": """
        global g: int
        func step(i: int) -> int
            load i
            gload g
            add
            dup
            gstore g
            ret
        end
        func main(n: int)
            push 0
            print
        again:
            push 5
            call step
            pop
            load n
            push 0
            ge
            jnz again
            ret
        end""",
    "a tree of recursive calls": """
        func tree(n: int) -> int
            load n
            push 0
            ge
            jnz inner
            push 1
            ret
        inner:
            load n
            push 1
            sub
            call tree
            load n
            push 1
            sub
            call tree
            xor
            ret
        end
        func main(n: int)
            push 0
            print
            load n
            push 60
            add
            call tree
            pop
            ret
        end""",
    "mutual recursion": """
        func even(n: int, g: int) -> int
            load n
            push 0
            ge
            jnz inner
            load g
            ret
        inner:
            load n
            push 1
            sub
            load g
            push 3
            mul
            call odd
            load n
            push 1
            sub
            load g
            call odd
            xor
            ret
        end
        func odd(n: int, g: int) -> int
            load n
            push 1
            sub
            load g
            push 1
            add
            call even
            ret
        end
        func main(n: int)
            push 0
            print
            load n
            push 60
            add
            load n
            call even
            pop
            ret
        end""",
    "deep recursion": """
        func down(n: int, go: int) -> int
            load n
            jz bottom
            load n
            push 1
            sub
            load go
            call down
            push 3
            mul
            load n
            xor
            ret
        bottom:
            load go
            push 0
            ge
            jnz bottom
            push 1
            ret
        end
        func main(n: int)
            push 0
            print
            push 9_000
            load n
            call down
            pop
            ret
        end""",
    "calls without a loop": DOUBLING,
}
ENDS_NEVER = {"calls without a loop"}

# It prints for ever, with a pause of some thousand instructions between two values, so that the
# output of a second fits.
PRINTING = """
    func main(n: int)
        local i: int
        local j: int
    again:
        load i
        print
        load i
        push 1
        add
        store i
        push 5_000
        store j
    pause:
        load j
        load i
        push 1
        or
        push 1
        min
        sub
        dup
        store j
        jnz pause
        load n
        push 0
        ge
        jnz again
        ret
    end"""
LONG_OUTPUT = Limits(max_output=1 << 24)

every_program = pytest.mark.parametrize("name", ENDLESS)


class Running:
    """A call in a thread of its own."""

    def __init__(self, executable: Executable, args: Sequence[Number], limits: Limits) -> None:
        self.executable = executable
        self.samples: list[Sample] = []
        self.thread = threading.Thread(
            target=lambda: self.samples.append(executable.call(args, limits)), daemon=True
        )
        self.thread.start()

    def wait_for_output(self) -> None:
        give_up = time.monotonic() + 10
        while not self.executable.output_from(0):
            assert time.monotonic() < give_up
            time.sleep(0.001)

    def stop(self) -> tuple[Sample, float]:
        """Interrupt it; its sample, and the seconds that took."""
        start = time.perf_counter()
        self.executable.interrupt()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.samples[0], time.perf_counter() - start


def trap_of(sample: Sample) -> Trap | None:
    return sample.outcome.trap and sample.outcome.trap.trap


@every_program
@every_build
def test_another_thread_ends_it(build: tuple[str, bool], name: str) -> None:
    endless = executable(ENDLESS[name], *build)
    running = Running(endless, (0,), Limits())
    running.wait_for_output()
    sample, seconds = running.stop()
    assert seconds < SOON
    assert trap_of(sample) is Trap.INTERRUPTED
    assert sample.outcome.output == (0,)
    assert sample.outcome.result is None
    if name not in ENDS_NEVER:
        # The interruption is over; the same executable runs to its end.
        expected = run(ENDLESS[name], "reference", True, (-1_000,))
        assert expected.trap is None
        assert not expected.differences(endless.call((-1_000,), Limits()).outcome)


@every_program
@every_build
def test_a_timeout_ends_it(build: tuple[str, bool], name: str) -> None:
    start = time.perf_counter()
    sample = supervised(executable(ENDLESS[name], *build), (0,), Limits(timeout=0.02))
    assert time.perf_counter() - start < SOON
    assert trap_of(sample) is Trap.INTERRUPTED
    assert sample.nanoseconds > 1e6


@every_build
def test_a_loop_that_prints(build: tuple[str, bool]) -> None:
    printing = executable(PRINTING, *build)
    running = Running(printing, (0,), LONG_OUTPUT)
    running.wait_for_output()
    time.sleep(0.005)
    sample, _ = running.stop()
    assert trap_of(sample) is Trap.INTERRUPTED
    assert sample.outcome.output == tuple(range(len(sample.outcome.output)))


@every_build
def test_output_is_seen_while_it_runs(build: tuple[str, bool]) -> None:
    seen: list[Number] = []
    looks = []

    def look(values: Sequence[Number]) -> None:
        seen.extend(values)
        looks.append(len(values))

    limits = Limits(max_output=1 << 24, timeout=0.12)
    sample = supervised(executable(PRINTING, *build), (0,), limits, look)
    assert trap_of(sample) is Trap.INTERRUPTED
    assert sample.outcome.output == tuple(seen)
    assert len(looks) >= 3
    assert any(looks[:-1])


@every_build
def test_a_timeout_of_nothing(build: tuple[str, bool]) -> None:
    """The request comes before the call, or together with it; it must not get lost."""
    endless = executable(ENDLESS["a tree of recursive calls"], *build)
    with Supervisor() as supervisor:
        for _ in range(5):
            start = time.perf_counter()
            assert trap_of(supervisor.call(endless, (0,), Limits(timeout=0))) is Trap.INTERRUPTED
            assert time.perf_counter() - start < SOON


@every_build
def test_a_request_without_a_call_is_not_kept(build: tuple[str, bool]) -> None:
    program = executable(ENDLESS["a tight loop"], *build)
    program.interrupt()
    assert trap_of(program.call((-1,), Limits())) is None


@every_build
def test_an_interruption_ends_all_iterations(build: tuple[str, bool]) -> None:
    """Also where each of them is short."""
    short = executable(ENDLESS["a loop of calls"], *build)
    samples = []
    thread = threading.Thread(
        target=lambda: samples.append(short.call((-1,), Limits(), 1 << 40)), daemon=True
    )
    thread.start()
    time.sleep(0.02)
    give_up = time.monotonic() + 10
    while thread.is_alive():
        assert time.monotonic() < give_up
        short.interrupt()
        thread.join(0.05)
    assert trap_of(samples[0]) is Trap.INTERRUPTED
    assert samples[0].outcome.trap.chain


# Most of the time nothing has been called yet: neither main, nor what a task begins with.
BEGINNINGS = {
    "of main": "func f()\nret\nend\nfunc main()\ncall f\nret\nend\n",
    "of tasks": """
        func g(n: int) -> int
            load n
            ret
        end
        func f(n: int) -> int
            load n
            call g
            ret
        end
        func main()
        again:
            push 1
            spawn f
            join
            pop
            jmp again
        end""",
}
STRAIGHT = [("inlined", 1), ("template", 1), ("subroutine", 1), ("inlined", 2)]
STRAIGHT += [("inlined+stackful", 1)] if platform.machine() == "x86_64" else []


@pytest.mark.parametrize("engine", STRAIGHT, ids=str)
@pytest.mark.parametrize("name", BEGINNINGS)
def test_an_interruption_has_a_place_at_every_moment(engine: tuple[str, int], name: str) -> None:
    repeating = program(BEGINNINGS[name])
    if not repeating.has_tasks and engine not in STRAIGHT[:3]:
        pytest.skip("for programs with tasks")
    repeated = find(engine[0]).build(repeating, counting=False, workers=engine[1])
    limits = Limits(timeout=0.005, max_heap=1 << 28)
    with Supervisor() as supervisor:
        for _ in range(12):
            sample = supervisor.call(repeated, (), limits, 1 if repeating.has_tasks else 1 << 40)
            trap = sample.outcome.trap
            assert trap is not None
            assert trap.trap is Trap.INTERRUPTED
            function = repeating.functions[trap.place.function].name
            assert (function == "main") == (not trap.launches)


@every_build
def test_python_runs_beside_it(build: tuple[str, bool]) -> None:
    """A native engine holds no lock that Python needs: a thread counts while another runs."""
    ticks = 0
    finish = False

    def count() -> None:
        nonlocal ticks
        while not finish:
            ticks += 1

    busy = executable(BUSY, *build)
    turns, nanoseconds = 1_000, 0
    thread = threading.Thread(target=count)
    thread.start()
    try:
        while nanoseconds < 50e6:
            before = ticks
            nanoseconds = busy.call((turns,), Limits()).nanoseconds
            advanced = ticks - before
            turns *= 4
    finally:
        finish = True
        thread.join()
    # Ten million a second, if the thread has a core for itself.
    assert advanced > 1_000


# A loop that LLVM can't shorten.
BUSY = """
    func main(n: int) -> int
        local x: int
    again:
        load x
        push 6364136223846793005
        mul
        push 1442695040888963407
        add
        dup
        push 29
        ushr
        xor
        store x
        load n
        push 1
        sub
        dup
        store n
        jnz again
        load x
        ret
    end"""


COMPILES_FOR_AGES = """
import sys, time
from vmlab.cli import main
from vmlab.kernels import native
from vmlab.stack import call_deep

def compile_for_ages(*_):
    print("at it", flush=True)
    call_deep(lambda: time.sleep(600))

native.optimise = compile_for_ages
sys.argv = ["vmlab", "run", "sum", "--engine", "inlined"]
main()
"""


def test_ctrl_c_ends_a_command_that_compiles(tmp_path: Path) -> None:
    """Although nothing can end the compiler."""
    command = [sys.executable, "-c", COMPILES_FOR_AGES]
    # Away from the checkout, whose folder vmlab would be taken for the installed package.
    code, errors, seconds = interrupted(command, "at it\n", cwd=tmp_path)
    assert seconds < SOON
    assert code == 130
    assert errors.strip() == "Interrupted"
