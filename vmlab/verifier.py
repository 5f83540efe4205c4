"""Proves the types and the depth of the operand stack at every instruction, before anything runs.

The proof is an abstract interpretation over types, as in the Java virtual machine's type checking.
Wherever paths meet, their stacks must be equal, so one visit an instruction is enough. Stacks are
shared cells: equal stacks are the same object, and a check whether paths agree costs one test.
Time and memory are linear in the size of the program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vmlab.diagnostics import Diagnostic, ProgramError
from vmlab.isa import MAX_FRAME_WORDS, Flow, Variant
from vmlab.objections import Objections
from vmlab.program import Function, Program
from vmlab.stacks import Stack, Steps

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
    maps, diagnostics = verify_functions(program, range(len(program.functions)))
    if diagnostics:
        raise ProgramError(program.source, diagnostics)
    return tuple(maps)


def verify_functions(
    program: Program, indices: Iterable[int]
) -> tuple[list[StackMap], list[Diagnostic]]:
    """The stack maps of those functions that are valid, and what is wrong with the others."""
    steps = Steps(program)
    maps, diagnostics = [], []
    for index in indices:
        check = _Check(program, program.functions[index], steps)
        if check.diagnostics:
            diagnostics += check.diagnostics
        else:
            maps.append(check.stack_map())
    return maps, diagnostics


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
        self._pending: list[tuple[int, Stack, int]] = []
        self._object = Objections(program, function, steps, self._before, self._origins)
        self._walk(0)
        self._reachable = tuple(stack is not None for stack in self._before)
        for index in range(count):
            if self._before[index] is None:
                self._object.unreachable_from = index
                self._walk(index)
        if not self.diagnostics and len(function.slots) + self._max_depth() > MAX_FRAME_WORDS:
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

    def _walk(self, start: int) -> None:
        """Check everything that can be reached from `start`, entered with an empty stack."""
        self._pending.append((start, self._steps.empty, -1))
        while self._pending:
            self._follow(*self._pending.pop())

    def _follow(self, index: int, stack: Stack, origin: int) -> None:
        """Check along one path, up to its end or to where another has been. Branches not taken
        are left pending."""
        function, steps, before = self._function, self._steps, self._before
        code = function.code
        while index < len(code):
            known = before[index]
            if known is not None:
                if known is not stack:
                    self._object.to_merge(index, stack, origin)
                return
            before[index] = stack
            self._origins[index] = origin
            instruction = code[index]
            opcode = instruction.opcode
            bound = steps.bound(function, instruction)
            if opcode.flow is Flow.SPAWN:
                self._object.to_task(index)
            found = steps.step(stack, opcode, bound)
            if found is None:
                self._object.to_operands(index)
                found = steps.step(steps.unknown, opcode, bound)
                assert found is not None
            self._variants[index], stack = found
            origin = index
            flow = opcode.flow
            if flow is Flow.RETURN:
                if stack.depth:
                    self._object.to_leftover(index, stack)
                return
            if flow is Flow.JUMP:
                index = instruction.target
                continue
            if flow is Flow.BRANCH:
                self._pending.append((instruction.target, stack, index))
            index += 1
        self._object.to_fall(origin)
