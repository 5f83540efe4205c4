"""publish: many comparisons in one folder; what is kept, what is measured again."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import PROGRAM, Script, engines, trapped

from vmlab import corpus
from vmlab.cli import exits
from vmlab.comparison import Comparison
from vmlab.engines import GROUPS
from vmlab.isa import Trap
from vmlab.measure.machine import Fact, describe_machine
from vmlab.outcome import Outcome
from vmlab.report.published import why_stale

MS = 1_000_000


@pytest.fixture
def publish(vmlab, monkeypatch):
    """Publishes to `out` with two fake engines, or others by name; a.vm and b.vm are there."""
    for name in ("a", "b"):
        Path(f"{name}.vm").write_text(PROGRAM.source.text)

    def run(*arguments, **scripts):
        scripts = scripts or {"fast": Script(MS), "slow": Script(2 * MS)}
        with engines(**scripts) as names, monkeypatch.context() as patch:
            patch.setitem(GROUPS, "published", tuple(names))
            return vmlab("publish", *arguments, "--output", "out")

    return run


def read(name):
    return Comparison.from_json(Path(f"out/{name}.json").read_text())


def told(result):
    """What the messages say, by program."""
    return dict(line.split(": ", 1) for line in result.stderr.splitlines())


def test_a_result_a_program_and_a_table_of_each(publish, vmlab):
    result = publish("a.vm", "b.vm")
    assert (result.exit_code, result.stdout) == (0, "")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.json", "b.json", "tables.md"]
    assert read("a").program.path == "a.vm"
    assert len(read("a").rounds.order) == 15
    text = Path("out/tables.md").read_text()
    for name in ("a", "b"):
        assert (
            f"## {name}\n\n<!-- vmlab:report {name}.json -->\n\n{read(name).table('github')}"
            in text
        )
    assert vmlab("docs", "update", "--check", "out/tables.md").exit_code == 0


def test_progress_is_told(publish):
    first, second = publish("a.vm", "b.vm").stderr.splitlines()
    assert first.startswith("a: measured")
    assert first.endswith(" s left)")
    assert "(1/2, " in first
    assert second.startswith("b: measured")
    assert second.endswith("(2/2, 0 s left)")


def test_the_whole_corpus_unless_programs_are_named(publish, monkeypatch):
    monkeypatch.setattr(corpus, "names", lambda: ["fib", "gcd"])
    publish(reference=Script(unavailable="not today"), fast=Script(MS))
    assert sorted(path.name for path in Path("out").glob("*.json")) == ["fib.json", "gcd.json"]
    assert read("fib").program.path == "fib.vm"


def test_a_second_run_keeps_what_is_still_true(publish):
    publish("a.vm")
    before = Path("out/a.json").read_bytes()
    fast = Script(MS)
    result = publish("a.vm", "b.vm", fast=fast, slow=Script(2 * MS))
    when = read("a").created[:16].replace("T", " ")
    assert told(result)["a"] == f"kept (measured {when})"
    assert told(result)["b"].startswith("measured")
    assert Path("out/a.json").read_bytes() == before
    assert "## a" in Path("out/tables.md").read_text()
    calls = len(fast.calls)
    publish("a.vm", "b.vm", fast=fast, slow=Script(2 * MS))
    assert len(fast.calls) == calls


def test_fresh_measures_again(publish):
    publish("a.vm")
    Path("out/a.json").write_text("damaged")
    assert told(publish("a.vm", "--fresh"))["a"].startswith("measured")
    assert read("a").rounds is not None


def test_other_results_in_the_folder_stay_in_the_tables(publish):
    publish("a.vm")
    publish("b.vm")
    assert "## a" in Path("out/tables.md").read_text()


def test_the_books_are_closed_where_both_sides_were_timed(publish):
    publish("a.vm")
    assert "## The books" not in Path("out/tables.md").read_text()
    publish("b.vm", late=Script(2 * MS), cpython=Script(8 * MS))
    text = Path("out/tables.md").read_text()
    assert text.index("## b") < text.index("## The books")
    assert "| b " in text[text.index("## The books") :]


def test_a_change_of_the_program_is_noticed_and_its_layout_is_none(publish):
    publish("a.vm", "b.vm")
    Path("a.vm").write_text(PROGRAM.source.text.replace("int = 3", "int = 5"))
    Path("b.vm").write_text("; a comment\n" + PROGRAM.source.text)
    five = {name: Script(MS, outcome=lambda args: Outcome(args[0] + 1, (), None, 4))
            for name in ("fast", "slow", "reference")}  # fmt: skip
    result = publish("a.vm", "b.vm", **five)
    assert "a: to be measured again: the program changed\n" in result.stderr
    assert told(result)["a"].startswith("measured")
    assert told(result)["b"].startswith("kept")
    assert read("a").arguments == {"n": 5}


@pytest.mark.parametrize(
    ("arguments", "scripts", "reason"),
    [
        (["--rounds", "9"], {"fast": Script(MS), "slow": Script(MS)}, "it has 15 rounds"),
        (
            [],
            {"fast": Script(MS), "slow": Script(MS), "new": Script(MS)},
            "its engines were others",
        ),
    ],
)
def test_other_rounds_and_engines_are_noticed(publish, arguments, scripts, reason):
    publish("a.vm")
    result = publish("a.vm", *arguments, **scripts)
    assert f"a: to be measured again: {reason}\n" in result.stderr
    assert told(result)["a"].startswith("measured")


def test_another_machine_version_or_arguments_are_noticed(publish):
    publish("a.vm")
    result, machine = read("a"), describe_machine()

    def reason(**changes):
        return why_stale(replace(result, **changes), PROGRAM, ("fast", "slow"), 15, machine)

    assert reason() is None
    assert reason(machine={**machine, "load": Fact("load", value=99.0)}) is None
    for key in ("cpu", "kernels", "numba", "usable_cpus"):
        other = {**machine, key: Fact(machine[key].label, value="another")}
        assert machine[key].label in reason(machine=other)
        older = {k: fact for k, fact in machine.items() if k != key}
        assert machine[key].label in reason(machine=older)
    assert reason(vmlab="0.0.1") == "vmlab 0.0.1 measured it"
    assert reason(arguments={"n": 4}) == "its arguments were others"
    assert reason(rounds=None) == "nothing was timed"


def test_a_program_that_traps_is_published_and_told_of(publish):
    Path("a.vm").write_text(PROGRAM.source.text.split("expect")[0])
    trap = trapped(Trap.DIVIDE_BY_ZERO, (0, 2))
    result = publish("a.vm", fast=Script(outcome=trap), reference=Script(outcome=trap))
    assert result.exit_code == exits.TRAPPED
    assert "a: On all engines the program traps (divide_by_zero), so nothing was" in result.stderr


def test_engines_that_disagree_are_published_as_such(publish):
    liar = Script(MS, Outcome(5, (), None, 4))
    result = publish("a.vm", fast=Script(MS), liar=liar)
    assert result.exit_code == exits.DIFFERS
    assert "a: An expect line fails, so nothing was timed: " in result.stderr
    assert "An expect line fails" in Path("out/tables.md").read_text()
    assert "a: to be measured again: nothing was timed" in publish("a.vm", fast=Script(MS)).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.vm"], exits.USAGE, "'none.vm' is neither a file nor a program of the corpus"),
        (["a.vm", "./a.vm"], exits.USAGE, "two programs would be published as a.json"),
        (["undefined.vm"], exits.USAGE, "main's parameter 'n: int' has no default"),
        (["a.vm", "--rounds", "1"], exits.USAGE, "1 round for 2 engines: too few"),
        (["a.vm"], exits.INVALID_DATA, "out/other.json: this is not JSON"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(publish, arguments, code, message):
    Path("undefined.vm").write_text(PROGRAM.source.text.replace(" = 3", ""))
    if code == exits.INVALID_DATA:
        Path("out").mkdir()
        Path("out/other.json").write_text("mine")
    fast = Script(MS)
    result = publish(*arguments, fast=fast, slow=Script(MS))
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert "measured" not in result.stderr
    assert not [call for call in fast.calls if not call[0]]


def test_a_folder_that_cannot_be_made(publish):
    Path("out").write_text("")
    result = publish("a.vm")
    assert result.exit_code == exits.USAGE


# Fakes of which one ends the process, without a chance to clean up, when b is timed.
KILLED = """
import os, signal, sys
from pathlib import Path
from unittest.mock import patch
from fakes import Script, engines
from vmlab.cli import command_line
from vmlab.engines import GROUPS

def nanoseconds():
    if Path("out/a.json").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return 1_000_000

with engines(fast=Script(nanoseconds), slow=Script(2_000_000)) as names:
    with patch.dict(GROUPS, published=tuple(names)):
        command_line()
"""


def test_a_killed_run_goes_on_where_it_was(publish):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "publish", "a.vm", "b.vm", "--output", "out"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in Path("out").iterdir()] == ["a.json"]
    before = Path("out/a.json").read_bytes()
    assert json.loads(before)["schema"] == "vmlab-compare/1"
    result = publish("a.vm", "b.vm")
    assert told(result)["a"].startswith("kept (measured 20")
    assert told(result)["b"].startswith("measured")
    assert Path("out/a.json").read_bytes() == before
    assert "## b" in Path("out/tables.md").read_text()
