"""A comparison as `compare` prints it."""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmlab.comparison import Comparison


def report(comparison: Comparison) -> str:
    """The table, if anything was timed, and the remarks."""
    timed = comparison.rounds is not None
    return "\n".join([*([comparison.table(), ""] if timed else []), remarks(comparison), ""])


def remarks(comparison: Comparison) -> str:
    """The verdict, and what one must know to read the table."""
    notes = (indent(note, "      ").strip() for note in comparison.notes)
    return "\n".join([comparison.verdict, *(f"Note: {note}" for note in notes)])
