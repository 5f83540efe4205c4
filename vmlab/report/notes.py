"""Notes below a table."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import indent

_LABEL = "Note: "


def labelled(notes: Iterable[str]) -> str:
    """One below the other, the further lines of each under its first."""
    return "\n".join(_LABEL + indent(note, " " * len(_LABEL)).strip() for note in notes)
