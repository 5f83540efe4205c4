"""Which values an int can have: where arithmetic cannot leave 64 bits, it need not wrap.

An abstract interpretation over intervals, one function at a time, with widening where jumps go
backward (Cousot and Cousot, "Abstract interpretation", POPL 1977). A branch on a comparison bounds
the locals that it compared. What comes from outside the function is any int.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from vmlab.blocks import basic_blocks
from vmlab.isa import INT_MAX, INT_MIN, WORD_BYTES, Flow, Operand, Type
from vmlab.program import Function, Program

MAX_LENGTH = 2**64 // WORD_BYTES  # elements that an address space has room for

# Beyond so many values to look at in one pass, none is followed: every int may be any.
_MOST_CELLS = 1_000_000
# Joins at a loop's head before its bounds grow to the function's literals, then to all ints.
_JOINS, _STEPS = 3, 16


class Interval(NamedTuple):
    """The ints from `low` to `high`, both included."""

    low: int
    high: int

    @property
    def fits(self) -> bool:
        return self.low >= INT_MIN and self.high <= INT_MAX


ANY = Interval(INT_MIN, INT_MAX)
_BIT = Interval(0, 1)
_SHIFT = Interval(0, 63)


def _corners(compute: Callable[[int, int], int], a: Interval, b: Interval) -> Interval:
    """Of an operation that is monotone in each operand while the other stays."""
    found = [compute(x, y) for x in a for y in b]
    return Interval(min(found), max(found))


def _size(a: Interval) -> int:
    return max(abs(a.low), abs(a.high))


def _quotient(a: Interval, b: Interval) -> Interval:
    if a.low >= 0 and b.low >= 0:
        return Interval(0, a.high)
    return Interval(max(-_size(a), INT_MIN), min(_size(a), INT_MAX))  # beyond, it traps


def _mod(a: Interval, b: Interval) -> Interval:
    return Interval(min(b.low + 1, 0), max(b.high - 1, 0))


def _rem(a: Interval, b: Interval) -> Interval:
    most = max(_size(b) - 1, 0)
    return Interval(max(min(a.low, 0), -most), min(max(a.high, 0), most))


def _bits(a: Interval, b: Interval) -> Interval:
    width = max((x if x >= 0 else ~x).bit_length() for x in (*a, *b))
    return Interval(0 if a.low >= 0 and b.low >= 0 else -(2**width), 2**width - 1)


def _and(a: Interval, b: Interval) -> Interval:
    highs = [x.high for x in (a, b) if x.low >= 0]
    return Interval(0, min(highs)) if highs else _bits(a, b)


def _count(b: Interval) -> Interval:
    return b if b.low >= 0 and b.high <= 63 else _SHIFT


def _shr(a: Interval, b: Interval) -> Interval:
    return _corners(lambda x, y: x >> y, a, _count(b))


def _ushr(a: Interval, b: Interval) -> Interval:
    return _shr(a, b) if a.low >= 0 else Interval(0, (2**64 - 1) >> _count(b).low)


def _abs(a: Interval) -> Interval:
    return Interval(0 if a.low <= 0 <= a.high else min(abs(a.low), abs(a.high)), _size(a))


# The exact result, before it wraps. Where a line is missing, the result is any int.
_EXACT: dict[str, Callable[..., Interval]] = {
    "add": lambda a, b: Interval(a.low + b.low, a.high + b.high),
    "sub": lambda a, b: Interval(a.low - b.high, a.high - b.low),
    "mul": lambda a, b: _corners(lambda x, y: x * y, a, b),
    "div": _quotient,
    "neg": lambda a: Interval(-a.high, -a.low),
    "abs": _abs,
    "min": lambda a, b: Interval(min(a.low, b.low), min(a.high, b.high)),
    "max": lambda a, b: Interval(max(a.low, b.low), max(a.high, b.high)),
    "rem": _rem,
    "floordiv": _quotient,
    "mod": _mod,
    "and": _and,
    "or": _bits,
    "xor": _bits,
    "shl": lambda a, b: _corners(lambda x, y: x << y, a, _count(b)),
    "shr": _shr,
    "ushr": _ushr,
    "not": lambda a: Interval(~a.high, ~a.low),
}

_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}


@dataclass(frozen=True, slots=True)
class _Value:
    """What is known of a value: its interval (None if it is no int), the local it still equals,
    and, if it is a comparison's result, which comparison of what."""

    interval: Interval | None
    slot: int | None = None
    compared: tuple[str, _Value, _Value] | None = None


_NO_INT = _Value(None)


def _of_type(type_: Type) -> _Value:
    return _Value(ANY) if type_ is Type.INT else _NO_INT


def _forget(value: _Value, slot: int) -> _Value:
    """The value after the local has changed."""
    compared = value.compared
    if compared and slot in (compared[1].slot, compared[2].slot):
        compared = None
    return _Value(value.interval, None if value.slot == slot else value.slot, compared)


@dataclass(frozen=True, slots=True)
class Ranges:
    """What is known of a function; one entry an instruction.

    exact  the interval of the int that the instruction pushes last, before it wraps; None where it
           pushes no int, or where no path leads
    """

    exact: tuple[Interval | None, ...]

    def may_wrap(self, index: int) -> bool:
        interval = self.exact[index]
        return interval is not None and not interval.fits


State = list[_Value]  # the locals, then the operands


class _Analysis:
    def __init__(self, program: Program, index: int) -> None:
        self._program = program
        self._function: Function = program.functions[index]
        self._map = program.stack_maps[index]
        code = self._function.code
        self._slots = len(self._function.slots)
        self._leaders = {block.start for block in basic_blocks(self._function)}
        jumps = ((at, i.target) for at, i in enumerate(code) if i.opcode.operand is Operand.LABEL)
        self._heads = {to for at, to in jumps if to <= at}
        literals = {i.operand for i in code if i.opcode.name == "push"}
        self._steps = sorted(x for x in literals if isinstance(x, int))
        self._states: dict[int, State] = {}
        self._visits: dict[int, int] = {}
        self.exact: list[Interval | None] = [None] * len(code)

    def run(self) -> Ranges:
        depth = self._map.max_depth
        cells = len(self._leaders) * (self._slots + depth) + len(self._function.code) * depth
        if cells > _MOST_CELLS:
            return self._unknown()
        zero = _Value(Interval(0, 0))
        locals_ = [zero if v.type is Type.INT else _NO_INT for v in self._function.locals]
        self._states[0] = [*(_of_type(v.type) for v in self._function.params), *locals_]
        pending = [0]  # a heap: blocks in the order of the code
        waiting = {0}
        while pending:
            start = heapq.heappop(pending)
            waiting.remove(start)
            for target, state in self._block(start):
                if self._arrive(target, state) and target not in waiting:
                    heapq.heappush(pending, target)
                    waiting.add(target)
        return Ranges(tuple(self.exact))

    def _unknown(self) -> Ranges:
        """Without following values: every operand is any int."""
        exact: list[Interval | None] = []
        for variant in self._map.variants:
            operands = [_Value(ANY if word == "int" else None) for word in variant.effect.pops]
            exact.append(self._computed(variant.opcode.name, operands, variant.effect.pushes))
        return Ranges(tuple(exact))

    def _arrive(self, target: int, state: State) -> bool:
        """Join the state into what is known at a block's start; whether that has changed it."""
        known = self._states.get(target)
        if known is None:
            self._states[target] = [_Value(v.interval) for v in state]
            return True
        visits = self._visits[target] = self._visits.get(target, 0) + 1
        changed = False
        for i, (old, new) in enumerate(zip(known, state, strict=True)):
            if old.interval is None or new.interval is None:
                continue
            low = min(old.interval.low, new.interval.low)
            high = max(old.interval.high, new.interval.high)
            if (low, high) == old.interval:
                continue
            if target in self._heads and visits > _JOINS:
                steps = self._steps if visits <= _STEPS else []
                if low < old.interval.low:
                    low = max((s for s in steps if s <= low), default=INT_MIN)
                if high > old.interval.high:
                    high = min((s for s in steps if s >= high), default=INT_MAX)
            known[i] = _Value(Interval(low, high))
            changed = True
        return changed

    def _block(self, at: int) -> list[tuple[int, State]]:
        """Where a block leads, and with which state. Sets `exact` of its instructions."""
        state = list(self._states[at])
        while True:
            instruction = self._function.code[at]
            flow = instruction.opcode.flow
            if flow is Flow.RETURN:
                return []
            if flow is Flow.JUMP:
                return [(instruction.target, state)]
            if flow is Flow.BRANCH:
                condition = state.pop()
                zero = instruction.opcode.name == "jz"
                ways = ((instruction.target, not zero), (at + 1, zero))
                bounded = [(to, self._bounded(state, condition, holds)) for to, holds in ways]
                return [(to, s) for to, s in bounded if s is not None]
            self._step(at, state)
            at += 1
            if at in self._leaders:
                return [(at, state)]

    def _step(self, at: int, state: State) -> None:
        instruction = self._function.code[at]
        variant = self._map.variants[at]
        name, operand = instruction.opcode.name, instruction.operand
        if name == "load":
            slot = instruction.target
            state.append(_Value(state[slot].interval, slot))
        elif name == "store":
            slot, value = instruction.target, state.pop()
            # Locals are known by their intervals alone, operands also by the local they equal.
            state[self._slots :] = [_forget(v, slot) for v in state[self._slots :]]
            state[slot] = _Value(value.interval)
        elif name == "push":
            is_int = isinstance(operand, int)
            state.append(_Value(Interval(operand, operand)) if is_int else _NO_INT)  # type: ignore[arg-type]
        elif name == "gload":
            state.append(_of_type(self._program.globals[instruction.target].type))
        elif name == "newarr":
            state[-1] = _NO_INT
        elif name == "call":
            callee = self._program.functions[instruction.target]
            del state[len(state) - len(callee.params) :]
            if callee.result is None:
                return
            state.append(_of_type(callee.result))
        elif instruction.opcode.group == "stack":
            pops = variant.effect.pops
            popped = dict(zip(pops, state[len(state) - len(pops) :], strict=True))
            del state[len(state) - len(pops) :]
            state += [popped[letter] for letter in variant.effect.pushes]
            return
        else:
            pops = variant.effect.pops if name != "gstore" else ("T",)
            operands = state[len(state) - len(pops) :]
            del state[len(state) - len(pops) :]
            if not variant.effect.pushes:
                return
            exact = self._computed(name, operands, variant.effect.pushes)
            self.exact[at] = exact
            compared = (name, operands[0], operands[1]) if name in _OPPOSITE else None
            after = exact if exact is None or exact.fits else ANY
            state.append(_Value(after, None, compared))
            return
        self.exact[at] = state[-1].interval if variant.effect.pushes and state else None

    @staticmethod
    def _computed(name: str, operands: list[_Value], pushes: tuple[str, ...]) -> Interval | None:
        if pushes != ("int",) and not (name in _EXACT and operands[0].interval is not None):
            return None
        if name in _OPPOSITE:
            return _BIT
        if name == "len":
            return Interval(0, MAX_LENGTH)
        if name not in _EXACT:
            return ANY
        return _EXACT[name](*(v.interval for v in operands))

    @staticmethod
    def _bounded(state: State, condition: _Value, holds: bool) -> State | None:
        """The state where the condition is nonzero, or where it is zero; None where it cannot
        be."""
        if condition.compared is None:
            return state
        name, a, b = condition.compared
        if a.interval is None or b.interval is None:
            return state
        name = name if holds else _OPPOSITE[name]
        (a_low, a_high), (b_low, b_high) = a.interval, b.interval
        if name in ("gt", "ge"):
            b_high, a_low = min(b_high, a_high - (name == "gt")), max(a_low, b_low + (name == "gt"))
        elif name in ("lt", "le"):
            a_high, b_low = min(a_high, b_high - (name == "lt")), max(b_low, a_low + (name == "lt"))
        elif name == "eq":
            a_low = b_low = max(a_low, b_low)
            a_high = b_high = min(a_high, b_high)
        if a_low > a_high or b_low > b_high:
            return None
        state = list(state)
        for value, low, high in ((a, a_low, a_high), (b, b_low, b_high)):
            if value.slot is not None:
                state[value.slot] = _Value(Interval(low, high))
        return state


def ranges(program: Program, function: int) -> Ranges:
    """The intervals of the function's ints, whatever calls it and with whatever arguments."""
    return _Analysis(program, function).run()
