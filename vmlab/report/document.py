"""Markdown documents whose tables are made from result files, between two lines like these:

<!-- vmlab:table results/fib.json -->
<!-- vmlab:end -->

Paths are relative to the document. A marker stands alone on its line, outside of code.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmlab.diagnostics import closest
from vmlab.inputs import read_bytes

if TYPE_CHECKING:
    from vmlab.comparison import Comparison

# A document may begin with a byte order mark.
_MARKER = re.compile(r"\ufeff? {0,3}<!--\s*vmlab:(?P<name>\S*)\s*(?P<rest>.*?)\s*-->\s*")
_LIKE_A_MARKER = re.compile(r"\ufeff? {0,3}<!--\s*vmlab:")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_END = "end"
_RATIO = re.compile(r"([^\W\d][\w+]*)/([^\W\d][\w+]*)")


class DocumentError(Exception):
    """What is wrong with a document: a line `file:line: message` for each."""


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two markers, and what should.

    line    of the first marker, from 1
    marker  its text
    """

    line: int
    marker: str
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A document with its tables made anew; `blocks` are all of them, changed or not."""

    text: str
    blocks: tuple[Block, ...]


def refresh(text: str, path: Path) -> Refreshed:
    """The document at `path`, which holds `text`, with what its markers ask for between them.
    Raises `DocumentError` on wrong markers and results that cannot be read."""
    lines = text.split("\n")
    results = functools.cache(_read)
    out: list[str] = []
    blocks: list[Block] = []
    errors: list[str] = []
    done = 0
    for found in _blocks(lines, path):
        if isinstance(found, str):
            errors.append(found)
            continue
        start, end = found
        marker = _MARKER.fullmatch(lines[start])
        assert marker is not None
        try:
            made = _make(marker["name"], marker["rest"], path.parent, results)
        except ValueError as error:
            errors.append(f"{path}:{start + 1}: {error}")
            continue
        # Lines end like the marker.
        end_of_line = "\r" * lines[start].endswith("\r")
        new = tuple(line + end_of_line for line in ("", *made.rstrip("\n").split("\n"), ""))
        blocks.append(Block(start + 1, lines[start].strip(), tuple(lines[start + 1 : end]), new))
        out += [*lines[done : start + 1], *new]
        done = end
    if errors:
        raise DocumentError("\n".join(errors))
    return Refreshed("\n".join([*out, *lines[done:]]), tuple(blocks))


def _blocks(lines: Sequence[str], path: Path) -> Iterator[tuple[int, int] | str]:
    """The first and last line of every block, from 0; errors as text."""
    begun: int | None = None
    fence: str | None = None
    for number, line in enumerate(lines):
        # Between markers may be anything but markers: all of it is replaced.
        if begun is None and (found := _FENCE.match(line)):
            if fence is None:
                fence = found[1]
            elif line.strip() == fence[0] * max(len(line.strip()), len(fence)):
                fence = None
        if fence is not None or not _LIKE_A_MARKER.match(line):
            continue
        here = f"{path}:{number + 1}"
        marker = _MARKER.fullmatch(line)
        if marker is None:
            yield f"{here}: a marker stands alone on its line: <!-- vmlab:table FILE.json -->"
        elif marker["name"] != _END:
            if begun is not None:
                yield _unended(path, begun)
            begun = number
        elif marker["rest"]:
            yield f"{here}: this marker takes nothing more: <!-- vmlab:{_END} -->"
        elif begun is None:
            yield f"{here}: this ends nothing: there is no marker before it, or it is ended already"
        else:
            yield begun, number
            begun = None
    if begun is not None:
        yield _unended(path, begun)


def _unended(path: Path, line: int) -> str:
    return f"{path}:{line + 1}: no <!-- vmlab:{_END} --> follows this marker"


# What markers ask for

Results = Callable[[Path], "Comparison"]


def _make(name: str, rest: str, folder: Path, results: Results) -> str:
    """Raises ValueError, with a message for the user."""
    if name not in _MAKERS:
        meant = closest(name, [*_MAKERS, _END])
        hint = f"; did you mean '{meant}'?" if meant else ""
        raise ValueError(f"no marker is called '{name}'{hint} (there are: {', '.join(_MAKERS)})")
    return _MAKERS[name](shlex.split(rest), folder, results)


def _one(words: Sequence[str], folder: Path, results: Results) -> Comparison:
    if len(words) != 1:
        raise ValueError(f"this marker takes one result file, not {len(words)}")
    return results(folder / words[0])


def _table(words: Sequence[str], folder: Path, results: Results) -> str:
    """The table alone."""
    return _one(words, folder, results).table("github")


def _output(words: Sequence[str], folder: Path, results: Results) -> str:
    """What `compare` printed, as a code block."""
    from vmlab.report.text import report

    return f"```text\n{report(_one(words, folder, results))}```"


def _report(words: Sequence[str], folder: Path, results: Results) -> str:
    """Table, verdict, notes and warnings."""
    result = _one(words, folder, results)
    notes = [*result.notes, *(f"Warning: {warning}" for warning in result.warnings)]
    timed = [f"{result.table('github')}\n"] if result.rounds is not None else []
    remarks = (note.replace("\n", "\n  ") for note in notes)
    return "\n".join([*timed, f"{result.verdict}\n", *(f"- {note}" for note in remarks)])


def _ratios(words: Sequence[str], folder: Path, results: Results) -> str:
    """Several results in one table; files end in .json, the other words are ratios."""
    from vmlab.report.ratios import ratio_table, to_baseline

    files = [word for word in words if word.endswith(".json")]
    found = _several(files, folder, results)
    ratios = [_ratio(word, found) for word in words if word not in files]
    return ratio_table(found, ratios or to_baseline(found[0]), "github")


def _books(words: Sequence[str], folder: Path, results: Results) -> str:
    """What the ladder predicts of CPython's time, beside that time."""
    from vmlab.report.books import books_table

    return books_table(_several(words, folder, results), "github")


def _several(words: Sequence[str], folder: Path, results: Results) -> list[Comparison]:
    found = [results(path) for word in words for path in _matching(word, folder)]
    if not found:
        raise ValueError("this marker takes result files, such as results/*.json")
    return found


def _matching(pattern: str, folder: Path) -> list[Path]:
    """In the order of their names."""
    if not set("*?[") & set(pattern):
        return [folder / pattern]
    if Path(pattern).is_absolute():
        raise ValueError(f"the pattern '{pattern}' is not relative to the document")
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise ValueError(f"no file matches '{pattern}'")
    return paths


def _ratio(word: str, results: Sequence[Comparison]) -> tuple[str, str]:
    form = _RATIO.fullmatch(word)
    if form is None:
        raise ValueError(f"'{word}' is neither a .json file nor a ratio such as switch/inlined")
    known = {engine.name: None for result in results for engine in result.engines}
    for name in form.groups():
        if name not in known:
            meant = closest(name, known)
            hint = f"; did you mean '{meant}'?" if meant else ""
            raise ValueError(f"'{word}': no engine of these results is called '{name}'{hint}")
    return form[1], form[2]


_MAKERS = {
    "table": _table,
    "output": _output,
    "report": _report,
    "ratios": _ratios,
    "books": _books,
}


def _read(path: Path) -> Comparison:
    from vmlab.report.json_report import from_json

    try:
        return from_json(read_bytes(path).decode())
    except OSError as error:
        raise ValueError(f"cannot read '{path}': {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
