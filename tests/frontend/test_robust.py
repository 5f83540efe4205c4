"""No text, however broken, raises anything but `ProgramError`."""

import re

from frontend_samples import SAMPLES
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vmlab.assembler import assemble, load
from vmlab.diagnostics import ProgramError
from vmlab.disassembler import disassemble, listing
from vmlab.formatter import format_source
from vmlab.isa import OPCODES

bounded = settings(max_examples=250, deadline=None)

WORDS = re.findall(r"\S+", SAMPLES["everything"])
FRAGMENTS = st.sampled_from(
    [*OPCODES, *WORDS, "func", "global", "local", "expect", "end", "->", "(", ")", ":", "=", ",",
     '"', '"1 2"', ";", "\n", "\n", "\t", " ", "int[]", "chan[int]", "spawn", "x", "-", "1e999",
     "9" * 30, "#", "é", "\x00", "\r", "\N{BYTE ORDER MARK}", "\ud800"]
)  # fmt: skip


def check(text: str) -> None:
    """The program is valid and survives the round trip, or is refused with good places."""
    lines = re.split(r"\r\n|\n|\r", text)
    try:
        program = assemble(text)
    except ProgramError as error:
        assert error.diagnostics
        assert str(error).count(": error: ") >= len(error.diagnostics)
        for diagnostic in error.diagnostics:
            for span in (diagnostic.span, *(n.span for n in diagnostic.notes)):
                assert 1 <= span.line <= len(lines)
                assert 1 <= span.column <= len(lines[span.line - 1]) + 1
                assert span.width >= 1
        program = None
    try:
        formatted = format_source(text)
    except ProgramError as error:
        assert program is None and str(error)
        return
    assert format_source(formatted) == formatted
    if program is not None:
        assert assemble(formatted) == program
        assert assemble(disassemble(program)) == program
        assert listing(program).count("\nend") == len(program.functions)


@bounded
@given(st.text())
@example("\ud800")
def test_any_text(text):
    check(text)


@bounded
@given(st.binary())
def test_any_bytes(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random.vm"
    path.write_bytes(data)
    try:
        load(path)
    except ProgramError as error:
        assert str(error).startswith(str(path))


@bounded
@given(st.lists(FRAGMENTS, max_size=40).map(" ".join))
def test_text_of_the_right_words(text):
    check(text)


@st.composite
def mutated(draw):
    """A valid program with a few changes to its lines or characters."""
    lines = draw(st.sampled_from(list(SAMPLES.values()))).split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["delete", "repeat", "swap", "replace", "insert", "cut"])):
            case "delete" if len(lines) > 1:
                del lines[at]
            case "repeat":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "replace":
                words = lines[at].split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(FRAGMENTS)
                lines[at] = " ".join(words)
            case "insert":
                lines.insert(at, " ".join(draw(st.lists(FRAGMENTS, max_size=4))))
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
    return "\n".join(lines)


@bounded
@given(mutated())
def test_mutated_programs(text):
    check(text)
