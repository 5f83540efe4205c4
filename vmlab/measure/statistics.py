"""What may be concluded from paired samples, without assuming any distribution of times.

Times on a real machine are skewed, have long tails and several modes, so means, standard deviations
and t tests say little about them. Everything here rests on ranks: medians, and the sign test. The
one assumption is that rounds are independent and alike; `Verdict.UNSTABLE` is there for when they
are visibly not.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median, quantiles

# All the intervals of one comparison hold together with this probability.
CONFIDENCE = 0.95

# The two halves of the rounds may differ by this much before the verdict is `unstable`. Intervals
# over many quiet rounds are so narrow that drifts of no consequence would separate them.
TOLERATED_DRIFT = 0.02


@dataclass(frozen=True, slots=True)
class Interval:
    """A median, and bounds that hold the true median with the probability `coverage`."""

    median: float
    low: float
    high: float
    coverage: float


class Verdict(enum.StrEnum):
    """What a ratio of times says about an engine.

    FASTER, SLOWER  the whole interval lies on that side of 1
    UNRESOLVED      it holds 1: these rounds show no difference, which does not mean there is none
    UNSTABLE        the first and the second half of the rounds contradict each other (see
                    `drifted`): something changed on the way, and the ratio describes neither half
    """

    FASTER = "faster"
    SLOWER = "slower"
    UNRESOLVED = "no difference resolved"
    UNSTABLE = "unstable"


def corrected(comparisons: int) -> float:
    """The confidence that each of so many intervals needs so that all of them hold together with
    the probability `CONFIDENCE` (Bonferroni's inequality)."""
    return 1 - (1 - CONFIDENCE) / max(comparisons, 1)


def coverage(n: int, rank: int) -> float:
    """The probability that the median of a population lies between the `rank`-th smallest and the
    `rank`-th largest of `n` independent values drawn from it.

    Each value is below the median with probability 1/2, so the number of those below is binomial
    (the sign test turned round; e.g. Conover, Practical Nonparametric Statistics, section 3.2)."""
    missed = sum(math.comb(n, below) for below in range(rank))
    return 1 - missed / (1 << (n - 1))


def interval_rank(n: int, confidence: float) -> int:
    """The largest rank whose interval over `n` values has at least this coverage; 0 if none has."""
    rank = 0
    while rank < n // 2 and coverage(n, rank + 1) >= confidence:
        rank += 1
    return rank


def minimum_rounds(comparisons: int) -> int:
    """The fewest rounds that give intervals for so many comparisons: the widest interval, from the
    smallest to the largest of n values, has the coverage 1 - 2^(1-n)."""
    return 1 - math.floor(math.log2(1 - corrected(comparisons)))


def mean_ratios(programs: Sequence[Sequence[float]]) -> list[float]:
    """The geometric mean over the programs in every round, from each program's ratios: the mean for
    which it is all the same which engine's times are divided by which's (Fleming and Wallace, How
    not to lie with statistics, CACM 29(3), 1986).

    From there on they are treated like the ratios of one program. Programs are timed one after the
    other and independently, so it does not matter which of their rounds are taken together; of
    those with more rounds than others, the first are. Bounds are for these programs, and say
    nothing about others."""
    return [geometric_mean(ratios) for ratios in zip(*programs, strict=False)]


def median_interval(values: Sequence[float], confidence: float) -> Interval:
    """The median with its sign-test interval. Raises ValueError where there are too few values for
    any interval of this confidence."""
    rank = interval_rank(len(values), confidence)
    if rank == 0:
        raise ValueError(f"{len(values)} values give no interval of confidence {confidence:.4g}")
    return _interval(values, rank)


def _interval(values: Sequence[float], rank: int) -> Interval:
    ordered = sorted(values)
    low, high = ordered[rank - 1], ordered[-rank]
    return Interval(median(ordered), low, high, coverage(len(ordered), rank))


def halves(ratios: Sequence[float], confidence: float) -> tuple[Interval, Interval]:
    """The intervals of the first and the second half of the rounds; where a half has too few
    rounds for this confidence, its whole range."""
    middle = len(ratios) // 2
    first, second = ratios[:middle], ratios[middle:]
    return (
        _interval(first, max(1, interval_rank(len(first), confidence))),
        _interval(second, max(1, interval_rank(len(second), confidence))),
    )


def drifted(ratios: Sequence[float], confidence: float) -> bool:
    """Whether the halves of the rounds contradict each other: their intervals have nothing in
    common, and their medians differ by more than `TOLERATED_DRIFT`. Were all rounds alike, even
    the ranges of two halves of 5 rounds would lie apart in 1 of 126 cases only (2 / C(10, 5))."""
    first, second = halves(ratios, confidence)
    apart = first.high < second.low or second.high < first.low
    larger, smaller = max(first.median, second.median), min(first.median, second.median)
    return apart and larger > smaller * (1 + TOLERATED_DRIFT)


def judge(ratios: Sequence[float], confidence: float) -> tuple[Interval, Verdict]:
    """The interval of the median ratio of an engine's times to another's, and the verdict on the
    engine. `ratios` holds one value a round, in the order of the rounds."""
    interval = median_interval(ratios, confidence)
    if drifted(ratios, confidence):
        return interval, Verdict.UNSTABLE
    if interval.low > 1:
        return interval, Verdict.SLOWER
    if interval.high < 1:
        return interval, Verdict.FASTER
    return interval, Verdict.UNRESOLVED


def far_out(values: Sequence[float]) -> int:
    """How many values lie beyond Tukey's outer fences, three interquartile ranges outside the
    quartiles (Exploratory Data Analysis, 1977, section 2D). They are counted, never dropped."""
    if len(values) < 2:
        return 0
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    reach = 3 * (upper - lower)
    return sum(value < lower - reach or value > upper + reach for value in values)
