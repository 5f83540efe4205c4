"""compare: the report and where it goes, --fail-if, and exit codes. Most engines are fakes: what
comparisons are worth is tested beside `vmlab.measure`."""

import csv
import json
from pathlib import Path

import jsonschema
import pytest
import tabulate
from fakes import PROGRAM_OF_FOUR, Script, engines, trapped

from vmlab.cli import exits
from vmlab.comparison import DEFAULT_ROUNDS, Comparison
from vmlab.engines import GROUPS
from vmlab.isa import Trap
from vmlab.outcome import Outcome
from vmlab.report.json_report import schema

FOUR_IS_FOUR = f"""{PROGRAM_OF_FOUR}
expect main(3) -> 4
"""
MS = 1_000_000


@pytest.fixture
def compare(vmlab):
    """Compares two fakes, of which `slow` takes twice the time; or other ones, by name."""
    Path("four.vm").write_text(FOUR_IS_FOUR)

    def run(*options, program="four.vm", **scripts):
        with engines(**(scripts or {"fast": Script(MS), "slow": Script(2 * MS)})) as names:
            return vmlab("compare", program, "--engines", ",".join(names), "--quick", *options)

    return run


def test_real_engines(vmlab):
    result = vmlab("compare", "divides.vm", "--engines", "inlined, template", "--rounds", "7")
    assert result.exit_code == 0
    header, verdict = result.stdout.splitlines()[0], result.stdout.split("\n\n")[1]
    assert header.startswith("engine ")
    assert "template" in verdict.splitlines()[0]
    assert (
        "inlined, template and reference agree on 4 expect lines and main(a = 7, b = 2)" in verdict
    )


# The report


def test_stdout_has_table_verdict_and_notes(compare):
    result = compare()
    assert result.exit_code == 0
    table, remarks = result.stdout.split("\n\n")
    assert [line.split()[0] for line in table.splitlines() if line[0] in "efs"] == [
        "engine",
        "fast",
        "slow",
    ]
    verdict, *notes = remarks.splitlines()
    assert verdict == "slow takes 2.00 (2.00 to 2.00) times as long as fast."
    assert notes
    assert all(note.startswith("Note: ") for note in notes)
    assert "\x1b" not in result.stdout + result.stderr


def test_warnings_go_to_stderr(compare):
    script = Script(MS)
    times = iter([MS, MS, 9 * MS, 9 * MS] * 1000)  # a round takes two: a warm run, and the sample
    result = compare(fast=script, wild=Script(lambda: next(times)))
    assert "Warning: " in result.stderr
    assert "Warning: " not in result.stdout


def test_json_follows_the_schema_and_is_all_of_stdout(compare):
    result = compare("--json")
    jsonschema.validate(json.loads(result.stdout), schema())
    assert Comparison.from_json(result.stdout).ratio("slow", "fast").median == 2
    assert "times as long" not in result.stderr


@pytest.mark.parametrize("layout", tabulate.tabulate_formats)
def test_with_a_format_stdout_has_the_table_alone(compare, layout):
    result = compare("--format", layout)
    assert result.exit_code == 0
    assert "fast" in result.stdout
    assert "slow" in result.stdout
    assert "times as long" not in result.stdout
    assert "slow takes 2.00 (2.00 to 2.00) times as long as fast." in result.stderr


def test_tsv_is_read_by_other_programs(compare):
    rows = list(csv.reader(compare("--format", "tsv").stdout.splitlines(), delimiter="\t"))
    assert [row[0].strip() for row in rows] == ["engine", "fast", "slow"]
    assert len({len(row) for row in rows}) == 1


# Where it goes


def test_output_goes_to_a_file(compare):
    result = compare("--output", "result.txt")
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path("result.txt").read_text().startswith("engine")
    assert "slow takes 2.00" in result.stderr
    assert result.stderr.endswith("Written to result.txt\n")


def test_the_name_of_a_file_can_ask_for_json(compare):
    compare("--output", "result.json")
    jsonschema.validate(json.loads(Path("result.json").read_text()), schema())


@pytest.mark.parametrize(
    ("file", "reason"),
    [("nowhere/result.json", "No such file or directory"), (".", "Is a directory")],
)
def test_an_output_that_cannot_be_written_fails_before_the_run(compare, file, reason):
    fast = Script(MS)
    result = compare("--output", file, fast=fast)
    assert result.exit_code == exits.USAGE
    assert f"Invalid value for --output: cannot write '{file}': {reason}" in result.stderr
    assert not fast.calls


def test_an_output_stays_as_it_was_when_the_comparison_fails(compare):
    Path("result.json").write_text("precious")
    before = sorted(Path().iterdir())
    result = compare("--output", "result.json", "--timeout", "0.1", endless=Script(endless=True))
    assert result.exit_code == exits.INTERRUPTED
    assert "takes longer than 0.1 s" in result.stderr
    assert Path("result.json").read_text() == "precious"
    assert sorted(Path().iterdir()) == before


def test_the_program_is_not_overwritten(compare):
    for file in ("four.vm", "./four.vm"):
        result = compare("--output", file)
        assert result.exit_code == exits.USAGE
        assert "is the program itself" in result.stderr
    assert Path("four.vm").read_text() == FOUR_IS_FOUR


# What is wrong with the command


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--format", "html"], "--format is about tables: leave it out for JSON"),
        (["--output", "x.json", "--format", "html"], "--format is about tables"),
        (["--format", "fancy"], "no table format is called 'fancy'; did you mean 'fancy_grid'?"),
        (["--rounds", "20"], "--rounds and --quick exclude each other"),
        (["--fail-if", "slow>"], "'slow>' is not a condition"),
        (["--fail-if", "slwo>fast"], "did you mean 'slow'?"),
        (["--arg", "m=1"], "main has no parameter 'm' (there are: n)"),
        (["other.vm"], "unexpected extra argument (other.vm)"),
    ],
)
def test_usage_errors(compare, options, message):
    fast = Script(MS)
    result = compare(*options, fast=fast, slow=Script(2 * MS))
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert message in result.stderr
    assert not fast.calls


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "1"], "1 round for 9 engines: too few"),
        (["--rounds", "0"], "'0' is not a whole number, 1 or more"),
        (["--engines", "inlined,swich"], "no engine is called 'swich'; did you mean 'switch'?"),
        (["--engines", ""], "no engine is called ''"),
        (["--engines", "publishd"], "no engine is called 'publishd'; did you mean 'published'?"),
        (["--engines", "swich + copy"], "'swich + copy'; did you mean 'switch+copy'?"),
    ],
)
def test_usage_errors_of_real_comparisons(vmlab, options, message):
    result = vmlab("compare", "divides.vm", *options)
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert message in result.stderr


# Exit codes


def test_fail_if_that_does_not_hold(compare):
    result = compare("--fail-if", "slow>3*fast", "--fail-if", "fast > slow")
    assert result.exit_code == 0
    assert "fail-if" not in result.stderr


def test_fail_if_that_holds(compare):
    result = compare("--fail-if", "slow > 3 * fast", "--fail-if", "slow>=1.5*fast")
    assert result.exit_code == exits.DIFFERS
    assert result.stderr.endswith(
        "Error: --fail-if holds: slow >= 1.5 * fast; measured: 2.00 (2.00 to 2.00)\n"
    )
    assert "slow >" in result.stderr
    assert result.stdout.startswith("engine")


def test_fail_if_that_cannot_be_decided(compare):
    slow = Script(unavailable="no such CPU")
    result = compare("--fail-if", "slow>fast", fast=Script(MS), slow=slow, other=Script(MS))
    assert result.exit_code == exits.USAGE
    assert "--fail-if cannot be decided: " in result.stderr
    assert "slow was not timed" in result.stderr


def test_engines_that_disagree(compare):
    result = compare(fast=Script(MS), liar=Script(MS, Outcome(5, (), None, 4)))
    assert result.exit_code == exits.DIFFERS
    assert "liar has 5" in result.stdout
    assert not result.stdout.startswith("engine")


def test_a_program_that_traps(compare):
    Path("trap.vm").write_text(FOUR_IS_FOUR.split("expect")[0])
    trap = trapped(Trap.DIVIDE_BY_ZERO, (0, 2))
    scripts = {name: Script(outcome=trap) for name in ("fast", "slow", "reference")}
    result = compare(program="trap.vm", **scripts)
    assert result.exit_code == exits.TRAPPED
    assert "On all engines the program traps (divide_by_zero)" in result.stdout
    assert "trap.vm:4:5: trap: divide_by_zero: an int was divided by zero\n" in result.stderr


def test_no_engine_can_run_the_program(compare):
    result = compare(fast=Script(unavailable="no such CPU"))
    assert result.exit_code == exits.USAGE
    assert "fast: no such CPU" in result.stderr


def test_a_program_without_an_end(vmlab):
    result = vmlab("compare", "endless.vm", "--engines", "inlined,switch", "--timeout", "0.1")
    assert (result.exit_code, result.stdout) == (exits.INTERRUPTED, "")
    assert "allow more with --timeout" in result.stderr


def test_a_group_stands_for_its_engines(vmlab, monkeypatch):
    monkeypatch.setitem(GROUPS, "both", ("two", "three"))
    Path("four.vm").write_text(FOUR_IS_FOUR)
    with engines(one=Script(MS), two=Script(2 * MS), three=Script(3 * MS)):
        result = vmlab("compare", "four.vm", "--engines", "one,both,two", "--quick", "--json")
    names = [engine["name"] for engine in json.loads(result.stdout)["engines"]]
    assert names == ["one", "two", "three"]


def test_the_number_of_rounds_is_shown(vmlab):
    for command in ("compare", "explain"):
        shown = " ".join(vmlab(command, "--help").stdout.split())
        assert f"How often every engine is timed. [default: {DEFAULT_ROUNDS}]" in shown
