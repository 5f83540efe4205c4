"""`.vm` text -> `Program`, or all that is wrong with the text."""

from __future__ import annotations

from pathlib import Path

from vmlab import syntax
from vmlab.diagnostics import Diagnostic, Findings, Note, ProgramError, a, counted, either, quote
from vmlab.isa import Trap
from vmlab.literals import number, read_value
from vmlab.outcome import format_number
from vmlab.program import Expectation, Number, Program, Source, Span
from vmlab.reader import Draft, Reader
from vmlab.resolver import resolve
from vmlab.syntax import Token
from vmlab.verifier import verify_functions

_TRAPS = tuple(str(trap) for trap in Trap)


def load(path: str | Path) -> Program:
    """Assemble a file. Raises `ProgramError`, and OSError if the file cannot be read."""
    return assemble(read_text(path), str(path))


def read_text(path: str | Path) -> str:
    """A source file's text. Raises `ProgramError` if it is not UTF-8, OSError if it cannot be
    read."""
    return decode(Path(path).read_bytes(), str(path))


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
    source = Source(path, text.removeprefix("\N{BYTE ORDER MARK}"))
    findings = Findings()
    reader = Reader(source, findings)
    functions = tuple(resolve(draft, reader, findings) for draft in reader.drafts)
    expectations = _expectations(reader, findings)
    program = Program(tuple(reader.variables), functions, expectations, source)
    # The functions whose text is in order are verified even if others are not: all errors of a
    # file are reported at once.
    sound = [index for index, draft in enumerate(reader.drafts) if draft.sound]
    stack_maps, diagnostics = verify_functions(program, sound)
    if findings.diagnostics or diagnostics:
        raise ProgramError(source, findings.diagnostics + diagnostics)
    vars(program)["stack_maps"] = tuple(stack_maps)
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
        elif main is not None:
            expectations.append(_expectation(expect, function.span, main, findings))
    return tuple(expectations)


def _main(reader: Reader, findings: Findings) -> Draft | None:
    """`main`, or None if there is none or its header is in error."""
    if "main" in reader.functions:
        main = reader.drafts[reader.functions["main"]]
        return main if main.declared else None
    if reader.functions_complete:
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


def _expectation(expect: syntax.Expect, span: Span, main: Draft, findings: Findings) -> Expectation:
    """What one line demands of `main`; after an error some of it."""
    note = Note("'main' is declared here", main.name.span)
    if len(expect.args) != len(main.params):
        parameters = ", ".join(f"{p.name}: {p.type}" for p in main.params)
        findings.error(
            "expect-arguments",
            span,
            f"'main' takes {counted(len(main.params), 'argument')}, but gets {len(expect.args)}",
            expected=f"main({parameters})",
            found=f"main({', '.join(arg.text for arg in expect.args)})",
            hint="give every argument; defaults do not count here",
            notes=[note],
        )
    args = [
        read_value(arg, param.type, f"the parameter {quote(param.name)}", param.span, findings)
        for arg, param in zip(expect.args, main.params, strict=False)
    ]
    result, trap, prints = None, None, None
    token = expect.value
    if token is None:
        if main.result is not None and expect.how is not None:
            findings.error(
                "expect-result",
                expect.how.span,
                f"'main' returns {a(main.result)}, not nothing",
                hint="write the number it must return",
                notes=[note],
            )
    elif expect.how is None:
        result = _result(token, main, note, findings)
    elif expect.how.text == "trap":
        trap = _trap(token, findings)
    else:
        prints = _prints(token, findings)
    return Expectation(tuple(v for v in args if v is not None), result, trap, prints, span)


def _result(token: Token, main: Draft, note: Note, findings: Findings) -> Number | None:
    if main.result is not None:
        return read_value(token, main.result, "the result of 'main'", main.name.span, findings)
    findings.error(
        "expect-result",
        token.span,
        "'main' returns nothing, but a number is expected",
        hint="write '-> nothing', or expect what it prints: '-> prints \"…\"'",
        notes=[note],
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
    for word in text.split(" ") if text else []:
        value = number(Token("number", word, token.line, token.column))
        printed = None if isinstance(value, Diagnostic) else format_number(value)
        if printed != word:
            findings.error(
                "prints-form",
                token.span,
                f"no value is printed as {quote(word)}",
                expected="the printed values, each in the form of 'print', one space between",
                hint=printed and f"write {printed}",
            )
            break
    return text
