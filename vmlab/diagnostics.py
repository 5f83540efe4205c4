"""What is wrong with a program, where, and what to do: data, and its rendering as text."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from vmlab.program import Source, Span

# Every kind has a golden file of its name in tests/golden: a program and the exact message.
Kind = Literal[
    # characters and tokens
    "not-utf8",
    "unexpected-character",
    "unterminated-string",
    "bad-number",
    "int-out-of-range",
    "float-out-of-range",
    # the shape of lines and of the file
    "expected-token",
    "trailing-tokens",
    "missing-operand",
    "unexpected-operand",
    "wrong-operand",
    "unknown-directive",
    "outside-function",
    "stray-end",
    "missing-end",
    "late-local",
    "label-at-end",
    # names and types
    "unknown-instruction",
    "unknown-type",
    "unknown-local",
    "unknown-global",
    "unknown-function",
    "unknown-label",
    "duplicate-parameter",
    "duplicate-local",
    "duplicate-global",
    "duplicate-function",
    "duplicate-label",
    # values
    "literal-type",
    "reference-initialiser",
    "default-outside-main",
    "local-value",
    # main and what is expected of it
    "missing-main",
    "main-parameter",
    "main-result",
    "expect-function",
    "expect-arguments",
    "expect-result",
    "unknown-trap",
    "prints-form",
    # the verifier's
    "stack-underflow",
    "operand-type",
    "argument-type",
    "spawn-result",
    "missing-arguments",
    "store-type",
    "result-type",
    "missing-result",
    "leftover-values",
    "merge-depth",
    "merge-type",
    "fall-off-end",
    "frame-too-large",
]

_EXCERPT_WIDTH = 100
_TAB_STOP = 4
_LONGEST_QUOTE = 40
_LONGEST_SUGGESTED = 64
_MOST_COMPARISONS = 200_000


@dataclass(frozen=True, slots=True)
class Note:
    """Another place that matters: where the other side was declared, say."""

    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error. `hint` says what to do about it."""

    kind: Kind
    span: Span
    message: str
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    notes: tuple[Note, ...] = ()

    def render(self, source: Source, lines: Sequence[str] | None = None) -> str:
        """The message as text, several lines, no newline at the end. `lines` are the source's,
        if the caller has them already."""
        lines = source.lines if lines is None else lines
        parts = [f"{_place(source, self.span)}: error: {self.message} [{self.kind}]"]
        parts.append(excerpt(lines, self.span))
        for label, text in (
            ("expected:", self.expected),
            ("found:", self.found),
            ("help:", self.hint),
        ):
            if text is not None:
                parts.append(f"  {label:9} {text}")
        for note in self.notes:
            parts.append(f"{_place(source, note.span)}: note: {note.message}")
            parts.append(excerpt(lines, note.span))
        return "\n".join(parts)


class ProgramError(Exception):
    """The program is invalid. Its text is the rendering of all diagnostics.

    source       the text they are about
    diagnostics  all of them, in the order of their places
    """

    def __init__(self, source: Source, diagnostics: Iterable[Diagnostic]) -> None:
        self.source = source
        self.diagnostics = tuple(sorted(diagnostics, key=lambda d: (d.span.line, d.span.column)))
        super().__init__(source, self.diagnostics)

    def __str__(self) -> str:
        lines = self.source.lines
        return "\n\n".join(d.render(self.source, lines) for d in self.diagnostics)


class Findings:
    """Collects the diagnostics of a text, and makes suggestions for names in it."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._comparisons = 0

    def add(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)

    def error(
        self,
        kind: Kind,
        span: Span,
        message: str,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
        notes: Sequence[Note] = (),
    ) -> None:
        self.add(Diagnostic(kind, span, message, expected, found, hint, tuple(notes)))

    def closest(self, name: str, candidates: Collection[str]) -> str | None:
        """Like the function `closest`, but at last None, so that a text full of unknown names
        does not take forever."""
        self._comparisons += len(candidates)
        return closest(name, candidates) if self._comparisons <= _MOST_COMPARISONS else None

    def suggest(self, name: str, candidates: Collection[str]) -> str | None:
        """A hint at the name that was likely meant."""
        likely = self.closest(name, candidates)
        return likely and f"did you mean '{likely}'?"


def excerpt(lines: Sequence[str], span: Span) -> str:
    """The source line with its number, and below it carets under the span. Of a long line, the
    part around the span. Tabs are expanded; what cannot be printed becomes U+FFFD."""
    text = lines[span.line - 1] if span.line <= len(lines) else ""
    start = span.column - 1
    first = max(0, start - _EXCERPT_WIDTH // 2) if len(text) > _EXCERPT_WIDTH else 0
    shown = text[first : first + _EXCERPT_WIDTH]
    lead = "…" if first else ""
    tail = "…" if first + len(shown) < len(text) else ""
    before = lead + _printable(shown[: start - first], _width(lead))
    token = _printable(shown[start - first : start - first + span.width], _width(before))
    rest = _printable(shown[start - first + span.width :], _width(before + token))
    number = f"{span.line:5}"
    carets = "^" * max(1, _width(token))
    return (
        f"{number} | {before}{token}{rest}{tail}".rstrip()
        + f"\n{' ' * len(number)} | {' ' * _width(before)}{carets}"
    )


def quote(text: str) -> str:
    """A piece of the source in quotes, for a message: shortened, and safe to print."""
    return f"'{shortened(text)}'"


def shortened(text: str) -> str:
    shown = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
    return _printable(shown, 0)


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` is most likely a misspelling of, if any comes close."""
    if len(name) > _LONGEST_SUGGESTED:
        return None
    name = name.lower()
    by_lower = {c.lower(): c for c in candidates if len(c) <= _LONGEST_SUGGESTED}
    likely = [
        *(c for c in by_lower if c == name),
        *(c for c in by_lower if sorted(c) == sorted(name)),
        # of those that are as similar as each other, one that goes on like it: 'ad' is 'add'
        *sorted(
            difflib.get_close_matches(name, by_lower, cutoff=0.7),
            key=lambda c: (-_similarity(name, c), not c.startswith(name)),
        ),
        # one is short for the other: 'ret' and 'return'
        *(c for c in by_lower if len(c) >= 3 and name.startswith(c)),
        *(c for c in by_lower if len(name) >= 3 and c.startswith(name)),
    ]
    return by_lower[likely[0]] if likely else None


def _similarity(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, name).ratio()


def counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def either(words: Sequence[str]) -> str:
    """A choice in words: 'x, y or z'."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def a(noun: str) -> str:
    """The noun behind its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _place(source: Source, span: Span) -> str:
    return f"{source.path}:{span.line}:{span.column}"


def _printable(text: str, column: int) -> str:
    """`text` as it can be shown from the display column `column` on."""
    out = []
    for char in text:
        if char == "\t":
            char = " " * (_TAB_STOP - column % _TAB_STOP)
        elif not char.isprintable():
            char = "\N{REPLACEMENT CHARACTER}"
        out.append(char)
        column += _width(char)
    return "".join(out)


def _width(text: str) -> int:
    """Columns that printable text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
