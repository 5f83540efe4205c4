"""The engines do on aarch64 what the reference does: machine code for that architecture, run by an
emulator. It shows neither time nor in what order another core sees accesses to memory."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest

pytest.importorskip("unicorn", reason="the emulator is not installed: pip install -e '.[test]'")
if sys.platform != "linux":
    pytest.skip("where code lies is read off Linux's /proc", allow_module_level=True)

from differential.generator import programs
from emulated import on_aarch64
from hypothesis import HealthCheck, given, seed, settings
from test_float_bits import LOOPS, STARTS, loop

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import ENGINES, EngineUnavailable, Executable, find
from vmlab.isa import Trap
from vmlab.machinecode import count_indirect_jumps
from vmlab.outcome import Limits, Outcome, bind_arguments
from vmlab.program import Number, Program

STRAIGHT = ("inlined", "template", "subroutine")
INTERPRETERS = ("threaded", "switch", "tagged", "late", "cached", "super", "quickened")
INTERPRETERS += ("threaded+register",)
WITH_TASKS = ("inlined", "template", "threaded", "switch", "switch+copy+barrier")

# What else can be composed: with `--aarch64`.
FURTHER = ("boxed", "register", "switch+cells", "template+boxed+late", "threaded+barrier")
FURTHER += ("threaded+cached", "threaded+quickened", "threaded+super")
FURTHER_WITH_TASKS = (
    *STRAIGHT[2:],
    *INTERPRETERS[2:],
    *FURTHER,
    "threaded+boxed+late+copy+barrier",
)

# `expect` lines that the reference cannot run with this fuel take too long.
CORPUS_LIMITS = Limits(max_depth=1_000, max_heap=1 << 20, max_output=200, fuel=20_000)
LIMITS = Limits(max_depth=40, max_heap=1 << 16, max_output=200, fuel=5_000)

# Generated programs, without tasks and with them. Straight code, which is compiled for each program
# anew, runs one in so many of them, and of the corpus.
EXAMPLES, TASK_EXAMPLES = 60, 24
SHARE = 9


class Case(NamedTuple):
    """What the reference made of a program."""

    program: Program
    limits: Limits
    runs: list[tuple[Sequence[Number], Outcome]]


def case(program: Program, arguments: Sequence[Sequence[Number]], limits: Limits) -> Case:
    """Without the runs that take too long."""
    reference = ENGINES["reference"].build(program, counting=True)
    runs = [(args, reference.call(args, limits).outcome) for args in arguments]
    ended = [(a, o) for a, o in runs if o.trap is None or o.trap.trap is not Trap.OUT_OF_FUEL]
    return Case(program, limits, ended)


@functools.cache
def cases(tasks: bool, examples: int) -> list[Case]:
    """Programs of the corpus, and generated ones."""
    found = [
        case(program, [expectation.args for expectation in program.expectations], CORPUS_LIMITS)
        for program in map(corpus.load, corpus.names())
        if program.has_tasks == tasks
    ]

    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(programs(coroutines=tasks))
    def generate(text: str) -> None:
        program = assemble(text)
        found.append(case(program, [bind_arguments(program, {})], LIMITS))

    generate()
    return [case for case in found if case.runs]


def build(engine: str, program: Program, counting: bool) -> Executable:
    with on_aarch64():
        return find(engine).build(program, counting=counting)


def call(built: Executable, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Outcome:
    with on_aarch64():
        return built.call(args, limits, iterations).outcome


def check(engine: str, case: Case, timed: bool) -> None:
    """In the build that counts and, if so asked, in the one for timing."""
    program, limits, runs = case
    counting = build(engine, program, counting=True)
    for args, expected in runs:
        found = call(counting, args, limits)
        assert not expected.differences(found), (engine, text_of(program), args, expected, found)
    if timed:
        unlimited = replace(limits, fuel=None)
        fast = build(engine, program, counting=False)
        for args, expected in runs:
            found = call(fast, args, unlimited, iterations=2)
            assert not expected.differences(found), (engine, text_of(program), args, found)


def text_of(program: Program) -> str:
    return program.source.text


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    examples = metafunc.config.getoption("--aarch64")
    if "tasks" in metafunc.fixturenames:
        plain = [(engine, False) for engine in (*STRAIGHT, *INTERPRETERS)]
        with_tasks = [(engine, True) for engine in WITH_TASKS]
        if examples:
            plain += [(engine, False) for engine in FURTHER]
            with_tasks += [(engine, True) for engine in FURTHER_WITH_TASKS]
        metafunc.parametrize(("engine", "tasks"), [*plain, *with_tasks])


def test_programs(engine: str, tasks: bool, request: pytest.FixtureRequest) -> None:
    """An interpreter that counts is the one for timing with a counter in each handler, and as
    optimised; straight code is not, so it is checked for timing too."""
    examples = request.config.getoption("--aarch64")
    found = cases(tasks, examples or (TASK_EXAMPLES if tasks else EXAMPLES))
    straight = find(engine).parts[:1] not in (("threaded",), ("switch",))
    if straight and not examples:
        found = found[len(engine) % SHARE :: SHARE]
    assert len(found) >= 5
    for case in found:
        check(engine, case, timed=straight or examples is not None)


def test_floats_to_the_last_bit() -> None:
    """aarch64 has a fused multiply and add, and NaNs of another sign."""
    for body in LOOPS.values():
        runs = [(n, *start) for start in STARTS for n in (1, 70)]
        check("inlined", case(assemble(loop(body)), runs, LIMITS), timed=True)


DOWN = """
func down(n: int) -> int
    load n
    jz end
    load n
    push 1
    sub
    call down
    push 3
    mul
    load n
    xor
    ret
end:
    push 0
    ret
end

func main(n: int) -> int
    load n
    call down
    ret
end
"""


@pytest.mark.parametrize("engine", ["inlined", "template"])
def test_the_machine_stack_is_watched(engine: str) -> None:
    built = build(engine, assemble(DOWN), counting=False)
    deep = Limits(max_depth=10**6, max_heap=0, max_output=0)
    assert call(built, (1_000,), deep).trap is None
    with pytest.raises(EngineUnavailable, match="machine stack"):
        call(built, (999_999,), deep)


@pytest.mark.parametrize("engine", ["inlined", "threaded", "switch"])
def test_an_endless_loop_can_be_interrupted(engine: str) -> None:
    program = assemble("func main()\nagain:\njmp again\nend\n")
    built = build(engine, program, counting=False)
    timer = threading.Timer(0.2, built.interrupt)
    timer.start()
    trap = call(built, (), replace(LIMITS, fuel=None)).trap
    timer.join()
    assert trap is not None
    assert trap.trap is Trap.INTERRUPTED


def test_indirect_jumps_are_those_of_the_engines() -> None:
    """One in `switch`, one in each handler but `halt` in `threaded`, none in straight code."""

    def jumps(built: Executable) -> int | None:
        with on_aarch64():
            code = built.machine_code()
        assert code is not None
        return count_indirect_jumps(code, "aarch64")

    for name in ("sum", "quicksort"):
        for engine in STRAIGHT:
            assert jumps(build(engine, corpus.load(name), counting=False)) == 0
    assert jumps(build("switch", corpus.load("sum"), counting=False)) == 1
    threaded = build("threaded", corpus.load("sum"), counting=False)
    assert jumps(threaded) == len(threaded.instructions.handlers) - 1
