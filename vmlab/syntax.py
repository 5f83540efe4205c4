"""The lines of the .vm format: text -> tokens -> statements, before any name has a meaning.

A line is one statement at most, and errors stay within their line: a malformed statement keeps
what could be read of it and is marked, so that no other line is blamed for it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vmlab.diagnostics import Diagnostic, Kind, quote
from vmlab.isa import INT_MAX, INT_MIN
from vmlab.program import Number, Source, Span

_KINDS = ("", "word", "type", "number", "string", "mark", "comment", "stray")
_TOKEN = re.compile(
    r"""[ \t]*(?:
      ([A-Za-z_][A-Za-z0-9_]*+(?!\[[A-Za-z0-9_]*\]))
    | ([A-Za-z_][A-Za-z0-9_]*\[[A-Za-z0-9_]*\])
    | ([-+]?(?:\.?[0-9](?:[eE][-+]|[A-Za-z0-9_.])*|(?:inf|nan)\b))
    | ("[^"]*")
    | (->|[(),:=])
    | (;.*)
    | ([^ \t])
    )""",
    re.VERBOSE,
)
_INTEGER = re.compile(
    r"-?(?:0x[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0b[01]+(?:_[01]+)*|[0-9]+(?:_[0-9]+)*)"
)
_FLOAT = re.compile(r"-?[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][-+]?[0-9]+)?|-?inf|nan")
_MOST_DIGITS = 64


class Token(NamedTuple):
    """A piece of a line. `kind` is one of _KINDS; `column` counts from 1."""

    kind: str
    text: str
    line: int
    column: int

    @property
    def span(self) -> Span:
        return Span(self.line, self.column, len(self.text))


class Malformed(Exception):
    """Carries a diagnostic out of the reading of one statement."""

    def __init__(
        self,
        kind: Kind,
        span: Span,
        message: str,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.diagnostic = Diagnostic(kind, span, message, expected, found, hint)
        super().__init__(self.diagnostic)


class Cursor:
    """Walks over the tokens of one line."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def skip(self, count: int) -> None:
        self._next += count

    def peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def take(self, kind: str, expected: str, hint: str | None = None) -> Token:
        token = self.peek()
        if token is None or token.kind != kind:
            raise self.error(expected, hint)
        self._next += 1
        return token

    def mark(self, text: str, expected: str | None = None, hint: str | None = None) -> None:
        if not self.accept(text):
            raise self.error(expected or quote(text), hint)

    def accept(self, text: str) -> bool:
        token = self.peek()
        if token is None or token.text != text:
            return False
        self._next += 1
        return True

    def type(self) -> Token:
        token = self.peek()
        if token is None or token.kind not in ("word", "type"):
            raise self.error("a type")
        self._next += 1
        return token

    def number(self) -> Token:
        token = self.peek()
        if token is None or not is_number(token):
            raise self.error("a number")
        self._next += 1
        return token

    def error(self, expected: str, hint: str | None = None) -> Malformed:
        token = self.peek()
        if token is not None:
            found, span = quote(token.text), token.span
        else:
            last = self._tokens[-1]
            found, span = "the end of the line", Span(last.line, last.column + len(last.text))
        message = f"expected {expected}, found {found}"
        return Malformed("expected-token", span, message, hint=hint)

    def finish(self, hint: str | None = None) -> None:
        token = self.peek()
        if token is not None:
            last = self._tokens[-1]
            span = Span(token.line, token.column, last.column + len(last.text) - token.column)
            raise Malformed(
                "trailing-tokens",
                span,
                f"nothing may follow {quote(self._tokens[self._next - 1].text)} here",
                expected="the end of the line",
                found=quote(token.text),
                hint=hint,
            )


@dataclass(slots=True)
class Declaration:
    """`NAME: TYPE` with, maybe, `= NUMBER`. What could not be read is None."""

    name: Token | None = None
    type: Token | None = None
    value: Token | None = None

    def read(self, cursor: Cursor, directive: str = "") -> None:
        hint = f"write '{directive}NAME: TYPE'"
        self.name = cursor.take("word", "a name", hint)
        cursor.mark(":", "':' and a type", hint)
        self.type = cursor.type()
        if cursor.accept("="):
            self.value = cursor.number()


@dataclass(slots=True)
class Func:
    """`func NAME(DECLARATIONS) -> TYPE`"""

    name: Token | None = None
    params: list[Declaration] = field(default_factory=list)
    result: Token | None = None

    def read(self, cursor: Cursor) -> None:
        hint = "write 'func NAME(PARAMETERS) -> TYPE', with '()' if there are no parameters"
        self.name = cursor.take("word", "the function's name", hint)
        cursor.mark("(", hint=hint)
        if not cursor.accept(")"):
            while True:
                self.params.append(Declaration())
                self.params[-1].read(cursor)
                if cursor.accept(")"):
                    break
                cursor.mark(",", "',' or ')'")
        if cursor.accept("->"):
            self.result = cursor.type()


@dataclass(slots=True)
class Global:
    """`global DECLARATION`"""

    declaration: Declaration = field(default_factory=Declaration)

    def read(self, cursor: Cursor) -> None:
        self.declaration.read(cursor, "global ")


@dataclass(slots=True)
class Local:
    """`local DECLARATION`"""

    declaration: Declaration = field(default_factory=Declaration)

    def read(self, cursor: Cursor) -> None:
        self.declaration.read(cursor, "local ")


@dataclass(slots=True)
class Expect:
    """`expect NAME(NUMBERS) -> NUMBER`, or `trap NAME`, `prints STRING`, `nothing`, which is
    then `how`."""

    function: Token | None = None
    args: list[Token] = field(default_factory=list)
    how: Token | None = None
    value: Token | None = None

    def read(self, cursor: Cursor) -> None:
        hint = "write 'expect main(ARGUMENTS) -> RESULT'"
        self.function = cursor.take("word", "'main'", hint)
        cursor.mark("(", hint=hint)
        if not cursor.accept(")"):
            while True:
                self.args.append(cursor.number())
                if cursor.accept(")"):
                    break
                cursor.mark(",", "',' or ')'")
        cursor.mark("->", hint=hint)
        token = cursor.peek()
        if token is not None and is_number(token):
            self.value = cursor.number()
        elif token is not None and token.text in ("trap", "prints", "nothing"):
            self.how = cursor.take("word", "")
            if token.text == "trap":
                self.value = cursor.take("word", "the trap's name")
            elif token.text == "prints":
                self.value = cursor.take("string", "the printed values in double quotes")
        else:
            raise cursor.error("a number, 'trap NAME', 'prints \"VALUES\"' or 'nothing'")


@dataclass(slots=True)
class End:
    """`end`"""

    def read(self, cursor: Cursor) -> None:
        """There is nothing behind `end`."""


@dataclass(slots=True)
class Label:
    """`NAME:`"""

    name: Token


@dataclass(slots=True)
class Op:
    """An instruction: its name and whatever stands behind."""

    tokens: Sequence[Token]


Statement = Func | Global | Local | Expect | End | Label | Op

DIRECTIVES: dict[str, type[Func | Global | Local | Expect | End]] = {
    "func": Func,
    "global": Global,
    "local": Local,
    "expect": Expect,
    "end": End,
}


@dataclass(slots=True)
class Line:
    """A line of the source. `error` is what is wrong with its shape, if anything; the statement
    is then what could be read of it."""

    number: int
    tokens: list[Token]
    comment: Token | None
    statement: Statement | None = None
    error: Diagnostic | None = None


def read_lines(source: Source) -> Iterator[Line]:
    """The lines of a source with their statements."""
    for number, text in enumerate(source.lines, 1):
        line = _tokenize(number, text)
        if line.tokens:
            read_statement(line)
        yield line


def _tokenize(number: int, text: str) -> Line:
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        index = match.lastindex
        assert index is not None
        token = Token(_KINDS[index], match[index], number, match.start(index) + 1)
        if index < 6:
            tokens.append(token)
        elif index == 6:
            return Line(number, tokens, token)
        else:
            # What follows a character that has no business here cannot be trusted.
            return Line(number, tokens, None, error=_stray(token, text))
    return Line(number, tokens, None)


def _stray(token: Token, line: str) -> Diagnostic:
    char = token.text
    if char == '"':
        rest = Span(token.line, token.column, len(line.rstrip()) - token.column + 1)
        return Diagnostic(
            "unterminated-string", rest, "this string has no end", hint="close it with '\"'"
        )
    code = f"U+{ord(char):04X}"
    name = unicodedata.name(char, "")
    described = quote(char) if char.isascii() and char.isprintable() else f"{code} {name}".strip()
    if char == "#" or line.startswith("//", token.column - 1):
        hint = "comments start with ';'"
    elif char in "[]":
        hint = "array types are written 'int[]' and 'float[]', without spaces"
    elif char == "-":
        hint = "only a number can be negated here; use the instruction 'neg'"
    elif char.isspace():
        hint = "separate words with spaces or tabs"
    elif char.isalnum():
        hint = "names are made of the letters A-Z and a-z, digits and '_'"
    else:
        hint = None
    return Diagnostic("unexpected-character", token.span, f"unexpected {described}", hint=hint)


def read_statement(line: Line) -> None:
    """Set `line.statement` from its tokens, and `line.error` if it is malformed and had none."""
    tokens = line.tokens
    first = tokens[0]
    labelled = len(tokens) > 1 and tokens[1].text == ":"
    if first.kind == "word" and first.text not in DIRECTIVES and not labelled:
        line.statement = Op(tokens)
        return
    cursor = Cursor(tokens)
    try:
        if first.kind != "word":
            raise Malformed(
                "expected-token",
                first.span,
                f"a line cannot start with {quote(first.text)}",
                expected="a directive, an instruction or a label",
            )
        if labelled:
            line.statement = Label(first)
            cursor.skip(2)
            cursor.finish("a label stands on a line of its own")
        else:
            statement = DIRECTIVES[first.text]()
            line.statement = statement
            cursor.skip(1)
            statement.read(cursor)
            cursor.finish()
    except Malformed as error:
        line.error = line.error or error.diagnostic


def is_number(token: Token) -> bool:
    return token.kind == "number" or token.text in ("inf", "nan")


def read_number(token: Token) -> Number:
    """The value of a literal. Raises `Malformed`."""
    text = token.text
    if _INTEGER.fullmatch(text):
        return _read_integer(token)
    if not _FLOAT.fullmatch(text):
        raise Malformed(
            "bad-number",
            token.span,
            f"{quote(text)} is not a number",
            expected="a number such as 1_000, 0xFF, 0b101, -3, 1.5, 2e-3, inf or nan",
            hint=_repaired(text),
        )
    value = float(text)
    if math.isinf(value) and "inf" not in text:
        raise Malformed(
            "float-out-of-range",
            token.span,
            "this number is too large for a 64-bit float",
            expected="at most 1.7976931348623157e308 in magnitude, or 'inf'",
        )
    return value


def _read_integer(token: Token) -> int:
    text = token.text.lstrip("-").replace("_", "")
    base = {"0x": 16, "0b": 2}.get(text[:2], 10)
    digits = text if base == 10 else text[2:]
    # Of more digits none fits, and Python refuses to read very long numbers.
    digits = digits.lstrip("0") or "0"
    magnitude = int(digits, base) if len(digits) <= _MOST_DIGITS else 2**64
    value = -magnitude if token.text[0] == "-" else magnitude
    if base != 10 and INT_MAX < value < 2**64:
        value -= 2**64
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Malformed(
        "int-out-of-range",
        token.span,
        "this integer does not fit in 64 bits",
        expected=f"{INT_MIN} to {INT_MAX}"
        + (", or 64 bits as 0x0 to 0xFFFF_FFFF_FFFF_FFFF" if value > 0 else ""),
    )


def _repaired(text: str) -> str | None:
    """A hint at the number that was likely meant."""
    bare = text.lower().lstrip("+")
    underscored = re.sub("_+", "_", bare).strip("_").replace("_.", ".").replace("._", ".")
    for candidate in (bare, underscored, f"{bare}0", bare.replace(".", "0.", 1), bare.lstrip("-")):
        if _INTEGER.fullmatch(candidate) or _FLOAT.fullmatch(candidate):
            return f"write {candidate}"
    return None
