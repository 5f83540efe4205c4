"""`Program` -> text: the canonical source, and a listing with the verifier's stack maps."""

from __future__ import annotations

from collections.abc import Iterator

from vmlab.isa import Operand
from vmlab.outcome import format_number
from vmlab.program import Expectation, Function, Instruction, Program, Variable


def disassemble(program: Program) -> str:
    """The canonical text: it assembles to an equal program, and equal programs have the same."""
    parts = ["".join(f"global {_variable(v)}\n" for v in program.globals)]
    for function in program.functions:
        parts.append("\n".join([*_function(program, function), ""]))
    parts.append("".join(f"expect {_expectation(e)}\n" for e in program.expectations))
    return "\n".join(part for part in parts if part)


def listing(program: Program) -> str:
    """Every instruction with its index, the variant that the verifier chose, and the stack before
    it, the top last."""
    return "\n".join(
        "\n".join([*_listed(program, index), ""]) for index in range(len(program.functions))
    )


def instruction_texts(program: Program, index: int) -> list[str]:
    """The instructions of a function as they are written."""
    function = program.functions[index]
    labels = _labels(function)
    return [_instruction(program, function, labels, i) for i in function.code]


def _function(program: Program, function: Function) -> Iterator[str]:
    yield _header(function)
    yield from (f"    local {_variable(v)}" for v in function.locals)
    labels = _labels(function)
    for index, instruction in enumerate(function.code):
        yield from (f"{name}:" for name in labels.get(index, ()))
        yield f"    {_instruction(program, function, labels, instruction)}"
    yield "end"


def _listed(program: Program, index: int) -> Iterator[str]:
    function, stack_map = program.functions[index], program.stack_maps[index]
    labels = _labels(function)
    texts = instruction_texts(program, index)
    width = max(map(len, texts))
    variant_width = max(len(v.name) for v in stack_map.variants)
    slots = ", ".join(f"{i} = {v.name}: {v.type}" for i, v in enumerate(function.slots))
    yield _header(function)
    yield f"    ; slots: {slots or 'none'}"
    yield f"    ; deepest stack: {stack_map.max_depth}"
    for at, text in enumerate(texts):
        yield from (f"{name}:" for name in labels.get(at, ()))
        stack = f"[{stack_map.before[at]}]" if stack_map.before[at].depth else "[]"
        line = f"{at:6}  {text:{width}}  {stack_map.variants[at].name:{variant_width}}  {stack}"
        yield line if stack_map.reachable[at] else f"{line}  unreachable"
    yield "end"


def _labels(function: Function) -> dict[int, list[str]]:
    labels: dict[int, list[str]] = {}
    for name, index in function.labels:
        labels.setdefault(index, []).append(name)
    return labels


def _header(function: Function) -> str:
    params = ", ".join(map(_variable, function.params))
    result = "" if function.result is None else f" -> {function.result}"
    return f"func {function.name}({params}){result}"


def _variable(variable: Variable) -> str:
    text = f"{variable.name}: {variable.type}"
    return text if variable.value is None else f"{text} = {format_number(variable.value)}"


def _instruction(
    program: Program,
    function: Function,
    labels: dict[int, list[str]],
    instruction: Instruction,
) -> str:
    name, operand = instruction.opcode.name, instruction.operand
    match instruction.opcode.operand:
        case None:
            return name
        case Operand.LOCAL:
            return f"{name} {function.slots[instruction.target].name}"
        case Operand.GLOBAL:
            return f"{name} {program.globals[instruction.target].name}"
        case Operand.LABEL:
            return f"{name} {labels[instruction.target][0]}"
        case Operand.FUNCTION:
            return f"{name} {program.functions[instruction.target].name}"
        case Operand.LITERAL | Operand.ELEMENT:
            return f"{name} {operand}"


def _expectation(expectation: Expectation) -> str:
    args = ", ".join(map(format_number, expectation.args))
    if expectation.trap is not None:
        outcome = f"trap {expectation.trap}"
    elif expectation.prints is not None:
        outcome = f'prints "{expectation.prints}"'
    elif expectation.result is not None:
        outcome = format_number(expectation.result)
    else:
        outcome = "nothing"
    return f"main({args}) -> {outcome}"
