"""Proves the types and the depth of the operand stack at every instruction, before anything runs.

The proof is an abstract interpretation over types, as in the Java virtual machine's type checking.
Wherever paths meet, their stacks must be equal, so one visit an instruction is enough. Stacks are
shared cells: equal stacks are the same object, and a check whether paths agree costs one test.
Time and memory are linear in the size of the program.

After an error the check goes on with what is left: a value of unknown type, or a stack of which
nothing is known (see `vmlab.unknown`). They fit everything, so no error is blamed twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from vmlab.diagnostics import Diagnostic, ProgramError
from vmlab.isa import MAX_FRAME_WORDS, Flow, Variant
from vmlab.objections import Objections
from vmlab.program import Function, Instruction, Program
from vmlab.stacks import Stack, Steps
from vmlab.unknown import UNKNOWN, UNREADABLE

__all__ = ["Stack", "StackMap", "verify", "verify_functions"]


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
    maps, diagnostics = verify_functions(program)
    if diagnostics:
        raise ProgramError(program.source, diagnostics)
    return tuple(maps)


def verify_functions(program: Program) -> tuple[list[StackMap], list[Diagnostic]]:
    """The stack maps of those functions that are valid, and what is wrong with the others. What
    an error has left unknown in the program (see `vmlab.unknown`) is not blamed for anything:
    its maps prove nothing, but no error of it is missed."""
    steps = Steps(program)
    maps, diagnostics = [], []
    for function in program.functions:
        check = _Check(program, function, steps)
        if check.diagnostics:
            diagnostics += check.diagnostics
        else:
            maps.append(check.stack_map())
    return maps, diagnostics


# A path that is still to be followed: whether its stack is uncertain, the instruction it leads to,
# where it comes from (-1: it starts), and its stack.
_Path = tuple[bool, int, int, Stack]


class _Check:
    """The check of one function."""

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
        self._walk(0, steps.empty)
        self._reachable = tuple(stack is not None for stack in self._before)
        lost = any(map(_goes_anywhere, function.code))
        for index in range(count):
            if self._before[index] is None:
                self._object.unreachable_from = None if lost else index
                self._walk(index, Stack(UNKNOWN) if lost else steps.empty)
        if len(function.slots) + self._max_depth() > MAX_FRAME_WORDS:
            self._object.to_frame(MAX_FRAME_WORDS)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        return self._object.diagnostics

    def stack_map(self) -> StackMap:
        before = tuple(stack for stack in self._before if stack is not None)
        variants = tuple(variant for variant in self._variants if variant is not None)
        return StackMap(before, variants, self._reachable, self._max_depth())

    def _max_depth(self) -> int:
        return max((stack.depth for stack in self._before if stack is not None), default=0)

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
                if known is not stack and not steps.agree(known, stack):
                    self._object.to_merge(index, origin, stack)
                return
            before[index] = stack
            self._origins[index] = origin
            if pending and pending[0][1] == index:
                stack = before[index] = self._meet(index, stack)
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
                self._leave(instruction.target, index, stack)
            index += 1
        if origin < 0 or code[origin].opcode is not UNREADABLE[None]:
            self._object.to_fall(origin)

    def _meet(self, index: int, first: Stack) -> Stack:
        """The stack where other paths arrive, too. If they disagree, the code behind is checked
        with what is true of all, since any may be the one in error."""
        common = first
        while self._pending and self._pending[0][1] == index:
            _, _, origin, stack = heappop(self._pending)
            if stack is not first and not self._steps.agree(first, stack):
                self._object.to_merge(index, origin, stack)
                common = self._steps.common(common, stack)
        return common


def _goes_anywhere(instruction: Instruction) -> bool:
    """Whether an error has left unknown where control goes: no code is unreachable then."""
    opcode = instruction.opcode
    jumps = opcode.flow in (Flow.JUMP, Flow.BRANCH)
    return opcode is UNREADABLE[None] or (jumps and instruction.operand is None)
