"""Instructions rewrite themselves, go back where types change under them, and are never wrong."""

from __future__ import annotations

import functools
import re

import pytest
from test_compositions import BRANCH, INDIRECT, TWO_GLOBALS, count, on_x86
from test_machine_code import body, code_of

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import EngineUnavailable, find
from vmlab.isa import OPCODES, VARIANTS, Opcode, Trap, Variant
from vmlab.kernels.encoding import InstructionSet, bits, encode, typed_form
from vmlab.kernels.names import ENTRY_WORDS
from vmlab.kernels.values import CELL_TAG, CELL_WORDS, RAW, TAG, TAGGED, VALUE
from vmlab.machinecode import count_indirect_jumps
from vmlab.outcome import Limits, Place
from vmlab.program import Number

CHECKED = ["quickened", "threaded+quickened+direct", "switch+boxed+quickened"]
LATE = ["switch+late+quickened", "switch+boxed+late+quickened"]
FORMS = InstructionSet(TAGGED, late=False, quickened=True).handlers

VALUES: dict[str, tuple[Number, Number]] = {"int": (7, 2), "float": (7.5, 2.25)}


def scalar(variant: Variant) -> bool:
    return set(variant.effect.pops) <= set(VALUES)


GENERIC = [o for o in OPCODES.values() if len(o.variants) > 1 and scalar(o.variants[0])]
INTS = [o for o in OPCODES.values() if o.variants[0].effect.pops == ("int", "int")]


def build(name: str, text: str):
    return find(name).build(assemble(text), counting=True)


def written(engine) -> list[str]:
    """The handlers of the instructions as they stand in the code."""
    names = list(engine.instructions.handlers)
    places, opcodes = engine._encoded.places, engine.opcodes()
    return [
        names[opcodes[at]]
        for at, place in enumerate(places)
        if place is not None and places[at - 1] != place
    ]


def set_local(engine, index: int, value: Number, type_: str) -> None:
    """What a local of main holds when it starts, whatever type it was declared with."""
    args = engine.state.args
    if engine.instructions.values.counted:
        tag, word = CELL_WORDS * index + CELL_TAG, CELL_WORDS * index + VALUE
        words = args.cells.words
    else:
        tag, word = 2 * index, 2 * index + 1
        words = args.region.words
    words[tag], words[word] = TAG[type_], bits(value)


def on_locals(opcode: Opcode) -> str:
    """A program that does it with two locals, or one."""
    effect = opcode.variants[0].effect
    names = ("a", "b")[: len(effect.pops)]
    result = " -> int" if effect.pushes else ""
    lines = [f"local {name}: int" for name in names] + [f"load {name}" for name in names]
    return "\n".join([f"func main(){result}", *lines, opcode.name, "ret", "end"])


def expected(variant: Variant):
    """The words of the result and of the output, by the reference."""
    effect = variant.effect
    values = VALUES[effect.pops[0]][: len(effect.pops)]
    result = f" -> {effect.pushes[0]}" if effect.pushes else ""
    lines = [f"push {value}" for value in values]
    text = "\n".join([f"func main(){result}", *lines, variant.opcode.name, "ret", "end"])
    outcome = build("reference", text).call((), Limits()).outcome
    return None if outcome.result is None else bits(outcome.result), outcome.output


def run_with(engine, *types: str):
    for index, type_ in enumerate(types):
        set_local(engine, index, VALUES[type_][index], type_)
    outcome = engine.call((), Limits()).outcome
    assert outcome.instructions == len(types) + 2
    return outcome.result, outcome.output


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("opcode", GENERIC, ids=lambda o: o.name)
def test_an_instruction_goes_back_when_the_type_of_a_local_changes(name: str, opcode) -> None:
    engine = build(name, on_locals(opcode))
    operands = len(opcode.variants[0].effect.pops)
    at = operands  # the place of the instruction
    assert written(engine)[at] == opcode.name
    for type_ in ("int", "float", "float", "int"):
        variant = VARIANTS[f"{opcode.name}.{type_}"]
        assert run_with(engine, *[type_] * operands) == expected(variant)
        assert written(engine)[at] == typed_form(variant)


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("opcode", [*INTS, OPCODES["add"], OPCODES["lt"]], ids=lambda o: o.name)
@pytest.mark.parametrize("types", [("float", "int"), ("int", "float")])
def test_operands_that_fit_no_variant_end_the_run(name: str, opcode, types) -> None:
    engine = build(name, on_locals(opcode))
    right = run_with(engine, "int", "int")
    assert written(engine)[2] == typed_form(opcode.variants[0])
    for _ in range(2):
        with pytest.raises(AssertionError, match="an operand of a wrong type"):
            run_with(engine, *types)
        assert written(engine)[2] == opcode.name
    assert run_with(engine, "int", "int") == right
    assert written(engine)[2] == typed_form(opcode.variants[0])


ARRAY = """
func main() -> int
    local a: int[]
    local n: int
    push 3
    newarr int
    store a
    load a
    push 1
    load n
    astore
    load a
    push 1
    aload
    load a
    len
    pop
    ret
end
"""


@pytest.mark.parametrize("name", CHECKED)
def test_arrays_of_another_type_under_the_same_instructions(name: str) -> None:
    engine = build(name, ARRAY)
    element = 1 + engine._encoded.places.index(Place(0, 1))  # behind the opcode of `newarr`
    for type_ in ("int", "float", "int"):
        engine._code.words[element] = TAG[f"{type_}[]"]
        value = VALUES[type_][0]
        set_local(engine, 1, value, type_)
        assert engine.call((), Limits()).outcome.result == bits(value)
        forms = [form for form in written(engine) if "[]" in form]
        assert forms == [f"{op}.{type_}[].quick" for op in ("astore", "aload", "len")]


BOTH = """
func divide(a: int, b: int) -> int
    load a
    load b
    div
    ret
end
func main() -> int
    local a: int
    local b: int
    load a
    load b
    call divide
    pop
    push 7
    push 0
    call divide
    ret
end
"""


@pytest.mark.parametrize("name", CHECKED)
def test_types_that_change_within_a_run(name: str) -> None:
    """One `div`, first of two floats and then of 7 and 0: to go back changes neither the trap, nor
    its place, nor the count, wherever the fuel ends."""
    engine = build(name, BOTH)
    for index, value in enumerate(VALUES["float"]):
        set_local(engine, index, value, "float")
    reference = build("reference", BOTH.replace("load a\n    load b\n    c", "push 1\npush 1\nc"))
    ends = []
    for fuel in range(15):
        expected = reference.call((), Limits(fuel=fuel)).outcome
        assert not expected.differences(engine.call((), Limits(fuel=fuel)).outcome), fuel
        ends.append((expected.trap.trap, written(engine)[2]))
    assert ends[-1] == (Trap.DIVIDE_BY_ZERO, "div.int.quick")
    assert (Trap.OUT_OF_FUEL, "div.float.quick") in ends


@pytest.mark.parametrize("name", CHECKED)
def test_what_was_executed_is_quickened_and_the_rest_is_not(name: str) -> None:
    text = """
    func main(n: int) -> int
        load n
        push 1
        add
        jz never
        load n
        neg
        ret
    never:
        load n
        push 1.0
        push 2.0
        add
        int
        and
        ret
    end"""
    engine = build(name, text)
    before = written(engine)
    engine.call((5,), Limits())
    after = written(engine)
    changed = {old: new for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {"add": "add.int.quick", "neg": "neg.int.quick"}
    assert after.index("add.int.quick") < after.index("add") < after.index("and")
    # They stay so, and the next executable of the same program starts anew.
    engine.call((5,), Limits())
    assert written(engine) == after
    assert written(build(name, text)) == before


@pytest.mark.parametrize("name", LATE)
def test_a_late_name_is_looked_up_once(name: str) -> None:
    text = TWO_GLOBALS.replace("    ret", "    call twice\n    dup\n    gstore b\n    ret")
    text += "func twice(n: int) -> int\n    load n\n    push 2\n    mul\n    ret\nend\n"
    engine = build(name, text)
    assert engine.call((), Limits()).outcome.result == 2
    forms = written(engine)
    assert {"gload.bound", "gstore.bound", "call.bound"} <= set(forms)
    assert not {"gload", "gstore", "call"} & set(forms)
    # The words are now those of a program with bound names, but for the opcodes.
    instructions = engine.instructions
    bound = InstructionSet(instructions.values, late=False, quickened=True)
    words = encode(engine.program, bound).words
    operands = [
        at
        for at, place in enumerate(engine._encoded.places)
        if place is None or engine._encoded.places[at - 1] == place
    ]
    assert [engine._code.words[at] for at in operands] == [words[at] for at in operands]
    # Nobody looks into the table any more.
    for at in range(0, len(engine._names.words), ENTRY_WORDS):
        engine._names.words[at] = 0
    assert engine.call((), Limits()).outcome.result == 2
    with pytest.raises(AssertionError, match="a name without a meaning"):
        fresh = build(name, text)
        for at in range(0, len(fresh._names.words), ENTRY_WORDS):
            fresh._names.words[at] = 0
        fresh.call((), Limits())


HANDED_ON = """
global c: chan[float]
func give(x: float)
    gload c
    load x
    send
    gload c
    close
    ret
end
func main() -> float
    push 0
    chan float
    gstore c
    push 2.5
    spawn give
    pop
    gload c
    recv
    pop
    gload c
    recv
    pop
    pop
    ret
end
"""


@pytest.mark.parametrize("name", [*CHECKED, *LATE])
def test_instructions_that_wait_have_quickened_before(name: str) -> None:
    engine = build(name, HANDED_ON)
    before = written(engine)
    assert engine.call((), Limits()).outcome.result == 2.5
    after = written(engine)
    replaced = {new: old for old, new in zip(before, after, strict=True) if old != new}
    if engine.instructions.values.checked:
        waited = ("recv", "send", "close")
        assert {f"{name}.chan[float].quick" for name in waited} <= set(replaced)
        # The first `recv` waited, and did not when it was executed again.
        assert after.count("recv.chan[float].quick") == 2
    if engine.instructions.late:
        assert replaced["spawn.bound"] == "spawn"
        assert "spawn" not in after
    assert engine.call((), Limits()).outcome.result == 2.5
    assert written(engine) == after


def test_where_nothing_can_be_quickened() -> None:
    with pytest.raises(EngineUnavailable, match="nothing to quicken"):
        build("switch+cells+quickened", TWO_GLOBALS)


@pytest.mark.parametrize("name", ["template+quickened", "inlined+quickened"])
def test_straight_code_has_no_words_to_rewrite(name: str) -> None:
    with pytest.raises(ValueError, match="to threaded and switch only"):
        build(name, TWO_GLOBALS)


def test_tagged_values_are_what_is_quickened_where_nothing_else_can_be() -> None:
    assert build("switch+quickened", TWO_GLOBALS).instructions.values is TAGGED
    assert build("switch+late+quickened", TWO_GLOBALS).instructions.values is RAW


# Machine code.

TYPED = [form for form in FORMS.values() if form.generic]


def test_what_a_single_test_decides_stays_as_it_is() -> None:
    assert {form.generic for form in TYPED} >= {"add", "and", "neg", "aload", "print"}
    assert not {form.generic for form in TYPED} & {"jz", "not", "sqrt", "newarr", "load", "dup"}


@functools.cache
def code(name: str) -> str:
    return code_of(name, TWO_GLOBALS)


def handler(name: str, form: str) -> list[str]:
    return body(code(name), f"op.{form}")


@on_x86
@pytest.mark.parametrize("form", TYPED, ids=lambda form: form.name)
def test_a_typed_form_makes_one_test_and_has_one_jump(form) -> None:
    [variant] = form.variants
    bare, quick = handler("threaded", variant.name), handler("threaded+quickened", form.name)
    assert count(BRANCH, quick) - count(BRANCH, bare) == 1
    assert count(INDIRECT, quick) == 1
    opcode = list(FORMS).index(form.generic)
    assert count(rf"^movq\s+\${opcode}, \(%r", quick) == 1


@on_x86
def test_a_quickened_name_is_no_probe() -> None:
    def without_labels(lines: list[str]) -> list[str]:
        return [re.sub(r"\.LBB\w+", "label", line) for line in lines]

    for opcode in "gload", "gstore", "call":
        bound, quick = (
            handler("threaded", opcode),
            handler("threaded+late+quickened", f"{opcode}.bound"),
        )
        assert without_labels(quick) == without_labels(bound)


@on_x86
@pytest.mark.parametrize("counting", [False, True])
def test_the_jumps_are_those_of_the_dispatch(counting: bool) -> None:
    source = corpus.source("sum")
    assert count_indirect_jumps(code_of("quickened", source, counting), "x86_64") == 1
    threaded = code_of("threaded+quickened", source, counting)
    assert count_indirect_jumps(threaded, "x86_64") == len(FORMS) - 1  # `halt` has none
