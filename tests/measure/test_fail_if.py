import pytest
from fakes import PROGRAM, Script, engines

from vmlab.fail_if import Condition, parse_condition
from vmlab.measure.compare import compare

ENGINES = ["inlined", "threaded", "switch", "threaded+copy+barrier"]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("switch>30*inlined", Condition("switch", ">", 30, "inlined")),
        ("threaded > 0.8 * switch", Condition("threaded", ">", 0.8, "switch")),
        (" threaded>=.5*switch ", Condition("threaded", ">=", 0.5, "switch")),
        ("switch < inlined", Condition("switch", "<", 1, "inlined")),
        ("switch<=1.*inlined", Condition("switch", "<=", 1, "inlined")),
        (
            "threaded+copy+barrier>1.1*threaded",
            Condition("threaded+copy+barrier", ">", 1.1, "threaded"),
        ),
    ],
)
def test_conditions_are_read(text, condition):
    assert parse_condition(text, ENGINES) == condition
    assert parse_condition(str(condition), ENGINES) == condition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("switch>30", "is not a condition; it takes two engines"),
        ("switch=30*inlined", "is not a condition"),
        ("switch>-1*inlined", "is not a condition"),
        ("switch>30*inlined*2", "is not a condition"),
        ("", "is not a condition"),
        ("swich>30*inlined", "no compared engine is called 'swich'; did you mean 'switch'?"),
        (
            "switch>30*zzz",
            "no compared engine is called 'zzz' (compared: inlined, threaded, switch, threaded+",
        ),
        ("switch>2*switch", "both sides are 'switch'"),
    ],
)
def test_bad_conditions_are_refused(text, message):
    with pytest.raises(ValueError) as info:
        parse_condition(text, ENGINES)
    assert message in str(info.value)


@pytest.fixture(scope="module")
def comparison():
    scripts = {"a": Script(1e6), "b": Script(3e6), "c": Script(unavailable="no")}
    with engines(**scripts) as names:
        return compare(PROGRAM, names, seed=1)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("b>2.9*a", True), ("b>3*a", False), ("b>=3*a", True), ("b<3.1*a", True),
        ("b<3*a", False), ("b<=3*a", True), ("a<0.34*b", True), ("a>b", False),
    ],
)  # fmt: skip
def test_conditions_look_at_the_median_ratio(comparison, text, holds):
    assert parse_condition(text, ["a", "b"]).holds(comparison) is holds


def test_a_condition_on_an_engine_that_was_not_timed_is_no_pass(comparison):
    condition = parse_condition("c>a", ["a", "b", "c"])
    with pytest.raises(ValueError, match="no ratio of c to a: c was not timed"):
        condition.holds(comparison)
