"""From text to program and back: assembler, disassembler, formatter."""

import itertools
import math

import pytest
from frontend_samples import EVERYTHING, FIB, SAMPLES

from vmlab.assembler import assemble, load
from vmlab.diagnostics import ProgramError
from vmlab.disassembler import disassemble, listing
from vmlab.formatter import format_source
from vmlab.isa import Type
from vmlab.program import Program, Source
from vmlab.syntax import read_lines

MAIN = "func main() -> int\n    push 0\n    ret\nend\n"


def kinds(text: str) -> list[str]:
    """What the assembler objects to, in the order of the source."""
    with pytest.raises(ProgramError) as raised:
        assemble(text)
    return [d.kind for d in raised.value.diagnostics]


def content(program: Program) -> object:
    """Everything that a program says, NaN equal to itself and places left out."""

    def variables(of):
        return [(v.name, v.type, repr(v.value)) for v in of]

    return (
        variables(program.globals),
        [
            (
                f.name,
                variables(f.params),
                f.result,
                variables(f.locals),
                [(i.opcode.name, repr(i.operand)) for i in f.code],
                f.labels,
            )
            for f in program.functions
        ],
        [(repr(e.args), repr(e.result), e.trap, e.prints) for e in program.expectations],
    )


def pushed(literal: str):
    """The value of a literal."""
    program = assemble(f"func main()\n    push {literal}\n    print\n    ret\nend\n")
    return program.main.code[0].operand


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("1_000", 1000),
        ("0xFF", 255),
        ("0xff_ff", 65535),
        ("-0x10", -16),
        ("0b101", 5),
        ("-3", -3),
        ("-0", 0),
        ("007", 7),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("0xFFFF_FFFF_FFFF_FFFF", -1),
        ("0x8000000000000000", -(2**63)),
        ("0b" + "1" * 64, -1),
        ("0" * 5000 + "1", 1),
        ("1.5", 1.5),
        ("2e-3", 0.002),
        ("1e3", 1000.0),
        ("1_0.2_5E+1", 102.5),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("-0.0", -0.0),
        ("5e-324", 5e-324),
    ],
)
def test_literals(literal, value):
    assert repr(pushed(literal)) == repr(value)
    assert math.isnan(pushed("nan"))


@pytest.mark.parametrize(
    "literal",
    ["+1", "1.", ".5", "1__0", "_1_", "0x", "0b2", "0o7", "1e", "1.5.2", "12ab", "-nan", "0X1F"],
)
def test_what_is_no_number(literal):
    assert kinds(f"func main()\n    push {literal}\n    print\n    ret\nend\n") in (
        ["bad-number"],
        ["wrong-operand"],
    )


@pytest.mark.parametrize("literal", ["1" * 5000, "-" + "9" * 5000, "0x1" + "0" * 16, "9" * 19])
def test_integers_that_do_not_fit(literal):
    assert kinds(f"func main()\n    push {literal}\n    print\n    ret\nend\n") == [
        "int-out-of-range"
    ]


def test_what_a_program_contains():
    program = assemble(EVERYTHING)
    assert [(v.name, v.type, v.value) for v in program.globals] == [
        ("big", Type.INT, -(2**63)),
        ("mask", Type.INT, 0b10101010),
        ("rate", Type.FLOAT, 0.002),
        ("zero", Type.FLOAT, 0.0),
        ("count", Type.INT, 0),
        ("table", Type.FLOAT_ARRAY, None),
    ]
    fill, mixed, pop, main = program.functions
    assert [v.name for v in fill.slots] == ["a", "value", "i"]
    assert fill.labels == (("loop", 1), ("again", 1), ("test", 9))
    assert fill.code[0].target == 9
    assert mixed.result is Type.FLOAT and pop.result is None
    assert main is program.main
    assert [p.value for p in main.params] == [1000, -math.inf]
    assert main.code[3].operand is None and main.code[4].operand is Type.INT
    assert [(e.result, e.trap, e.prints) for e in program.expectations] == [
        (None, None, "-0.0 -9223372036854775808"),
        (None, "index_out_of_range", None),
        (None, None, None),
    ]


def test_spans_point_at_the_tokens():
    program = assemble(FIB)
    lines = FIB.split("\n")
    for _, _, instruction in program.sites():
        for span, text in (
            (instruction.span, instruction.opcode.name),
            (instruction.operand_span, None),
        ):
            if span is not None:
                found = lines[span.line - 1][span.column - 1 :][: span.width]
                assert text is None or found == text
    main = program.main.span
    assert lines[main.line - 1][main.column - 1 :][: main.width] == "main"


@pytest.mark.parametrize("name", SAMPLES)
def test_round_trip(name):
    program = assemble(SAMPLES[name])
    text = disassemble(program)
    again = assemble(text)
    assert content(again) == content(program)
    assert again == program and hash(again) == hash(program)
    assert disassemble(again) == text
    assert format_source(text) == text


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("push 2\n", "push 3\n", 1),
        lambda t: t.replace("int = 30", "int = 31"),
        lambda t: t.replace("-> 55", "-> 56"),
        lambda t: t.replace("fib", "fob"),
        lambda t: t.replace("recurse", "recur"),
    ],
)
def test_programs_that_differ_are_not_equal(change):
    assert assemble(change(FIB)) != assemble(FIB)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\r"),
        lambda t: "\N{BYTE ORDER MARK}" + t,
        lambda t: t.replace("    ", "\t"),
        lambda t: t.rstrip("\n"),
        lambda t: t.replace("\n", "  \n"),
        lambda t: t.replace("; ", ";\x0b\x0c\x1c\x85\u2028 ünï "),
    ],
)
def test_spaces_and_line_ends_do_not_matter(change):
    assert assemble(change(FIB)) == assemble(FIB)
    assert assemble(format_source(change(FIB))) == assemble(FIB)


def test_load(tmp_path):
    path = tmp_path / "fib.vm"
    path.write_text(FIB, encoding="utf-8-sig")
    program = load(path)
    assert program == assemble(FIB)
    assert program.source.path == str(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.vm")
    path.write_bytes(b"\xff\xfe" + FIB.encode("utf-16-le"))
    with pytest.raises(ProgramError, match=r"fib.vm:1:1: error: this is not UTF-8"):
        load(path)


@pytest.mark.parametrize("text", ["", "\n", "; nothing\n", "\N{BYTE ORDER MARK}"])
def test_a_file_without_a_program(text):
    assert kinds(text) == ["missing-main"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # an unknown type is one error, however often the name is used
        (
            MAIN + "func f(a: itn) -> int\n    load a\n    ret\nend\n"
            "func g() -> int\n    push 1\n    call f\n    ret\nend\n",
            ["unknown-type"],
        ),
        (
            "global g: flot = 1\n" + MAIN + "func f()\n    gload g\n    gstore g\n    ret\nend\n",
            ["unknown-type"],
        ),
        # a malformed declaration is not followed by complaints about its uses
        ("global = 1\n" + MAIN + "func f()\n    gload g\n    print\n    ret\nend\n",
         ["expected-token"]),
        ("func (n: int) -> int\n    load n\n    ret\nend\n", ["expected-token"]),
        ("func main(n) -> int\n    load n\n    ret\nend\n", ["expected-token"]),
        ("func main()\n    local 3: int\n    load n\n    print\n    ret\nend\n",
         ["expected-token"]),
        ("func main()\n    jmp there\n(there):\n    ret\nend\n", ["expected-token"]),
        ("func main()\n    jmp süd\nsüd:\n    ret\nend\n",
         ["unexpected-character", "unexpected-character"]),
        # a missing `end` is one error
        ("func main() -> int\n    push 0\n    ret\nexpect main() -> 0\n", ["missing-end"]),
        ("func main() -> int\n    push 0\n    ret\nglobal g: int\n    push 1\nend\n",
         ["missing-end"]),
        # so are lines outside of any function
        ("    push 1\nloop:\n    add\n    local k: int\nend\n" + MAIN, ["outside-function"]),
        ("what is this\nand this\n" + MAIN, ["unknown-directive"]),
        # an error in one function does not hide those in others, of whatever sort
        (
            "func f() -> int\n    lod x\n    ret\nend\nfunc g() -> int\n    add\n    ret\nend\n"
            "func main() -> int\n    call f\n    call g\n    push 1.5\n    add\n    ret\nend\n",
            ["unknown-instruction", "stack-underflow", "operand-type", "leftover-values"],
        ),
        # after a type error nothing is blamed on its consequences, but new errors are found
        (
            "func main() -> int\n    push 1\n    push 1.5\n    add\n    dup\n    mul\n    push 2\n"
            "    push 2.5\n    lt\n    ret\nend\n",
            ["operand-type", "operand-type", "leftover-values"],
        ),
        ("func main() -> int\n    add\n    store k\n    ret\nend\n",
         ["stack-underflow", "unknown-local"]),
        ("func main() -> int\n    add\n    swap\n    rot\n    over\n    add\n    ret\nend\n",
         ["stack-underflow"]),
        # what is expected of a broken `main` is checked as far as its header is known
        ("func main(n: itn) -> int\n    load n\n    ret\nend\nexpect main() -> 1.5\n",
         ["unknown-type", "expect-arguments", "literal-type"]),
        ("func main(n: int) -> itn\n    load n\n    ret\nend\nexpect main(1.5) -> 1.5\n",
         ["unknown-type", "literal-type"]),
        ("func main(n -> int\n    load n\n    ret\nend\nexpect main() -> 1.5\n"
         "expect main(1_) -> trap none\n", ["expected-token", "bad-number", "unknown-trap"]),
        (MAIN + "expect main() -> 1.5\nexpect main(1) -> 0\n",
         ["literal-type", "expect-arguments"]),
        # a misspelt directive is read as what was meant
        ("fnc main() -> int\n    locl k: int\n    load k\n    ret\nende\nexpct main() -> 0\n",
         ["unknown-directive"] * 4),
        # where that was wrong, the lines below are not blamed
        ("func main() -> int\n    push 0\n    endif\n    add\n    ret\nend\n",
         ["unknown-directive"]),
        ("func main() -> int\n    push 0\n    if x (\n    add\n    ret\nend\n",
         ["unknown-instruction"]),
        # code that only an unknown or doubtful jump leads to is not blamed for its stack
        ("func main() -> int\n    push 1\n    jmp lop\n"
         "loop:\n    print\n    push 0\n    ret\nend\n",
         ["unknown-label"]),
        ("func main() -> int\n    push 1\n    goto loop\n"
         "loop:\n    print\n    push 0\n    ret\nend\n",
         ["unknown-instruction"]),
        ("func main()\n    push 1\n    jmp l\nl:\n    pop\n    ret\nl:\n    print\n    ret\nend\n",
         ["duplicate-label"]),
        # a name that must be declared is one error, one that is misspelt is one at every place
        ("func main()\n    load i\n    store i\n"
         "    gload g\n    print\n    call h\n    jmp l\nend\n"
         "func f()\n    load i\n    gstore g\n    call h\n    jmp l\nend\n",
         ["unknown-local", "unknown-global", "unknown-function", "unknown-label", "unknown-local",
          "unknown-label"]),
        ("func main(count: int = 1)\n    load cuont\n    print\n    load cuont\n    print\n"
         "    ret\nend\n", ["unknown-local", "unknown-local"]),
        # what is declared twice may be either
        ("global g: int\nglobal g: float\n" + MAIN + "func f(a: int, a: float)\n    load a\n"
         "    sqrt\n    gload g\n    not\n    pop\n    pop\n    ret\nend\nfunc f()\n    call f\n"
         "    ret\nend\n", ["duplicate-global", "duplicate-parameter", "duplicate-function"]),
        # a malformed line may have declared all its words, and no others
        ("global g, h: int\n" + MAIN + "func f()\n    local a, b: int\n    load b\n    gstore h\n"
         "    load c\n    gstore i\n    ret\nend\n",
         ["expected-token", "expected-token", "unknown-local", "unknown-global"]),
        # what is no result, or a comment of another language, is read as what was meant
        ("func main() -> void\n    push 1\n    ret\nend\n", ["unknown-type", "leftover-values"]),
        ("func main()   # starts here\n    push 1  // one\n    ret\nend  # of main\n"
         "expect main() -> 1  # nothing, in fact\n",
         ["unexpected-character", "unexpected-character", "leftover-values",
          "unexpected-character", "expect-result", "unexpected-character"]),
        # a misspelt directive does not hide what is wrong with the rest of the line
        ("fucn main(n int)\n    ret\nend\n", ["unknown-directive", "expected-token"]),
        # a label may have an instruction behind it
        ("func main()\nloop: push 1.5\n    jnz loop\n    ret\nend\n",
         ["trailing-tokens", "operand-type"]),
        # an `end` too early does not hide the rest
        ("func main()\n    push 1\n    jz a\nend\n"
         "a:\n    push 1.5\n    not\n    pop\n    ret\nend\n",
         ["outside-function", "operand-type"]),
        # a function whose name is taken is checked all the same
        (MAIN + "func main() -> int\n    add\n    call main\n    ret\nend",
         ["duplicate-function", "stack-underflow"]),
    ],
)  # fmt: skip
def test_every_error_is_reported_and_no_error_twice(text, expected):
    assert kinds(text) == expected


def test_diagnostics_are_data():
    with pytest.raises(ProgramError) as raised:
        assemble("func main() -> int\n    local total: int\n    load totl\n    ret\nend\n", "a.vm")
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.kind == "unknown-local"
    assert (diagnostic.span.line, diagnostic.span.column, diagnostic.span.width) == (3, 10, 4)
    assert diagnostic.hint == "did you mean 'total'?"
    assert str(raised.value).startswith("a.vm:3:10: error: there is no local 'totl' in 'main'")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("int i", "to declare a local, write 'local i: int'"),
        ("float n", "'n' is a local: use 'load n'"),
        ("aload table", "'table' is a global: use 'gload table'"),
        ("print done", "'done' is a label: use 'jmp done'"),
        ("add 0x10", "put it on the stack in a line before: 'push 0x10'"),
        ("push dup", "'dup' is an instruction: write it on a line of its own"),
        ("store 3", None),
        ("newarr 3", None),
        ("newarr float[]", "write 'newarr float'"),
        ("gload 3", "write 'push 3'"),
        ("goto done", "there are no blocks: 'jmp', 'jz' and 'jnz' go to labels"),
        ("ad", "did you mean 'add'?"),
        ("load table[0]", "'aload' reads an element; it takes the array and the index"),
        ("push –1", "write '-'"),
        ("multiply", "did you mean 'mul'?"),
        ("Add", "did you mean 'add'?"),
        ("psuh 1", "did you mean 'push'?"),
        ("local k: int []", "array types are written 'int[]' and 'float[]', without spaces"),
    ],
)
def test_hints(line, hint):
    text = f"global table: int[]\nfunc main(n: int = 0)\n{line}\ndone:\n    ret\nend\n"
    with pytest.raises(ProgramError) as raised:
        assemble(text)
    first = next(d for d in raised.value.diagnostics if d.kind != "stack-underflow")
    assert first.hint == hint


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        ("push 1.5\nnot", "'int' turns a float into an int, toward zero"),
        ("push 1.5\njz done", "compare it with something: a comparison of floats gives the int"),
        ("push 1\npush 3\nnewarr int\nadd", "this is a whole array; take an element"),
        ("push 2\nnewarr int\npush 0\npush 2.5\nastore", "'int' turns a float into an int"),
        ("push 2\nnewarr float\npush 0\npush 2\nastore", "'float' turns an int into a float"),
        ("push 0\npush 2\nnewarr float\naload", "the operands are in the wrong order"),
        ("push 1\nsqrt", "'float' turns an int into a float"),
    ],
)
def test_hints_on_types(lines, hint):
    with pytest.raises(ProgramError) as raised:
        assemble(f"func main()\n{lines}\ndone:\n    ret\nend\n")
    assert raised.value.diagnostics[0].hint.startswith(hint)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("expect main() -> 5", "'main' returns nothing, but a number is expected"),
        (
            "expect main() -> five",
            "expected a number, 'trap NAME', 'prints \"VALUES\"' or 'nothing'",
        ),
        ("expect main() -> trap", "expected the trap's name, found the end of the line"),
        ("expect main(", "expected a number, found the end of the line"),
        ("= 3", "a line cannot start with '='"),
    ],
)
def test_malformed_lines(line, message):
    with pytest.raises(ProgramError) as raised:
        assemble(f"func main()\n    ret\nend\n{line}\n")
    assert raised.value.diagnostics[0].message.startswith(message)


@pytest.mark.parametrize(
    ("line", "shown", "carets"),
    [
        ("\tpsuh 1", "    psuh 1", "    ^^^^"),
        ("  psuh\t1 ; \t日本", "  psuh  1 ;     日本", "  ^^^^"),
        ("push \x07", "push \ufffd", "     ^"),
        ("push 日", "push 日", "     ^^"),
        ("push ﬁe\u0301", "push ﬁe\u0301", "     ^"),
        ("psuh 1 ; " + "x" * 200, "psuh 1 ; " + "x" * 91 + "…", "^^^^"),
    ],
)
def test_carets_stand_under_the_token(line, shown, carets):
    with pytest.raises(ProgramError) as raised:
        assemble(f"func main()\n{line}\n    ret\nend\n")
    _, excerpt, underlined, *_ = str(raised.value).split("\n")
    assert excerpt == f"    2 | {shown}"
    assert underlined == f"      | {carets}"


def test_a_long_line_is_shown_around_the_token():
    with pytest.raises(ProgramError) as raised:
        assemble(f"func main() {'x' * 500}\n    ret\nend\nexpect main({'1, ' * 300}x) -> 2\n")
    lines = str(raised.value).split("\n")
    assert max(map(len, lines)) < 120
    source, carets = next((a, b) for a, b in itertools.pairwise(lines) if a.startswith("    4 |"))
    assert source[carets.index("^")] == "x"
    assert carets.count("^") == 1


MESSY = """\


;  first
  global   a:int=1;one
global b : float    =   2.5


func   f ( x :int , y: float )->int ; takes two
                                    ; and gives one
\tlocal k:int
  ; below is a label
top :
load x      ;x
            ;more of x
   ; not of x
  jz    top   ; a comment far behind, but not so far that it would not fit
push -0x8000_0000_0000_0000          ; does not leave the comment room
ret
end    ; of f
       ; still of f
func main( )
  ret
end
expect main( )->nothing
expect  main (  ) ->  prints   "1  2"
"""

TIDY = """\
;  first
global a: int = 1               ;one
global b: float = 2.5

func f(x: int, y: float) -> int  ; takes two
                                 ; and gives one
    local k: int
; below is a label
top:
    load x                      ;x
                                ;more of x
    ; not of x
    jz top                      ; a comment far behind, but not so far that it would not fit
    push -0x8000_0000_0000_0000  ; does not leave the comment room
    ret
end                             ; of f
                                ; still of f

func main()
    ret
end

expect main() -> nothing
expect main() -> prints "1  2"
"""


def test_layout():
    assert format_source(MESSY) == TIDY
    assert format_source("") == ""


@pytest.mark.parametrize("text", [*SAMPLES.values(), MESSY], ids=[*SAMPLES, "messy"])
def test_formatting_changes_only_the_layout(text):
    formatted = format_source(text)
    assert format_source(formatted) == formatted
    assert tokens(formatted) == tokens(text)


def tokens(text: str) -> list[str]:
    """All tokens and comments of a text."""
    lines = read_lines(Source("", text))
    return [
        token.text.rstrip()
        for line in lines
        for token in (*line.tokens, *([line.comment] if line.comment else []))
    ]


def test_formatting_needs_well_formed_lines_only():
    assert format_source("add  nothing\n  end") == "    add nothing\nend\n"
    with pytest.raises(ProgramError) as raised:
        format_source("func (\n    push 1 # one\nend end\n", "a.vm")
    assert [d.kind for d in raised.value.diagnostics] == [
        "expected-token",
        "unexpected-character",
        "trailing-tokens",
    ]


def test_listing():
    text = (
        "global total: float = 0.0\n"
        "func main(n: int = 3) -> int\n"
        "    load n\n    jz done\n    gload total\n    push 1.5\n    add\n    gstore total\n"
        "done:\n    push 1\n    ret\n    push 2\n    ret\nend\n"
    )
    assert listing(assemble(text)) == (
        "func main(n: int = 3) -> int\n"
        "    ; slots: 0 = n: int\n"
        "    ; deepest stack: 2\n"
        "     0  load n        load       []\n"
        "     1  jz done       jz         [int]\n"
        "     2  gload total   gload      []\n"
        "     3  push 1.5      push       [float]\n"
        "     4  add           add.float  [float float]\n"
        "     5  gstore total  gstore     [float]\n"
        "done:\n"
        "     6  push 1        push       []\n"
        "     7  ret           ret        [int]\n"
        "     8  push 2        push       []  unreachable\n"
        "     9  ret           ret        [int]  unreachable\n"
        "end\n"
    )


def test_slots_are_put_together_once():
    """Else what goes through the instructions of a function takes time by the square of its size:
    a minute for the text of one with 60,000 locals."""
    function = assemble("func main(n: int)\n    local m: int\n    ret\nend\n").main
    assert function.slots == function.params + function.locals
    assert function.slots is function.slots
