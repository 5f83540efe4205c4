"""Programs on the native engines, built once a process and compared with the reference."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pytest

from vmlab.assembler import assemble
from vmlab.engines import ENGINES, Executable, find
from vmlab.outcome import Limits, Outcome
from vmlab.program import Number, Program

NATIVE = [name for name in ENGINES if name != "reference"]
BUILDS = [(engine, counting) for engine in NATIVE for counting in (True, False)]


def name_of(build: tuple[str, bool]) -> str:
    engine, counting = build
    return f"{engine}-{'counting' if counting else 'timed'}"


every_engine = pytest.mark.parametrize("engine", NATIVE)
every_build = pytest.mark.parametrize("build", BUILDS, ids=name_of)


@functools.cache
def program(text: str) -> Program:
    return assemble(text)


@functools.cache
def executable(text: str, engine: str, counting: bool) -> Executable:
    return find(engine).build(program(text), counting=counting)


def run(
    text: str, engine: str, counting: bool, args: Sequence[Number] = (), **limits: int
) -> Outcome:
    return executable(text, engine, counting).call(args, Limits(**limits)).outcome


def agreed(
    text: str, *args: Number, builds: Sequence[tuple[str, bool]] = BUILDS, **limits: int
) -> Outcome:
    """The reference's outcome, after every build of every native engine has done the same. Builds
    that do not count know no fuel and sit out where it is limited."""
    expected = run(text, "reference", True, args, **limits)
    for engine, counting in builds:
        if counting or "fuel" not in limits:
            found = run(text, engine, counting, args, **limits)
            differences = expected.differences(found)
            assert not differences, (engine, counting, args, limits, differences, expected, found)
    return expected
