"""A timeline in the Trace Event Format, which Perfetto and chrome://tracing draw.

The format's times are microseconds: one stands for one executed VM instruction. Events that belong
to an instruction stand at its start, so they lie within the slice of the task that executed it.
(Nick Duca and Dave Sinclair, "Trace Event Format", 2016.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vmlab.outcome import Outcome, Place, format_number
from vmlab.program import Number, Program
from vmlab.timeline import Arrow, Launch, Moment, Slice, Timeline

# The reference interpreter is the only worker.
_WORKER: dict[str, Any] = {"pid": 1, "tid": 1}

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
        "arguments": {
            p.name: format_number(value) for p, value in zip(program.main.params, args, strict=True)
        },
        "clock": "executed VM instructions: 1 us of the trace is 1 instruction, not a time",
        "instructions": outcome.instructions,
        "recorded": timeline.recorded,
        "trap": outcome.trap and outcome.trap.trap,
    }
    return f'{{"otherData":{_compact(about)},\n"traceEvents":[\n{lines}\n]}}\n'


_compact = json.JSONEncoder(separators=(",", ":")).encode


class _Texts:
    """Events of the format, with the names that the program gives to things."""

    def __init__(self, program: Program, timeline: Timeline) -> None:
        self._program = program
        self._timeline = timeline
        self._file = Path(program.source.path).name
        self._names = {n: self._name(n, launch) for n, launch in timeline.launches.items()}

    def _name(self, number: int, launch: Launch) -> str:
        function = self._program.functions[launch.function].name
        return f"task {number}: {function}" if number else function

    def _where(self, place: Place) -> str:
        instruction = self._program.functions[place.function].code[place.instruction]
        return f"{self._file}:{instruction.span.line}"

    def names(self) -> Iterator[dict[str, Any]]:
        """Of the rows."""
        for what, name in (
            ("process_name", f"{self._file} (1 us = 1 VM instruction)"),
            ("thread_name", "worker 0"),
        ):
            yield {"name": what, "ph": "M", **_WORKER, "args": {"name": name}}

    def slice(self, turn: Slice) -> dict[str, Any]:
        launch = self._timeline.launches[turn.task]
        args: dict[str, Any] = {"task": turn.task}
        if launch.place is not None and launch.launcher is not None:
            args["launched"] = self._where(launch.place)
            args["by"] = self._names[launch.launcher]
        times = {"ts": turn.start, "dur": turn.end - turn.start}
        return {
            "name": self._names[turn.task], "cat": "task", "ph": "X", **times, **_WORKER,
            "args": args,
        }  # fmt: skip

    def arrow(self, number: int, arrow: Arrow) -> Iterator[dict[str, Any]]:
        same = {"name": arrow.cause, "cat": "flow", "id": number, **_WORKER}
        yield {**same, "ph": "s", "ts": arrow.at}
        yield {**same, "ph": "f", "bp": "e", "ts": arrow.start}

    def moment(self, moment: Moment) -> dict[str, Any]:
        name = _WAITS.get(moment.what, moment.what)
        args: dict[str, Any] = {"task": moment.task}
        if moment.place is not None:
            args["at"] = self._where(moment.place)
        return self._instant(name.format(moment.awaited), moment.at, args)

    def end(self, outcome: Outcome) -> Iterator[dict[str, Any]]:
        """How the run ended, or that the file ends before."""
        now, total = self._timeline.recorded, outcome.instructions
        assert now is not None and total is not None
        if now < total:
            name = f"no room: {total - now:,} more instructions are not recorded"
            yield self._instant(name, now, {})
        elif outcome.trap is not None:
            args = {"at": self._where(outcome.trap.place)}
            yield self._instant(f"trap: {outcome.trap.trap}", now, args)
        else:
            yield self._instant("end of main", now, {})

    @staticmethod
    def _instant(name: str, at: int, args: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "ph": "i", "s": "t", "ts": at, **_WORKER, "args": args}
