"""Handlers in another order are the same handlers."""

from __future__ import annotations

import re

import pytest

from vmlab import corpus
from vmlab.engines import find
from vmlab.kernels.order import CAN_REORDER, reordered
from vmlab.outcome import Limits

pytestmark = pytest.mark.skipif(not CAN_REORDER, reason="needs Linux on x86-64")

ENGINES = ("switch", "threaded", "late", "quickened", "super", "threaded+register", "direct")


def handlers(assembly: str) -> list[str]:
    """The labels that the table of handlers names, in the order in which they stand in the text."""
    table = re.findall(r'^\s+\.quad\s+("?op\..*|\.LBB\w+)$', assembly, re.M)
    return sorted(set(table), key=lambda label: assembly.index(f"\n{label}:"))


def lines(assembly: str) -> list[str]:
    """What it consists of, but for where pieces of it lie."""
    return sorted(x for x in assembly.split("\n") if not re.match(r"\s+\.(p2align|zero)", x))


@pytest.mark.parametrize("engine", ENGINES)
def test_all_handlers_move_and_are_what_they_were(engine: str) -> None:
    executable = find(engine).build(corpus.load("fib"), counting=False)
    text = executable.machine_code()
    assert text is not None
    before, other = handlers(text), reordered(text)
    after = handlers(other)
    assert sorted(after) == sorted(before) and len(before) > 50
    stayed = sum(a == b for a, b in zip(before, after, strict=True))
    assert stayed < len(before) / 5
    assert lines(other) == lines(text)
    for label in before:
        # What a handler begins with, up to where it leaves for good, follows its label.
        begin = re.compile(rf"^{re.escape(label)}:.*?\t(jmpq?|retq?|ud2)\b", re.M | re.S)
        assert begin.search(text)[0] == begin.search(other)[0], label


@pytest.mark.parametrize("engine", ENGINES)
def test_a_program_with_traps_and_output_does_the_same_in_any_order(engine: str) -> None:
    program = corpus.load("quicksort")
    executable = find(engine).build(program, counting=False)
    first = executable.call((200,), Limits()).outcome
    deep = executable.call((200,), Limits(max_depth=2)).outcome
    assert deep.trap is not None
    for _ in range(3):
        executable.relocate()
        assert not first.differences(executable.call((200,), Limits()).outcome)
        assert not deep.differences(executable.call((200,), Limits(max_depth=2)).outcome)


def test_functions_of_handlers_lie_at_any_byte() -> None:
    executable = find("threaded").build(corpus.load("fib"), counting=False)
    executable.relocate()
    starts = {p.start % 16 for n, p in executable.functions().items() if n.startswith("op.")}
    assert len(starts) > 8
