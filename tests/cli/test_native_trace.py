"""trace on native workers: the timeline is consistent, and with one worker it is the reference's;
what ends early is written as far as it went."""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
import time
from array import array
from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from vmlab import corpus, recording, timeline
from vmlab.assembler import assemble
from vmlab.cli import exits
from vmlab.engines import EngineUnavailable, find
from vmlab.isa import TASK_RECORD_WORDS, WORD_BYTES
from vmlab.kernels.scheduler.layout import Log
from vmlab.kernels.scheduler.notes import Kind
from vmlab.kernels.task_recording import recorder
from vmlab.outcome import Limits, Place, bind_arguments
from vmlab.program import Program
from vmlab.supervise import Supervisor
from vmlab.timeline import Timeline

ARGUMENTS = {
    "concurrent_sieve": {"n": 20},
    "deep_yield": {"turns": 10, "depth": 5},
    "fan": {"n": 100},
    "many_tasks": {"n": 300},
    "philosophers": {"meals": 30},
    "pipeline": {"n": 200},
}

# Three tasks: one that computes for ever, and one that waits for another that waits for ever.
ENDLESS = """\
func turns()
again:
    jmp again
end
func sleeps(c: chan[int])
    load c
    recv
    pop
    pop
    ret
end
func joins(c: chan[int])
    load c
    spawn sleeps
    join
    ret
end
func main()
    push 0
    chan int
    spawn joins
    pop
    spawn turns
    join
    ret
end
"""

DIVIDES = """\
func divides(a: int) -> int
    push 1
    load a
    div
    ret
end
func main(a: int = 0) -> int
    load a
    spawn divides
    join
    ret
end
"""

JOIN_WITHOUT_WAIT = """\
func nothing()
    ret
end
func main()
    spawn nothing
    join
    ret
end
"""


@functools.cache
def reference(name: str) -> tuple[Any, Timeline]:
    program = corpus.load(name)
    args = bind_arguments(program, ARGUMENTS[name])
    with Supervisor() as supervisor:
        return timeline.record(supervisor, program, args, Limits(), 10**6)


def options(name: str) -> list[str]:
    return [o for p, value in ARGUMENTS[name].items() for o in ("--arg", f"{p}={value}")]


class File:
    """A timeline as a viewer reads it, and that it is what the format and the scheduler allow."""

    def __init__(self, text: str) -> None:
        file = json.loads(text)
        self.about, events = file["otherData"], file["traceEvents"]
        assert file["displayTimeUnit"] == "ns"
        names = [e for e in events if e["name"] == "thread_name"]
        rows = {(e["pid"], e["tid"]): e["args"]["name"] for e in names}
        assert rows == {(1, n + 1): f"worker {n}" for n in range(self.about["workers"])}
        timed = [event for event in events if event["ph"] != "M"]
        assert {(event["pid"], event["tid"]) for event in timed} <= set(rows)
        assert [e["ts"] for e in timed] == sorted(e["ts"] for e in timed)
        phases = {phase: [e for e in timed if e["ph"] == phase] for phase in "Xsfi"}
        assert sum(map(len, phases.values())) == len(timed)
        self.slices, self.begins, self.ends, self.marks = phases.values()
        self.turns = [turn for turn in self.slices if turn["cat"] == "task"]
        self.events = len(timed)
        self._check_slices()
        self._check_arrows()

    def _check_slices(self) -> None:
        end = self.about["recorded"] / 1000
        for by in (lambda e: e["tid"], lambda e: e["args"].get("task", (e["tid"], "asleep"))):
            rows: dict[Any, list[Any]] = {}
            for event in self.slices:
                rows.setdefault(by(event), []).append(event)
            for row in rows.values():
                for before, after in pairwise(row):
                    assert before["ts"] + before["dur"] <= after["ts"] + 1e-9
        assert all(e["dur"] >= 0 and e["ts"] + e["dur"] <= end + 1e-9 for e in self.slices)

    def _check_arrows(self) -> None:
        started = {event["id"]: event for event in self.begins}
        assert len(started) == len(self.begins) == len(self.ends)
        turns = {(turn["tid"], turn["ts"]): turn for turn in self.turns}
        for end in self.ends:
            begin = started.pop(end["id"])
            assert (begin["name"], end["bp"]) == (end["name"], "e")
            assert begin["ts"] < end["ts"]
            assert (end["tid"], end["ts"]) in turns
        by_row: dict[int, list[Any]] = {}
        for turn in self.turns:
            by_row.setdefault(turn["tid"], []).append(turn)
        for begin in self.begins:
            row = by_row[begin["tid"]]
            turn = row[bisect_right(row, begin["ts"], key=lambda turn: turn["ts"]) - 1]
            assert turn["ts"] <= begin["ts"] < turn["ts"] + turn["dur"]

    def launched(self) -> Counter[int]:
        """How often a `spawn` leads to a turn of each task."""
        turns = {(turn["tid"], turn["ts"]): turn["args"]["task"] for turn in self.turns}
        spawns = [end for end in self.ends if end["name"] == "spawn"]
        return Counter(turns[end["tid"], end["ts"]] for end in spawns)

    def finished(self) -> Counter[int]:
        return Counter(m["args"]["task"] for m in self.marks if m["name"] == "finish")


@pytest.mark.parametrize(
    ("name", "engine", "workers"),
    [
        ("concurrent_sieve", "inlined", 2),
        ("fan", "inlined", 4),
        ("many_tasks", "template", 3),
        ("philosophers", "inlined", 2),
    ],
)
def test_several_workers(vmlab, name, engine, workers):
    native = "--engine", engine, "--workers", str(workers), "--max-events", "1000000"
    result = vmlab("trace", name, *options(name), *native)
    assert (result.exit_code, result.stderr) == (0, "")
    file = File(result.stdout)
    assert (file.about["engine"], file.about["workers"]) == (engine, workers)
    assert file.about["digest"] == corpus.load(name).digest
    assert file.about["recorded"] == file.about["nanoseconds"]
    assert file.marks[-1]["name"] == "end of main"
    _, expected = reference(name)
    # Who does not begin before main ends is in no turn.
    launched = set(expected.launches) - {0}
    assert set(file.launched().values()) == {1}
    assert set(file.launched()) <= launched
    assert {turn["args"]["task"] for turn in file.turns} == {0, *file.launched()}
    assert set(file.finished().values()) <= {1}
    if name != "philosophers":  # where main waits for all
        assert set(file.launched()) == launched
    if name == "many_tasks":
        assert set(file.finished()) == launched


def bare(moments):
    return [(m.what, m.task, m.place, m.awaited) for m in moments]


@pytest.mark.parametrize(
    ("name", "engine"),
    [*((name, "inlined") for name in ARGUMENTS), ("deep_yield", "template")],
)
def test_one_worker_takes_the_turns_that_the_reference_takes(name, engine):
    program = corpus.load(name)
    args = bind_arguments(program, ARGUMENTS[name])
    with Supervisor() as supervisor:
        outcome, native = recording.record(supervisor, program, find(engine), args, Limits(), 10**6)
    expected, turns = reference(name)
    assert not outcome.differences(expected)
    assert (native.recorded, native.total) == (native.slices[-1].end,) * 2
    # A `yield` of the only one that is ready changes nothing, and is not seen here.
    merged = [turn.task for turn in turns.slices]
    merged = [task for task, before in zip(merged, [None, *merged], strict=False) if task != before]
    assert [turn.task for turn in native.slices] == merged
    if len(merged) == len(turns.slices):
        assert bare(native.moments) == bare(turns.moments)
    arrows = [[(a.cause, a.source, a.task) for a in t.arrows] for t in (native, turns)]
    assert arrows[0] == arrows[1]
    assert all(native.launches[task] == turns.launches[task] for task in native.launches)


def test_a_file_that_is_full_ends_and_says_so(vmlab):
    native = "--engine", "inlined", "--workers", "2", "--max-events", "100"
    result = vmlab("trace", "ping_pong", "--arg", "n=1_000", *native)
    assert result.exit_code == 0
    file = File(result.stdout)
    assert 90 < file.events - 1 <= 100
    assert file.about["recorded"] < file.about["nanoseconds"]
    assert file.marks[-1]["name"].startswith("no room: ")
    assert "Warning: the timeline ends after " in result.stderr
    assert "--max-events" in result.stderr


def test_a_log_that_is_full_ends_the_timeline_before_what_is_missing():
    """A thousand tasks get ready before the first has its turn."""
    program = corpus.load("many_tasks")
    inlined = find("inlined")
    with Supervisor() as supervisor:
        outcome, cut = recording.record(supervisor, program, inlined, (1_000,), Limits(), 200)
        _, whole = recording.record(supervisor, program, inlined, (1_000,), Limits(), 100_000)
    assert outcome.trap is None
    assert cut.recorded is not None and 0 < cut.recorded < cut.total
    [turn] = cut.slices
    assert (turn.task, turn.end, cut.arrows) == (0, cut.recorded, [])
    assert whole.recorded == whole.total and len(whole.launches) == 1_001


CALL = Supervisor.call


def interrupt(supervisor, executable, args, limits):
    """Ctrl-C as soon as something is recorded."""

    def press():
        log = executable._logs[0]
        while not executable._written(log):
            time.sleep(0.001)
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    return CALL(supervisor, executable, args, limits)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("way", ["timeout", "ctrl-c"])
def test_what_runs_for_ever_is_stopped_and_written(vmlab, monkeypatch, workers, way):
    Path("on.vm").write_text(ENDLESS)
    if way == "ctrl-c":
        monkeypatch.setattr(Supervisor, "call", interrupt)
    timeout = ["--timeout", "0.1"] if way == "timeout" else []
    native = "--engine", "inlined", "--workers", str(workers), "--output", "on.json"
    result = vmlab("trace", "on.vm", *native, *timeout)
    assert result.exit_code == exits.INTERRUPTED
    file = File(Path("on.json").read_text())
    assert file.about["trap"] == "interrupted"
    assert file.marks[-1]["name"] == "trap: interrupted"
    assert {turn["name"] for turn in file.turns} == {
        "main", "task 1: joins", "task 2: turns", "task 3: sleeps",
    } or workers == 1  # fmt: skip
    last = max(file.turns, key=lambda turn: turn["dur"])
    assert last["name"] == "task 2: turns"
    assert last["ts"] + last["dur"] == pytest.approx(file.about["nanoseconds"] / 1000, rel=0.5)
    if workers == 2:
        assert any(rest["name"] == "asleep" for rest in file.slices)


def test_what_stopped_it_is_told_however_long_the_timeline_takes(vmlab, monkeypatch):
    build = recording._Builder.build

    def slowly(builder):
        time.sleep(2)
        build(builder)

    Path("on.vm").write_text(ENDLESS)
    monkeypatch.setattr(Supervisor, "call", interrupt)
    monkeypatch.setattr(recording._Builder, "build", slowly)
    native = "--engine", "inlined", "--timeout", "2", "--output", "on.json"
    assert "interrupted: by Ctrl-C" in vmlab("trace", "on.vm", *native).stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_trap_is_on_the_row_where_it_happened(vmlab, workers):
    Path("divides.vm").write_text(DIVIDES)
    native = "--engine", "template", "--workers", str(workers)
    result = vmlab("trace", "divides.vm", *native)
    assert result.exit_code == exits.TRAPPED
    assert "divides.vm:4:5: trap: divide_by_zero" in result.stderr
    file = File(result.stdout)
    trap = file.marks[-1]
    assert (trap["name"], trap["args"]) == ("trap: divide_by_zero", {"at": "divides.vm:4"})
    [turn] = [turn for turn in file.turns if turn["name"] == "task 1: divides"]
    assert turn["tid"] == trap["tid"]


def test_a_deadlock(vmlab):
    native = "--engine", "inlined", "--workers", "2"
    result = vmlab("trace", "fan", "--arg", "n=1", "--arg", "workers=0", *native)
    assert result.exit_code == exits.TRAPPED
    file = File(result.stdout)
    assert [m["name"] for m in file.marks] == ["waits to send to channel 1", "trap: deadlock"]


def test_what_others_run_has_no_notes():
    program = corpus.load("fan")
    for workers in (1, 2):
        plain = find("inlined").build(program, counting=False, workers=workers)._make_ir()
        assert "notes." not in plain and "cyclecounter" not in plain
        recorded = recorder(program, "inlined", workers, 10)._make_ir()
        assert "notes." in recorded and "cyclecounter" in recorded


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fan", "--workers", "2"], "take 'inlined' or 'template'"),
        (["fan", "--engine", "switch"], "take 'inlined' or 'template'"),
        (["fan", "--engine", "inlined+stackful"], "take 'inlined' or 'template'"),
        (["fan", "--engine", "inlined", "--workers", "33"], "at most 32"),
        (["fan", "--engine", "inlined", "--fuel", "10"], "--fuel"),
        (["divides.vm", "--engine", "inlined"], "no tasks"),
    ],
)
def test_what_cannot_be_recorded_says_why(vmlab, arguments, message):
    Path("out.json").write_text("before")
    result = vmlab("trace", "--output", "out.json", *arguments)
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert message in result.stderr
    assert Path("out.json").read_text() == "before"


# Events that no program makes at will


def built(program: Program, *events: recording.Event) -> Timeline:
    class Recorder(recording.Recorder):
        def call(self, args, limits, iterations=1):
            raise NotImplementedError

        interrupt = call

        def events(self):
            return iter(events)

        def launch(self, task):
            return (Place(program.main_index, 0), 0) if task else (None, None)

    result = Timeline(100)
    recording._Builder(program, Recorder(), result).build()
    return result


def test_a_task_that_ends_while_another_goes_to_join_it():
    program = assemble(JOIN_WITHOUT_WAIT)
    join = Place(program.main_index, 1)
    E = recording.Event
    turns = built(
        program,
        E(0, 0, Kind.READY, task=0),
        E(1, 0, Kind.BEGINS, task=0),
        E(2, 0, Kind.READY, task=1),
        E(3, 1, Kind.BEGINS, task=1),
        E(4, 0, Kind.LEAVES, place=join, awaited=1),
        E(5, 0, Kind.BEGINS, task=0),
        E(6, 1, Kind.FINISHES),
        E(7, 0, Kind.STOPS),
    )
    assert [(s.task, s.worker, s.start, s.end) for s in turns.slices] == [
        (0, 0, 1, 4), (1, 1, 3, 6), (0, 0, 5, 7),
    ]  # fmt: skip
    assert [(a.cause, a.at, a.start, a.at_worker, a.worker) for a in turns.arrows] == [
        ("spawn", 2, 3, 0, 1)
    ]


def test_clocks_that_are_not_in_step_are_found():
    program = assemble(JOIN_WITHOUT_WAIT)
    E = recording.Event
    with pytest.raises(EngineUnavailable, match=r"task 1 .* not in step"):
        built(
            program,
            E(0, 0, Kind.BEGINS, task=0),
            E(1, 1, Kind.BEGINS, task=1),
            E(2, 0, Kind.READY, task=1),
        )


def test_a_counter_that_ticks_slowly_changes_no_order():
    """Task 1 gets ready on worker 1 and begins on worker 0 within a tick."""
    made = recorder(assemble(JOIN_WITHOUT_WAIT), "inlined", 2, 10)
    made.call((), Limits())
    main = made.state.context.records
    task = main + WORD_BYTES * TASK_RECORD_WORDS
    for log, notes in zip(
        made._logs,
        (
            [(7, Kind.BEGINS, task, 0), (7, Kind.FINISHES, 0, 0), (6, Kind.STOPS, 0, 0)],
            [(5, Kind.READY, main, 0), (6, Kind.BEGINS, main, 0), (7, Kind.READY, task, 0)],
        ),
        strict=True,
    ):
        words = [word for note in notes for word in note]
        log.words[Log.words : Log.words + len(words)] = memoryview(array("q", words))
        log.words[0] = log.address + WORD_BYTES * (Log.words + len(words))
    events = list(made.events())
    assert [(event.kind, event.worker) for event in events] == [
        (Kind.READY, 1), (Kind.BEGINS, 1), (Kind.READY, 1),
        (Kind.BEGINS, 0), (Kind.FINISHES, 0), (Kind.STOPS, 0),
    ]  # fmt: skip
    assert all(a.time < b.time for a, b in pairwise(events))
