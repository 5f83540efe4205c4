"""The times of instructions: of programs of which one knows where the time goes, and the report."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from importlib import resources

import jsonschema
import pytest
from fakes import trapped

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import Sample
from vmlab.isa import Trap
from vmlab.measure import opcodes
from vmlab.measure.opcodes import Dearness, OpcodeTimes, measure_opcodes
from vmlab.outcome import Limits, bind_arguments
from vmlab.report import opcodes as report
from vmlab.supervise import Supervisor

here = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="needs Linux on x86-64"
)


def measured(program, limits=None):
    args = bind_arguments(program, {})
    with Supervisor() as supervisor:
        return measure_opcodes(supervisor, program, args, limits or Limits(), lambda *_: None)


@pytest.fixture
def shortly(monkeypatch):
    monkeypatch.setattr(opcodes, "SECONDS", 0.3)


# Every call sets 2000 locals to zero.
CALLS = assemble(
    "func f()\n" + "".join(f"    local x{i}: int\n" for i in range(2000)) + "    ret\nend\n"
    "func main(n: int = 1000)\nagain:\n    call f\n    load n\n    push 1\n    sub\n    dup\n"
    "    store n\n    jnz again\n    ret\nend\n"
)


@here
def test_the_instruction_that_does_most_takes_most_of_the_time(shortly):
    times = measured(CALLS)
    first, *others = times.opcodes
    assert (first.name, first.executed) == ("call", 1000)
    assert first.time.low > 0.5
    assert first.dearness is Dearness.DEARER
    assert {o.name: o.executed for o in others} == {
        "load": 1000, "push": 1000, "sub.int": 1000, "dup": 1000, "store": 1000, "jnz": 1000,
        "ret": 1001,
    }  # fmt: skip
    assert all(o.dearness is not Dearness.DEARER for o in others)


@here
@pytest.mark.parametrize("name", ["sieve", "ping_pong"])
def test_shares_add_up_and_the_time_is_spent_in_instructions(shortly, name):
    times = measured(corpus.load(name))
    assert sum(o.time.value for o in times.opcodes) + times.elsewhere.value == pytest.approx(1)
    assert sum(o.share for o in times.opcodes) == pytest.approx(1)
    assert times.elsewhere.value < 0.5
    together = sum(o.executed * o.nanoseconds.value for o in times.opcodes)
    whole = times.nanoseconds * sum(o.executed for o in times.opcodes)
    assert together == pytest.approx(whole * (1 - times.elsewhere.value))


@here
def test_a_program_that_cannot_be_counted_says_so():
    program = assemble("func main() -> int\n    push 1\n    push 0\n    div\n    ret\nend\n")
    assert "does not get to its end" in measured(program)


def test_where_there_is_no_program_counter_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(sys, "platform", "plan9")
    assert measured(CALLS) == "where a thread is in its code can be read on Linux on x86-64 only"


@here
def test_an_interruption_ends_it():
    class Interrupted:
        def call(self, *_):
            return Sample(1, trapped(Trap.INTERRUPTED, (0, 0)))

    watched = opcodes._Watched(opcodes.find(opcodes.ENGINE).build(CALLS, counting=False))
    with pytest.raises(KeyboardInterrupt):
        measure_opcodes(Interrupted(), CALLS, (1,), Limits(), lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        opcodes._watch(Interrupted(), watched, (1,), Limits(), lambda *_: None)


def test_addresses_are_found_in_the_functions_they_lie_in():
    functions = {"b": range(20, 30), "a": range(10, 15)}
    found = opcodes._located([9, 10, 14, 15, 20, 29, 30], functions)
    assert found == [None, "a", "a", None, "b", "b", None]
    assert opcodes._located([1, 2], {}) == [None, None]


def times() -> OpcodeTimes:
    """A run of 100 instructions and 200 ns."""
    executed = {"add.int": 30, "jmp": 20, "ret": 1, "load": 49}
    found = Counter({
        "op.add.int": 600, "op.jmp": 30, "op.jmp.backward": 170, "op.load": 100, "enter": 40,
        None: 60,
    })  # fmt: skip
    return opcodes._times(executed, found, 200)


def test_circumstances_are_added_up():
    by_name = {o.name: o for o in times().opcodes}
    assert list(by_name) == ["add.int", "jmp", "load", "ret"]
    assert by_name["jmp"].time.value == 0.2
    assert by_name["jmp"].nanoseconds.value == 0.2 * 200 / 20
    assert by_name["ret"].time.value == 0 < by_name["ret"].time.high
    assert times().elsewhere.value == 0.1
    assert [o.dearness for o in times().opcodes] == [
        Dearness.DEARER, Dearness.UNRESOLVED, Dearness.CHEAPER, Dearness.CHEAPER,
    ]  # fmt: skip


def test_the_table_and_its_notes():
    lines = report.table(times(), "tsv").splitlines()
    cells = [[cell.strip() for cell in line.split("\t")] for line in lines]
    assert cells[1][:3] == ["add.int", "30", "30.0%"]
    assert cells[1][3].startswith("60.0% (5") and cells[1][4].startswith("4.00 (3.")
    assert cells[2][0] == "jmp" and cells[2][5] == "not resolved"
    assert cells[4][0] == "ret" and cells[4][4].startswith("below 1.")
    assert cells[5][:3] == ["outside of all", "–", "–"]
    assert cells[6] == ["all", "100", "100%", "100%", "2.00", "–"]
    assert any("1,000 random moments" in note for note in report.notes(times()))


def test_json_follows_the_schema():
    text = resources.files("vmlab.report").joinpath("explain.schema.json").read_text("utf-8")
    schema = json.loads(text)
    data = report.to_json(times())
    jsonschema.validate(data, {"$defs": schema["$defs"], **schema["properties"]["opcodes"]})
    assert data["instructions"][0]["beside_mean"] == "dearer"
    assert data["samples"] == 1000


def test_the_picture_has_the_instructions_that_were_met():
    svg = report.picture(times(), "four.vm", "svg").decode()
    assert "add.int" in svg
    assert "ret" not in svg.replace("interrupted", "")
