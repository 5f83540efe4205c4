"""The lines of the .vm format: text -> tokens -> statements, before any name has a meaning.

A line is one statement at most, and errors stay within their line: a malformed statement keeps
what could be read of it and is marked, so that no other line is blamed for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from vmlab.diagnostics import Diagnostic, quote
from vmlab.program import Source, Span

_KINDS = ("", "word", "type", "number", "string", "mark", "comment", "stray")
_TOKEN = re.compile(
    r"""[ \t]*+(?:
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
_OPERATORS = "+-*/%<>&|^!~"
_INSTEAD_OF_COMMENTS = ("#", "//", "/*", "-- ")
_LOOKALIKES = {"–": "-", "—": "-", "−": "-", "“": '"', "”": '"', "„": '"'}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
    """Carries a diagnostic out of the reading of a statement."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic)


class Cursor:
    """Walks over the tokens of one line. `hint` says how the line should look."""

    def __init__(self, tokens: Sequence[Token], hint: str) -> None:
        self._tokens = tokens
        self._hint = hint
        self._next = 0

    def skip(self, count: int) -> None:
        self._next += count

    def peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def take(self, kinds: Collection[str], expected: str) -> Token:
        token = self.peek()
        if token is None or token.kind not in kinds:
            raise self.error(expected)
        self._next += 1
        return token

    def accept(self, mark: str) -> bool:
        token = self.peek()
        if token is None or token.text != mark:
            return False
        self._next += 1
        return True

    def mark(self, mark: str, expected: str | None = None) -> None:
        if not self.accept(mark):
            raise self.error(expected or quote(mark))

    def number(self) -> Token:
        token = self.peek()
        if token is None or not is_number(token):
            raise self.error("a number")
        self._next += 1
        return token

    def items(self) -> Iterator[None]:
        """Once for each item of a list in parentheses; the caller reads the item."""
        self.mark("(")
        if not self.accept(")"):
            yield
            while not self.accept(")"):
                self.mark(",", "',' or ')'")
                yield

    def error(self, expected: str) -> Malformed:
        token = self.peek()
        if token is not None:
            found, span = quote(token.text), token.span
        else:
            last = self._tokens[-1]
            found, span = "the end of the line", Span(last.line, last.column + len(last.text))
        message = f"expected {expected}, found {found}"
        return Malformed(Diagnostic("expected-token", span, message, hint=self._hint))

    def finish(self) -> None:
        if self.peek() is not None:
            raise Malformed(trailing(self._tokens, self._next, self._hint))


def trailing(tokens: Sequence[Token], index: int, hint: str | None) -> Diagnostic:
    """That the tokens from this index on should not be there."""
    first, last = tokens[index], tokens[-1]
    if first.text == "," and is_number(tokens[index - 1]):
        hint = "numbers are written like 3.14 and 1_000"
    return Diagnostic(
        "trailing-tokens",
        Span(first.line, first.column, last.column + len(last.text) - first.column),
        f"nothing may follow {quote(tokens[index - 1].text)} here",
        expected="the end of the line",
        found=quote(first.text),
        hint=hint,
    )


@dataclass(slots=True)
class Declaration:
    """`NAME: TYPE` with, maybe, `= NUMBER`. What could not be read is None."""

    name: Token | None = None
    type: Token | None = None
    value: Token | None = None

    def read(self, cursor: Cursor) -> None:
        self.name = cursor.take(("word",), "a name")
        cursor.mark(":", "':' and a type")
        self.type = cursor.take(("word", "type"), "a type")
        if cursor.accept("="):
            self.value = cursor.number()


@dataclass(slots=True)
class Func:
    SHAPE: ClassVar = "func NAME(NAME: TYPE, …) -> TYPE"

    name: Token | None = None
    params: list[Declaration] = field(default_factory=list)
    result: Token | None = None

    def read(self, cursor: Cursor) -> None:
        self.name = cursor.take(("word",), "the function's name")
        for _ in cursor.items():
            self.params.append(Declaration())
            self.params[-1].read(cursor)
        if cursor.accept("->"):
            self.result = cursor.take(("word", "type"), "a type")


@dataclass(slots=True)
class Global:
    SHAPE: ClassVar = "global NAME: TYPE = NUMBER"

    declaration: Declaration = field(default_factory=Declaration)

    def read(self, cursor: Cursor) -> None:
        self.declaration.read(cursor)


@dataclass(slots=True)
class Local:
    SHAPE: ClassVar = "local NAME: TYPE"

    declaration: Declaration = field(default_factory=Declaration)

    def read(self, cursor: Cursor) -> None:
        self.declaration.read(cursor)


@dataclass(slots=True)
class Expect:
    """`how` is the word `trap`, `prints` or `nothing`, and None where a number stands."""

    SHAPE: ClassVar = "expect main(NUMBER, …) -> RESULT"

    function: Token | None = None
    args: list[Token] = field(default_factory=list)
    how: Token | None = None
    value: Token | None = None

    def read(self, cursor: Cursor) -> None:
        self.function = cursor.take(("word",), "'main'")
        for _ in cursor.items():
            self.args.append(cursor.number())
        cursor.mark("->")
        token = cursor.peek()
        if token is not None and token.text in ("trap", "prints", "nothing"):
            self.how = token
            cursor.skip(1)
            if token.text == "trap":
                self.value = cursor.take(("word",), "the trap's name")
            elif token.text == "prints":
                self.value = cursor.take(("string",), "the printed values in double quotes")
        elif token is not None and is_number(token):
            self.value = cursor.number()
        else:
            raise cursor.error("a number, 'trap NAME', 'prints \"VALUES\"' or 'nothing'")


@dataclass(slots=True)
class End:
    SHAPE: ClassVar = "end"

    def read(self, cursor: Cursor) -> None:
        """There is nothing behind `end`."""


@dataclass(slots=True)
class Op:
    """An instruction: its name and whatever stands behind. `whole` tells that this is all."""

    tokens: Sequence[Token]
    whole: bool = True


@dataclass(slots=True)
class Label:
    """`NAME:`. An instruction may be behind it, which is an error."""

    name: Token
    op: Op | None = None


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
    """A line of the source.

    statement  what could be read of it
    error      what is wrong with its shape, if anything
    whole      the statement is all that was meant, whatever is wrong
    unread     the text from a character on that has no business there
    """

    number: int
    tokens: list[Token]
    comment: Token | None
    statement: Statement | None = None
    error: Diagnostic | None = None
    whole: bool = True
    unread: str = ""

    def words(self) -> list[str]:
        """All that may be a name."""
        return _WORD.findall(" ".join([*(token.text for token in self.tokens), self.unread]))


def read_lines(source: Source) -> Iterator[Line]:
    """The lines of a source with their statements."""
    for number, text in enumerate(source.lines, 1):
        line = _tokenize(number, text)
        if line.tokens:
            read_statement(line)
        yield line


def _tokenize(number: int, text: str) -> Line:
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text.rstrip(" \t")):
        index = match.lastindex
        assert index is not None
        token = Token(_KINDS[index], match[index], number, match.start(index) + 1)
        if index < 6:
            tokens.append(token)
        elif index == 6:
            return Line(number, tokens, token)
        else:
            # What follows a character that has no business here cannot be trusted.
            unread = text[token.column - 1 :]
            whole = unread.startswith(_INSTEAD_OF_COMMENTS)
            error = _stray(token, text)
            return Line(number, tokens, None, error=error, whole=whole, unread=unread)
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
    if line.startswith(_INSTEAD_OF_COMMENTS, token.column - 1):
        hint = "comments start with ';'"
    elif char in "[]":
        hint = "array types are written 'int[]' and 'float[]', without spaces"
    elif char in "{}":
        hint = "there are no braces: a function goes from 'func' to 'end'"
    elif char in _LOOKALIKES:
        hint = f"write {quote(_LOOKALIKES[char])}"
    elif char in _OPERATORS:
        hint = "there are no expressions: each operation is an instruction, such as 'sub'"
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
        line.statement = Op(tokens, line.whole)
        return
    try:
        if first.kind != "word":
            message = f"a line cannot start with {quote(first.text)}"
            expected = "a directive, an instruction or a label"
            raise Malformed(Diagnostic("expected-token", first.span, message, expected))
        if labelled:
            line.statement = Label(first)
            if len(tokens) > 2:
                line.statement.op = Op(tokens[2:], line.whole)
                raise Malformed(trailing(tokens, 2, "a label stands on a line of its own"))
        else:
            statement = line.statement = DIRECTIVES[first.text]()
            cursor = Cursor(tokens, f"write '{statement.SHAPE}'")
            cursor.skip(1)
            statement.read(cursor)
            cursor.finish()
    except Malformed as error:
        line.error = line.error or error.diagnostic
        line.whole = False


def is_number(token: Token) -> bool:
    return token.kind == "number" or token.text in ("inf", "nan")
