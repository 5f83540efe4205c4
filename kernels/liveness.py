"""Which locals a function may still read: what has to be kept while other tasks run.

The backward data-flow analysis of every textbook on compilers (Aho et al., "Compilers", 2nd ed.,
9.2.5), over single instructions.
"""

from vmlab.isa import Flow
from vmlab.program import Function


def live_locals(function: Function) -> list[int]:
    """For each instruction, the locals whose value may be read there or later, as the bits of an
    int. Takes a pass over the code for each level of nested loops."""
    code = function.code
    live = [0] * (len(code) + 1)
    changed = True
    while changed:
        changed = False
        for at in range(len(code) - 1, -1, -1):
            instruction = code[at]
            flow = instruction.opcode.flow
            found = 0 if flow in (Flow.RETURN, Flow.JUMP) else live[at + 1]
            if flow in (Flow.JUMP, Flow.BRANCH):
                found |= live[instruction.target]
            match instruction.opcode.name:
                case "load":
                    found |= 1 << instruction.target
                case "store":
                    found &= ~(1 << instruction.target)
            changed |= found != live[at]
            live[at] = found
    return live[:-1]
