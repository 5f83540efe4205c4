"""What tasks look like in memory: tables, read off the definitions that the code is made from."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from tabulate import tabulate

from vmlab.isa import (
    FIRST_STACK_WORDS,
    FRAME_RECORD_WORDS,
    TASK_DESCRIPTOR_WORDS,
    TASK_RECORD_WORDS,
    TASKS,
    WORD_BYTES,
    further_stack_words,
)
from vmlab.kernels.scheduler.layout import STRUCTURES
from vmlab.kernels.scheduler.structures import LINE_BYTES, Structure
from vmlab.kernels.task_layout import (
    Channel,
    Descriptor,
    FrameRecord,
    Record,
    Words,
    block_words,
)
from vmlab.kernels.values import RAW, TAGGED
from vmlab.program import Function, Program

_HEADERS = ("offset", "bytes", "line", "field", "what it holds")
_FRAME_HEADERS = ("offset", "bytes", "what")


def text(program: Program | None) -> str:
    """The tables of the interpreters and of the native scheduler; of a program, what a call of
    each of its functions takes."""
    paragraphs = [
        "Offsets are in bytes from the start of the structure; a line is a cache line of"
        f" {LINE_BYTES} bytes.",
        _heading("The interpreters (threaded to late)"),
        *map(_words, (Descriptor, Record, Channel, FrameRecord)),
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


def _words(table: type[Words]) -> str:
    rows = [
        (offset, WORD_BYTES, offset // LINE_BYTES, word.name.lower(), word.meaning)
        for word in table
        for offset in [WORD_BYTES * word]
    ]
    about = " ".join((inspect.getdoc(table) or "").split())
    return _table(f"{_spaced(table.__name__)}, {WORD_BYTES * len(rows)} bytes. {about}", rows)


def _spaced(name: str) -> str:
    """FrameRecord: frame record"""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip().capitalize()


def _stacks() -> str:
    """Where these lie, and what they cost together."""
    apart, with_tags = (WORD_BYTES * block_words(values) for values in (RAW, TAGGED))
    stays = WORD_BYTES * TASK_RECORD_WORDS
    return (
        f"From the start of a page, descriptors lie {apart} bytes apart, and {with_tags} where"
        f" values have tags: the first {FIRST_STACK_WORDS} words of the stack are in between.\n"
        f"Records lie one behind the other, {LINE_BYTES // stays} a line. So do channels, with the"
        " values that they can hold: they may begin anywhere in a line.\n"
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
    words += FRAME_RECORD_WORDS
    size, with_tags = (WORD_BYTES * values.words * words for values in (RAW, TAGGED))
    title = f"{function.name}: {size} bytes, {with_tags} with tags"
    return _table("".join([title, *_spawned(program, function, words)]), rows, _FRAME_HEADERS)


def _spawned(program: Program, function: Function, words: int) -> Iterator[str]:
    """What it costs to spawn the function, if that can be."""
    if function is program.main:
        yield "; main itself costs nothing"
    elif function.result in TASKS:
        further = further_stack_words(words)
        cost = TASK_RECORD_WORDS + TASK_DESCRIPTOR_WORDS + FIRST_STACK_WORDS + further
        yield f"; spawned, it costs {WORD_BYTES * cost} bytes"
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
