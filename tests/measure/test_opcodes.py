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
from vmlab.measure.opcodes import Call, Dearness, OpcodeTimes, measure_opcodes
from vmlab.outcome import Limits, bind_arguments
from vmlab.report import opcodes as report
from vmlab.report.explain_picture import instructions_of
from vmlab.supervise import Supervisor

here = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="needs Linux on x86-64"
)


def measured(program):
    args = bind_arguments(program, {})
    with Supervisor() as supervisor:
        return measure_opcodes(supervisor, program, args, Limits(), 11, lambda *_: None)


@pytest.fixture
def shortly(monkeypatch):
    monkeypatch.setattr(opcodes, "CALL_SECONDS", 0.03)


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
    assert times.calls == 11


@here
@pytest.mark.parametrize("name", ["sieve", "ping_pong"])
def test_the_time_is_spent_in_what_is_executed(shortly, monkeypatch, name):
    monkeypatch.setattr(opcodes, "LEAST_MEETINGS", 0)
    times = measured(corpus.load(name))
    assert sum(o.share for o in times.opcodes) == pytest.approx(1)
    assert times.elsewhere.median < 0.2
    assert 0.5 < sum(o.time.median for o in times.opcodes) < 1.5
    for o in times.opcodes:
        assert 0 <= o.time.low <= o.time.median <= o.time.high <= 1


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
        timed_out = False

        def call(self, *_):
            return Sample(1, trapped(Trap.INTERRUPTED, (0, 0)))

    watched = opcodes._Watched(opcodes.find(opcodes.ENGINE).build(CALLS, counting=False))
    with pytest.raises(KeyboardInterrupt):
        measure_opcodes(Interrupted(), CALLS, (1,), Limits(), 11, lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        opcodes._watch(Interrupted(), watched, (1,), Limits(), 11, lambda *_: None)


def test_addresses_are_found_in_the_functions_they_lie_in():
    functions = {"b": range(20, 30), "a": range(10, 15)}
    found = opcodes._located([9, 10, 14, 15, 20, 29, 30], functions)
    assert found == [None, "a", "a", None, "b", "b", None]
    assert opcodes._located([1, 2], {}) == [None, None]


def times() -> OpcodeTimes:
    """Of runs of 100 instructions and 200 ns; but in every second call a disturbance takes as
    long again."""
    executed = {"add.int": 30, "jmp": 20, "ret": 1, "load": 49}
    found = Counter({
        "op.add.int": 600, "op.jmp": 30, "op.jmp.backward": 170, "op.load": 99, "op.ret.value": 1,
        "enter": 40, None: 60,
    })  # fmt: skip
    disturbed = found + Counter({None: 1000})
    return opcodes.opcode_times(
        executed, [Call(found, 200), Call(disturbed, 400)] * 5 + [Call(found, 200)]
    )


def test_of_every_call_the_share_and_the_time_are_taken():
    add, jmp, load, ret = times().opcodes
    assert (add.name, add.executed, add.share) == ("add.int", 30, 0.3)
    assert (add.time.median, add.time.low, add.time.high) == (0.6, 0.3, 0.6)
    assert add.nanoseconds.median == pytest.approx(0.6 * 200 / 30)
    assert (add.nanoseconds.low, add.nanoseconds.high) == pytest.approx((4, 4))
    assert jmp.time.median == 0.2  # in both directions
    assert times().elsewhere.median == pytest.approx(0.1)
    assert times().nanoseconds.median == 2
    assert (times().calls, times().moments) == (11, 16_000)
    assert [o.dearness for o in (add, jmp, load, ret)] == [
        Dearness.UNRESOLVED, Dearness.UNRESOLVED, Dearness.CHEAPER, Dearness.UNRESOLVED,
    ]  # fmt: skip
    assert ret.name == "ret" and ret.time is None and ret.nanoseconds is None


def test_what_is_dearer():
    met = Counter({"op.add.int": 600, "op.load": 400})
    dear, cheap = opcodes.opcode_times({"add.int": 1, "load": 1}, [Call(met, 2)] * 9).opcodes
    assert (dear.dearness, cheap.dearness) == (Dearness.DEARER, Dearness.CHEAPER)


def test_the_table_and_its_notes():
    lines = report.table(times(), "tsv").splitlines()
    cells = [[cell.strip() for cell in line.split("\t")] for line in lines]
    assert cells[1] == [
        "add.int", "30", "30.0%", "60.0% (30.0 to 60.0)", "4.00 (4.00 to 4.00)", "not resolved",
    ]  # fmt: skip
    assert cells[4] == ["ret", "1", "1.0%", "–", "–", "not resolved"]
    assert cells[5][0] == "outside of all" and cells[5][3].startswith("10.0% (")
    assert cells[6][:5] == ["all", "100", "100%", "100%", "2.00 (2.00 to 4.00)"]
    assert any("interrupted at 16,000 random moments" in note for note in report.notes(times()))


def test_json_follows_the_schema():
    text = resources.files("vmlab.report").joinpath("explain.schema.json").read_text("utf-8")
    schema = json.loads(text)
    data = report.to_json(times())
    jsonschema.validate(data, {"$defs": schema["$defs"], **schema["properties"]["opcodes"]})
    assert data["instructions"][2]["beside_mean"] == "cheaper"
    assert data["instructions"][3]["time"] is None
    assert data["moments"] == 16_000


def test_the_picture_has_the_instructions_that_have_a_time():
    add, jmp, load = instructions_of(times())
    assert (add.label, jmp.label, load.label) == ("add.int", "jmp", "load")
    # what its executions take, by all instructions that are executed
    assert add.value == pytest.approx(0.3 * 0.6 * 200 / 30)
