"""The engines do on aarch64 what the reference does: machine code for that architecture, run by an
emulator. It shows neither time nor in what order another core sees accesses to memory."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest

pytest.importorskip("unicorn", reason="the emulator is not installed: pip install -e '.[test]'")
if sys.platform != "linux":
    pytest.skip("where code lies is read off Linux's /proc", allow_module_level=True)

from differential.examples import each
from differential.generator import programs
from emulated import on_aarch64
from test_extremes import ALL, COMPUTING, EFFECTS, FEW, choice, operands
from test_float_bits import LOOPS, STARTS, loop

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import ENGINES, EngineUnavailable, Executable, find
from vmlab.isa import Trap
from vmlab.machinecode import count_indirect_jumps
from vmlab.outcome import Limits, Outcome, bind_arguments
from vmlab.program import Number, Program
from vmlab.supervise import supervised

STRAIGHT = ("inlined", "template", "subroutine")
INTERPRETERS = ("threaded", "switch", "tagged", "late", "cached", "super", "quickened")
INTERPRETERS += ("threaded+register", "threaded+quickened+direct")
WITH_TASKS = ("inlined", "template", "threaded", "switch", "switch+copy+barrier")

# What else can be composed: with `--aarch64`.
FURTHER = ("boxed", "register", "switch+cells", "template+boxed+late", "threaded+barrier")
FURTHER += ("threaded+cached", "threaded+quickened", "threaded+super", "replicated")
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
EXAMPLES, TASK_EXAMPLES = 40, 20
SHARE = 7


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

    def generate(text: str) -> None:
        program = assemble(text)
        found.append(case(program, [bind_arguments(program, {})], LIMITS))

    each(programs(coroutines=tasks), examples, 0, generate)
    return [case for case in found if case.runs]


def build(engine: str, program: Program, counting: bool) -> Executable:
    with on_aarch64():
        return find(engine).build(program, counting=counting)


def call(built: Executable, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Outcome:
    with on_aarch64():
        return built.call(args, limits, iterations).outcome


def check(engine: str, case: Case, builds: Sequence[bool]) -> None:
    """In the builds that count, or that are for timing."""
    program, limits, runs = case
    for counting in builds:
        built = build(engine, program, counting)
        allowed = limits if counting else replace(limits, fuel=None)
        for args, expected in runs:
            found = call(built, args, allowed, iterations=1 if counting else 2)
            differences = expected.differences(found)
            assert not differences, (program.source.text, counting, args, expected, found)


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
    optimised. Straight code is not, so every other program is built for timing."""
    examples = request.config.getoption("--aarch64")
    found = cases(tasks, examples or (TASK_EXAMPLES if tasks else EXAMPLES))
    straight = find(engine).parts[:1] not in (("threaded",), ("switch",))
    if straight and not examples:
        found = found[len(engine) % SHARE :: SHARE]
    assert len(found) > 3
    for index, case in enumerate(found):
        if examples:
            check(engine, case, (True, False))
        else:
            check(engine, case, [not straight or index % 2 == 1])


@pytest.mark.parametrize("effect", EFFECTS)
def test_extremes(effect: str) -> None:
    """Where architectures differ: conversions out of range, shifts by too much, divisions."""
    pops = effect.split("--")[0].split()
    loads = "\n".join(f"load {name}" for name, _ in zip("ab", pops, strict=False))
    bodies = [f"{loads}\n{variant.opcode.name}" for variant in COMPUTING[effect]]
    values = list(operands(effect, ALL if len(pops) == 1 else FEW))
    runs = [(k, *some) for k in range(len(bodies)) for some in values]
    found = case(assemble(choice(effect, bodies)), runs, LIMITS)
    check("inlined", found, [False])
    check("switch", found, [True])


def test_floats_to_the_last_bit() -> None:
    """aarch64 has a fused multiply and add, and NaNs of another sign."""
    for body in LOOPS.values():
        runs = [(n, *start) for start in STARTS for n in (1, 70)]
        check("inlined", case(assemble(loop(body)), runs, LIMITS), [False])


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
    with on_aarch64():
        trap = supervised(built, (), replace(LIMITS, fuel=None, timeout=0.1)).outcome.trap
    assert trap is not None
    assert trap.trap is Trap.INTERRUPTED


def test_indirect_jumps_are_those_of_the_engines() -> None:
    """One in `switch`, one in each handler but `halt` in `threaded`, none in straight code."""

    def jumps(built: Executable) -> int | None:
        with on_aarch64():
            code = built.machine_code()
        assert code is not None
        return count_indirect_jumps(code, "aarch64")

    program = corpus.load("quicksort")
    for engine in STRAIGHT:
        assert jumps(build(engine, program, counting=False)) == 0
    assert jumps(build("switch", program, counting=True)) == 1
    threaded = build("threaded", program, counting=True)
    assert jumps(threaded) == len(threaded.instructions.handlers) - 1
