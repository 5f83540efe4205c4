"""Attributions of comparisons whose engines are fakes, with costs that are known."""

import json
from dataclasses import replace
from itertools import cycle

import jsonschema
import pytest
from fakes import COUNTING_LOOP, FOUR, PROGRAM, Script, engines, trapped

from vmlab.assembler import assemble
from vmlab.attribution import CONCURRENT, FULL, SEQUENTIAL, WORK, attribute, scheme_for
from vmlab.engines import find
from vmlab.explanation import Explanation
from vmlab.isa import Trap
from vmlab.measure.compare import compare
from vmlab.measure.explain import QUICK_ROUNDS
from vmlab.measure.statistics import corrected, interval_rank
from vmlab.report import explain, schemas
from vmlab.report.explain_picture import mechanisms_of
from vmlab.report.text import remarks

# By engine, in nanoseconds per VM instruction, times a million.
TIMES = {
    "inlined": 1,
    "template": 3,
    "switch": 8,
    "template+tagged": 4,
    "template+cells": 13,
    "template+late": 7,
    "boxed": 34,
    "template+boxed+late": 33,
    "switch+cells+late": 38,
    "switch+tagged+late": 25,
    "late": 40,
}
COSTS = {  # added, removed
    "stack traffic": (2, None),
    "dispatch": (5, 7),
    "type checks": (1, 2),
    "boxing and counting": (10, 15),
    "names": (4, 6),
}
# And with tasks.
CONCURRENT_TIMES = {
    "switch+boxed+late+copy+barrier": 60,
    "switch+cells+late+copy+barrier": 58,
    "switch+tagged+late+copy+barrier": 45,
    "switch+boxed+copy+barrier": 54,
    "threaded": 6,
    "threaded+copy": 10,
    "switch+boxed+late+barrier": 53,
    "threaded+barrier": 7,
    "switch+boxed+late+copy": 57,
    "template+stackful": 2,
    "inlined+stackful": 4,
}
CONCURRENT_COSTS = COSTS | {"dispatch": (5, None), "stack copy": (4, 7), "barrier": (1, 3)}
STACKS = "machine stacks, not frames"
UNIT = 1_000_000


def scripts(**changed):
    by_name = {name: Script(time * UNIT * FOUR.instructions) for name, time in TIMES.items()}
    return by_name | changed


def attributed(rounds=15, **changed):
    with engines(**scripts(**changed)) as names:
        return attribute(compare(PROGRAM, names, rounds=rounds, seed=1), SEQUENTIAL)


def with_tasks(**changed):
    """A comparison of fakes of all engines of `CONCURRENT`, and its attribution."""
    times = {n: Script(t * UNIT * FOUR.instructions) for n, t in CONCURRENT_TIMES.items()}
    with engines(**scripts(**(times | changed))):
        comparison = compare(PROGRAM, CONCURRENT.engines, rounds=15, seed=1)
    return comparison, attribute(comparison, CONCURRENT)


def rows(attribution):
    return {row.mechanism.name: row for row in attribution.rows}


def cost(cost):
    return pytest.approx(cost.nanoseconds.median / UNIT)


def test_every_engine_exists_and_is_timed():
    for scheme in SEQUENTIAL, CONCURRENT:
        assert [find(name).name for name in scheme.engines] == list(scheme.engines)
        assert scheme.engines[:2] == (WORK, scheme.full)
    assert set(SEQUENTIAL.engines) == set(TIMES)
    assert set(CONCURRENT.engines) <= TIMES.keys() | CONCURRENT_TIMES


def test_tasks_add_what_becomes_of_their_stacks():
    assert scheme_for(PROGRAM) is SEQUENTIAL
    assert scheme_for(assemble("func main()\nyield\nret\nend\n")) is CONCURRENT


@pytest.mark.parametrize(("scheme", "costs"), [(SEQUENTIAL, COSTS), (CONCURRENT, CONCURRENT_COSTS)])
def test_known_costs_are_recovered(scheme, costs):
    times = TIMES | CONCURRENT_TIMES
    concurrent = {n: Script(t * UNIT * FOUR.instructions) for n, t in CONCURRENT_TIMES.items()}
    with engines(**scripts(**concurrent)):
        attribution = attribute(compare(PROGRAM, scheme.engines, rounds=15, seed=1), scheme)
    full = times[scheme.full]
    assert list(rows(attribution)) == list(costs)
    for name, row in rows(attribution).items():
        added, removed = costs[name]
        assert added == cost(row.added)
        assert row.added.share == pytest.approx(added / full)
        share = f"{added / full:.0%} |"
        lines = explain.table(attribution, "github").splitlines()
        assert any(line.startswith(f"| {name} ") and line.endswith(share) for line in lines)
        if removed is not None:
            assert removed == cost(row.removed)
            assert row.removed.share == pytest.approx(removed / full)
            assert removed - added == cost(row.overlap)
    assert times[WORK] == cost(attribution.work)
    assert full == cost(attribution.full)
    assert full - times[WORK] - sum(added for added, _ in costs.values()) == cost(attribution.rest)


def test_machine_stacks_stand_beside_the_sum():
    _, attribution = with_tasks()
    saved, lost = attribution.beside
    assert (cost(saved), cost(lost)) == (2 - 3, 4 - 1)
    assert saved.share is lost.share is None
    labels = [f"{STACKS} (template)", f"{STACKS} (inlined)"]
    *_, whole, template, inlined = explain.table(attribution, "tsv").splitlines()
    assert whole.startswith("all (switch+")
    for line, label, median in (template, labels[0], "-1,000,000 ("), (inlined, labels[1], "3,000"):
        name, added, *others = (cell.strip() for cell in line.split("\t"))
        assert name == label and added.startswith(median)
        assert others == ["–"] * 3
    drawn = dict(mechanisms_of(attribution))
    assert [drawn[label][0].value / UNIT for label in labels] == pytest.approx([-1, 3])
    assert sum(STACKS in note for note in explain.notes(attribution)) == 1
    assert not any(STACKS in note for note in explain.notes(attributed()))


def test_without_machine_stacks_the_reason_stands_in_their_cells():
    missing = Script(unavailable="x86-64 only")
    _, attribution = with_tasks(**{"template+stackful": missing, "inlined+stackful": missing})
    whole, sum_ = rows(attribution)["stack copy"], attribution.rest
    assert not isinstance(whole.added, str) and not isinstance(sum_, str)
    for base, found in zip(("template", "inlined"), attribution.beside, strict=True):
        reason = f"{base}+stackful took no part: x86-64 only"
        assert found == dict(mechanisms_of(attribution))[f"{STACKS} ({base})"] == reason
        assert f"| {STACKS} ({base})" in explain.table(attribution, "github")
        assert reason in explain.table(attribution, "github")


def test_a_note_says_what_mechanisms_are_added_to():
    said = "added: to inlined (stack traffic) or to template; removed: from late; overlap: removed"
    assert any(note.startswith(said) for note in explain.notes(attributed()))
    concurrent = replace(attributed(), scheme=CONCURRENT)
    said = (
        "added: to inlined (stack traffic), to threaded (stack copy and barrier) or to template;"
        " removed: from switch+boxed+late+copy+barrier; overlap: removed"
    )
    assert any(note.startswith(said) for note in explain.notes(concurrent))


def test_what_slows_down_whole_rounds_cancels_out():
    """A machine on which the rounds of all engines get slower and slower by the same time."""

    def slower(time):
        extra = iter(range(10**6))
        return Script(lambda: (time + next(extra)) * UNIT * FOUR.instructions)

    attribution = attributed(**{name: slower(TIMES[name]) for name in ("switch", "template")})
    dispatch = rows(attribution)["dispatch"].added.nanoseconds
    assert (dispatch.low, dispatch.median, dispatch.high) == pytest.approx((5 * UNIT,) * 3)


def test_stack_traffic_says_why_it_cannot_be_removed():
    row = rows(attributed())["stack traffic"]
    assert "operands have to be in memory" in row.removed
    assert "operands have to be in memory" in explain.table(attributed(), "github")


def test_overlap_is_negative_where_the_whole_interpreter_hides_a_cost():
    hidden = Script((TIMES[FULL] - 1) * UNIT * FOUR.instructions)
    row = rows(attributed(**{"template+boxed+late": hidden}))["dispatch"]
    assert cost(row.overlap) == 1 - 5
    assert row.overlap.resolved


def test_what_is_not_resolved_is_said():
    noise = cycle((2, 4))
    noisy = Script(lambda: (3 + 3 * (next(noise) - 3)) * UNIT * FOUR.instructions, moves=False)
    attribution = attributed(**{"template+tagged": noisy})
    row = rows(attribution)["type checks"]
    assert not row.added.resolved and row.removed.resolved
    line = next(x for x in explain.table(attribution, "github").splitlines() if "type ch" in x)
    _, _, added, removed, _, share, _ = line.split("|")
    assert "not resolved" in added
    assert "not resolved" not in removed
    assert share.strip() == "–"


@pytest.mark.parametrize(
    ("full", "said"),
    [
        (40, "late takes 17,000,000 (17,000,000 to 17,000,000) ns an instruction more than"),
        (20, "late takes 3,000,000 (3,000,000 to 3,000,000) ns an instruction less than"),
        (23, "no difference is resolved between late and the sum"),
    ],
)
def test_a_line_states_what_the_parts_do_not_sum_up_to(full, said):
    attribution = attributed(late=Script(full * UNIT * FOUR.instructions))
    assert any(note.startswith(said) for note in explain.notes(attribution))


def test_a_missing_engine_leaves_its_reason_where_it_is_needed():
    attribution = attributed(**{"template+cells": Script(unavailable="no cells here")})
    reason = "template+cells took no part: no cells here"
    row = rows(attribution)["boxing and counting"]
    assert row.added == row.overlap == attribution.rest == reason
    assert COSTS["boxing and counting"][1] == cost(row.removed)
    assert COSTS["dispatch"][0] == cost(rows(attribution)["dispatch"].added)
    assert reason in explain.table(attribution, "github")
    assert f"there is no sum of work and the added parts: {reason}" in explain.notes(attribution)


def test_without_the_full_engine_there_are_no_shares():
    attribution = attributed(late=Script(unavailable="not here"))
    assert attribution.full == "late took no part: not here"
    row = rows(attribution)["dispatch"]
    assert COSTS["dispatch"][0] == cost(row.added)
    assert row.added.share is None
    assert row.removed == attribution.full


def test_folded_work_is_no_work():
    folded = Script(1, ir=COUNTING_LOOP, back_edges=10_000)
    attribution = attributed(inlined=folded)
    reason = "the compiler of inlined folded the program's work away"
    assert attribution.work == rows(attribution)["stack traffic"].added == reason
    assert attribution.rest == reason
    assert COSTS["names"][0] == cost(rows(attribution)["names"].added)


def test_an_engine_that_was_not_asked_for_is_named():
    only = {name: script for name, script in scripts().items() if name != "boxed"}
    with engines(**only) as names:
        attribution = attribute(compare(PROGRAM, names, rounds=15, seed=1), SEQUENTIAL)
    assert rows(attribution)["names"].removed == "boxed was not timed"


def test_nothing_timed_is_refused():
    trap = trapped(Trap.DIVIDE_BY_ZERO, (0, 2))
    trapping = {name: Script(outcome=trap) for name in (*TIMES, "reference")}
    with engines(**trapping) as names:
        comparison = compare(PROGRAM, names, rounds=15, seed=1)
    with pytest.raises(ValueError, match="nothing was timed"):
        attribute(comparison, SEQUENTIAL)
    explanation = Explanation(comparison, None, "nothing was timed")
    assert str(explanation) == f"{comparison.verdict}\n"
    with pytest.raises(ValueError, match="so nothing was timed"):
        explanation.to_json()


def test_as_many_intervals_are_made_as_are_corrected_for():
    for attribution in attributed(), with_tasks()[1]:
        made = [c for r in attribution.rows for c in (r.added, r.removed, r.overlap)]
        made += [attribution.work, attribution.rest, attribution.full, *attribution.beside]
        assert sum(not isinstance(c, str) for c in made) == attribution.scheme.intervals


def test_one_disturbed_quick_round_does_no_harm():
    for scheme in SEQUENTIAL, CONCURRENT:
        assert interval_rank(QUICK_ROUNDS, corrected(scheme.intervals)) > 1


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {CONCURRENT.full: Script(unavailable="n")},
        {"template+stackful": Script(unavailable="n")},
    ],
)
def test_json_follows_the_schema(changed):
    comparison, attribution = with_tasks(**changed)
    explanation = Explanation(comparison, attribution, "no opcodes")
    data = json.loads(explanation.to_json())
    jsonschema.validate(data, schemas.load("explain.schema.json"))
    assert data["program"]["text"] == PROGRAM.source.text
    assert (data["arguments"], data["instructions"]) == ({"n": "3"}, FOUR.instructions)
    assert data["opcodes"] == {"reason": "no opcodes"}
    assert [row["mechanism"] for row in data["mechanisms"]] == list(CONCURRENT_COSTS)
    assert data["mechanisms"][1]["added"]["nanoseconds"] == pytest.approx(5 * UNIT)
    template, inlined = data["alternatives"]
    assert (template["added_to"], inlined["added_to"]) == ("template", "inlined")
    assert inlined["cost"]["nanoseconds"] == pytest.approx(3 * UNIT)
    assert ("reason" in template["cost"]) == ("template+stackful" in changed)
    assert data["notes"][0].startswith("the engines agree on 1 expect line and main(n = 3): ")


def test_warnings_are_of_the_measurement_not_of_a_baseline():
    comparison, attribution = with_tasks(template=Script(UNIT * FOUR.instructions))
    assert any("do not tell template from inlined" in w for w in comparison.warnings)
    explanation = Explanation(comparison, attribution, "no opcodes")
    assert not any("do not tell" in w for w in explanation.warnings)


# What `compare` says of it

LADDER = {"inlined": 10, "template": 30, "switch": 60, "tagged": 70, "boxed": 90, "late": 100}


def compared(**changed):
    timed = {name: Script(time * UNIT) for name, time in LADDER.items()} | changed
    with engines(**timed) as names:
        return compare(PROGRAM, names, rounds=15, seed=1)


def test_a_comparison_of_the_ladder_ends_with_where_the_time_goes():
    where = remarks(compared()).splitlines()[1]
    assert where.startswith(
        "The time of late, as the ladder adds it up: work 10%, stack traffic 20%, dispatch 30%,"
        " type checks 10%, boxing and counting 20% and names 10%. "
    )


def test_what_the_ladder_adds_may_not_be_resolved():
    noise = cycle((50, 70))
    noisy = compared(tagged=Script(lambda: next(noise) * UNIT, moves=False))
    assert "names 10%; not resolved: type checks. " in remarks(noisy)
    assert "type checks 0%" not in remarks(noisy)


@pytest.mark.parametrize(
    "changed",
    [
        {"boxed": Script(unavailable="not here")},
        {"inlined": Script(1, ir=COUNTING_LOOP, back_edges=10_000)},
    ],
)
def test_without_all_of_the_ladder_nothing_is_said(changed):
    assert "as the ladder adds it up" not in remarks(compared(**changed))
