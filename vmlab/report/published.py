"""A folder of published results: a JSON file a program, and `tables.md` made from them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmlab.report.document import refresh
from vmlab.report.output import OutputFile

if TYPE_CHECKING:
    from vmlab.comparison import Comparison
    from vmlab.measure.machine import Fact
    from vmlab.program import Program

TABLES = "tables.md"

# What changes from minute to minute, and says nothing about which machine it is.
_PASSING = "load"


def why_stale(
    result: Comparison,
    program: Program,
    engines: Sequence[str],
    rounds: int,
    machine: Mapping[str, Fact],
) -> str | None:
    """Why a result is not what measuring the program with its default arguments on this machine
    would give again; None if it is."""
    import vmlab
    from vmlab.outcome import bind_arguments

    if result.rounds is None:
        return "nothing was timed"
    if result.program.digest != program.digest:
        return "the program changed"
    if tuple(result.arguments.values()) != bind_arguments(program, {}):
        return "its arguments were others"
    if result.vmlab != vmlab.__version__:
        return f"vmlab {result.vmlab} measured it"
    if tuple(engine.name for engine in result.engines) != tuple(engines):
        return "its engines were others"
    if len(result.rounds.order) != rounds:
        return f"it has {len(result.rounds.order)} rounds"
    for key in machine.keys() | result.machine.keys():
        was, is_ = result.machine.get(key), machine.get(key)
        if key != _PASSING and was != is_:
            fact = is_ or was
            assert fact is not None
            return f"on this machine, something else is: {fact.label}"
    return None


def write_tables(folder: Path, results: Mapping[str, Comparison]) -> None:
    """`tables.md`, with a section for each of these results, and the books of those that have both
    sides of them."""
    from vmlab.report.books import has_both_sides

    sections = [
        "# Engines compared\n\nMade by `vmlab publish`; every sample is in the JSON files beside"
        " this one.\n"
    ]
    sections += [
        f"## {name}\n\n<!-- vmlab:report {shlex.quote(f'{name}.json')} -->\n<!-- vmlab:end -->\n"
        for name in sorted(results)
    ]
    if books := [name for name in sorted(results) if has_both_sides(results[name])]:
        files = " ".join(shlex.quote(f"{name}.json") for name in books)
        sections.append(
            "## The books\n\nWhat the ladder predicts for CPython, beside what CPython takes:\n\n"
            f"<!-- vmlab:books {files} -->\n<!-- vmlab:end -->\n"
        )
    with OutputFile(folder / TABLES) as file:
        file.write(refresh("\n".join(sections), folder / TABLES).text)
