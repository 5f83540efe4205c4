"""Stacks of types, and how each instruction changes them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from vmlab.isa import LETTERS, TASKS, Flow, Opcode, Operand, Type, Variant
from vmlab.program import Function, Instruction, Program, Variable
from vmlab.unknown import UNKNOWN, fits

# How deep stacks are compared after an error, which keeps that linear.
_COMPARED = 256


class Stack:
    """The types on an operand stack: the top cell, and the stack below it. Immutable.

    Within one `verify`, equal stacks are one object. The empty stack has no type, and is its own
    `below` and the `bottom` of all others; `depth` is the number of values.

    Errors leave stacks that are not `certain`. Somewhere below there may be a bottom of type
    `UNKNOWN`, of which nothing is known: it has as many values of unknown type as are taken from
    it. The depth counts from where it was first, and may be negative; `known` is the number of
    values on it.
    """

    __slots__ = ("_above", "_below", "bottom", "certain", "depth", "known", "type")

    def __init__(self, type_: Type | None = None, below: Stack | None = None) -> None:
        self.type = type_
        self.bottom: Stack = self if below is None else below.bottom
        self.certain: bool = type_ is not UNKNOWN and (below is None or below.certain)
        self.depth: int = 0 if below is None else below.depth + 1
        self.known: int = 0 if below is None else below.known + 1
        self._below = below
        self._above: dict[Type, Stack] = {}

    @property
    def below(self) -> Stack:
        below = self._below
        if below is None:
            if self.type is None:
                return self
            below = self._below = Stack(UNKNOWN)
            below.bottom, below.depth = self.bottom, self.depth - 1
            below._above[UNKNOWN] = self
        return below

    def push(self, type_: Type) -> Stack:
        """This stack with one more value on top."""
        above = self._above.get(type_)
        if above is None:
            above = self._above[type_] = Stack(type_, self)
        return above

    def __iter__(self) -> Iterator[Type]:
        """The types, the top first, as far as any is known."""
        cell = self
        while cell.known:
            assert cell.type is not None
            yield cell.type
            cell = cell.below

    def types(self) -> tuple[Type, ...]:
        """The types, the top last. Takes time in proportion to the depth."""
        return tuple(self)[::-1]

    def __str__(self) -> str:
        return self.describe()

    def __repr__(self) -> str:
        return f"<{self}>"

    def describe(self, most: int = 8) -> str:
        """The types, the top last; of a deep stack the `most` uppermost."""
        shown = list(islice(self, most))[::-1]
        hidden = self.known - len(shown)
        if not self.bottom.certain:
            lead = ["(unknown)"]
        elif hidden:
            lead = [f"({hidden} more)"]
        else:
            lead = [] if shown else ["(empty)"]
        return " ".join([*lead, *shown])


# What an instruction's place and operand contribute to its stack effect: the type that the operand
# names, the index of the function that it names, or (for `ret`) the enclosing function's result.
Bound = Type | int | None
Words = tuple[str, ...]


class Steps:
    """How each instruction changes a stack."""

    def __init__(self, program: Program) -> None:
        self.empty = Stack()
        self._program = program
        self._effects: dict[tuple[Opcode, Bound], list[tuple[Variant, Words, Words]]] = {}

    def variable(self, function: Function, instruction: Instruction) -> Variable:
        """The local or global that an instruction names."""
        of_program = instruction.opcode.operand is Operand.GLOBAL
        return (self._program.globals if of_program else function.slots)[instruction.target]

    def bound(self, function: Function, instruction: Instruction) -> Bound:
        """What `step` must know of an instruction beside its opcode."""
        operand = instruction.operand
        match instruction.opcode.operand:
            case None:
                return function.result if instruction.opcode.flow is Flow.RETURN else None
            case Operand.LABEL:
                return None
            case _ if operand is None:
                return UNKNOWN
            case Operand.LITERAL:
                return Type.INT if isinstance(operand, int) else Type.FLOAT
            case Operand.LOCAL | Operand.GLOBAL:
                return self.variable(function, instruction).type
            case Operand.FUNCTION:
                return instruction.target
            case Operand.ELEMENT:
                assert isinstance(operand, Type)
                return operand

    def effects(self, opcode: Opcode, bound: Bound) -> list[tuple[Variant, Words, Words]]:
        """The instruction's variants with what they pop and push: types, and the letters that
        stand for any type."""
        key = (opcode, bound)
        effects = self._effects.get(key)
        if effects is None:
            effects = self._effects[key] = [
                (v, self._types(v.effect.pops, bound), self._types(v.effect.pushes, bound))
                for v in opcode.variants
            ]
        return effects

    def _types(self, words: Words, bound: Bound) -> Words:
        types: list[str] = []
        for word in words:
            if word in ("T", "T[]", "chan[T]"):
                assert isinstance(bound, Type)
                types.append(UNKNOWN if bound is UNKNOWN else Type.of(word, bound))
            elif word == "args":
                assert isinstance(bound, int)
                types += (p.type for p in self._program.functions[bound].params)
            elif word == "task[result]":
                assert isinstance(bound, int)
                # Of a function that cannot be spawned, as if it had no result.
                types.append(TASKS.get(self._program.functions[bound].result, Type.TASK))
            elif word == "result":
                result = self._program.functions[bound].result if isinstance(bound, int) else bound
                types += [] if result is None else [result]
            else:
                types.append(word if word in LETTERS else Type(word))
        return tuple(types)

    def step(self, stack: Stack, opcode: Opcode, bound: Bound) -> tuple[Variant, Stack] | None:
        """The variant that applies and the stack after it; None if none applies. Of several, what
        is the same after all of them."""
        found = None
        for variant, pops, pushes in self.effects(opcode, bound):
            after = self._after(stack, pops, pushes)
            if after is None:
                continue
            if stack.certain:
                return variant, after
            found = (variant, after if found is None else self.common(found[1], after))
        return found

    def recover(self, stack: Stack, opcode: Opcode, bound: Bound) -> Stack:
        """The stack after an instruction that does not apply to it."""
        count = len(self.effects(opcode, bound)[0][1])
        if stack.bottom is self.empty and stack.depth < count:
            stack = Stack(UNKNOWN)
        else:
            for _ in range(count):
                stack = stack.below
            for _ in range(count):
                stack = stack.push(UNKNOWN)
        found = self.step(stack, opcode, bound)
        assert found is not None
        return found[1]

    def _after(self, stack: Stack, pops: Words, pushes: Words) -> Stack | None:
        """The stack after an effect; None if it does not apply."""
        letters: dict[str, Type] = {}
        for word in reversed(pops):
            type_ = stack.type
            if type_ is None:
                return None
            wanted = letters.setdefault(word, type_) if word in LETTERS else word
            if wanted is not type_ and UNKNOWN not in (wanted, type_):
                return None
            stack = stack.below
        for word in pushes:
            stack = stack.push(word if isinstance(word, Type) else letters[word])
        return stack

    def agree(self, one: Stack, other: Stack) -> bool:
        """Whether two stacks may be the same."""
        if one.certain and other.certain:
            return one is other
        if one.bottom is other.bottom and one.depth != other.depth:
            return False
        return all(fits(*pair) for pair in islice(zip(one, other, strict=False), _COMPARED))

    def common(self, one: Stack, other: Stack) -> Stack:
        """The stack of which all is true that is true of both."""
        types: list[Type] = []
        while one is not other:
            alike = one.bottom is other.bottom and one.depth == other.depth
            if not alike or len(types) == _COMPARED:
                return Stack(UNKNOWN)
            assert one.type is not None
            types.append(one.type if one.type is other.type else UNKNOWN)
            one, other = one.below, other.below
        for type_ in reversed(types):
            one = one.push(type_)
        return one
