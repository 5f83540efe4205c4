"""The verifier: stack maps, and what it accepts, derived from the instruction table."""

import itertools
import time

import pytest
from frontend_samples import CORPUS, deep, wide

from vmlab import verifier
from vmlab.assembler import assemble
from vmlab.diagnostics import ProgramError
from vmlab.isa import OPCODES, VARIANTS, Flow, Operand, Type
from vmlab.program import Function, Instruction, Program, Source, Variable
from vmlab.unknown import UNKNOWN, UNREADABLE
from vmlab.verifier import verify

ALL_TYPES = tuple(Type)

# What goes on with the next instruction, after all.
PASSING = (Flow.NEXT, Flow.SWITCH)
LETTERS = {"A", "B", "C"}


def stacks(program: Program, function: int = 0) -> list[tuple[str, ...]]:
    return [stack.types() for stack in verify(program)[function].before]


def test_stack_map():
    program = assemble(
        "func half(n: int) -> float\n"
        "    load n\n    push 2\n    div\n    float\n    ret\nend\n"
        "func main(n: int = 3) -> int\n"
        "    local a: float[]\n"
        "    load n\n    newarr float\n    store a\n"
        "loop:\n"
        "    load a\n    load n\n    dup\n    call half\n    astore\n"
        "    load n\n    jnz loop\n"
        "    push 0\n    ret\n"
        "    jmp loop\n"
        "end\n"
    )
    half, main = program.stack_maps
    assert [s.types() for s in half.before] == [
        (),
        ("int",),
        ("int", "int"),
        ("int",),
        ("float",),
    ]
    assert [v.name for v in half.variants] == ["load", "push", "div.int", "float", "ret"]
    assert half.max_depth == 2
    assert all(half.reachable)
    assert [s.types() for s in main.before] == [
        (),
        ("int",),
        ("float[]",),
        (),
        ("float[]",),
        ("float[]", "int"),
        ("float[]", "int", "int"),
        ("float[]", "int", "float"),
        (),
        ("int",),
        (),
        ("int",),
        (),
    ]
    assert main.variants[7] is VARIANTS["astore.float[]"]
    assert main.max_depth == 3
    assert main.reachable == (True,) * 12 + (False,)


def test_a_program_is_verified_by_the_assembler():
    program = assemble("func main()\n    ret\nend\n")
    assert "stack_maps" in vars(program)


def operands_of(opcode, types):
    """What can stand behind an instruction, and the type that a T in its effect then means."""
    match opcode.operand:
        case None:
            yield None, None
        case Operand.LITERAL:
            yield 1, Type.INT
            yield 1.0, Type.FLOAT
        case Operand.LOCAL:
            for index, type_ in enumerate(types):
                yield index, type_
        case Operand.GLOBAL:
            for index, type_ in enumerate(ALL_TYPES):
                yield index, type_
        case Operand.ELEMENT:
            yield Type.INT, Type.INT
            yield Type.FLOAT, Type.FLOAT
        case _:
            return


@pytest.mark.parametrize("name", [n for n, o in OPCODES.items() if o.flow in PASSING])
def test_an_instruction_takes_what_its_effects_say_and_nothing_else(name):
    """Every stack of up to three values, below the instruction's own operands or too shallow."""
    opcode = OPCODES[name]
    load, ret, pop = OPCODES["load"], OPCODES["ret"], OPCODES["pop"]
    for depth in range(4):
        for types in itertools.product(ALL_TYPES, repeat=depth):
            for operand, named in operands_of(opcode, types):
                loads = [Instruction(load, i) for i in range(depth)]
                found = match(opcode, types, named)
                pops = len(found[1]) if found else 0
                code = [*loads, Instruction(opcode, operand), *[Instruction(pop)] * pops]
                params = tuple(Variable(f"p{i}", t) for i, t in enumerate(types))
                main = Function("main", params, None, (), (*code, Instruction(ret)))
                variables = tuple(Variable(t, t) for t in ALL_TYPES)
                program = Program(variables, (main,), (), Source("", ""))
                if found is None:
                    with pytest.raises(ProgramError):
                        verify(program)
                    continue
                (stack_map,) = verify(program)
                assert stack_map.variants[depth] is found[0]
                assert stack_map.before[depth + 1].types() == found[1]


def match(opcode, types, named):
    """The variant that applies to a stack and the stack after it, read off the table."""
    for variant in opcode.variants:
        meaning = {"T": named}
        if opcode.operand is Operand.ELEMENT:
            meaning |= {word: Type.of(word, named) for word in ("T[]", "chan[T]")}
        pops = variant.effect.pops
        if len(pops) > len(types):
            continue
        rest, taken = types[: len(types) - len(pops)], types[len(types) - len(pops) :]
        meaning |= dict(zip(pops, taken, strict=True)) if set(pops) <= LETTERS else {}
        if [meaning.get(word, word) for word in pops] == list(taken):
            return variant, (*rest, *(meaning.get(word, word) for word in variant.effect.pushes))
    return None


def test_equal_stacks_are_one_object():
    program = assemble(
        "func main(n: int = 3) -> int\n    load n\n    push 1\n    add\n    push 2\n    add\n"
        "    ret\nend\nfunc f()\n    push 1\n    pop\n    ret\nend\n"
    )
    main, f = verify(program)
    assert main.before[1] is main.before[3] is main.before[5] is f.before[1]
    assert main.before[2] is main.before[4]
    assert main.before[2].below is main.before[1]
    assert (main.before[2].type, main.before[2].depth) == ("int", 2)
    assert list(main.before[0]) == [] and main.before[0].type is None


def test_iteration_starts_at_the_top():
    program = assemble("func main()\n    push 1\n    push 1.5\n    pop\n    pop\n    ret\nend\n")
    (stack_map,) = verify(program)
    assert list(stack_map.before[2]) == ["float", "int"]
    assert stack_map.before[2].types() == ("int", "float")


def kinds(text: str) -> list[str]:
    with pytest.raises(ProgramError) as raised:
        assemble(text)
    return [d.kind for d in raised.value.diagnostics]


def test_paths_that_meet_must_agree_on_the_whole_stack():
    body = (
        "func main(n: int = 0) -> int\n    push {low}\n    push 1\n    load n\n    jz other\n"
        "    pop\n    pop\n    push {other}\n    push 1\n"
        "other:\n    pop\n    pop\n    push 0\n    ret\nend\n"
    )
    assemble(body.format(low=1, other=2))
    assert kinds(body.format(low=1, other=1.5)) == ["merge-type"]


def test_unreachable_code_is_checked_as_if_entered_with_an_empty_stack():
    head = "func main() -> int\n    push 0\n    ret\n"
    assemble(head + "    push 1\n    ret\nend\n")
    assert kinds(head + "    add\n    ret\nend\n") == ["stack-underflow"]
    assert kinds(head + "    push 1\n    pop\nend\n") == ["fall-off-end"]
    assert kinds(head + "back:\n    push 1.5\n    jmp back\nend\n") == ["merge-depth"]
    with pytest.raises(ProgramError, match="no path leads here"):
        assemble(head + "    add\n    ret\nend\n")


@pytest.mark.parametrize(
    "code",
    [
        [Instruction(OPCODES["load"]), Instruction(OPCODES["pop"]), Instruction(OPCODES["ret"])],
        [Instruction(UNREADABLE[Flow.RETURN])],
        [Instruction(OPCODES["jmp"])],
    ],
)
def test_what_is_unknown_is_no_proof(code):
    main = Function("main", (), None, (), tuple(code))
    with pytest.raises(ValueError, match="unknown"):
        verify(Program((), (main,), (), Source("", "")))
    main = Function("main", (), None, (Variable("x", UNKNOWN),), (Instruction(OPCODES["ret"]),))
    with pytest.raises(ValueError, match="unknown"):
        verify(Program((), (main,), (), Source("", "")))


def test_where_paths_disagree_nothing_behind_is_blamed():
    arms = "    load n\n    jz other\n{}    jmp out\nother:\n{}out:\n    {}\n    load n\n"
    text = "func main(n: int = 0)\nloop:\n" + arms + "    jnz loop\n    ret\nend\n"
    assemble(text.format("    push 1\n", "    push 2\n", "print"))
    assert kinds(text.format("    push 1\n", "", "print")) == ["merge-depth"]
    assert kinds(text.format("", "    push 1\n", "print")) == ["merge-depth"]
    assert kinds(text.format("    push 1\n", "    push 2.5\n", "not\nprint")) == ["merge-type"]
    assert kinds(text.format("    push 1\n", "", "yield")) == ["merge-depth"]
    assert kinds(text.format("    push 1\n", "    push 2\n", "yield")) == ["merge-depth"]


def test_paths_from_an_unknown_stack_are_compared():
    with pytest.raises(ProgramError) as raised:
        assemble(
            "func main(n: int = 0) -> int\n    call nothing\n"
            "loop:\n    add\n    push 1.5\n    load n\n    jnz loop\n    pop\n    ret\nend\n"
            "func f()\n    call nothing\n    push 1\n    jz a\n    pop\na:\n    ret\nend\n"
            "func g()\n    call nothing\n    push 1\n    jz a\n    push 2\na:\n    ret\nend\n"
        )
    assert [(d.span.line, d.message.split("[")[0]) for d in raised.value.diagnostics] == [
        (2, "there is no function 'nothing'"),
        (15, "this path brings 1 value less to 'a' than another does"),
        (23, "this path brings 1 value more to 'a' than another does"),
    ]


def test_a_frame_too_large_is_reported_beside_other_errors(monkeypatch):
    monkeypatch.setattr(verifier, "MAX_FRAME_WORDS", 3)
    pushes = "    push 1\n" * 4
    assert kinds(f"func main() -> int\n    add\n{pushes}    jmp no\nend\n") == [
        "stack-underflow",
        "frame-too-large",
        "unknown-label",
    ]


def test_irreducible_control_flow():
    program = assemble(
        "func main(n: int = 0) -> int\n    load n\n    jz b\n"
        "a:\n    load n\n    jz c\n"
        "b:\n    load n\n    jnz a\n"
        "c:\n    load n\n    ret\nend\n"
    )
    assert stacks(program) == [(), ("int",)] * 4


def test_notes_say_where_the_other_side_is():
    with pytest.raises(ProgramError) as raised:
        assemble(
            "func f(x: float)\n    ret\nend\n"
            "func main() -> int\n    push 1\n    dup\n    call f\n    ret\nend\n"
        )
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.kind == "argument-type"
    assert [(n.message, n.span.line) for n in diagnostic.notes] == [
        ("the int comes from here", 6),
        ("'x' is declared here", 1),
    ]


def test_notes_go_back_over_jumps():
    with pytest.raises(ProgramError) as raised:
        assemble(
            "func main(n: int = 0) -> int\n    push 1.5\n    load n\n    jz there\n    ret\n"
            "there:\n    not\n    ret\nend\n"
        )
    assert [(d.kind, d.span.line, d.notes[0].span.line) for d in raised.value.diagnostics] == [
        ("result-type", 5, 2),
        ("operand-type", 7, 2),
    ]


def test_large_programs_take_linear_time():
    small, large = wide(20_000), wide(200_000)
    start = time.perf_counter()
    assemble(small)
    middle = time.perf_counter()
    program = assemble(large)
    end = time.perf_counter()
    assert end - middle < 30 * (middle - start)  # 10 if linear, 100 if quadratic
    assert len(program.main.code) > 200_000
    start = time.perf_counter()
    (stack_map,) = verify(program)
    assert time.perf_counter() - start < 5
    assert stack_map.max_depth == 2


def test_deep_stacks():
    program = assemble(deep(60_000))
    (stack_map,) = program.stack_maps
    assert stack_map.max_depth == 60_000
    assert stack_map.before[60_000].below is stack_map.before[59_999]
    assert kinds(deep(100_000)) == ["frame-too-large"]


def test_many_errors_in_deep_stacks_are_found_in_linear_time():
    pushes = "    push 1\n" * 30_000
    merges = "".join(f"    push 1\n    jz l{n}\n    push 1\nl{n}:\n" for n in range(10_000))
    types = "    push 1.5\n    not\n    pop\n" * 3_000
    text = f"func main()\n{pushes}{types}{merges}    ret\nend\n"
    start = time.perf_counter()
    with pytest.raises(ProgramError) as raised:
        assemble(text)
    assert len(raised.value.diagnostics) == 13_000
    assert len(str(raised.value)) < 50_000_000
    assert time.perf_counter() - start < 30  # minutes if quadratic


def test_many_unknown_names_are_found_in_linear_time():
    uses = "".join(f"    jmp label_{i}\nlable_{i}:\n    frobnicate{i}\n" for i in range(20_000))
    start = time.perf_counter()
    with pytest.raises(ProgramError) as raised:
        assemble(f"func main()\n{uses}end\n")
    assert len(raised.value.diagnostics) == 40_000
    assert time.perf_counter() - start < 30  # minutes if quadratic


def test_the_corpus_has_no_unreachable_code():
    for text in CORPUS.values():
        assert all(all(m.reachable) for m in assemble(text).stack_maps)
