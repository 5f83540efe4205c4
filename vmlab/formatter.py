"""The canonical layout of a source text. Only spaces and blank lines change; comments stay."""

from __future__ import annotations

from collections.abc import Sequence

from vmlab import syntax
from vmlab.diagnostics import ProgramError
from vmlab.program import Source
from vmlab.syntax import Line, Token

_INDENT = "    "
_COMMENT_COLUMN = 32  # where a comment behind code starts, if the code leaves room


def format_source(text: str, path: str = "<string>") -> str:
    """The text in canonical layout. Its lines must be well formed, but need not make a valid
    program. Raises `ProgramError` with all malformed lines."""
    source = Source(path, text.removeprefix("\N{BYTE ORDER MARK}"))
    lines = list(syntax.read_lines(source))
    errors = [line.error for line in lines if line.error is not None]
    if errors:
        raise ProgramError(source, errors)
    layout = _Layout()
    for line, indent in zip(lines, _indents(lines), strict=True):
        layout.add(line, indent)
    return "".join(f"{text}\n" for text in layout.lines)


class _Layout:
    """The lines laid out so far. Blank lines are single, and one follows each function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._separate = False  # a blank line is due before the next
        self._hanging = (0, 0)  # the old and the new column of the comment behind code above

    def add(self, line: Line, indent: str) -> None:
        code = _spaced(line.tokens)
        if line.comment is None:
            if code:
                self._append(indent + code)
            else:
                self._separate = True
            self._hanging = (0, 0)
        elif code:
            code = f"{indent + code:{_COMMENT_COLUMN - 2}}  "
            self._append(code + line.comment.text.rstrip())
            self._hanging = (line.comment.column, len(code))
        elif line.comment.column == self._hanging[0]:
            # It goes on right below.
            self.lines.append(" " * self._hanging[1] + line.comment.text.rstrip())
        else:
            self._append(indent + line.comment.text.rstrip())
            self._hanging = (0, 0)
        if isinstance(line.statement, syntax.End):
            self._separate = True

    def _append(self, text: str) -> None:
        if self._separate and self.lines:
            self.lines.append("")
        self._separate = False
        self.lines.append(text)


def _indents(lines: Sequence[Line]) -> list[str]:
    """The indentation of each line; a comment has that of the statement below it."""
    indents = []
    indent = ""
    for line in reversed(lines):
        if line.tokens:
            inside = isinstance(line.statement, syntax.Op | syntax.Local)
            indent = _INDENT if inside else ""
        indents.append(indent)
    return indents[::-1]


def _spaced(tokens: Sequence[Token]) -> str:
    """The tokens with single spaces between them, none inside of brackets or before commas."""
    text = ""
    for token in tokens:
        close = not text or text[-1] == "(" or token.text in ("(", ")", ",", ":")
        text += token.text if close else f" {token.text}"
    return text
