"""plot, and compare --plot: pictures in files and in the terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import COUNTING_LOOP, PROGRAM, Script, engines, trapped

from vmlab.cli import exits
from vmlab.isa import Trap
from vmlab.measure.compare import compare

MS = 1_000_000
SCRIPTS = {"inlined": Script(MS), "template": Script(3 * MS), "switch": Script(4 * MS)}


def result(path, **scripts):
    with engines(**(scripts or SCRIPTS)) as names:
        Path(path).write_text(compare(PROGRAM, names, quick=True).to_json())


@pytest.fixture
def plot(vmlab):
    """Plots a.json and others; b.json is there too."""
    result("a.json")
    result("b.json")
    return lambda *arguments: vmlab("plot", *arguments)


def test_one_result_in_the_terminal(plot, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    drawn = plot("a.json")
    assert (drawn.exit_code, drawn.stderr) == (0, "")
    title, below, empty, *bars = drawn.stdout.splitlines()
    assert title == "four.vm: main(n = 3), ns per VM instruction"
    assert below.startswith("medians of 11 rounds, 97.50% bounds (sign test); ")
    assert empty == ""
    assert [bar.split()[0] for bar in bars] == ["inlined", "template", "switch"]
    assert {len(bar) for bar in bars} == {70}
    assert "\x1b" not in drawn.stdout


def test_several_results_are_a_bar_each(plot):
    *bars, key = plot("a.json", "b.json", "--output", "-").stdout.splitlines()[3:]
    assert [bar.split()[0] for bar in bars] == ["four", "four"]
    assert key == "█ inlined  ░ template  ▓ switch"


def test_an_encoding_without_blocks_gets_ascii(plot):
    done = subprocess.run(
        [sys.executable, "-m", "vmlab", "plot", "a.json"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert b"###" in done.stdout
    assert b"\\u" not in done.stdout


@pytest.mark.parametrize(
    ("suffix", "begin"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]
)
def test_the_suffix_is_the_format(plot, suffix, begin):
    drawn = plot("a.json", "b.json", "--output", f"all.{suffix}")
    assert (drawn.exit_code, drawn.stdout) == (0, "")
    assert Path(f"all.{suffix}").read_bytes().startswith(begin)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["a.json", "--output", "a.gif"],
            exits.USAGE,
            "'a.gif' does not end in .svg, .png or .pdf; - draws in the terminal",
        ),
        (
            ["a.json", "--output", "nowhere/a.svg"],
            exits.USAGE,
            "--output: cannot write 'nowhere/a.svg': No such file or directory",
        ),
        (["a.json", "c.json"], exits.USAGE, "cannot read 'c.json'"),
        (["trap.json"], exits.INVALID_DATA, "nothing was timed, so there is nothing to draw"),
        (["a.json", "other.json"], exits.INVALID_DATA, "no engine of the ladder was timed"),
    ],
)
def test_what_cannot_be_drawn(plot, arguments, code, message):
    trap = trapped(Trap.DIVIDE_BY_ZERO, (0, 2))
    result("trap.json", a=Script(outcome=trap), reference=Script(outcome=trap))
    result("other.json", other=Script(MS))
    drawn = plot(*arguments)
    assert (drawn.exit_code, drawn.stdout) == (code, "")
    assert message in drawn.stderr
    assert not Path("a.gif").exists()


# compare --plot


@pytest.fixture
def compare_and_plot(vmlab):
    Path("four.vm").write_text(PROGRAM.source.text)

    def run(*options, **scripts):
        with engines(**(scripts or SCRIPTS)) as names:
            return vmlab("compare", "four.vm", "--engines", ",".join(names), "--quick", *options)

    return run


def test_a_comparison_with_a_picture(compare_and_plot):
    done = compare_and_plot("--plot", "four.svg")
    assert done.exit_code == 0
    assert done.stdout.startswith("engine")
    assert b"<svg" in Path("four.svg").read_bytes()


def test_a_picture_below_the_report(compare_and_plot):
    report = compare_and_plot().stdout
    done = compare_and_plot("--plot", "-")
    assert done.stdout.startswith(report)
    assert "four.vm: main(n = 3), ns per VM instruction" in done.stdout[len(report) :]


def test_a_report_in_a_file_and_a_picture_in_the_terminal(compare_and_plot):
    done = compare_and_plot("--plot", "-", "--output", "four.json")
    assert done.stdout.startswith("four.vm: main(n = 3)")
    assert Path("four.json").read_text().startswith("{")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plot", "four.jpeg"], "'four.jpeg' does not end in .svg, .png or .pdf"),
        (["--plot", "nowhere/four.svg"], "--plot: cannot write 'nowhere/four.svg'"),
        (["--plot", "-", "--json"], "cannot both go to stdout"),
        (["--plot", "-", "--format", "tsv"], "cannot both go to stdout"),
        (["--plot", "x.svg", "--output", "x.svg"], "--output and --plot name the same file"),
    ],
)
def test_a_picture_that_cannot_be_made_is_refused_before_the_run(
    compare_and_plot, options, message
):
    script = Script(MS)
    done = compare_and_plot(*options, inlined=script)
    assert (done.exit_code, done.stdout) == (exits.USAGE, "")
    assert message in done.stderr
    assert not script.calls
    assert not list(Path().glob("*.svg"))


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        (
            Script(MS, outcome=trapped(Trap.DIVIDE_BY_ZERO, (0, 2))),
            exits.DIFFERS,  # from the expect line
            "Not drawn: nothing was timed",
        ),
        (
            Script(MS, ir=COUNTING_LOOP, back_edges=10_000),
            0,
            "Not drawn: all that was timed folded",
        ),
    ],
)
def test_where_there_is_nothing_to_draw_the_old_picture_stays(
    compare_and_plot, script, code, message
):
    Path("four.svg").write_text("precious")
    done = compare_and_plot("--plot", "four.svg", inlined=script)
    assert done.exit_code == code
    assert message in done.stderr
    assert Path("four.svg").read_text() == "precious"
