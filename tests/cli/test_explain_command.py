"""explain: the report and where it goes, and exit codes. What it says is tested beside reports."""

import json
import sys
from pathlib import Path
from unittest.mock import patch

from fakes import PROGRAM_OF_FOUR, Script, engines

from vmlab.attribution import SEQUENTIAL
from vmlab.cli import exits
from vmlab.measure.explain import QUICK_ROUNDS
from vmlab.measure.opcodes import OpcodeTime, OpcodeTimes
from vmlab.measure.statistics import Interval
from vmlab.outcome import Outcome

HALF = Interval(0.5, 0.4, 0.6, 0.99)
OPCODES = OpcodeTimes((OpcodeTime("add.int", 1, 0.25, HALF, HALF),), HALF, HALF, 11, 100)


def explained(vmlab, *options, opcodes=OPCODES, **changed):
    Path("four.vm").write_text(PROGRAM_OF_FOUR)
    with (
        engines(**({name: Script() for name in SEQUENTIAL.engines} | changed)),
        patch("vmlab.measure.explain.measure_opcodes", return_value=opcodes),
    ):
        return vmlab("explain", "four.vm", *options)


def test_real_engines(vmlab, monkeypatch):
    monkeypatch.setattr("vmlab.measure.opcodes.CALL_SECONDS", 0.02)
    result = vmlab("explain", "divides.vm", "--quick")
    assert result.exit_code == 0, result.stderr
    header, *lines = result.stdout.split("\n\n")[0].splitlines()
    assert header.startswith("mechanism ")
    for mechanism in SEQUENTIAL.mechanisms:
        assert sum(line.startswith(f"{mechanism.name}  ") for line in lines) == 1
    assert "took no part" not in result.stdout
    assert "Note: the engines agree on 4 expect lines and main(a = 7, b = 2): " in result.stdout
    assert "times of instructions" not in result.stdout or sys.platform != "linux"


def test_formats_leave_stdout_to_the_table(vmlab):
    result = explained(vmlab, "--quick", "--format", "github")
    mechanisms, instructions = result.stdout.split("\n\n")
    assert all(line.startswith("|") for line in mechanisms.splitlines())
    assert all(line.startswith("|") for line in instructions.splitlines())
    assert instructions.splitlines()[2].startswith("| add.int ")
    assert "Note: " in result.stderr


def test_json_to_stdout_and_to_a_file(vmlab):
    data = json.loads(explained(vmlab, "--quick", "--json").stdout)
    assert data["rounds"] == QUICK_ROUNDS
    result = explained(vmlab, "--rounds", "12", "--output", "out.json")
    assert result.stdout == ""
    assert "Written to out.json" in result.stderr
    assert json.loads(Path("out.json").read_text())["rounds"] == 12


def test_too_few_rounds_are_refused_and_the_least_do(vmlab):
    result = explained(vmlab, "--rounds", "9")
    assert result.exit_code == exits.USAGE
    assert "9 rounds for 16 costs: too few" in result.stderr
    assert explained(vmlab, "--rounds", "10").exit_code == 0


def test_options_that_exclude_each_other(vmlab):
    assert explained(vmlab, "--rounds", "12", "--quick").exit_code == exits.USAGE
    assert explained(vmlab, "--json", "--format", "github").exit_code == exits.USAGE


def test_the_program_is_not_overwritten(vmlab):
    result = explained(vmlab, "--output", "four.vm")
    assert result.exit_code == exits.USAGE
    assert Path("four.vm").read_text() == PROGRAM_OF_FOUR


def test_disagreement_is_not_explained(vmlab):
    Path("out.txt").write_text("as it was")
    wrong = Script(outcome=Outcome(5, (), None, 4))
    result = explained(vmlab, "--quick", "--output", "out.txt", switch=wrong)
    assert result.exit_code == exits.DIFFERS
    assert "The engines disagree" in result.stderr
    assert Path("out.txt").read_text() == "as it was"


def test_a_trap_is_reported(vmlab):
    result = vmlab("explain", "divides.vm", "--quick", "--arg", "b=0")
    assert result.exit_code == 70
    assert result.stdout == ""
    assert "divide_by_zero" in result.stderr
    assert "nothing was timed" in result.stderr


def test_the_picture_has_mechanisms_and_instructions(vmlab):
    result = explained(vmlab, "--quick", "--plot", "out.svg")
    assert result.exit_code == 0
    for drawn in ("stack traffic", "add.int"):
        assert drawn in Path("out.svg").read_text()
        assert drawn in result.stdout


def test_without_times_of_instructions_the_rest_stays(vmlab):
    result = explained(vmlab, "--quick", "--plot", "out.svg", opcodes="no clocks here")
    assert result.exit_code == 0
    assert "Instructions are not drawn: no clocks here" in result.stderr
    assert "Note: there are no times of instructions: no clocks here" in result.stdout
    assert "stack traffic" in result.stdout
    assert "stack traffic" in Path("out.svg").read_text()
    assert "add.int" not in Path("out.svg").read_text()


def test_it_is_not_drawn_in_the_terminal(vmlab):
    result = explained(vmlab, "--quick", "--plot", "-")
    assert result.exit_code == exits.USAGE
    assert "the terminal has the tables" in result.stderr
    assert explained(vmlab, "--output", "a.svg", "--plot", "a.svg").exit_code == exits.USAGE
