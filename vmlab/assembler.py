"""`.vm` text -> `Program`, or all that is wrong with the text."""

from __future__ import annotations

from pathlib import Path

from vmlab import syntax
from vmlab.checking import check_type
from vmlab.diagnostics import Diagnostic, Findings, Note, ProgramError, a, counted, either, quote
from vmlab.draft import ANY_NAME, Draft
from vmlab.inputs import read_bytes
from vmlab.isa import Trap
from vmlab.literals import number, read_number, read_value
from vmlab.outcome import format_number
from vmlab.program import Expectation, Number, Program, Source, Span
from vmlab.reader import Reader
from vmlab.resolver import resolve
from vmlab.syntax import Token
from vmlab.verifier import proven

_TRAPS = tuple(str(trap) for trap in Trap)


def load(path: str | Path) -> Program:
    """Assemble a file. Raises `ProgramError`, and OSError if the file cannot be read."""
    return assemble(read_text(path), str(path))


def read_text(path: str | Path) -> str:
    """A source file's text. Raises `ProgramError` if it is not UTF-8, OSError if it cannot be
    read."""
    return decode(read_bytes(path), str(path))


def decode(data: bytes, path: str) -> str:
    """The text of a source file with this content. Raises `ProgramError` if it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = Source("", data[: error.start].decode()).lines
        span = Span(len(before), len(before[-1]) + 1)
        source = Source(path, data.decode(errors="replace"))
        message = f"this is not UTF-8: byte 0x{data[error.start]:02X} at offset {error.start}"
        hint = "save the file with the encoding UTF-8"
        diagnostic = Diagnostic("not-utf8", span, message, hint=hint)
        raise ProgramError(source, [diagnostic]) from None


def assemble(text: str, path: str = "<string>") -> Program:
    """The program that a text means, verified. `path` names the text in messages. Raises
    `ProgramError` with all errors."""
    check_type("text", text, str, "that of a program (vmlab.load reads files)")
    source = Source(path, text.removeprefix("\N{BYTE ORDER MARK}"))
    findings = Findings()
    reader = Reader(source, findings)
    functions = tuple(resolve(draft, reader, findings) for draft in reader.drafts)
    expectations = _expectations(reader, findings)
    program = Program(tuple(reader.variables), functions, expectations, source)
    vars(program)["stack_maps"] = proven(program, findings.diagnostics)
    return program


def _expectations(reader: Reader, findings: Findings) -> tuple[Expectation, ...]:
    """What the `expect` lines demand."""
    main = _main(reader, findings)
    expectations = []
    for expect in reader.expects:
        function = expect.function
        assert function is not None
        if function.text != "main":
            findings.error(
                "expect-function",
                function.span,
                f"only 'main' can be expected to do something, not {quote(function.text)}",
                hint=f"write '{expect.SHAPE}'",
            )
        known = main if function.text == "main" else None
        expectations.append(_expectation(expect, function.span, known, findings))
    return tuple(expectations)


def _main(reader: Reader, findings: Findings) -> Draft | None:
    """`main`, or None if there is none, or there is doubt about its parameters or result."""
    if "main" in reader.doubtful:
        return None
    if "main" in reader.functions:
        return reader.drafts[reader.functions["main"]]
    if ANY_NAME in reader.doubtful:
        return None
    likely = findings.closest("main", reader.functions)
    notes = []
    if likely is not None:
        span = reader.drafts[reader.functions[likely]].name.span
        notes = [Note(f"did you mean 'main' instead of {quote(likely)}?", span)]
    findings.error(
        "missing-main",
        Span(1, 1),
        "the program has no function 'main'",
        hint="a program starts in 'func main()'; write one, closed by 'end'",
        notes=notes,
    )
    return None


def _expectation(
    expect: syntax.Expect, span: Span, main: Draft | None, findings: Findings
) -> Expectation:
    """What one line demands of `main`, as far as that is known; after an error some of it."""
    args = _args(expect, span, main, findings)
    result, trap, prints = None, None, None
    token = expect.value
    if token is None:
        if main is not None and main.result is not None and expect.how is not None:
            findings.error(
                "expect-result",
                expect.how.span,
                f"'main' returns {a(main.result)}, not nothing",
                hint="write the number it must return",
                notes=[_declared(main)],
            )
    elif expect.how is None:
        result = _result(token, main, findings)
    elif expect.how.text == "trap":
        trap = _trap(token, findings)
    else:
        prints = _prints(token, findings)
    return Expectation(tuple(v for v in args if v is not None), result, trap, prints, span)


def _declared(main: Draft) -> Note:
    return Note("'main' is declared here", main.name.span)


def _args(
    expect: syntax.Expect, span: Span, main: Draft | None, findings: Findings
) -> list[Number | None]:
    if main is None:
        return [read_number(arg, findings) for arg in expect.args]
    if len(expect.args) != len(main.params):
        parameters = ", ".join(f"{p.name}: {p.type}" for p in main.params)
        findings.error(
            "expect-arguments",
            span,
            f"'main' takes {counted(len(main.params), 'argument')}, but gets {len(expect.args)}",
            expected=f"main({parameters})",
            found=f"main({', '.join(arg.text for arg in expect.args)})",
            hint="give every argument; defaults do not count here",
            notes=[_declared(main)],
        )
    return [
        read_value(arg, param.type, f"the parameter {quote(param.name)}", param.span, findings)
        for arg, param in zip(expect.args, main.params, strict=False)
    ]


def _result(token: Token, main: Draft | None, findings: Findings) -> Number | None:
    if main is None:
        return read_number(token, findings)
    if main.result is not None:
        return read_value(token, main.result, "the result of 'main'", main.name.span, findings)
    findings.error(
        "expect-result",
        token.span,
        "'main' returns nothing, but a number is expected",
        hint="write '-> nothing', or expect what it prints: '-> prints \"…\"'",
        notes=[_declared(main)],
    )
    return None


def _trap(token: Token, findings: Findings) -> str:
    if token.text not in _TRAPS:
        findings.error(
            "unknown-trap",
            token.span,
            f"there is no trap {quote(token.text)}",
            expected=either(_TRAPS),
            hint=findings.suggest(token.text, _TRAPS),
        )
    return token.text


def _prints(token: Token, findings: Findings) -> str:
    text = token.text.strip('"')
    column = token.column + 1
    for word in text.split(" ") if text else []:
        value = number(Token("number", word, token.line, column))
        printed = None if isinstance(value, Diagnostic) else format_number(value)
        if printed != word:
            findings.error(
                "prints-form",
                Span(token.line, column, len(word) or 1),
                f"no value is printed as {quote(word)}",
                expected="the printed values, each in the form of 'print', one space between",
                hint=printed and f"write {printed}",
            )
        column += len(word) + 1
    return text
