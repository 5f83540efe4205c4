"""Counts of executed instructions, against what the engines count and what can be seen by eye."""

from __future__ import annotations

import pytest

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import EngineUnavailable, find
from vmlab.isa import MAX_FRAME_WORDS
from vmlab.measure.profile import profile
from vmlab.outcome import Limits, bind_arguments
from vmlab.program import Program
from vmlab.supervise import Supervisor


@pytest.fixture(scope="module")
def supervisor():
    with Supervisor() as watching:
        yield watching


def test_counts_by_instruction_and_by_variant(supervisor):
    program = assemble(
        """
func twice(x: float) -> float
    load x
    dup
    add
    ret
end

func main(n: int = 5) -> int
again:
    push 1.5
    call twice
    print
    load n
    push 1
    sub
    dup
    store n
    jnz again
    push 9
    ret
end
"""
    )
    found = profile(supervisor, program, (5,), Limits(max_depth=2, max_output=5))
    assert found.executed == ((5,) * 4, (5,) * 9 + (1, 1))
    counts = {variant.name: count for variant, count in found.variants().items()}
    assert counts["add.float"] == 5
    assert counts["push"] == 11
    assert counts["ret"] == 6
    assert "add.int" not in counts


# Recursion, arrays, floats; main called by nobody and by itself.
SELF_CALLING = assemble(
    "func main(n: int = 3) -> int\n    load n\n    jz done\n    load n\n    push 1\n    sub\n"
    "    call main\n    ret\ndone:\n    push 7\n    ret\nend\n"
)


# A task that still waits when main ends, in the middle of what runs without a jump.
LEFT_WAITING = assemble(
    "func wait(c: chan[int])\n    load c\n    recv\n    pop\n    pop\n    ret\nend\n"
    "func main() -> int\n    push 1\n    chan int\n    spawn wait\n    pop\n    yield\n    push 7\n"
    "    ret\nend\n"
)


@pytest.mark.parametrize(
    "program",
    [SELF_CALLING, LEFT_WAITING, *map(corpus.load, ("fib", "sieve", "newton", "philosophers"))],
    ids=str,
)
def test_every_executed_instruction_is_counted(supervisor, program: Program):
    args = bind_arguments(program, {})
    counted = supervisor.call(find("switch").build(program, counting=True), args, Limits())
    assert profile(supervisor, program, args, Limits()).instructions == counted.outcome.instructions


def test_a_run_that_traps_has_no_profile(supervisor):
    program = assemble("func main() -> int\n    push 1\n    push 0\n    div\n    ret\nend\n")
    assert profile(supervisor, program, (), Limits()) is None


def test_a_timeout_is_told(supervisor):
    program = assemble("func main()\nagain:\n    jmp again\nend\n")
    with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"):
        profile(supervisor, program, (), Limits(timeout=0.05))


def test_a_frame_without_room_for_counting_is_told(supervisor):
    locals_ = "".join(f"    local v{i}: int\n" for i in range(MAX_FRAME_WORDS - 1))
    program = assemble(f"func main() -> int\n{locals_}    push 1\n    ret\nend\n")
    with pytest.raises(EngineUnavailable, match="65,535 words"):
        profile(supervisor, program, (), Limits())
