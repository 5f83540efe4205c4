"""Errors planted into valid programs: one run reports each, at its line, and nothing else."""

import re

from differential.generator import programs
from frontend_samples import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from vmlab.assembler import assemble
from vmlab.diagnostics import ProgramError
from vmlab.isa import OPCODES, Flow, Operand

planted = settings(max_examples=80, deadline=None)

# A line, and the kinds of the errors in it, or None.
Planted = tuple[str, str | None]

MARK = " ; planted"

# What can stand before any instruction: the stack is as before behind it, as far as the error lets
# know. {n} makes names unlike each other.
SNIPPETS: list[list[Planted]] = [
    [("load zz{n}", "unknown-local"), ("pop", None)],
    [("push 1", None), ("store zz{n}", "unknown-local")],
    [("gload zz{n}", "unknown-global"), ("print", None)],
    [("push 1.5", None), ("gstore zz{n}", "unknown-global")],
    [("call zz{n}", "unknown-function")],
    [("spawn zz{n}", "unknown-function"), ("join", None)],
    [("push 0", None), ("jz zz{n}", "unknown-label")],
    [("zz{n} 1", "unknown-instruction")],
    [("zz{n}", "unknown-instruction")],
    [("push 1_", "bad-number"), ("sqrt", None), ("pop", None)],
    [("push 1e999", "float-out-of-range"), ("pop", None)],
    [("push 9223372036854775808", "int-out-of-range"), ("pop", None)],
    [("push", "missing-operand"), ("not", None), ("print", None)],
    [("push 1", None), ("jnz", "missing-operand")],
    [("push zz{n}", "wrong-operand"), ("push 0", None), ("aload", None), ("print", None)],
    [("push -x", "unexpected-character"), ("pop", None)],
    [("push 1 # one", "unexpected-character"), ("pop", None)],
    [("print 3", "unexpected-operand")],
    [("push 1, 5", "trailing-tokens")],
    [(") 3", "expected-token")],
    [('"text', "unterminated-string")],
    [("zz{n}: push 1", "trailing-tokens"), ("push 2", None), ("add", None), ("pop", None)],
    [("push 1", None), ("newarr itn", "unknown-type"), ("pop", None)],
    [("push 1", None), ("push 1.5", None), ("add", "operand-type"), ("not", None), ("pop", None)],
    [("push 1", None), ("sqrt", "operand-type"), ("pop", None)],
    [("push 1.5", None), ("jz zz{n}", "operand-type"), ("zz{n}:", None)],
    [("push 1.5", None), ("push 1", None), ("jnz zz{n}", None), ("pop", None),
     ("push 1", "merge-type"), ("zz{n}:", None), ("print", None)],
    [("push 0", None), ("jz zz{n}", None), ("push 1", "merge-depth"), ("zz{n}:", None)],
    [("zz{n}:", None), ("zz{n}:", "duplicate-label"), ("push 0", None), ("jz zz{n}", None)],
    [("push 1", None), ("pop", None), ("local zz{n}: int", "late-local"),
     ("load zz{n}", None), ("print", None)],
]  # fmt: skip

# What can stand behind all functions.
BEHIND: list[list[Planted]] = [
    [("global zz{n}: itn", "unknown-type")],
    [("global zz{n} int", "expected-token")],
    [("global zz{n}: int = 1.5", "literal-type")],
    [("expect zz{n}() -> 1", "expect-function")],
    [("expect zz{n}() -> trap zz", "expect-function unknown-trap")],
    [("func zz{n}(a: itn) -> itn", "unknown-type unknown-type"), ("load a", None), ("ret", None),
     ("end", None)],
    [("func zz{n} -> int", "expected-token"), ("load zz", "unknown-local"), ("ret", None),
     ("end", None)],
    [("func zz{n}()", None), ("add", "stack-underflow"), ("pop", None), ("ret", None),
     ("end", None)],
    [("func zz{n}() -> int", None), ("ret", "missing-result"), ("end", None)],
    [("func zz{n}() -> int", None), ("push 1.5", None), ("ret", "result-type"), ("end", None)],
    [("func zz{n}()", None), ("push 1.5", None), ("ret", "leftover-values"), ("end", None)],
    [("func zz{n}()", None), ("push 1", None), ("print", "fall-off-end"), ("end", None)],
    [("func zz{n}()", "fall-off-end"), ("end", None)],
    [("func zz{n}()", None), ("ret", None), ("zz:", "label-at-end"), ("end", None)],
    [("func zz{n}()", None), ("ret", None), ("func zzz{n}()", "missing-end"), ("ret", None),
     ("end", None)],
    [("func zz{n}()", None), ("ret", None), ("end", None), ("end", "stray-end")],
    [("func zz{n}(x: int)", None), ("load x", None), ("jz zz", None), ("ret", None),
     ("end", None), ("push 1", "outside-function"), ("push 1.5", None), ("mul", "operand-type"),
     ("zz:", None), ("ret", None), ("end", None)],
]  # fmt: skip


def broken(line: str, n: int) -> Planted | None:
    """The line with a mistake in it, if it is one of those that are tried."""
    code, *_ = line.partition(";")
    name, *rest = code.split() or [""]
    if name == "local" or (name == "global" and "=" not in code):
        return re.sub(r": *\S+", ": itn", code, count=1), "unknown-type"
    if name == "func" and n % 3 == 0:
        return code.replace("(", " ", 1), "expected-token"
    if name == "func" and n % 3 == 1 and "->" in code:
        return re.sub(r"-> *\S+", "-> itn", code), "unknown-type"
    if name == "func" and ":" in code:
        return re.sub(r": *[a-z\[\]]+", ": itn", code, count=1), "unknown-type"
    if name not in OPCODES:
        return None
    opcode = OPCODES[name]
    if n % 2 or opcode.operand is None:
        return f"zz{n} {' '.join(rest)}", "unknown-instruction"
    operand, kind = {
        Operand.LITERAL: ("1__", "bad-number"),
        Operand.LOCAL: (f"zz{n}", "unknown-local"),
        Operand.GLOBAL: (f"zz{n}", "unknown-global"),
        Operand.LABEL: (f"zz{n}", "unknown-label"),
        Operand.FUNCTION: (f"zz{n}", "unknown-function"),
        Operand.ELEMENT: ("itn", "unknown-type"),
    }[opcode.operand]
    return f"{name} {operand}", kind


def instructions(lines: list[Planted]) -> list[int]:
    """Where something can be inserted: before instructions that control can get to from above."""
    places, passes = [], False
    for index, (line, _) in enumerate(lines):
        word = (line.split() or [""])[0]
        opcode = OPCODES.get(word.split(";")[0])
        if opcode is not None:
            if passes and MARK not in line:
                places.append(index)
            passes = opcode.flow not in (Flow.JUMP, Flow.RETURN)
        elif ":" in word or word == "func":
            passes = True
    return places


@st.composite
def with_errors(draw) -> list[Planted]:
    text = draw(st.one_of(st.sampled_from(list(SAMPLES.values())), programs(coroutines=True)))
    lines: list[Planted] = [(line, None) for line in text.split("\n")]
    for n in draw(st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True)):
        match draw(st.sampled_from(["snippet", "behind", "broken"])):
            case "snippet":
                at = draw(st.sampled_from(instructions(lines)))
                lines[at:at] = named(draw(st.sampled_from(SNIPPETS)), n)
            case "behind":
                lines += named(draw(st.sampled_from(BEHIND)), n)
            case "broken":
                at = draw(st.integers(0, len(lines) - 1))
                line, kinds = lines[at]
                if kinds is None and MARK not in line:
                    lines[at] = broken(line, n) or lines[at]
    return lines


def named(planted: list[Planted], n: int) -> list[Planted]:
    return [(line.replace("{n}", str(n)) + MARK, kinds) for line, kinds in planted]


@planted
@given(with_errors())
def test_each_planted_error_is_reported_and_nothing_else(lines):
    expected = [
        (n, kind) for n, (_, kinds) in enumerate(lines, 1) for kind in (kinds or "").split()
    ]
    found = []
    try:
        assemble("\n".join(line for line, _ in lines))
    except ProgramError as error:
        found = [(d.span.line, d.kind) for d in error.diagnostics]
    assert found == expected
