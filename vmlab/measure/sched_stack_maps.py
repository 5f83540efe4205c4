"""The stack maps of a function as the words that `kernels.scheduler.bench_stack_maps` works on."""

from __future__ import annotations

import ctypes
import functools
import random
from collections.abc import Iterable, Sequence

from vmlab import corpus
from vmlab.isa import Flow, Type
from vmlab.kernels.scheduler.bench_stack_maps import BOTTOM
from vmlab.program import Program
from vmlab.stacks import Stack, Steps
from vmlab.verifier import StackMap, verify

# A slot's two bits: all references are alike to a collector.
_BITS = {Type.INT: 0, Type.FLOAT: 1}
_REFERENCE = 2
_MAX_DEPTH = 31

# The function whose maps `sched` looks up: the first of this program, which has ints and floats.
PROGRAM = "mandelbrot"


class Maps:
    """Arrays of words; the attributes are their addresses. `table`: the stack at each instruction;
    `order`: which one to look up after it; `states`: room for as many words."""

    def __init__(self, program: Program, index: int = 0):
        proof = verify(program)[index]
        self.count = len(proof.before)
        assert all(proof.reachable)
        order = list(range(self.count))
        random.Random(self.count).shuffle(order)
        following = dict(zip(order, [*order[1:], order[0]], strict=True))
        self._kept: list[object] = []
        self.table = self._array([packed(stack) for stack in proof.before])
        self.order = self._array([following[at] for at in range(self.count)])
        self.steps = self._array(steps(program, index, proof))
        self.states = self._array([0] * self.count)

    def _array(self, words: Sequence[int]) -> int:
        array = (ctypes.c_uint64 * len(words))(*words)
        self._kept.append(array)
        return ctypes.addressof(array)


def packed(stack: Stack) -> int:
    """A stack as one word."""
    assert stack.depth <= _MAX_DEPTH
    return _pushed(BOTTOM, stack.types())


def _pushed(state: int, types: Iterable[Type]) -> int:
    for type_ in types:
        state = state << 2 | _BITS.get(type_, _REFERENCE)
    return state


def steps(program: Program, index: int, proof: StackMap) -> list[int]:
    """What each instruction of a function does to a packed stack, `STEP_WORDS` words each."""
    function, effects = program.functions[index], Steps(program)
    words: list[int] = []
    for at, instruction in enumerate(function.code):
        opcode = instruction.opcode
        falls_through = opcode.flow not in (Flow.JUMP, Flow.RETURN)
        target = instruction.target if opcode.flow in (Flow.JUMP, Flow.BRANCH) else at
        _, pops, pushes = next(
            effect
            for effect in effects.effects(opcode, effects.bound(function, instruction))
            if effect[0] is proof.variants[at]
        )
        pushed = 0
        if pushes:
            after = proof.before[at + 1 if falls_through else target]
            pushed = _pushed(0, after.types()[-len(pushes) :])
        words += [2 * len(pops), 2 * len(pushes), pushed, target, int(falls_through)]
    return words


@functools.cache
def stack_maps() -> Maps:
    """Of the function that `sched` looks up."""
    return Maps(corpus.load(PROGRAM))
