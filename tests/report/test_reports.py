import json
import math
import os
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import tabulate
from fakes import COUNTING_LOOP, FOUR, PROGRAM, Script, engines, trapped

from vmlab.assembler import assemble
from vmlab.comparison import Comparison
from vmlab.isa import Trap
from vmlab.measure.compare import compare
from vmlab.outcome import Deadlock, Outcome, Place, TrapReport, Waiter
from vmlab.report.json_report import schema

MS = 1_000_000


def compared(program=PROGRAM, **scripts):
    with engines(**scripts) as names:
        return compare(program, names, seed=1)


def trap_program():
    return assemble(PROGRAM.source.text.replace("-> 4", "-> trap divide_by_zero"))


def make_timed():
    return compared(
        inlined=Script(1.0 * MS, compile_seconds=0.0504, assembly="jmpq *%rax"),
        template=Script(2.5 * MS, compile_seconds=0.0004, from_cache=True),
        switch=Script(16.0 * MS),
        textbook=Script(unavailable="no <Numba> & more"),
    )


def make_folded():
    return compared(
        inlined=Script(1.0 * MS, ir=COUNTING_LOOP, back_edges=10_000),
        template=Script(2.0 * MS),
    )


def make_disagreeing():
    return compared(a=Script(), b=Script(timed=Outcome(5, (), None, None)))


def make_trapped():
    trap = trapped(Trap.DIVIDE_BY_ZERO, (0, 2), (0, 0), output=(1, -0.5, math.inf, math.nan))
    return compared(
        trap_program(),
        a=Script(outcome=trap),
        b=Script(outcome=trap),
        reference=Script(outcome=trap),
    )


def make_trapped_with_tasks():
    """With all that a report of a trap can have."""
    waiters = (Waiter(0, Place(0, 1), 7, Place(0, 2)), Waiter(12, Place(0, 0), 1, Place(0, 1)))
    launches = (Place(0, 1), Place(0, 0))
    report = TrapReport(Trap.DEADLOCK, (Place(0, 2),), launches, Deadlock(1_000, waiters))
    trap = Outcome(None, (), report, 4)
    program = assemble(PROGRAM.source.text.replace("-> 4", "-> trap deadlock"))
    return compared(
        program, a=Script(outcome=trap), b=Script(outcome=trap), reference=Script(outcome=trap)
    )


KINDS = [make_timed, make_folded, make_disagreeing, make_trapped, make_trapped_with_tasks]


@pytest.fixture(scope="module")
def timed():
    return make_timed()


# JSON


@pytest.mark.parametrize("make", KINDS)
def test_json_follows_the_schema_and_reads_back_the_same(make):
    comparison = make()
    text = comparison.to_json()
    jsonschema.validate(json.loads(text), schema(), format_checker=jsonschema.FormatChecker())
    read = Comparison.from_json(text)
    assert read.to_json() == text
    assert (read.verdict, read.notes, read.warnings) == (
        comparison.verdict, comparison.notes, comparison.warnings,
    )  # fmt: skip
    assert read.table() == comparison.table()
    assert read.exit_code == comparison.exit_code


def test_json_holds_what_was_measured(timed):
    data = json.loads(timed.to_json())
    assert data["program"] == {
        "path": "four.vm", "digest": PROGRAM.digest, "text": PROGRAM.source.text,
    }  # fmt: skip
    assert data["arguments"] == {"n": "3"}
    assert data["rounds"]["seed"] == 1
    assert len(data["rounds"]["order"]) == 31
    assert data["rounds"]["samples_nanoseconds"]["switch"] == [16 * MS] * 31
    assert data["agreement"]["outcome"]["instructions"] == 4
    assert data["rows"][1]["ratio"]["median"] == 2.5


def test_json_is_ascii_whatever_the_encoding_of_stdout(timed):
    program = replace(timed.program, path=os.fsdecode(b"caf\xe9.vm"), text="; \N{SNAKE}\n")
    comparison = replace(timed, program=program)
    assert comparison.to_json().isascii()
    assert Comparison.from_json(comparison.to_json()) == comparison


def test_values_survive_that_json_does_not_know():
    outcome = Comparison.from_json(make_trapped().to_json()).agreement.outcome
    assert outcome.output[:3] == (1, -0.5, math.inf)
    assert math.isnan(outcome.output[3])
    assert isinstance(outcome.output[0], int)


def test_the_schema_is_one_and_documents_every_field(timed):
    jsonschema.Draft202012Validator.check_schema(schema())
    assert set(schema()["properties"]) == set(json.loads(timed.to_json()))
    assert set(schema()["required"]) == set(schema()["properties"])
    for name, field in schema()["properties"].items():
        assert field.get("description"), name


def test_the_schema_refuses_what_is_not_a_comparison(timed):
    data = json.loads(timed.to_json())
    data["rounds"]["samples_nanoseconds"]["switch"][0] = "fast"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is not JSON"),
        ("[1]", "expected a result in the schema 'vmlab-compare/1', found [1]"),
        ('{"schema": ["vmlab-compare/2"]}', "found ['vmlab-compare/2']"),
        ('{"schema": "other/1"}', "found 'other/1'"),
        (
            '{"schema": "vmlab-compare/2", "vmlab": "3.4"}',
            "is in the schema 'vmlab-compare/2', and vmlab 0.1.0 reads 'vmlab-compare/1': read it"
            " with the version that wrote it (3.4)",
        ),
        ("[" * 100_000, "this is not JSON"),
        ('{"schema": "vmlab-compare/1"}', "does not follow the schema"),
        ('{"schema": "vmlab-compare/1", "agreement": 3, "rounds": null}', "does not follow"),
    ],
)
def test_other_json_is_refused(text, message):
    with pytest.raises(ValueError) as info:
        Comparison.from_json(text)
    assert message in str(info.value)


def places(data):
    """Every object or array in a JSON value, with each key of an object, or the first index."""
    if isinstance(data, dict | list) and data:
        for key in list(data) if isinstance(data, dict) else [0]:
            yield data, key
            yield from places(data[key])


@pytest.mark.parametrize("wrong", [None, "x", -1, [], {"x": 1}])
def test_a_damaged_result_is_refused_or_read_but_never_more(timed, wrong):
    """Whatever is wrong with one value."""
    data = json.loads(timed.to_json())
    refused = 0
    for holder, key in list(places(data)):
        kept, holder[key] = holder[key], wrong
        try:
            str(Comparison.from_json(json.dumps(data)))
        except ValueError as error:
            refused += 1
            assert "schema" in str(error)
        holder[key] = kept
    assert refused > 20


@pytest.mark.parametrize(
    ("path", "wrong", "message"),
    [
        (("engines",), [], "$.engines: [] should be non-empty"),
        (("rounds",), [1] * 1000, "$.rounds: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,… is not of"),
        (("rounds", "order"), None, "$.rounds.order: None is not of type 'array'"),
        (("agreement", "outcome"), {}, "$.agreement.outcome: 'result' is a required property"),
        (("program", "text"), ["x" * 1000], "… is not of type 'string'"),
        (
            ("rounds", "samples_nanoseconds", "switch"),
            [1],
            "$.rounds.samples_nanoseconds.switch: expected 31 samples, one for each round in"
            " $.rounds.order, found 1",
        ),
        (("rounds", "samples_nanoseconds", "switch", 3), 0, "switch[3]: 0 is less than"),
    ],
)
def test_where_a_result_is_damaged_is_told(timed, path, wrong, message):
    data = holder = json.loads(timed.to_json())
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = wrong
    with pytest.raises(ValueError) as info:
        Comparison.from_json(json.dumps(data))
    assert message in str(info.value)
    assert len(str(info.value)) < 300


# Tables


@pytest.mark.parametrize("format", tabulate.tabulate_formats)
@pytest.mark.parametrize("make", KINDS)
def test_every_format_of_tabulate(make, format):
    comparison = make()
    text = comparison.table(format)
    for row in comparison.rows:
        assert row.engine.name in text


def test_an_unknown_format_is_refused_with_the_known_ones(timed):
    with pytest.raises(ValueError, match=r"no table format is called 'exel'; there are: .*github"):
        timed.table("exel")


def test_the_table(timed):
    expected = Path(__file__).with_name("table.txt").read_text("utf-8")
    assert timed.table() + "\n" == expected


def test_formats_for_programs_have_a_line_a_row(timed):
    for format in ("github", "pipe", "tsv", "orgtbl", "jira", "latex"):
        text = timed.table(format)
        assert sum("template" in line for line in text.splitlines()) == 1
        assert "400 µs (cached)" in text
    assert len(timed.table("tsv").splitlines()) == 5
    header, first, *_ = timed.table("tsv").splitlines()
    assert [cell.strip() for cell in header.split("\t")][3] == "ns per instruction"
    assert [cell.strip() for cell in first.split("\t")][:3] == [
        "inlined",
        "what inlined adds, told at length",
        "1.00 ms",
    ]


def test_a_folded_row_says_so_instead_of_a_ratio():
    row = make_folded().table("tsv").splitlines()[1]
    engine, _, time, *rest = (cell.strip() for cell in row.split("\t"))
    assert (engine, time) == ("inlined", "1.00 ms")
    assert rest == ["–", "–", "folded by the compiler", "–", "–", "–"]


def test_html_is_escaped_and_complete(timed):
    html = timed._repr_html_()
    assert "<table>" in html
    assert timed.verdict in html
    assert "textbook took no part: no &lt;Numba&gt; &amp; more" in html
    assert "<Numba>" not in html


def test_html_shows_warnings():
    html = compared(a=Script(), b=Script(outcome=FOUR))._repr_html_()
    assert "<b>Warning:</b> 31 rounds do not tell b from a" in html
