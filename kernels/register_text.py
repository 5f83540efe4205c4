"""Three-address code as text, for reading."""

from collections.abc import Iterator

from vmlab.isa import Flow, Operand
from vmlab.kernels.registers import (
    Accumulator,
    Constant,
    Operation,
    RegisterCode,
    Source,
    translate,
)
from vmlab.outcome import format_number
from vmlab.program import Function, Program


def listing(program: Program) -> str:
    """Every operation with its index, and behind it those of the stack instructions that it stands
    for. Registers have the locals' names, or s0, s1, ... for the heights of the operand stack;
    `=r` is the accumulator: what was or would be in r, too, and is at hand."""
    return "\n".join(
        "\n".join([*_listed(program, function, code), ""])
        for function, code in zip(program.functions, translate(program), strict=True)
    )


def _listed(program: Program, function: Function, code: RegisterCode) -> Iterator[str]:
    yield f"func {function.name}"
    rows = [
        (operation.name, _arguments(program, function, code, at), _instructions(operation))
        for at, operation in enumerate(code.operations)
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for at, (name, arguments, instructions) in enumerate(rows):
        line = f"{at:6}  {name:{widths[0]}}  {arguments:{widths[1]}}  {instructions}"
        yield line.rstrip()
    yield "end"


def _arguments(program: Program, function: Function, code: RegisterCode, at: int) -> str:
    operation = code.operations[at]
    parts = [_value(function, source) for source in operation.sources]
    if operation.flow in (Flow.CALL, Flow.SPAWN):
        callee = program.functions[operation.operand]
        parts = [f"{callee.name} at {_register(function, operation.window)}"]
    elif operation.flow is Flow.SWITCH and operation.variants[0].effect.pops:
        parts = [f"at {_register(function, operation.window)}"]
    elif operation.flow in (Flow.JUMP, Flow.BRANCH):
        parts.append(f"to {code.starts[operation.operand]}")
    elif operation.variants and operation.variants[0].opcode.operand is Operand.GLOBAL:
        parts.append(program.globals[operation.operand].name)
    text = ", ".join(parts)
    results = ", ".join(_value(function, result) for result in operation.results)
    return f"{results} <- {text}" if results else text


def _value(function: Function, value: Source) -> str:
    match value:
        case Constant(number):
            return format_number(number)
        case Accumulator(register):
            return f"={_register(function, register.index)}"
    return _register(function, value.index)


def _register(function: Function, index: int) -> str:
    slots = function.slots
    return slots[index].name if index < len(slots) else f"s{index - len(slots)}"


def _instructions(operation: Operation) -> str:
    numbers = operation.before + operation.after
    return f"; {' '.join(map(str, numbers))}" if numbers else ""
