"""What generated Python calls where the language's own operators mean something else."""

from __future__ import annotations

import math
from math import inf, nan
from typing import NoReturn

from vmlab.isa import ARRAY_HEADER_WORDS, INT_MAX, INT_MIN, WORD_BYTES, Trap
from vmlab.outcome import Limits
from vmlab.program import Number

__all__ = [
    "INT_MAX",
    "INT_MIN",
    "Machine",
    "Trapped",
    "ceil",
    "divide",
    "floor",
    "floordiv",
    "inf",
    "largest",
    "nan",
    "outside",
    "quotient",
    "remainder",
    "smallest",
    "sqrt",
    "too_deep",
    "truncate",
    "wrap",
]


class Trapped(Exception):
    """The program traps, where generated code called what raises this."""

    def __init__(self, trap: Trap) -> None:
        self.trap = trap


def wrap(x: int) -> int:
    """The low 64 bits, as two's complement."""
    return (x + 0x8000_0000_0000_0000 & 0xFFFF_FFFF_FFFF_FFFF) - 0x8000_0000_0000_0000


def outside() -> NoReturn:
    """A negative index, which Python would count from the end."""
    raise IndexError


def too_deep() -> NoReturn:
    raise Trapped(Trap.CALL_DEPTH_EXCEEDED)


def out_of_fuel() -> NoReturn:
    raise Trapped(Trap.OUT_OF_FUEL)


def floordiv(a: int, b: int) -> int:
    if b == -1 and a == INT_MIN:
        raise Trapped(Trap.INTEGER_OVERFLOW)
    return a // b


def quotient(a: int, b: int) -> int:
    """`div` of ints: toward zero."""
    if (a < 0) != (b < 0):
        return -(-a // b)
    if b == -1 and a == INT_MIN:
        raise Trapped(Trap.INTEGER_OVERFLOW)
    return a // b


def remainder(a: int, b: int) -> int:
    """`rem`: with the sign of a."""
    result = abs(a) % abs(b)
    return -result if a < 0 else result


def divide(a: float, b: float) -> float:
    """`div` of floats: by zero too."""
    return a / b if b else a * math.copysign(inf, b)  # 0.0 * inf is NaN, as 0 / 0 is


def smallest(a: float, b: float) -> float:
    if a < b:
        return a
    if b < a:
        return b
    if a == b:
        return a if math.copysign(1.0, a) < 0 else b
    return nan


def largest(a: float, b: float) -> float:
    if a > b:
        return a
    if b > a:
        return b
    if a == b:
        return b if math.copysign(1.0, a) < 0 else a
    return nan


def sqrt(a: float) -> float:
    return nan if a < 0 else math.sqrt(a)


def floor(a: float) -> float:
    return math.copysign(float(math.floor(a)), a) if math.isfinite(a) else a


def ceil(a: float) -> float:
    return math.copysign(float(math.ceil(a)), a) if math.isfinite(a) else a


def truncate(a: float) -> int:
    """`int`."""
    if -(2.0**63) <= a < 2.0**63:  # not true of NaN
        return int(a)
    raise Trapped(Trap.INTEGER_OVERFLOW)


class Machine:
    """The heap and the output of a run, within its limits. Generated code calls `ints`, `floats`
    and `put`."""

    def __init__(self) -> None:
        self.start(Limits())

    def start(self, limits: Limits) -> None:
        """A new run."""
        self.output: list[Number] = []
        self._max_output = limits.max_output
        self._bytes_left = limits.max_heap

    def put(self, value: Number) -> None:
        if len(self.output) == self._max_output:
            raise Trapped(Trap.OUTPUT_LIMIT_EXCEEDED)
        self.output.append(value)

    def ints(self, length: int) -> list[int]:
        self._allocate(length)
        try:
            return [0] * length
        except MemoryError:  # the machine has less than the limit allows
            raise Trapped(Trap.OUT_OF_MEMORY) from None

    def floats(self, length: int) -> list[float]:
        self._allocate(length)
        try:
            return [0.0] * length
        except MemoryError:
            raise Trapped(Trap.OUT_OF_MEMORY) from None

    def _allocate(self, length: int) -> None:
        if length < 0:
            raise Trapped(Trap.NEGATIVE_LENGTH)
        self._bytes_left -= WORD_BYTES * (length + ARRAY_HEADER_WORDS)
        if self._bytes_left < 0:
            raise Trapped(Trap.OUT_OF_MEMORY)
