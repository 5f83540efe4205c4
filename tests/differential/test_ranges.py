"""The intervals that `vmlab.ranges` predicts hold what the reference computes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings

from vmlab import ranges
from vmlab.assembler import assemble
from vmlab.outcome import Limits, bind_arguments
from vmlab.program import Program
from vmlab.ranges import Interval
from vmlab.reference import Reference

from .generator import programs

LIMITS = Limits(max_depth=40, max_heap=1 << 16, max_output=200, fuel=5_000)

# Without wrapping.
EXACT = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "neg": lambda a: -a,
    "abs": abs,
    "shl": lambda a, b: a << b % 64,
    "ushr": lambda a, b: a % 2**64 >> b % 64,
}


def check(program: Program) -> None:
    """Run on a reference that looks at every int it computes."""
    reference = Reference(program, counting=True)

    def watched(name, compute, interval, where):
        def watch(*operands):
            value = compute(*operands)
            if isinstance(value, int):
                exact = EXACT.get(name, compute)(*operands)
                assert interval.low <= exact <= interval.high, (where, operands, interval)
            return value

        return watch

    for f, code in enumerate(reference._code):
        found = ranges.ranges(program, f)
        for at, (name, operand, arity, compute) in enumerate(code):
            if compute is not None:
                watch = watched(name, compute, found.exact[at], (f, at, name))
                code[at] = (name, operand, arity, watch)
    reference.call(bind_arguments(program, {}), LIMITS)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_generated_programs_stay_in_their_intervals(text: str) -> None:
    note(text)
    check(assemble(text))


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_so_they_do_where_no_value_is_followed(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "_MOST_CELLS", 0)
        check(assemble(text))


COUNTED = """\
func main(n: int = 10) -> int
    local i: int
head:
    load i
    load n
    ge
    jnz end
    load i
    push 1
    add
    store i
    jmp head
end:
    load i
    push 1
    add
    ret
end
"""


def test_a_loop_condition_bounds_its_variable() -> None:
    program = assemble(COUNTED)
    found = ranges.ranges(program, 0)
    inside, after = [at for at, i in enumerate(program.main.code) if i.opcode.name == "add"]
    assert found.exact[inside] == Interval(1, 2**63 - 1)
    assert not found.may_wrap(inside)
    assert found.may_wrap(after)
