"""Which loops `inlined` compiles in several versions.

An innermost loop becomes several copies of itself, one behind the other, of which the last alone
has a safepoint. A *counted* loop

    while counter < bound: ...; counter = counter + step

gets a version without safepoints and checks of array accesses instead. An index that is linear in
the counter lies within its array all along if it does at both ends of the counter's way. This is
proven where control enters the loop; if it fails, the version with checks runs, and traps where it
has to. The version without goes in strips of so many iterations, with a safepoint between them
(strip mining).

Versions of loops are the way that Würthinger, Wimmer and Mössenböck move range checks out of them
("Array Bounds Check Elimination for the Java HotSpot Client Compiler", PPPJ 2007).
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass

from vmlab.blocks import basic_blocks
from vmlab.isa import Flow, Operand
from vmlab.kernels.linear import COUNTER, Linear, Path, Term, computed, is_pure

# At most so many copies, of so many VM instructions together a loop, and so many in all loops of
# the program. Programs with more than that in their innermost loops have no versions.
COPIES = 8
INSTRUCTIONS = 128
ALL_INSTRUCTIONS = 512

# The version without checks, beside the copies from 0 on.
UNCHECKED = -1

# The most iterations of a strip.
STRIP = 1 << 12

# What the version without checks asks for: the distance from the counter to the bound is less than
# SMALL, the step in its direction at most that, slopes lie within +-SMALL/2, and the bound within
# +-MAX_BOUND. Then an index moves by less than 2**61, too little to leave its array and wrap around
# back into it; and a step beyond the bound does not wrap around.
SMALL = 1 << 31
MAX_BOUND = 1 << 62


@dataclass(frozen=True)
class Counted:
    """How a loop counts.

    counter   the local; it moves once an iteration, in the last block
    step      what is added to it; a number has the sign that leads to the bound
    upward    whether the loop goes on while counter < bound, otherwise while counter > bound
    bound     where it ends
    branch    the instruction that leaves the loop at the bound; the one before it compares
    counter_operand  which of the operands that it compares is the counter
    accesses  by the instruction of each access that can be proven: the array, and the index
    """

    counter: int
    step: Term
    upward: bool
    bound: Term
    branch: int
    counter_operand: int
    accesses: dict[int, tuple[Term, Linear]]


@dataclass(frozen=True)
class Loop:
    """The instructions from `head` to `end`, without loops and calls in them. There is one copy of
    a counted loop."""

    head: int
    end: int
    copies: int
    counted: Counted | None


def versioned_loops(program, parallel: bool = False) -> list[dict[int, Loop]]:
    """The loops with several versions: for each function, the loop that an instruction is in. With
    `parallel`, other threads may change globals at any time."""
    found = [innermost_loops(function.code) for function in program.functions]
    together = sum(end - head + 1 for loops in found for head, end in loops)
    if together > ALL_INSTRUCTIONS:
        return [{} for _ in found]
    result = []
    for index, loops in enumerate(found):
        within = {}
        for head, end in loops:
            counted = counted_loop(program, index, head, end, parallel)
            room = min(COPIES, INSTRUCTIONS // (end - head + 1), ALL_INSTRUCTIONS // together)
            loop = Loop(head, end, 1 if counted else max(room, 1), counted)
            within |= dict.fromkeys(range(head, end + 1), loop)
        result.append(within)
    return result


def innermost_loops(code) -> list[tuple[int, int]]:
    """The first and the last instruction of each innermost loop without a call and without tasks.
    Beside a call a safepoint is little, and copies of a call keep LLVM from inlining it; other
    tasks change globals and elements of arrays."""
    ends = {}
    for i, instruction in enumerate(code):
        if instruction.opcode.operand is Operand.LABEL and instruction.target <= i:
            ends[instruction.target] = i
    heads = sorted(ends)
    apart = (Flow.CALL, Flow.SPAWN, Flow.SWITCH)
    calls = [i for i, instruction in enumerate(code) if instruction.opcode.flow in apart]
    return [
        (head, ends[head])
        for head in heads
        if not _any_between(heads, head + 1, ends[head])
        and not _any_between(calls, head, ends[head])
    ]


def _any_between(places, first, last) -> bool:
    return bisect_left(places, first) < bisect_right(places, last)


def counted_loop(program, index, head, end, parallel: bool = False) -> Counted | None:
    """How the loop counts; None if it does not, or has no access that can be proven."""
    code = program.functions[index].code
    jumps = [i for i in range(head, end + 1) if code[i].opcode.operand is Operand.LABEL]
    branch, back = jumps[0], jumps[-1]
    if not (
        code[branch].opcode.flow is Flow.BRANCH
        and code[branch].target > end
        and program.stack_maps[index].reachable[head]
        and code[back].opcode.flow is Flow.JUMP
        and [i for i in jumps if code[i].target == head] == [back]
    ):
        return None
    analysis = _Analysis(program, index, head, end, parallel)
    for counter in analysis.stored_once_in_last_block():
        if found := analysis.counted(counter, branch):
            return found
    return None


# How a comparison reads with its sides exchanged, and what holds where it does not.
_EXCHANGED = {"lt.int": "gt.int", "le.int": "ge.int", "gt.int": "lt.int", "ge.int": "le.int"}
_OPPOSITE = {"lt.int": "ge.int", "le.int": "gt.int", "gt.int": "le.int", "ge.int": "lt.int"}


class _Analysis:
    def __init__(self, program, index, head, end, parallel):
        self._program, self._index = program, index
        self._code = program.functions[index].code
        self._variants = program.stack_maps[index].variants
        self._before = program.stack_maps[index].before
        self._body = range(head, end + 1)
        blocks = basic_blocks(program.functions[index])
        self._starts = [block.start for block in blocks if block.start in self._body]
        stores = [self._code[i] for i in self._body if self._code[i].opcode.name == "store"]
        self._stored = Counter(store.target for store in stores)
        gstores = [self._code[i] for i in self._body if self._code[i].opcode.name == "gstore"]
        changing = range(len(program.globals)) if parallel else [g.target for g in gstores]
        self._changed = {("load", slot) for slot in self._stored}
        self._changed |= {("gload", index) for index in changing}

    def stored_once_in_last_block(self):
        last = self._code[self._starts[-1] : self._body.stop]
        stores = [i.target for i in last if i.opcode.name == "store"]
        return [slot for slot in stores if self._stored[slot] == 1]

    def counted(self, counter, branch) -> Counted | None:
        test = self._test(counter, branch)
        if test is None:
            return None
        upward, bound, operand = test
        accesses = {}
        for start, end in zip(self._starts, [*self._starts[1:], self._body.stop], strict=True):
            path = self._path(counter)
            for at in range(start, end):
                operands = path.step(at)
                if self._code[at].opcode.name in ("aload", "astore"):
                    array, position = operands[:2]
                    if array and position and _is_small(position.slope):
                        accesses[at] = array.base, position
        after = path.local(counter)
        if not accesses or after is None or after.slope != 1:
            return None
        step = after.base
        if isinstance(step, int) and not 0 < (step if upward else -step) <= SMALL:
            return None
        return Counted(counter, step, upward, bound, branch, operand, accesses)

    def _path(self, counter):
        return Path(self._program, self._index, self._changed, counter)

    def _test(self, counter, branch) -> tuple[bool, Term, int] | None:
        """Whether the loop goes upward, its bound, and which operand of its comparison is the
        counter. None if it does not begin with such a comparison, or does anything before that
        must not be done twice."""
        path = self._path(counter)
        operands = []
        for at in range(self._body.start, branch):
            opcode = self._code[at].opcode
            if opcode.name not in ("push", "load", "gload") and not is_pure(opcode):
                return None
            operands = path.step(at)
        depths = [self._before[at].depth for at in (self._body.start, branch)]
        comparison = self._variants[branch - 1].name
        if (
            self._starts[1] != branch + 1
            or len(path.stack) != 1
            or depths[0] + 1 != depths[1]
            or comparison not in _OPPOSITE
            or COUNTER not in operands
        ):
            return None
        which = operands.index(COUNTER)
        bound = operands[1 - which]
        if bound is None or bound.slope != 0:
            return None
        if which == 1:
            comparison = _EXCHANGED[comparison]
        if self._code[branch].opcode.name == "jnz":
            comparison = _OPPOSITE[comparison]
        upward = comparison in ("lt.int", "le.int")
        end = bound.base
        if comparison in ("le.int", "ge.int"):
            # Where this wraps around, no counter is on the right side of it.
            end = computed("add.int", end, 1 if upward else -1)
        return None if end is None else (upward, end, which)


def _is_small(slope) -> bool:
    return not isinstance(slope, int) or abs(slope) < SMALL // 2
