import pytest

from vmlab.measure.statistics import Interval
from vmlab.report.numbers import counted, duration, interval, listing, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"), (1.2345, "1.23"), (1, "1.00"), (9.996, "10.0"), (12.34, "12.3"),
        (99.96, "100"), (123.4, "123"), (12_345.6, "12,346"), (0, "0"),
        (0.000012345, "0.0000123"), (-1.2345, "-1.23"), (-123.4, "-123"), (-12_345.6, "-12,346"),
        (float("inf"), "inf"), (float("nan"), "NaN"),
    ],
)  # fmt: skip
def test_three_significant_digits(value, text):
    assert significant(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ns"), (3.2e-10, "0.320 ns"), (5e-9, "5.00 ns"), (1.5e-6, "1.50 µs"),
        (9.999e-4, "1.00 ms"), (0.0123, "12.3 ms"), (0.99951, "1.00 s"), (7_200, "7,200 s"),
    ],
)  # fmt: skip
def test_durations_have_a_fitting_unit(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((14.23, 13.88, 14.61), "14.2 (13.9 to 14.6)"),
        ((0.5213, 0.5111, 0.5299), "0.521 (0.511 to 0.530)"),
        ((1.0021, 1.0007, 1.0049), "1.002 (1.001 to 1.005)"),
        ((1.0021, 1.0004, 1.0049), "1.0021 (1.0004 to 1.0049)"),
        ((1.0021, 0.99999, 1.0049), "1.00210 (0.99999 to 1.00490)"),
        ((1.0, 1.0, 1.0), "1.000 (1.000 to 1.000)"),
        ((1.05, 0.95, 1.2), "1.05 (0.950 to 1.20)"),
    ],
)
def test_ratios_show_their_bounds(numbers, text):
    assert interval(Interval(*numbers, coverage=0.99)) == text


def test_listing():
    assert listing([]) == ""
    assert listing(["a"]) == "a"
    assert listing(["a", "b"]) == "a and b"
    assert listing(("a", "b", "c")) == "a, b and c"


def test_counted():
    assert [counted(n, "run") for n in (0, 1, 2, 1_000)] == [
        "0 runs",
        "1 run",
        "2 runs",
        "1,000 runs",
    ]
