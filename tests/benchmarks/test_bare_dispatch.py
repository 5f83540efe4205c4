"""The instructions that a bare dispatch goes through are those of the program."""

from __future__ import annotations

from itertools import cycle, islice

from loops import LOOP

from vmlab.assembler import assemble
from vmlab.kernels.encoding import PLAIN, encode
from vmlab.outcome import Limits

from .bare_dispatch import ENGINES, WINDOW, bare, executed

TURN = ["load", "push", "sub.int", "dup", "store", "jnz.backward"]


def names(n: int) -> list[str]:
    program = assemble(LOOP)
    places, words = executed(program, (n,), len(TURN) * n + 2), encode(program).words
    handlers = list(PLAIN.handlers)
    return [handlers[words[place]] for place in places]


def test_all_of_a_short_run() -> None:
    assert names(3) == 3 * TURN + ["push", "ret.value"]


def test_the_middle_of_a_long_run() -> None:
    found = names(WINDOW)
    assert len(found) == WINDOW - 1
    start = TURN.index(found[0])
    assert found == list(islice(cycle(TURN), start, start + len(found)))


def test_every_dispatch_goes_through_them() -> None:
    program = assemble(LOOP)
    places = executed(program, (3,), 20)
    for name in ENGINES:
        executable = bare(name, program, places)
        assert executable.call((3,), Limits()).outcome.trap is None
        assert (executable.state.context.pc - executable.state.context.code) // 8 == 21
