"""table: results printed again."""

from pathlib import Path

import pytest
import tabulate
from fakes import PROGRAM, Script, engines

from vmlab.cli import exits
from vmlab.measure.compare import compare
from vmlab.report.text import report

MS = 1_000_000


@pytest.fixture
def table(vmlab):
    """Prints a.json and others; b.json holds a comparison with other engines."""
    for name, scripts in {
        "a": {"fast": Script(MS), "slow": Script(2 * MS)},
        "b": {"one": Script(MS), "other": Script(3 * MS)},
    }.items():
        with engines(**scripts) as names:
            Path(f"{name}.json").write_text(compare(PROGRAM, names, quick=True).to_json())
    return lambda *arguments: vmlab("table", *arguments)


def test_prints_what_compare_printed(vmlab):
    with engines(fast=Script(MS), slow=Script(2 * MS)) as names:
        comparison = compare(PROGRAM, names, quick=True)
    Path("a.json").write_text(comparison.to_json())
    result = vmlab("table", "a.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == report(comparison)


def test_several_results_say_which_is_which(table):
    result = table("a.json", "b.json", "--format", "github")
    assert result.stdout.count("four.vm: main(n = 3)\n\n| engine") == 2
    assert result.stdout.index("slow") < result.stdout.index("other")


@pytest.mark.parametrize("layout", tabulate.tabulate_formats)
def test_with_a_format_there_is_nothing_but_the_table(table, layout):
    result = table("a.json", "--format", layout)
    assert "slow" in result.stdout
    assert "times as long" not in result.stdout


def test_output_goes_to_a_file(table):
    result = table("a.json", "--output", "table.txt")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "slow takes 2.00" in Path("table.txt").read_text()


def test_output_to_a_dash_goes_to_stdout(table, vmlab):
    assert table("a.json", "--output", "-").stdout == table("a.json").stdout
    chosen = vmlab("superinstructions", "sum", "--output", "-")
    assert (chosen.exit_code, chosen.stdout) == (0, vmlab("superinstructions", "sum").stdout)
    assert not Path("-").exists()


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, exits.USAGE, "cannot read 'bad.json': No such file or directory"),
        (b"engine,time\n", exits.INVALID_DATA, "bad.json: this is not JSON: "),
        (b"\xff\xfe", exits.INVALID_DATA, "bad.json: this is not text in UTF-8"),
        (b"{}", exits.INVALID_DATA, "bad.json: expected a result in the schema"),
        (
            b'{"schema": "vmlab-compare/1"}',
            exits.INVALID_DATA,
            "bad.json: this result is damaged",
        ),
    ],
)
def test_what_is_no_result_is_refused(table, content, code, message):
    if content is not None:
        Path("bad.json").write_bytes(content)
    result = table("a.json", "bad.json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


def test_an_unknown_format_or_output_is_refused(table):
    result = table("a.json", "--format", "fancy")
    assert result.exit_code == exits.USAGE
    assert "did you mean 'fancy_grid'?" in result.stderr
    result = table("a.json", "--output", "nowhere/table.txt")
    assert result.exit_code == exits.USAGE
    assert "Invalid value for --output: cannot write 'nowhere/table.txt'" in result.stderr


def test_a_result_is_not_written_over(table):
    before = Path("a.json").read_bytes()
    result = table("b.json", "a.json", "--output", "./a.json")
    assert result.exit_code == exits.USAGE
    assert "Invalid value for --output: './a.json' is the result itself" in result.stderr
    assert Path("a.json").read_bytes() == before
