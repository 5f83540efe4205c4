"""Measured numbers as people read them: three significant digits and a unit."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from vmlab.measure.statistics import Interval

_UNITS = (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0))


def significant(value: float) -> str:
    """Three significant digits, never an exponent: 0.0123, 1.23, 12.3, 123, 12,346, -1.23."""
    text = f"{value:#.3g}"
    rounded = float(text)
    if abs(rounded) >= 100:
        return f"{value:,.0f}"
    return f"{Decimal(text):f}" if rounded else "0"


def duration(seconds: float) -> str:
    """A time with its unit: 12.3 ms."""
    rounded = float(f"{seconds:.3g}")
    unit, size = next((u for u in reversed(_UNITS) if rounded >= u[1]), _UNITS[0])
    return f"{significant(seconds / size)} {unit}"


def interval(ratio: Interval) -> str:
    """A ratio with its bounds: 14.2 (13.9 to 14.6). Close to 1 they get as many digits as show on
    which side of it they are."""
    numbers = (ratio.median, ratio.low, ratio.high)
    if all(0.9 < number < 1.1 for number in numbers):
        digits = 3
        while digits < 9 and any(round(n, digits) == 1 != n for n in numbers):
            digits += 1
        median, low, high = (f"{n:.{digits}f}" for n in numbers)
    else:
        median, low, high = map(significant, numbers)
    return f"{median} ({low} to {high})"


def with_bounds(value: Interval) -> str:
    """What is no ratio: 0.485 (0.470 to 0.500)."""
    return f"{significant(value.median)} ({significant(value.low)} to {significant(value.high)})"


def listing(items: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def counted(number: int, thing: str) -> str:
    """1 run, 2 runs"""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
