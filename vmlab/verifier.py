"""Proves the types and the depth of the operand stack at every instruction, before anything runs.

The proof is an abstract interpretation over types, as in the Java virtual machine's type checking.
Wherever paths meet, their stacks must be equal, so one visit an instruction is enough. Stacks are
shared cells: equal stacks are the same object, and a check whether paths agree costs one test.
Time and memory are linear in the size of the program.

After an error the check goes on with what is left: a value of unknown type, or a stack of which
nothing is known (see `vmlab.unknown`). They fit everything, so no error is blamed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from vmlab.diagnostics import Diagnostic, ProgramError
from vmlab.isa import MAX_FRAME_WORDS, Flow, Variant
from vmlab.objections import Objections
from vmlab.program import Function, Instruction, Program
from vmlab.stacks import Stack, Steps
from vmlab.unknown import UNKNOWN, UNREADABLE

__all__ = ["Stack", "StackMap", "proven", "verify"]


@dataclass(frozen=True, slots=True)
class StackMap:
    """What the verifier proves of a function; one entry an instruction.

    before     the stack when control arrives at the instruction
    variants   which stack effect applies
    reachable  whether any path from the function's start leads there
    max_depth  the most words that the operand stack holds
    """

    before: tuple[Stack, ...]
    variants: tuple[Variant, ...]
    reachable: tuple[bool, ...]
    max_depth: int


def verify(program: Program) -> tuple[StackMap, ...]:
    """The stack maps of all functions. Raises `ProgramError` with all errors."""
    return proven(program, [])


def proven(program: Program, found: Sequence[Diagnostic]) -> tuple[StackMap, ...]:
    """The stack maps of all functions. Raises `ProgramError` with all errors, those that have been
    `found` before included. What these have left unknown in the program (see `vmlab.unknown`) is
    not blamed for anything."""
    steps = Steps(program)
    checks = [_Check(program, function, steps) for function in program.functions]
    diagnostics = [*found, *(d for check in checks for d in check.diagnostics)]
    if diagnostics:
        raise ProgramError(program.source, diagnostics)
    if any(check.unknown for check in checks):
        raise ValueError("something is unknown in this program, and no error says why")
    return tuple(check.stack_map() for check in checks)


# A path that is still to be followed: whether its stack is uncertain, the instruction it leads to,
# where it comes from (-1: it starts), and its stack.
_Path = tuple[bool, int, int, Stack]


class _Check:
    """The check of one function. `unknown`: whether it is of anything that an error has left
    unknown, so that it proves nothing."""

    def __init__(self, program: Program, function: Function, steps: Steps) -> None:
        self._function = function
        self._steps = steps
        count = len(function.code)
        self._before: list[Stack | None] = [None] * count
        self._variants: list[Variant | None] = [None] * count
        # Where control came from when it first arrived; -1 at the start of a walk.
        self._origins = [-1] * count
        # A heap. Certain stacks go first, since an instruction is checked with what arrives first;
        # then the order of the code, so that paths have met before what is behind is checked.
        self._pending: list[_Path] = []
        self._object = Objections(program, function, steps, self._before, self._origins)
        unknown = [instruction for instruction in function.code if _is_unknown(instruction)]
        lost = any(map(_goes_anywhere, unknown))
        self._walk(0, steps.empty)
        self._reachable = tuple(stack is not None for stack in self._before)
        for index in range(count):
            if self._before[index] is None:
                self._object.unreachable_from = None if lost else index
                self._walk(index, Stack(UNKNOWN) if lost else steps.empty)
        if len(function.slots) + self._max_depth() > MAX_FRAME_WORDS:
            self._object.to_frame(MAX_FRAME_WORDS)
        types = [function.result, *(slot.type for slot in function.slots)]
        certain = all(stack is None or stack.certain for stack in self._before)
        self.unknown = bool(unknown) or UNKNOWN in types or not certain

    @property
    def diagnostics(self) -> list[Diagnostic]:
        return self._object.diagnostics

    def stack_map(self) -> StackMap:
        before = tuple(stack for stack in self._before if stack is not None)
        variants = tuple(variant for variant in self._variants if variant is not None)
        return StackMap(before, variants, self._reachable, self._max_depth())

    def _max_depth(self) -> int:
        return max((stack.known for stack in self._before if stack is not None), default=0)

    def _walk(self, start: int, stack: Stack) -> None:
        """Check everything that can be reached from `start`, entered with this stack."""
        self._leave(start, -1, stack)
        while self._pending:
            _, index, origin, stack = heappop(self._pending)
            self._follow(index, origin, stack)

    def _leave(self, index: int, origin: int, stack: Stack) -> None:
        """Leave a path pending."""
        heappush(self._pending, (not stack.certain, index, origin, stack))

    def _follow(self, index: int, origin: int, stack: Stack) -> None:
        """Check along one path, up to its end, to where another has been, or to where others go
        first. Branches not taken are left pending."""
        function, steps, before = self._function, self._steps, self._before
        code, pending = function.code, self._pending
        while index < len(code):
            if pending and pending[0] < (not stack.certain, index, origin):
                self._leave(index, origin, stack)
                return
            known = before[index]
            if known is not None:
                self._disagree(index, origin, stack)
                return
            before[index] = stack
            self._origins[index] = origin
            while pending and pending[0][1] == index:
                _, _, other, arriving = heappop(pending)
                if self._disagree(index, other, arriving):
                    stack = steps.common(stack, arriving)
            before[index] = stack
            instruction = code[index]
            opcode = instruction.opcode
            flow = opcode.flow
            if not opcode.effects:
                stack = Stack(UNKNOWN)
            else:
                bound = steps.bound(function, instruction)
                if flow is Flow.SPAWN:
                    self._object.to_task(index)
                found = steps.step(stack, opcode, bound)
                if found is not None:
                    self._variants[index], stack = found
                    if flow is Flow.RETURN and stack.depth:
                        self._object.to_leftover(index, stack)
                else:
                    self._object.to_operands(index)
                    stack = steps.recover(stack, opcode, bound)
            origin = index
            if flow is Flow.RETURN:
                return
            target = instruction.operand
            if flow is Flow.JUMP:
                if target is None:
                    return
                index = instruction.target
                continue
            if flow is Flow.BRANCH and target is not None:
                known = before[instruction.target]
                if known is None:
                    self._leave(instruction.target, index, stack)
                elif self._disagree(instruction.target, index, stack):
                    stack = steps.common(known, stack)
            index += 1
        if origin < 0 or code[origin].opcode is not UNREADABLE[None]:
            self._object.to_fall(origin)

    def _disagree(self, index: int, origin: int, stack: Stack) -> bool:
        """Whether a path brings another stack than the first one did. Either may be the one in
        error: the code behind is to be checked with what is true of both."""
        known = self._before[index]
        assert known is not None
        if stack is known or self._steps.agree(known, stack):
            return False
        self._object.to_merge(index, origin, stack)
        return True


def _is_unknown(instruction: Instruction) -> bool:
    """Whether an error has left something unknown of it."""
    opcode = instruction.opcode
    return not opcode.effects or (opcode.operand is not None and instruction.operand is None)


def _goes_anywhere(instruction: Instruction) -> bool:
    """Whether it is unknown where control goes from it: no code is unreachable then."""
    opcode = instruction.opcode
    return opcode is UNREADABLE[None] or opcode.flow in (Flow.JUMP, Flow.BRANCH)
