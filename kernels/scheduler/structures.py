"""Structures of words in cache lines, declared as tables; offsets follow from them."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

WORD_BYTES = 8
LINE_BYTES = 64  # a cache line of x86-64 and of most aarch64


class Word:
    """The type of a word that is a number: 64 bits, unsigned."""


class Code:
    """The type of a word that is the address of machine code."""


class Frame:
    """The type of a word that is the address of a coroutine's frame."""


class Sharing(enum.Enum):
    """Who accesses a field, so what its accesses must be."""

    OWNED = "one at a time: whoever owns the structure, or holds its lock"
    WORKERS = "several workers at once: atomic wherever there are several"
    ANYBODY = "threads that are no workers, too: atomic always"


@dataclass(frozen=True)
class Field:
    """One or more words of one type: Word, Code, Frame, the name of a structure (its address), or
    a structure itself, embedded. `count` is 0 for an array that takes what is left of the block."""

    name: str
    type: object
    meaning: str
    sharing: Sharing = Sharing.OWNED
    count: int = 1

    @property
    def words(self) -> int:
        each = self.type.words if isinstance(self.type, Structure) else 1
        return each * self.count


@dataclass(frozen=True)
class Line:
    """Fields that begin a cache line together, and why they are together."""

    purpose: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Place:
    """Where a field is: its distance from the start of the structure, in bytes, and the cache line
    in which it begins."""

    field: Field
    offset: int
    line: int


class Structure:
    """A table of lines. Several lines begin at multiples of `LINE_BYTES`; a structure of one line
    may be embedded, and is as long as its fields."""

    known: dict[str, Structure] = {}  # noqa: RUF012

    def __init__(self, name: str, *lines: Line):
        self.name = name
        self.lines = lines
        self.known[name] = self
        self.places = {place.field.name: place for place in self._place()}
        last = max(self.places.values(), key=lambda place: place.offset)
        self.words = last.offset // WORD_BYTES + last.field.words
        if len(lines) > 1:
            self.words = -(-self.bytes // LINE_BYTES) * LINE_BYTES // WORD_BYTES

    def _place(self) -> Iterator[Place]:
        offset = 0
        for line in self.lines:
            offset = -(-offset // LINE_BYTES) * LINE_BYTES
            for field in line.fields:
                yield Place(field, offset, offset // LINE_BYTES)
                offset += field.words * WORD_BYTES

    @property
    def bytes(self) -> int:
        return self.words * WORD_BYTES

    def offset(self, name: str) -> int:
        """In bytes."""
        return self.places[name].offset

    def __repr__(self) -> str:
        return self.name


def type_of(field: Field) -> object:
    """A field's type, with the name of a structure resolved."""
    return Structure.known[field.type] if isinstance(field.type, str) else field.type
