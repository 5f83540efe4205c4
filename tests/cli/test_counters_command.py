"""counters: the report, where it goes, and exit codes."""

import json
from pathlib import Path

import jsonschema
import pytest
from fakes import FOUR, PROGRAM_OF_FOUR, Script, engines, trapped

from vmlab.cli import exits
from vmlab.engines import Standalone
from vmlab.isa import Trap
from vmlab.measure import cachegrind, counting
from vmlab.measure.cachegrind import missing_tools
from vmlab.measure.counters import CounterGroup, Reading
from vmlab.report.counts_report import schema

simulates = pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools()))


@pytest.fixture
def counters(vmlab, monkeypatch):
    """Counts two fakes, with what `simulated` says of both; or other fakes, by name."""
    Path("four.vm").write_text(PROGRAM_OF_FOUR)
    monkeypatch.setattr(cachegrind, "missing_tools", lambda: None)
    monkeypatch.setattr(
        cachegrind,
        "simulate",
        lambda standalone, check, runs: {
            "instructions": 84.0, "branch_misses": 2.0, "l1d_read_misses": 0.0001
        },
    )  # fmt: skip
    monkeypatch.setattr(
        "fakes.Fake.standalone", lambda self: Standalone(b"", "", lambda text: FOUR), raising=False
    )

    def run(*options, **scripts):
        with engines(**(scripts or {"one": Script(), "other": Script()})) as names:
            return vmlab("counters", "four.vm", "--engines", ",".join(names), *options)

    return run


@pytest.fixture
def measured(monkeypatch):
    """Makes the machine show counters that read so much a run."""

    def show(**readings):
        monkeypatch.setattr(CounterGroup, "counts_anything", True)
        factor = iter([1, 2] * 100)

        def between(self, before, after):
            n = next(factor) * counting.MEASURED_INSTRUCTIONS / 4
            return {
                key: r if r.count is None else Reading(r.count * n, None, r.share)
                for key, r in readings.items()
            }

        monkeypatch.setattr(CounterGroup, "between", between)

    return show


@simulates
def test_real_engines(vmlab):
    result = vmlab("counters", "divides.vm", "--engines", "inlined,switch,textbook", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    jsonschema.validate(report, schema())
    inlined, switch, textbook = (engine["simulated"] for engine in report["engines"])
    assert 0 < inlined["instructions"]["count"] < switch["instructions"]["count"]
    assert textbook["instructions"]["count"] is None
    assert "Numba" in textbook["instructions"]["reason"]
    for engine in report["engines"]:
        for reading in engine["measured"].values():
            assert (reading["count"] is None) is (reading["reason"] is not None)


def test_counts_stand_in_the_table_and_reasons_below(counters, measured):
    none = Reading(None, "no such counter")
    measured(
        instructions=Reading(40.0, None, 0.5),
        cycles=Reading(20.0),
        branch_misses=Reading(1.0),
        l1d_read_misses=none,
    )
    result = counters()
    assert result.exit_code == 0
    head, table, notes = result.stdout.split("\n\n")
    assert head == "By VM instruction, of 4 in main(n = 3):"
    rows = [line.split() for line in table.splitlines()[3:]]
    cells = ["10.0", "21.0", "5.00", "0.250", "0.500", "–", "<0.0001"]
    assert rows == [["one", *cells], ["other", *cells]]
    assert "Note: no measured L1d read misses: no such counter" in notes
    assert "the counters took turns with others, and ran 50% of the time at least" in notes


def test_without_tools_the_table_says_why(counters, monkeypatch):
    monkeypatch.setattr(cachegrind, "missing_tools", lambda: "valgrind cannot be found")
    result = counters()
    assert result.exit_code == 0
    assert (
        "no simulated instructions, branch misses and L1d read misses: valgrind cannot be found"
        in result.stdout
    )
    assert "exact" not in result.stdout


def test_json_follows_the_schema_and_goes_where_it_should(counters):
    result = counters("--output", "counts.json")
    assert result.stdout == ""
    report = json.loads(Path("counts.json").read_text())
    jsonschema.validate(report, schema())
    assert report["instructions"] == 4
    assert report["engines"][0]["simulated"]["instructions"] == {"count": 84.0, "reason": None}
    assert "Written to counts.json" in result.stderr


def test_a_format_gives_the_table_alone(counters):
    result = counters("--format", "tsv")
    header, *rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [name.strip() for name in header[:3]] == [
        "engine", "instructions, measured", "instructions, simulated"
    ]  # fmt: skip
    assert len(rows) == 2
    assert "Note: " in result.stderr
    assert counters("--format", "tsv", "--json").exit_code == exits.USAGE


def test_disagreement_and_traps_count_nothing(counters):
    result = counters(one=Script(), other=Script(outcome=trapped(Trap.DIVIDE_BY_ZERO, (0, 2))))
    assert result.exit_code == exits.DIFFERS
    assert "the engines disagree, so nothing was counted" in result.stdout

    divides = Script(outcome=trapped(Trap.DIVIDE_BY_ZERO, (0, 2)))
    result = counters("--json", one=divides, other=divides, reference=divides)
    assert result.exit_code == exits.TRAPPED
    report = json.loads(result.stdout)
    jsonschema.validate(report, schema())
    assert report["instructions"] is None
    assert "divide_by_zero" in result.stderr


def test_unable_engines_stay_in_the_table(counters):
    result = counters(one=Script(), other=Script(unavailable="it is on strike"))
    assert result.exit_code == 0
    assert "other took no part: it is on strike" in result.stdout


def test_usage(counters, vmlab):
    assert vmlab("counters", "four.vm", "--engines", "nobody").exit_code == exits.USAGE
    assert counters("--output", "four.vm").exit_code == exits.USAGE
