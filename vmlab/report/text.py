"""A comparison as `compare` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmlab.attribution import FULL, along_ladder
from vmlab.report.notes import labelled
from vmlab.report.numbers import listing

if TYPE_CHECKING:
    from vmlab.comparison import Comparison


def report(comparison: Comparison) -> str:
    """The table, if anything was timed, and the remarks."""
    timed = comparison.rounds is not None
    return "\n".join([*([comparison.table(), ""] if timed else []), remarks(comparison), ""])


def remarks(comparison: Comparison) -> str:
    """The verdict, where the time goes, and what one must know to read the table."""
    parts = (comparison.verdict, _where(comparison), labelled(comparison.notes))
    return "\n".join(filter(None, parts))


def _where(comparison: Comparison) -> str | None:
    """The time of the ladder's last engine in parts, where the ladder was timed."""
    costs = along_ladder(comparison)
    if costs is None:
        return None
    parts = [f"{name} {cost.share:.0%}" for name, cost in costs.items() if cost.resolved]
    unresolved = [name for name, cost in costs.items() if not cost.resolved]
    return (
        f"The time of {FULL}, as the ladder adds it up: {listing(parts)}"
        + (f"; not resolved: {listing(unresolved)}" if unresolved else "")
        + ". vmlab explain measures each part on its own."
    )
