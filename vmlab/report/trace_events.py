"""A timeline in the Trace Event Format, which Perfetto and chrome://tracing draw.

The format's times are microseconds, and may have fractions. Of the reference one stands for one
executed VM instruction, and events that belong to an instruction stand at its start. So, and as
native workers note them, the ends of arrows lie within slices, else viewers drop them; other events
stand in their row at the end of their slice at the latest.
(Nick Duca and Dave Sinclair, "Trace Event Format", 2016.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vmlab.outcome import Outcome, Place, format_number
from vmlab.program import Number, Program
from vmlab.timeline import Arrow, Launch, Moment, Rest, Slice, Timeline

_WAITS = {
    "join": "waits for the end of task {}",
    "send": "waits to send to channel {}",
    "recv": "waits to receive from channel {}",
}


def to_json(program: Program, args: Sequence[Number], outcome: Outcome, timeline: Timeline) -> str:
    """The file: an event a line, in the order of their times, a slice before what lies in it."""
    texts = _Texts(program, timeline)
    events = [
        *map(texts.slice, timeline.slices),
        *map(texts.rest, timeline.rests),
        *(
            end
            for number, arrow in enumerate(timeline.arrows)
            for end in texts.arrow(number, arrow)
        ),
        *map(texts.moment, timeline.moments),
        *texts.end(outcome),
    ]
    events.sort(key=lambda event: event["ts"])
    lines = ",\n".join(map(_compact, [*texts.names(), *events]))
    about = {
        "program": program.source.path,
        "digest": program.digest,
        "arguments": {
            p.name: format_number(value) for p, value in zip(program.main.params, args, strict=True)
        },
        "engine": timeline.engine,
        "workers": timeline.workers,
        "clock": _clock(timeline),
        "nanoseconds" if timeline.nanoseconds_a_tick else "instructions": timeline.total,
        "recorded": timeline.recorded,
        "trap": outcome.trap and outcome.trap.trap,
    }
    unit = '"displayTimeUnit":"ns",' if timeline.nanoseconds_a_tick else ""
    return f'{{{unit}"otherData":{_compact(about)},\n"traceEvents":[\n{lines}\n]}}\n'


def _clock(timeline: Timeline) -> str:
    if timeline.nanoseconds_a_tick is None:
        return "executed VM instructions: 1 us of the trace is 1 instruction, not a time"
    return (
        "the CPU's time stamp counter, read by each worker; a tick was"
        f" {timeline.nanoseconds_a_tick:.6f} ns of the system's clock during the run"
    )


_compact = json.JSONEncoder(separators=(",", ":")).encode


class _Texts:
    """Events of the format, with the names that the program gives to things."""

    def __init__(self, program: Program, timeline: Timeline) -> None:
        self._program = program
        self._timeline = timeline
        self._file = Path(program.source.path).name
        self._scale = 1000 if timeline.nanoseconds_a_tick else 1
        self._names = {n: self._name(n, launch) for n, launch in timeline.launches.items()}

    def _name(self, number: int, launch: Launch) -> str:
        function = self._program.functions[launch.function].name
        return f"task {number}: {function}" if number else function

    def _where(self, place: Place) -> str:
        instruction = self._program.functions[place.function].code[place.instruction]
        return f"{self._file}:{instruction.span.line}"

    def names(self) -> Iterator[dict[str, Any]]:
        """Of the rows, and their order."""
        timeline = self._timeline
        native = timeline.nanoseconds_a_tick is not None
        how = f"on {timeline.engine}" if native else "(1 us = 1 VM instruction)"
        about = {"ph": "M", **self._row(0)}
        yield {"name": "process_name", **about, "args": {"name": f"{self._file} {how}"}}
        for worker in range(timeline.workers):
            about = {"ph": "M", **self._row(worker)}
            yield {"name": "thread_name", **about, "args": {"name": f"worker {worker}"}}
            yield {"name": "thread_sort_index", **about, "args": {"sort_index": worker}}

    @staticmethod
    def _row(worker: int) -> dict[str, Any]:
        return {"pid": 1, "tid": worker + 1}

    def _time(self, time: int) -> int | float:
        return time if self._scale == 1 else time / self._scale

    def slice(self, turn: Slice) -> dict[str, Any]:
        launch = self._timeline.launches[turn.task]
        args: dict[str, Any] = {"task": turn.task}
        if launch.place is not None and launch.launcher is not None:
            args["launched"] = self._where(launch.place)
            args["by"] = self._names[launch.launcher]
        return {"name": self._names[turn.task], "cat": "task", **self._span(turn), "args": args}

    def rest(self, rest: Rest) -> dict[str, Any]:
        return {"name": "asleep", "cat": "worker", **self._span(rest), "args": {}}

    def _span(self, span: Slice | Rest) -> dict[str, Any]:
        times = {"ts": self._time(span.start), "dur": self._time(span.end - span.start)}
        return {"ph": "X", **times, **self._row(span.worker)}

    def arrow(self, number: int, arrow: Arrow) -> Iterator[dict[str, Any]]:
        same = {"name": arrow.cause, "cat": "flow", "id": number}
        yield {**same, **self._row(arrow.at_worker), "ph": "s", "ts": self._time(arrow.at)}
        begin = self._time(arrow.start)
        yield {**same, **self._row(arrow.worker), "ph": "f", "bp": "e", "ts": begin}

    def moment(self, moment: Moment) -> dict[str, Any]:
        name = _WAITS.get(moment.what, moment.what)
        args: dict[str, Any] = {"task": moment.task}
        if moment.place is not None:
            args["at"] = self._where(moment.place)
        return self._instant(name.format(moment.awaited), moment.at, moment.worker, args)

    def end(self, outcome: Outcome) -> Iterator[dict[str, Any]]:
        """How the run ended, or that the file ends before."""
        now, total, worker = self._timeline.recorded, self._timeline.total, self._timeline.ended_on
        assert now is not None
        if now < total:
            left = f"{total - now:,} more {'nanoseconds' if self._scale > 1 else 'instructions'}"
            yield self._instant(f"no room: {left} are not recorded", now, worker, {})
        elif outcome.trap is not None:
            args = {"at": self._where(outcome.trap.place)}
            yield self._instant(f"trap: {outcome.trap.trap}", now, worker, args)
        else:
            yield self._instant("end of main", now, worker, {})

    def _instant(self, name: str, at: int, worker: int, args: dict[str, Any]) -> dict[str, Any]:
        row = self._row(worker)
        return {"name": name, "ph": "i", "s": "t", "ts": self._time(at), **row, "args": args}
