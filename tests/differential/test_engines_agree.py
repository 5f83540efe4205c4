"""Every engine does what the reference does, on generated programs: result, output, trap, place
and count."""

from __future__ import annotations

import itertools
import platform
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, seed, settings
from hypothesis.strategies import SearchStrategy

from vmlab.assembler import assemble
from vmlab.engines import (
    COMPARED,
    ENGINES,
    GROUPS,
    REPRESENTATIONS,
    TECHNIQUES,
    EngineUnavailable,
    find,
)
from vmlab.isa import OPCODES, Trap
from vmlab.kernels import interpreter, native
from vmlab.outcome import Limits, Outcome, bind_arguments

from .examples import each
from .fans import fans
from .generator import programs

# Small enough that endless recursion and loops end soon, on the reference too.
LIMITS = Limits(max_depth=40, max_heap=1 << 16, max_output=200, fuel=5_000)
UNLIMITED = Limits(max_depth=40, max_heap=1 << 16, max_output=200)

# Each program runs on the ladder and the control; on one technique, in turn; with tasks, on one
# policy of stacks; and on one of the compositions, where on every tenth it is built for timing
# too: straight code with boxes takes a second to optimise.
techniques = itertools.cycle(GROUPS["techniques"])
COMPOSED = [
    "+".join((base, *parts))
    for base in ("template", "threaded", "switch")
    for parts in [["late"], *([kind, *late] for kind in REPRESENTATIONS for late in ([], ["late"]))]
]
COMPOSED += [f"threaded+{technique}" for technique in TECHNIQUES]
COMPOSED += ["switch+barrier", "threaded+tagged+barrier", "switch+boxed+late+barrier"]
COMPOSED += ["threaded+super+direct", "threaded+boxed+late+quickened+direct"]
COMPOSED += ["switch+cached+late", "switch+late+quickened", "switch+boxed+late+quickened"]
POLICIES = [
    "switch+copy",
    "threaded+barrier",
    "threaded+tagged+copy+barrier",
    "switch+boxed+late+barrier",
    "threaded+boxed+late+copy+barrier",
]
if platform.machine() == "x86_64":
    POLICIES += ["inlined+stackful", "template+stackful"]
policies = itertools.cycle(POLICIES)
turns = itertools.cycle(COMPOSED)
optimised = itertools.cycle([True] + 9 * [False])

# Together 2 000 programs, in parts that run side by side; every tenth one also in the builds of
# straight code for timing, which take the most time to make.
PARTS, EXAMPLES = 8, 250

# Programs with tasks, every tenth one also in those builds. `long_run` checks more.
TASK_EXAMPLES = 80

# Programs with tasks whose order does not matter.
FAN_EXAMPLES = 30


# Those whose builds for timing do not compile each program anew: every program runs in them.
LOADED = ("threaded", "switch", "tagged", "boxed", "late", "cpython", "textbook")

_units: dict[str, native.Unit] = {}


def _loaded_once(name: str, *how: Any) -> native.Unit:
    """An interpreter's machine code is the same for all programs."""
    if name not in _units:
        _units[name] = native.compile_cached(name, *how)
    return _units[name]


@patch.object(interpreter, "compile_cached", _loaded_once)
def check(text: str, timed: bool = True) -> Outcome:
    """Run on every engine, in the build that counts and, where that is quick or if so asked, in the
    one for timing."""
    program = assemble(text)
    args = bind_arguments(program, {})
    expected = ENGINES["reference"].build(program, counting=True).call(args, LIMITS).outcome
    # Builds for timing do not count, so they cannot run out of fuel.
    fuel_ran_out = expected.trap is not None and expected.trap.trap is Trap.OUT_OF_FUEL
    composed = next(turns)
    policed = [next(policies)] if program.has_tasks else []
    for name in [*COMPARED, next(techniques), *policed, composed]:
        try:
            counting = find(name).build(program, counting=True)
        except EngineUnavailable as reason:
            # The hand-written control lacks instructions that are newer than it; Python has other
            # coroutines.
            assert name == "textbook" or (
                name == "cpython" and program.has_tasks and "coroutines" in str(reason)
            )
            continue
        found = counting.call(args, LIMITS).outcome
        assert not expected.differences(found), (name, expected, found)
        built = name in LOADED or (timed and (name != composed or next(optimised)))
        if built and not fuel_ran_out:
            build = find(name).build(program, counting=False)
            found = build.call(args, UNLIMITED, iterations=2).outcome
            assert not expected.differences(found), (name, "timed", expected, found)
    return expected


@pytest.mark.parametrize("part", range(PARTS))
def test_generated_programs(part: int) -> None:
    _all_agree(programs(), EXAMPLES, part)


def test_generated_programs_with_tasks() -> None:
    _all_agree(programs(coroutines=True), TASK_EXAMPLES, 0)


def _all_agree(generated: SearchStrategy[str], examples: int, first: int) -> None:
    turn = itertools.count()
    each(generated, examples, first, lambda text: check(text, timed=next(turn) % 10 == 0))


def test_generated_programs_on_several_workers() -> None:
    workers = itertools.cycle([("inlined", 2), ("inlined", 4), ("template", 3)])

    def run(text: str) -> None:
        program = assemble(text)
        expected = ENGINES["reference"].build(program, counting=True).call((), Limits()).outcome
        assert expected.trap is None
        engine, number = next(workers)
        build = ENGINES[engine].build(program, counting=False, workers=number)
        for _ in range(3):
            found = build.call((), Limits(), iterations=5).outcome
            assert not expected.differences(found), (engine, number, expected, found)

    each(fans(), FAN_EXAMPLES, 0, run)


def test_every_instruction_is_generated() -> None:
    seen: set[str] = set()

    @seed(0)
    @settings(max_examples=400, deadline=None, database=None)
    @given(programs(coroutines=True))
    def collect(text: str) -> None:
        seen.update(line.split()[0] for line in text.splitlines() if line.startswith("    "))

    collect()
    assert set(OPCODES) <= seen
