"""trace: the timeline of a program's tasks, and that its file is what the format wants."""

import json
from pathlib import Path

import pytest

from vmlab import corpus
from vmlab.cli import exits
from vmlab.outcome import Limits
from vmlab.reference import Reference

GOLDEN = Path(__file__).parent / "ping_pong.trace.json"
WITH_TASKS = [name for name in corpus.names() if corpus.load(name).has_tasks]

DEADLOCKED = """\
func waits(c: chan[int])
    load c
    recv
    pop
    pop
    ret
end

func main()
    push 0
    chan int
    spawn waits
    join
    ret
end
"""


def read(text):
    """The events of a file: by their phase, all of one worker and in the order of time."""
    events = json.loads(text)["traceEvents"]
    assert {(event["pid"], event["tid"]) for event in events} == {(1, 1)}
    timed = [event for event in events if event["ph"] != "M"]
    assert [event["ts"] for event in timed] == sorted(event["ts"] for event in timed)
    return {phase: [e for e in timed if e["ph"] == phase] for phase in "Xsfi"}


def check(phases, instructions):
    """Slices follow one another up to the end, and all else lies in the slice it belongs to."""
    now = 0
    turns = {}
    for turn in phases["X"]:
        assert turn["ts"] == now and turn["dur"] > 0
        turns.update(dict.fromkeys(range(now, now + turn["dur"]), turn["args"]["task"]))
        now += turn["dur"]
    assert now == instructions
    starts = {turn["ts"] for turn in phases["X"]}
    begun = {event["id"]: event for event in phases["s"]}
    assert len(begun) == len(phases["s"]) == len(phases["f"])
    for end in phases["f"]:
        begin = begun.pop(end["id"])
        assert (begin["name"], begin["cat"]) == (end["name"], end["cat"])
        assert begin["ts"] < end["ts"] and end["ts"] in starts and end["bp"] == "e"
    *moments, last = phases["i"]
    assert last["ts"] == instructions
    for moment in moments:
        assert moment["s"] == "t"
        assert turns[moment["ts"]] == moment["args"]["task"]
        assert moment["ts"] + 1 in starts | {instructions}
    return turns


@pytest.mark.parametrize("name", WITH_TASKS)
def test_turns_fill_the_run_and_arrows_lead_to_them(vmlab, name):
    program = corpus.load(name)
    for expectation in program.expectations:
        pairs = zip(program.main.params, expectation.args, strict=True)
        args = [text for p, value in pairs for text in ("--arg", f"{p.name}={value}")]
        expected = Reference(program, True).call(expectation.args, Limits()).outcome
        result = vmlab("trace", name, *args, "--max-events", "1000000")
        assert result.exit_code == (exits.TRAPPED if expected.trap else 0)
        phases = read(result.stdout)
        turns = check(phases, expected.instructions)
        # Each task but main is launched once, by an arrow that leads to its first turn.
        first = {task: at for at, task in sorted(turns.items(), reverse=True) if task}
        spawned = [e for e in phases["f"] if e["name"] == "spawn"]
        assert sorted(e["ts"] for e in spawned) == sorted(first.values())


def test_the_timeline_of_ping_pong(vmlab):
    Path("ping_pong.vm").write_text(Path(corpus.load("ping_pong").source.path).read_text())
    result = vmlab("trace", "ping_pong.vm", "--arg", "n=2", "--output", "pp.json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "Written to pp.json: 7 turns of 2 tasks\n"
    assert Path("pp.json").read_text() == GOLDEN.read_text()


def test_a_program_without_tasks_is_one_turn(vmlab):
    result = vmlab("trace", "divides.vm")
    assert (result.exit_code, result.stderr) == (0, "")
    [turn] = read(result.stdout)["X"]
    assert (turn["name"], turn["ts"], turn["dur"]) == ("main", 0, 10)


def test_a_deadlock_is_in_the_file_and_reported(vmlab):
    Path("stuck.vm").write_text(DEADLOCKED)
    result = vmlab("trace", "stuck.vm", "--output", "stuck.json")
    assert result.exit_code == exits.TRAPPED
    assert "stuck.vm:13:5: trap: deadlock" in result.stderr
    phases = read(Path("stuck.json").read_text())
    check(phases, 6)
    assert [event["name"] for event in phases["i"]] == [
        "waits for the end of task 1", "waits to receive from channel 1", "trap: deadlock",
    ]  # fmt: skip
    assert [event["args"]["at"] for event in phases["i"]] == [
        "stuck.vm:13", "stuck.vm:3", "stuck.vm:13",
    ]  # fmt: skip


def test_a_file_that_is_full_ends_with_a_turn_and_says_so(vmlab):
    result = vmlab("trace", "ping_pong", "--arg", "n=1_000", "--max-events", "100")
    assert result.exit_code == 0
    phases = read(result.stdout)
    assert 96 < sum(map(len, phases.values())) - 1 <= 100
    recorded = json.loads(result.stdout)["otherData"]["recorded"]
    check(phases, recorded)
    assert phases["i"][-1]["name"].startswith("no room: ")
    assert f"the timeline ends after {recorded:,} of " in result.stderr
    assert "--max-events" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "trap"),
    [
        (["--timeout", "0.1"], exits.INTERRUPTED, "interrupted"),
        (["--fuel", "10_000"], exits.TRAPPED, "out_of_fuel"),
    ],
)
def test_what_runs_for_ever_is_stopped_and_written(vmlab, options, code, trap):
    result = vmlab("trace", "endless.vm", *options)
    assert result.exit_code == code
    about = json.loads(result.stdout)["otherData"]
    assert about["trap"] == trap
    check(read(result.stdout), about["instructions"])


def test_bad_input_leaves_the_file_as_it_was(vmlab):
    Path("out.json").write_text("before")
    for arguments, code in (
        (["invalid.vm"], exits.INVALID_PROGRAM),
        (["missing.vm"], exits.USAGE),
        (["divides.vm", "--arg", "c=1"], exits.USAGE),
        (["divides.vm", "--max-events", "3"], exits.USAGE),
        (["divides.vm", "--output", "divides.vm"], exits.USAGE),
        (["divides.vm", "--output", "no/such.json"], exits.USAGE),
    ):
        result = vmlab("trace", "--output", "out.json", *arguments)
        assert (result.exit_code, result.stdout) == (code, "")
    assert Path("out.json").read_text() == "before"
