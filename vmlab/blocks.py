"""Basic blocks: instructions that control enters at the first of them only and leaves after the
last only."""

from __future__ import annotations

from vmlab.isa import Flow, Operand
from vmlab.program import Function


def basic_blocks(function: Function, calls_end: bool = False) -> list[range]:
    """In the order of the code, of all of it. With `calls_end` blocks end with calls too, and with
    whatever else lets other code run before the next instruction: so each is executed to its end
    unless it traps."""
    code = function.code
    ends = {Flow.JUMP, Flow.BRANCH, Flow.RETURN}
    if calls_end:
        ends = set(Flow) - {Flow.NEXT}
    leaders = {0}
    for at, instruction in enumerate(code):
        if instruction.opcode.flow in ends:
            leaders.add(at + 1)
        if instruction.opcode.operand is Operand.LABEL:
            leaders.add(instruction.target)
    starts = sorted(leaders - {len(code)})
    return [range(start, end) for start, end in zip(starts, [*starts[1:], len(code)], strict=True)]
