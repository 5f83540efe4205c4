import random
import time
from dataclasses import replace

import pytest
from fakes import COUNTING_LOOP, FOUR, PROGRAM, Script, engines, trapped

from vmlab.assembler import assemble
from vmlab.engines import EngineUnavailable
from vmlab.isa import Trap
from vmlab.measure.agreement import REFERENCE_INSTRUCTIONS
from vmlab.measure.clock import Clock
from vmlab.measure.compare import compare
from vmlab.measure.machine import describe_machine
from vmlab.measure.statistics import Verdict
from vmlab.outcome import Limits, Outcome, Place
from vmlab.report.numbers import interval

MS = 1_000_000
PLAIN = assemble(PROGRAM.source.text.split("expect")[0], "plain.vm")
FIVE = Outcome(5, (), None, 4)


def noisy(milliseconds, seed):
    generator = random.Random(seed)
    return lambda: milliseconds * MS * generator.uniform(0.98, 1.02)


def compared(program=PROGRAM, options=None, **scripts):
    with engines(**scripts) as names:
        return compare(program, names, **{"seed": 1, **(options or {})})


def row(comparison, name):
    return next(row for row in comparison.rows if row.engine.name == name)


def ladder(**changes):
    scripts = {
        "inlined": Script(noisy(1, 1)),
        "template": Script(noisy(2, 2)),
        "switch": Script(noisy(14, 3)),
    }
    return {**scripts, **changes}


# What the rows say


def test_known_ratios_are_found():
    comparison = compared(**ladder())
    assert comparison.baseline == "inlined"
    assert row(comparison, "inlined").ratio is None
    for name, ratio in (("template", 2), ("switch", 14)):
        found = row(comparison, name)
        assert found.verdict is Verdict.SLOWER
        assert found.ratio.median == pytest.approx(ratio, rel=0.02)
        assert found.ratio.low < found.ratio.median < found.ratio.high
        assert found.seconds == pytest.approx(ratio / 1000, rel=0.02)
        assert found.nanoseconds_per_instruction == pytest.approx(ratio * MS / 4, rel=0.02)
    assert comparison.exit_code == 0
    times = {name: interval(row(comparison, name).ratio) for name in ("template", "switch")}
    assert comparison.verdict == (
        f"template takes {times['template']} times as long as inlined and switch {times['switch']}."
    )
    assert (
        "inlined, template, switch and reference agree on 1 expect line and main(n = 3):"
        in (comparison.notes[0])
    )
    assert comparison.notes[0].endswith("result 4, 4 instructions")


def test_the_first_engine_is_the_baseline():
    comparison = compared(a=Script(noisy(2, 1)), b=Script(noisy(1, 2)))
    assert comparison.baseline == "a"
    assert row(comparison, "b").verdict is Verdict.FASTER
    assert comparison.ratio("a", "b").median == pytest.approx(2, rel=0.02)


def test_equal_engines_are_not_told_apart():
    comparison = compared(a=Script(noisy(1, 1)), b=Script(noisy(1, 2)))
    assert row(comparison, "b").verdict is Verdict.UNRESOLVED
    assert comparison.verdict.startswith("no difference from a is resolved for b ")
    assert any("do not tell b from a; --rounds 61 " in w for w in comparison.warnings)


def test_more_rounds_than_quick_ones_are_the_default_ones():
    quick = compared(a=Script(noisy(1, 1)), b=Script(noisy(1, 2)), options={"quick": True})
    assert len(quick.rounds.order) == 11
    assert any("--rounds 31 " in w for w in quick.warnings)


def test_a_machine_that_changes_makes_a_ratio_unstable():
    # A round takes two: a warm run, and the sample.
    times = iter([1.0 * MS] * 36 + [1.5 * MS] * 100)
    comparison = compared(a=Script(1.0 * MS), b=Script(lambda: next(times)))
    assert row(comparison, "b").verdict is Verdict.UNSTABLE
    assert "the rounds contradict each other for b " in comparison.verdict
    assert any("first half of the rounds and 1.50 in the second" in w for w in comparison.warnings)


def test_outliers_are_counted_and_kept():
    times = iter(([1.0 * MS] * 6 + [9.0 * MS]) * 20)
    comparison = compared(a=Script(noisy(1, 1)), b=Script(lambda: next(times)))
    found = row(comparison, "b")
    assert found.outliers == comparison.rounds.samples["b"].count(9 * MS) > 3
    assert len(comparison.rounds.samples["b"]) == 31
    assert any(
        f"of 31 samples each, {found.outliers} of b lie far out" in w for w in comparison.warnings
    )
    assert any(note.endswith(f"counted in: {found.outliers} of b") for note in comparison.notes)


def test_a_few_outliers_are_noted_without_a_warning():
    times = iter(([1.0 * MS] * 20 + [9.0 * MS]) * 20)
    comparison = compared(a=Script(noisy(1, 1)), b=Script(lambda: next(times)))
    assert any(note.endswith(f"counted in: {row(comparison, 'b').outliers} of b")
               for note in comparison.notes)  # fmt: skip
    assert not any("far out" in warning for warning in comparison.warnings)


def test_one_engine_has_nothing_to_be_compared_with():
    comparison = compared(a=Script(3.0 * MS))
    assert comparison.verdict == "a takes 3.00 ms a run, with nothing to compare it with."
    assert comparison.notes[0].startswith("a and reference agree on ")


def test_an_engine_that_ran_alone_agrees_with_nobody():
    comparison = compared(a=Script(), reference=Script(unavailable_when_called="no"))
    assert comparison.notes == (
        "a alone ran 1 expect line and main(n = 3): result 4, 4 instructions",
        "the reference took no part: no",
    )


def test_compile_times_and_break_even():
    comparison = compared(
        **ladder(
            inlined=Script(1.0 * MS, compile_seconds=0.040),
            template=Script(20.0 * MS, compile_seconds=0.040),
            switch=Script(14.0 * MS, compile_seconds=0.002, from_cache=True),
        )
    )
    assert row(comparison, "inlined").break_even == 4  # 40 ms over 13 ms a run
    assert row(comparison, "template").break_even == "never"
    assert row(comparison, "switch").break_even is None
    assert row(comparison, "switch").engine.from_cache
    assert row(comparison, "inlined").engine.compile_seconds == 0.040


def test_without_switch_the_slowest_engine_is_the_measure_of_break_even():
    comparison = compared(a=Script(1.0 * MS, compile_seconds=0.010), b=Script(3.0 * MS))
    assert (row(comparison, "a").break_even, row(comparison, "b").break_even) == (5, None)


def test_samples_too_short_for_the_clock_are_warned_of(monkeypatch):
    clock = Clock("a test", 50, 50.0)
    monkeypatch.setattr("vmlab.measure.compare.measure_clock", lambda: clock)
    comparison = compared(a=Script(2_000), b=Script(200.0 * MS))
    warning = next(w for w in comparison.warnings if "clock" in w)
    assert "a's samples take 2.00 µs, of which the clock's own error is 5%" in warning
    assert "--arg n=..." in warning


def test_a_busy_machine_is_warned_of(monkeypatch):
    machine = describe_machine()
    machine["load"] = replace(machine["load"], value=99.0, unreadable=None)
    monkeypatch.setattr("vmlab.measure.compare.describe_machine", lambda: machine)
    comparison = compared(a=Script(), b=Script(3.0 * MS))
    assert comparison.warnings[0].startswith("the machine is busy: load 99.0 on")


# Agreement


def test_a_disagreement_is_told_and_nothing_is_timed():
    comparison = compared(**ladder(template=Script(outcome=lambda a: FIVE if a == (7,) else FOUR)),
                          options={"args": {"n": 7}})  # fmt: skip
    assert comparison.rounds is None
    assert comparison.exit_code == 1
    (found,) = comparison.agreement.disagreements
    assert (found.engine, found.field, found.found, found.expected) == (
        "template", "result", "5", "4",
    )  # fmt: skip
    assert found.others == ("inlined", "switch", "reference")
    assert comparison.verdict == (
        "The engines disagree, so nothing was timed: main(n = 7), result: template has 5,"
        " inlined, switch and reference 4."
    )
    assert all(row.seconds is None and row.ratio is None for row in comparison.rows)
    assert comparison.warnings == ()


@pytest.mark.parametrize(
    ("outcome", "field", "found", "expected"),
    [
        (Outcome(4.0, (), None, 4), "result", "4.0", "4"),
        (Outcome(4, (1, 2), None, 4), "output", "2 values", "0"),
        (Outcome(4, (), None, 9_999), "instructions", "9,999", "4"),
    ],
)
def test_every_field_is_compared(outcome, field, found, expected):
    comparison = compared(
        **ladder(switch=Script(outcome=lambda args: FOUR if args == (3,) else outcome)),
        options={"args": {"n": 7}},
    )
    (one,) = comparison.agreement.disagreements
    assert (one.engine, one.field, one.found, one.expected) == ("switch", field, found, expected)


def differing(first, second):
    comparison = compared(
        PLAIN, a=Script(outcome=first), b=Script(outcome=first), c=Script(outcome=second),
        reference=Script(outcome=first),
    )  # fmt: skip
    return [(d.field, d.found, d.expected) for d in comparison.agreement.disagreements]


def test_the_first_printed_value_that_differs_is_shown():
    assert differing(Outcome(None, (1, 2, 3), None, 4), Outcome(None, (1, 5, 6), None, 4)) == [
        ("output", "5 at value 2", "2")
    ]


def test_traps_and_their_places_are_compared():
    here = trapped(Trap.DIVIDE_BY_ZERO, (0, 1))
    in_a_task = replace(here, trap=replace(here.trap, launches=(Place(0, 2),)))
    assert differing(here, in_a_task) == [
        ("place", "main, line 4, spawned in main, line 5", "main, line 4")
    ]
    assert differing(here, trapped(Trap.INTEGER_OVERFLOW, (0, 1))) == [
        ("trap", "integer_overflow", "divide_by_zero")
    ]
    assert differing(here, trapped(Trap.DIVIDE_BY_ZERO, (0, 2), (0, 0))) == [
        ("place", "main, line 5, called from main, line 3", "main, line 4")
    ]
    assert differing(FOUR, here) == [("result", "none", "4"), ("trap", "divide_by_zero", "no trap")]


def test_without_a_majority_the_first_engine_is_the_measure():
    comparison = compared(
        PLAIN,
        a=Script(outcome=FOUR), b=Script(outcome=FIVE),
        reference=Script(unavailable_when_called="no"),
    )  # fmt: skip
    (found,) = comparison.agreement.disagreements
    assert (found.engine, found.others) == ("b", ("a",))


def test_a_failing_expect_line_stops_the_comparison():
    comparison = compared(**ladder(switch=Script(outcome=FIVE)))
    assert comparison.rounds is None
    assert comparison.exit_code == 1
    assert comparison.verdict == (
        "An expect line fails, so nothing was timed:"
        " line 9, main(n = 3): switch has 5, the expect line 4."
    )


def test_the_code_that_is_timed_must_agree_too():
    comparison = compared(**ladder(switch=Script(timed=FIVE)))
    (found,) = comparison.agreement.disagreements
    assert (found.engine, found.run) == ("switch", "main(n = 3), not counting")
    assert comparison.exit_code == 1


def test_every_sample_must_agree():
    answers = iter([FOUR] * 12 + [FIVE] * 100)
    comparison = compared(**ladder(template=Script(noisy(2, 2), outcome=lambda _: next(answers))))
    (found,) = comparison.agreement.disagreements
    assert (found.engine, found.run) == ("template", "main(n = 3), while it was timed")
    assert comparison.rounds is None


def test_an_agreed_trap_is_reported_and_not_timed():
    program = assemble(PROGRAM.source.text.replace("-> 4", "-> trap divide_by_zero"))
    trap = trapped(Trap.DIVIDE_BY_ZERO, (0, 2))
    scripts = {name: Script(outcome=trap) for name in ("a", "b", "reference")}
    comparison = compared(program, **scripts)
    assert comparison.agreement.outcome == trap
    assert comparison.rounds is None
    assert comparison.exit_code == 70
    assert comparison.verdict == (
        "On all engines the program traps (divide_by_zero), so nothing was timed."
    )
    assert not any(counting is False for counting, *_ in scripts["a"].calls)


def test_the_reference_checks_short_runs_only():
    long = Outcome(4, (), None, REFERENCE_INSTRUCTIONS + 1)
    reference = Script(outcome=long)
    comparison = compared(a=Script(outcome=long), b=Script(outcome=long), reference=reference)
    assert reference.calls == []
    assert "reference" not in comparison.agreement.engines
    assert "the reference took no part: 2,000,001 instructions; it checks 2,000,000 at most" in (
        comparison.notes
    )


def test_the_reference_may_be_timed_like_any_engine():
    with engines(a=Script(), reference=Script(5.0 * MS)):
        comparison = compare(PROGRAM, ["a", "reference"], seed=1)
    assert row(comparison, "reference").verdict is Verdict.SLOWER


# Engines that cannot


@pytest.mark.parametrize(
    "how", ["unavailable", "unavailable_when_called", "unavailable_when_timed"]
)
def test_an_engine_that_cannot_stays_in_the_table(how):
    comparison = compared(**ladder(template=Script(**{how: "no room"})))
    found = row(comparison, "template")
    assert found.engine.unavailable == "no room"
    assert found.seconds is None
    assert row(comparison, "switch").verdict is Verdict.SLOWER
    assert "template took no part: no room" in comparison.notes
    assert comparison.exit_code == 0


def test_if_the_first_engine_cannot_the_next_is_the_baseline():
    comparison = compared(**ladder(inlined=Script(unavailable="no LLVM")))
    assert comparison.baseline == "template"
    assert row(comparison, "switch").ratio.median == pytest.approx(7, rel=0.02)


@pytest.mark.parametrize(
    "how", ["unavailable", "unavailable_when_called", "unavailable_when_timed"]
)
def test_if_none_can_that_is_an_error(how):
    with pytest.raises(EngineUnavailable, match="no engine can run this program here: a: x; b: y"):
        compared(a=Script(**{how: "x"}), b=Script(**{how: "y"}))


# Folding


def folding(ir=COUNTING_LOOP, back_edges=10_000):
    return compared(**ladder(inlined=Script(noisy(1, 1), ir=ir, back_edges=back_edges)))


def test_a_program_of_which_only_counting_is_left_is_folded():
    comparison = folding()
    assert comparison.folded == "inlined"
    assert comparison.baseline == "template"
    found = row(comparison, "inlined")
    assert found.folded
    assert found.ratio is found.nanoseconds_per_instruction is found.break_even is None
    assert found.seconds == pytest.approx(0.001, rel=0.02)
    assert row(comparison, "switch").ratio.median == pytest.approx(7, rel=0.02)
    assert comparison.verdict.endswith("; the compiler of inlined folded the program's work away.")
    assert any("its loops do nothing but count" in note for note in comparison.notes)
    with pytest.raises(ValueError, match="folded the program's work away"):
        comparison.ratio("switch", "inlined")


def test_a_program_whose_loops_do_something_is_not_folded():
    work = COUNTING_LOOP.replace("%next = add", "%x = mul i64 %n, %n\n  %next = add")
    assert folding(ir=work).folded is None


@pytest.mark.parametrize("back_edges", [999, None])
def test_short_loops_are_not_what_takes_the_time(back_edges):
    assert folding(back_edges=back_edges).folded is None


def test_code_that_cannot_be_read_is_not_called_folded():
    assert folding(ir=None).folded is None


def test_if_only_the_folding_engine_is_timed():
    comparison = compared(inlined=Script(ir=COUNTING_LOOP, back_edges=10_000))
    assert comparison.baseline is None
    assert comparison.verdict == "the compiler of inlined folded the program's work away."


# What is given


def test_arguments_limits_and_seed_are_used_and_recorded():
    script = Script()
    limits = Limits(max_depth=5, fuel=100, timeout=50)
    with engines(a=script, b=Script()) as names:
        comparison = compare(PROGRAM, names, {"n": 3}, limits=limits, seed=42, rounds=9)
    assert dict(comparison.arguments) == {"n": 3}
    assert comparison.rounds.seed == 42
    assert len(comparison.rounds.order) == 9
    assert {call[2] for call in script.calls if call[0]} == {limits}
    assert {call[2] for call in script.calls if not call[0]} == {Limits(max_depth=5)}


def test_a_seed_is_drawn_if_none_is_given():
    seeds = {compared(a=Script(), options={"seed": None}).rounds.seed for _ in range(3)}
    assert len(seeds) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engines": ["swich"]}, "no engine is called 'swich'; did you mean 'switch'?"),
        ({"engines": []}, "there is no engine to compare"),
        ({"args": {"k": 1}}, "main has no parameter 'k'"),
        ({"rounds": 0}, "0 rounds for 3 engines: too few"),
        ({"rounds": 6}, "give --rounds 7 at least"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(options, message):
    scripts = ladder()
    with engines(**scripts) as names, pytest.raises(ValueError) as info:
        compare(PROGRAM, **{"engines": names, **options})
    assert message in str(info.value)
    assert all(script.calls == [] for script in scripts.values())


def test_engines_named_twice_run_once():
    with engines(**ladder()):
        comparison = compare(PROGRAM, ["switch", "inlined", "switch"], seed=1)
    assert [row.engine.name for row in comparison.rows] == ["switch", "inlined"]


def test_progress_tells_every_stage():
    told = []
    compared(**ladder(), options={"progress": lambda *report: told.append(report)})
    stages = list(dict.fromkeys(what for what, *_ in told))
    assert stages[:3] == ["building inlined", "building template", "building switch"]
    assert stages[3] == "checking expect lines on inlined"
    assert "running switch" in stages
    assert stages[-2:] == ["calibrating", "timing"]
    assert all(0 <= done <= total for _, done, total, _ in told)


@pytest.mark.parametrize("program", [PROGRAM, PLAIN])
def test_a_timeout_is_told_with_what_helps(program):
    with pytest.raises(TimeoutError, match=r"on a takes longer than 0.01 s.*--timeout.*--arg"):
        compared(program, a=Script(endless=True), options={"limits": Limits(timeout=0.01)})


@pytest.mark.parametrize("program", [PROGRAM, PLAIN])
@pytest.mark.parametrize("timeout", [None, 100])
def test_another_interruption_is_ctrl_c(program, timeout):
    script = Script(outcome=trapped(Trap.INTERRUPTED, (0, 0)))
    with pytest.raises(KeyboardInterrupt):
        compared(program, a=script, options={"limits": Limits(timeout=timeout)})


def test_ctrl_c_after_a_run_that_was_too_slow_is_no_timeout():
    """The expect line before took longer than a run may, but came to its end."""
    program = assemble(PROGRAM.source.text + "expect main(4) -> 5\n")

    def outcome(args):
        if args == (3,):
            time.sleep(0.02)
            return FOUR
        return trapped(Trap.INTERRUPTED, (0, 0))

    with pytest.raises(KeyboardInterrupt):
        compared(program, a=Script(outcome=outcome), options={"limits": Limits(timeout=0.01)})
