from collections import Counter

import pytest
from fakes import FOUR, Fake, Script, trapped

from vmlab.isa import Trap
from vmlab.measure.clock import Clock, measure_clock
from vmlab.measure.sampling import (
    ROUND_NANOSECONDS,
    SAMPLE_NANOSECONDS,
    SampleDiffers,
    Subject,
    draw_order,
    sample,
    timed_limits,
)
from vmlab.outcome import Limits, Outcome
from vmlab.supervise import Supervisor

CLOCK = Clock("a test", 1, 0.0)
NAMES = ["a", "b", "c", "d"]


def sampled(scripts, rounds=8, seed=1, clock=CLOCK, progress=lambda *_: None):
    subjects = [
        Subject(name, Fake(script, counting=False), (3,), FOUR) for name, script in scripts.items()
    ]
    with Supervisor() as supervisor:
        return sample(supervisor, subjects, rounds, seed, Limits(), clock, progress)


def test_in_a_block_every_name_runs_once_at_every_position():
    order = draw_order(NAMES, 12, seed=5)
    for block in (order[:4], order[4:8], order[8:]):
        for position in zip(*block, strict=True):
            assert sorted(position) == NAMES
    assert all(sorted(names) == NAMES for names in order)


def test_the_order_is_drawn_from_the_seed():
    assert draw_order(NAMES, 40, seed=5) == draw_order(NAMES, 40, seed=5)
    assert draw_order(NAMES, 40, seed=5) != draw_order(NAMES, 40, seed=6)


def test_blocks_differ_and_the_last_one_is_cut():
    order = draw_order(NAMES, 42, seed=5)
    assert len(order) == 42
    assert len(set(order)) > 12


def test_every_position_is_equally_frequent_over_many_seeds():
    first = Counter(draw_order(NAMES, 1, seed)[0] for seed in range(2_000))
    assert len(first) == 24
    assert max(first.values()) < 2 * min(first.values())


def test_engines_run_in_the_recorded_order():
    ran = []

    def logging(name):
        return Script(nanoseconds=lambda: ran.append(name) or SAMPLE_NANOSECONDS, moves=False)

    rounds = sampled({name: logging(name) for name in NAMES}, rounds=8)
    assert ran[-32:] == [name for names in rounds.order for name in names]


def test_what_can_be_moved_moves_before_every_sample_and_is_warm_again():
    moving, staying = Script(nanoseconds=1_000), Script(nanoseconds=1_000, moves=False)
    rounds = sampled({"a": moving, "b": staying}, rounds=6)
    assert moving.places[-12:] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert [runs for _, runs, _ in moving.calls[-4:]] == [1, rounds.iterations] * 2
    assert [runs for _, runs, _ in staying.calls[-6:]] == [rounds.iterations] * 6


def test_all_share_one_iteration_count():
    scripts = {"a": Script(nanoseconds=1_000), "b": Script(nanoseconds=5_000)}
    rounds = sampled(scripts)
    last = {script.calls[-1][1] for script in scripts.values()}
    assert last == {rounds.iterations}
    assert rounds.samples["a"] == (1_000 * rounds.iterations,) * 8
    assert rounds.samples["b"] == (5_000 * rounds.iterations,) * 8


@pytest.mark.parametrize(
    ("fast", "slow", "least", "most"),
    [
        (1_000, 2_000, SAMPLE_NANOSECONDS / 1_000 / 1.5, SAMPLE_NANOSECONDS / 1_000 + 1),
        (10_000_000, 20_000_000, 1, 1),  # long enough at once
        (4_000, 120_000_000, 1, 1),  # a round may not take longer
        (4_000, 1_000_000, ROUND_NANOSECONDS / 1_004_000 / 1.5, 101),
    ],
)
def test_calibration(fast, slow, least, most):
    rounds = sampled({"a": Script(nanoseconds=fast), "b": Script(nanoseconds=slow)})
    assert least <= rounds.iterations <= most


def test_a_sample_spans_several_ticks_of_a_coarse_clock_even_if_a_round_takes_longer():
    clock = Clock("a test", 100_000, 10.0)
    rounds = sampled({"a": Script(nanoseconds=1_000), "b": Script(nanoseconds=1e9)}, clock=clock)
    assert 600 <= rounds.iterations <= 1_000


def test_times_of_zero_do_not_stop_calibration():
    times = iter([0, 0, *[1_000] * 100])
    rounds = sampled({"a": Script(nanoseconds=lambda: next(times)), "b": Script()})
    assert rounds.iterations > 1


def test_a_sample_that_differs_is_told():
    outcomes = iter([FOUR] * 20 + [Outcome(5, (), None, None)] * 100)
    script = Script(nanoseconds=2_000_000, outcome=lambda _: next(outcomes))
    with pytest.raises(SampleDiffers) as info:
        sampled({"a": Script(nanoseconds=2_000_000), "b": script}, rounds=31)
    assert info.value.name == "b"
    assert info.value.outcome.result == 5


def test_an_interrupted_sample_is_ctrl_c():
    with pytest.raises(KeyboardInterrupt):
        sampled({"a": Script(outcome=trapped(Trap.INTERRUPTED, (0, 0)))})


def test_progress_tells_what_is_done_and_the_time_left():
    told = []
    sampled({"a": Script()}, rounds=8, progress=lambda *report: told.append(report))
    timing = [report for report in told if report[0] == "timing"]
    assert [done for _, done, _, _ in timing] == list(range(9))
    assert timing[0][2:] == (8, None)
    assert timing[-1][2:] == (8, 0.0)
    assert all(left is not None and left >= 0 for *_, left in timing[1:])
    assert told[0][0] == "calibrating"


def test_timed_runs_know_neither_fuel_nor_timeout():
    limits = Limits(max_depth=7, max_heap=8, max_output=9, fuel=10, timeout=11)
    assert timed_limits(limits) == Limits(max_depth=7, max_heap=8, max_output=9)


def test_the_clock_is_measured():
    clock = measure_clock()
    assert clock.source
    assert clock.resolution_nanoseconds >= 1
    assert 0 < clock.cost_nanoseconds < 1_000_000
    assert clock.error_nanoseconds == clock.resolution_nanoseconds + clock.cost_nanoseconds


def test_a_clock_that_ticks_more_slowly_than_it_is_read(monkeypatch):
    readings = (100 * (i // 10) for i in range(10_000))
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(readings))
    clock = measure_clock()
    assert clock.resolution_nanoseconds == 100
    assert clock.cost_nanoseconds == pytest.approx(10, rel=0.01)
