"""What tasks look like in memory: tables, read off the definitions that the code is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from vmlab.isa import (
    CHANNEL_HEADER_WORDS,
    FIRST_STACK_WORDS,
    FRAME_RECORD_WORDS,
    NEW_TASK_WORDS,
    TASK_DESCRIPTOR_WORDS,
    TASK_RECORD_WORDS,
    TASKS,
    WORD_BYTES,
    further_stack_words,
)
from vmlab.kernels import channels, queues, tasks
from vmlab.kernels.scheduler.layout import STRUCTURES
from vmlab.kernels.scheduler.structures import LINE_BYTES, Structure
from vmlab.kernels.values import RAW, TAGGED
from vmlab.program import Function, Program


@dataclass(frozen=True)
class Words:
    """A structure of the interpreters: by name, what the modules have that define the indices of
    its words (None: they have no names there, and are in this order); what each of these holds; and
    how many there are by what they cost."""

    title: str
    about: str
    names: Mapping[str, Any] | None
    meanings: Mapping[str, str]
    count: int

    def fields(self) -> list[tuple[int, str, str]]:
        """Index, name and meaning of all words, in the order of the indices."""
        found = sorted(
            (index if self.names is None else self.names[name], name.lower(), meaning)
            for index, (name, meaning) in enumerate(self.meanings.items())
        )
        assert [index for index, _, _ in found] == list(range(self.count)), self.title
        return found


INTERPRETERS = (
    Words(
        "Descriptor",
        "As long as a task lives; the first words of its stack lie behind it.",
        vars(queues) | vars(tasks),
        {
            "PC": "the registers: where it goes on",
            "SP": "above its operands",
            "FP": "its frame: slots, then operands",
            "RP": "its top frame record",
            "NEXT": "the next one in the same queue",
            "RECORD": "its record",
            "BASE": "the start of its stack",
            "END": "the end of its stack",
        },
        TASK_DESCRIPTOR_WORDS,
    ),
    Words(
        "Record",
        "Stays when the task has finished.",
        vars(queues),
        {
            "DESCRIPTOR": "its descriptor; 0 when it has finished",
            "OUTCOME": "the last of those who wait for its end; later its result",
            "LAUNCH": "its `spawn`",
            "LAUNCHER": "the record of the task that executed that",
        },
        TASK_RECORD_WORDS,
    ),
    Words(
        "Channel",
        "Lies before the values that it can hold.",
        vars(channels),
        {
            "OPEN": "0 after close",
            "CAPACITY": "how many values it can hold",
            "COUNT": "how many it holds",
            "FIRST": "the place of the oldest",
            "RECEIVERS": "the last of those who wait to receive",
            "SENDERS": "the last of those who wait to send",
            "MADE": "its `chan`",
            "NUMBER": "in the order of creation",
        },
        CHANNEL_HEADER_WORDS,
    ),
    Words(
        "Frame record",
        "Of a call. Those of a task go down from the end of its stack.",
        None,
        {
            "RETURN": "where the caller goes on",
            "CALLER": "how far below its frame the caller's begins; without tasks, where",
        },
        FRAME_RECORD_WORDS,
    ),
)

_HEADERS = ("offset", "bytes", "line", "field", "what it holds")
_FRAME_HEADERS = ("offset", "bytes", "what")


def text(program: Program | None) -> str:
    """The tables of the interpreters and of the native scheduler; of a program, what a call of
    each of its functions takes."""
    paragraphs = [
        "Offsets are in bytes from the start of the structure; a line is a cache line of"
        f" {LINE_BYTES} bytes.",
        _heading("The interpreters (threaded to late)"),
        *map(_words, INTERPRETERS),
        _stacks(),
    ]
    if program is not None:
        paragraphs.append(_heading(f"Frames of {program.source.path}, on the interpreters"))
        paragraphs += [_frame(program, index) for index in range(len(program.functions))]
    paragraphs.append(_heading("The native scheduler"))
    paragraphs += map(_structure, STRUCTURES)
    return "\n\n".join(paragraphs) + "\n"


def _heading(title: str) -> str:
    return f"{title}\n{'=' * len(title)}"


def _table(title: str, rows: Sequence[Sequence[Any]], headers: Sequence[str] = _HEADERS) -> str:
    align = ["right" if header in ("offset", "bytes", "line") else "left" for header in headers]
    return f"{title}\n\n{tabulate(rows, headers, colalign=align, disable_numparse=True)}"


# The interpreters


def _words(table: Words) -> str:
    rows = [
        (offset, WORD_BYTES, offset // LINE_BYTES, name, meaning)
        for index, name, meaning in table.fields()
        for offset in [WORD_BYTES * index]
    ]
    return _table(f"{table.title}, {WORD_BYTES * table.count} bytes. {table.about}", rows)


def _stacks() -> str:
    """Where these lie, and what they cost together."""
    apart, with_tags = (WORD_BYTES * tasks.block_words(values) for values in (RAW, TAGGED))
    stays = WORD_BYTES * TASK_RECORD_WORDS
    return (
        f"From the start of a page, descriptors lie {apart} bytes apart, and {with_tags} where"
        " values have tags:\n"
        f"the first {FIRST_STACK_WORDS} words of the stack are in between. Records lie one behind"
        f" the other, {LINE_BYTES // stays} a line. So do\n"
        "channels, with the values that they can hold: they may begin anywhere in a line.\n"
        f"A task costs {apart + stays} bytes, of which {stays} stay when it has finished."
    )


def _frame(program: Program, index: int) -> str:
    """A function's slots, its operands, and the record of its call."""
    function, deepest = program.functions[index], program.stack_maps[index].max_depth
    parts = [(1, f"{slot.name}: {slot.type}") for slot in function.slots]
    if deepest:
        parts.append((deepest, "operands"))
    rows: list[Sequence[Any]] = []
    words = 0
    for size, what in parts:
        rows.append((WORD_BYTES * words, WORD_BYTES * size, what))
        words += size
    rows.append(("", WORD_BYTES * FRAME_RECORD_WORDS, "frame record, at the stack's other end"))
    words = program.frame_words(index)
    size, with_tags = (WORD_BYTES * values.words * words for values in (RAW, TAGGED))
    title = f"{function.name}: {size} bytes, {with_tags} with tags"
    return _table("".join([title, *_spawned(program, function, words)]), rows, _FRAME_HEADERS)


def _spawned(program: Program, function: Function, words: int) -> Iterator[str]:
    """What it costs to spawn the function, if that can be."""
    if function is program.main:
        yield "; main itself costs nothing"
    elif function.result in TASKS:
        further = further_stack_words(words)
        yield f"; spawned, it costs {WORD_BYTES * (NEW_TASK_WORDS + further)} bytes"
        if further:
            yield f", since its frame does not fit into the first {FIRST_STACK_WORDS} words"


# The native scheduler


def _structure(structure: Structure) -> str:
    rows: list[Sequence[Any]] = []
    for line in structure.lines:
        places = [structure.places[field.name] for field in line.fields]
        rows += (
            (
                place.offset,
                WORD_BYTES * place.field.words or "",
                place.line,
                place.field.name,
                place.field.meaning,
                place.field.sharing.name.lower(),
                line.purpose if place is places[0] else "",
            )
            for place in places
        )
    headers = (*_HEADERS, "sharing", "the line")
    return _table(f"{structure.name}, {structure.bytes} bytes", rows, headers)
