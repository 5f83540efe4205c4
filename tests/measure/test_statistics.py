import itertools
import random

import pytest

from vmlab.comparison import DEFAULT_ROUNDS, QUICK_ROUNDS
from vmlab.measure.statistics import (
    Interval,
    Verdict,
    corrected,
    coverage,
    drifted,
    far_out,
    interval_rank,
    judge,
    median_interval,
    minimum_rounds,
)

# The ranks of the lower bounds of confidence intervals for a median, as printed in tables of the
# sign test (Documenta Geigy, Scientific Tables; Altman et al., Statistics with Confidence).
PUBLISHED = {
    6: (1, 0), 8: (1, 1), 9: (2, 1), 10: (2, 1), 12: (3, 2), 15: (4, 3), 17: (5, 3),
    20: (6, 4), 25: (8, 6), 30: (10, 8), 50: (18, 16), 100: (40, 37),
}  # fmt: skip


@pytest.mark.parametrize(("n", "ranks"), PUBLISHED.items())
def test_ranks_are_those_of_published_tables(n, ranks):
    assert (interval_rank(n, 0.95), interval_rank(n, 0.99)) == ranks


@pytest.mark.parametrize("n", [3, 6, 9])
def test_coverage_counts_the_cases(n):
    """All ways for n values to lie below (0) or above (1) the median are equally likely."""
    for rank in range(1, n // 2 + 1):
        held = sum(rank <= sum(sides) <= n - rank for sides in itertools.product((0, 1), repeat=n))
        assert coverage(n, rank) == held / 2**n


def test_too_few_values_for_an_interval():
    assert interval_rank(5, 0.95) == interval_rank(1, 0.95) == interval_rank(0, 0.95) == 0
    with pytest.raises(ValueError, match="5 values give no interval"):
        median_interval([1.0] * 5, 0.95)


def test_the_interval_is_taken_from_the_ordered_values():
    values = [5, 1, 9, 3, 7, 2, 8, 4, 10, 6]
    assert median_interval(values, 0.95) == Interval(5.5, 2, 9, coverage(10, 2))
    assert coverage(10, 2) == 0.978515625


@pytest.mark.parametrize("comparisons", [1, 2, 4, 5, 12, 13, 50])
def test_minimum_rounds_is_the_least_number_with_an_interval(comparisons):
    least = minimum_rounds(comparisons)
    assert interval_rank(least, corrected(comparisons)) == 1
    assert interval_rank(least - 1, corrected(comparisons)) == 0


def test_quick_rounds_suffice_and_bear_one_disturbed_round_for_five_engines():
    assert minimum_rounds(50) <= QUICK_ROUNDS < DEFAULT_ROUNDS
    assert interval_rank(QUICK_ROUNDS, corrected(4)) == 2


def test_the_correction_divides_the_error_among_the_comparisons():
    assert corrected(0) == corrected(1) == pytest.approx(0.95)
    assert corrected(5) == pytest.approx(0.99)


def ratios_of_a_noisy_machine(generator, rounds, ratio=1.0):
    """Times with a long tail and a second mode, of two engines that differ by this factor."""

    def time():
        slowed = 1.3 if generator.random() < 0.1 else 1.0
        return slowed * generator.lognormvariate(0, 0.02) + generator.paretovariate(3) / 50

    return [ratio * time() / time() for _ in range(rounds)]


@pytest.mark.parametrize("rounds", [QUICK_ROUNDS, DEFAULT_ROUNDS])
def test_of_equal_engines_few_comparisons_claim_a_difference(rounds):
    """At most 5 % of them, within three standard deviations of a binomial count."""
    generator = random.Random(1)
    families, engines = 600, 4
    wrong = unstable = 0
    for _ in range(families):
        verdicts = {
            judge(ratios_of_a_noisy_machine(generator, rounds), corrected(engines))[1]
            for _ in range(engines)
        }
        wrong += bool(verdicts & {Verdict.FASTER, Verdict.SLOWER})
        unstable += Verdict.UNSTABLE in verdicts
    assert wrong <= 0.05 * families + 3 * (0.05 * 0.95 * families) ** 0.5
    assert unstable <= 0.02 * families


def test_intervals_hold_the_true_ratio_as_often_as_computed():
    generator = random.Random(2)
    tries, rounds = 4_000, 31
    promised = coverage(rounds, interval_rank(rounds, 0.95))
    intervals = [
        median_interval(ratios_of_a_noisy_machine(generator, rounds, ratio=3), 0.95)
        for _ in range(tries)
    ]
    held = sum(i.low <= 3 <= i.high for i in intervals)
    assert abs(held - promised * tries) <= 3 * (promised * (1 - promised) * tries) ** 0.5


@pytest.mark.parametrize(("ratio", "verdict"), [(1.2, Verdict.SLOWER), (1 / 1.2, Verdict.FASTER)])
def test_a_real_difference_is_found(ratio, verdict):
    generator = random.Random(3)
    assert judge(ratios_of_a_noisy_machine(generator, 31, ratio), corrected(4))[1] is verdict


def test_a_bound_at_1_resolves_nothing():
    assert judge([1.0] * 31, 0.95)[1] is Verdict.UNRESOLVED
    assert judge([1.0] * 15 + [1.5] * 16, 0.95)[1] is Verdict.UNSTABLE
    assert judge([1.0, 1.01] * 15 + [1.0], 0.95)[1] is Verdict.UNRESOLVED


def test_halves_that_contradict_each_other_are_unstable():
    ratios = [2.0 + 0.01 * (i % 3) for i in range(15)] + [3.0 + 0.01 * (i % 3) for i in range(16)]
    interval, verdict = judge(ratios, 0.9875)
    assert verdict is Verdict.UNSTABLE
    assert interval.low < 2.1 and interval.high > 2.9


def test_a_small_drift_is_tolerated():
    assert not drifted([2.0] * 15 + [2.03] * 16, 0.95)
    assert drifted([2.0] * 15 + [2.05] * 16, 0.95)


def test_halves_too_short_for_an_interval_are_compared_by_their_range():
    assert drifted([1.0, 1.1, 1.2, 1.3, 1.4, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5], 0.9875)
    assert not drifted([1.0, 1.1, 1.2, 1.3, 2.05, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5], 0.9875)


def test_outliers_lie_three_interquartile_ranges_outside_the_quartiles():
    values = [10, 11, 12, 13, 14, 15, 16, 17, 18]  # quartiles 12 and 16: fences at 0 and 28
    assert far_out(values) == 0
    assert far_out([*values[:-1], 28]) == 0
    assert far_out([*values[:-1], 29]) == 1
    assert far_out([-1, *values[1:-1], 29]) == 2
    assert far_out([5]) == 0
