"""A comparison as HTML, for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmlab.comparison import Comparison


def html(comparison: Comparison) -> str:
    """The verdict, the table, the notes and the warnings."""
    parts = [f"<p><b>{escape(comparison.verdict)}</b></p>", comparison.table("html")]
    parts += [f"<p>{escape(note)}</p>" for note in comparison.notes]
    parts += [f"<p><b>Warning:</b> {escape(warning)}</p>" for warning in comparison.warnings]
    return "\n".join(parts)
