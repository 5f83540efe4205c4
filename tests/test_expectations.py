"""What `vmlab test` says about `expect` lines."""

from __future__ import annotations

import pytest

from vmlab.assembler import assemble
from vmlab.expectations import Failure, check
from vmlab.isa import Trap
from vmlab.outcome import Limits

QUOTIENT = """
func main(a: float, b: float) -> float
    load a
    print
    load b
    print
    load a
    load b
    div
    ret
end
"""

REMAINDER = """
func main(a: int, b: int) -> int
    load a
    print
    load b
    dup
    print
    load a
    swap
    rem
    ret
end
"""

SILENT = """
func main(n: int)
again:
    load n
    jz again
    load n
    print
    ret
end
"""


def failures(text: str, expectation: str, **limits: float) -> list[Failure]:
    program = assemble(f"{text}\nexpect main{expectation}\n")
    return check(program, "reference", Limits(**limits))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expectation"),
    [
        (REMAINDER, "(-7, 2) -> -1"),
        (REMAINDER, "(-7, 0) -> trap divide_by_zero"),
        (REMAINDER, '(-7, 2) -> prints "-7 2"'),
        (QUOTIENT, "(-1.0, inf) -> -0.0"),
        (QUOTIENT, "(0.0, 0.0) -> nan"),
        (QUOTIENT, '(1e100, 1.0) -> prints "1e+100 1.0"'),
        (SILENT, "(1) -> nothing"),
        (SILENT, '(1) -> prints "1"'),
    ],
)
def test_true_expectations(text: str, expectation: str) -> None:
    assert failures(text, expectation) == []


@pytest.mark.parametrize(
    ("text", "expectation", "expected", "found"),
    [
        (REMAINDER, "(-7, 2) -> 1", "1", "-1"),
        (REMAINDER, "(-7, 0) -> 1", "1", "trap divide_by_zero"),
        (REMAINDER, '(-7, 0) -> prints "-7 0"', 'prints "-7 0"', "trap divide_by_zero"),
        (REMAINDER, '(-7, 2) -> prints "-7"', 'prints "-7"', 'prints "-7 2"'),
        (REMAINDER, "(-7, 2) -> trap divide_by_zero", "trap divide_by_zero", "-1"),
        (QUOTIENT, "(1.0, inf) -> -0.0", "-0.0", "0.0"),
        (QUOTIENT, "(1.0, 3.0) -> 0.333", "0.333", "0.3333333333333333"),
        (SILENT, "(1) -> trap out_of_fuel", "trap out_of_fuel", "nothing"),
        (SILENT, '(1) -> prints ""', 'prints ""', 'prints "1"'),
    ],
)
def test_false_expectations(text: str, expectation: str, expected: str, found: str) -> None:
    (failure,) = failures(text, expectation)
    assert (failure.expected, failure.found) == (expected, found)
    assert failure.span.line == text.count("\n") + 2


def test_failures_come_in_order() -> None:
    lines = ["(9, 5) -> 1", "(9, 5) -> 4", "(9, 5) -> 2"]
    program = assemble(REMAINDER + "".join(f"expect main{line}\n" for line in lines))
    assert [f.expected for f in check(program, "reference")] == ["1", "2"]
    assert [f.outcome.result for f in check(program, "reference")] == [4, 4]


def test_limits() -> None:
    assert failures(SILENT, "(1) -> trap out_of_fuel", fuel=3) == []


def test_an_interrupted_run_is_the_last() -> None:
    program = assemble(SILENT + "expect main(0) -> nothing\nexpect main(1) -> trap out_of_fuel\n")
    (failure,) = check(program, "reference", Limits(timeout=0.05))
    assert failure.outcome.trap is not None
    assert failure.outcome.trap.trap is Trap.INTERRUPTED
    assert failure.found == "trap interrupted"
