"""Proves the types and the depth of the operand stack at every instruction, before anything runs.

The proof is an abstract interpretation over types, as in the Java virtual machine's type checking.
Wherever paths meet, their stacks must be equal, so one visit an instruction is enough. Stacks are
shared cells: equal stacks are the same object, and a check whether paths agree costs one test.
Time and memory are linear in the size of the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from vmlab.diagnostics import Diagnostic, Kind, Note, ProgramError, a, counted, either
from vmlab.isa import MAX_FRAME_WORDS, Flow, Opcode, Operand, Type, Variant
from vmlab.program import Function, Instruction, Program, Span, Variable

_SHOWN = 8
_SEARCHED = 256
_LETTERS = frozenset("ABC")


class Stack:
    """The types on an operand stack: the top cell, and the stack below it. Immutable.

    Within one `verify`, equal stacks are one object. The empty stack has no type, and is the
    bottom of all others; `depth` is the number of values.
    """

    __slots__ = ("_above", "below", "bottom", "depth", "type")

    def __init__(self, type_: Type | None = None, below: Stack | None = None) -> None:
        self.type = type_
        self.below = self if below is None else below
        self.bottom: Stack = self if below is None else below.bottom
        self.depth: int = 0 if below is None else below.depth + 1
        self._above: dict[Type, Stack] = {}

    def push(self, type_: Type) -> Stack:
        """This stack with one more value on top."""
        above = self._above.get(type_)
        if above is None:
            above = self._above[type_] = Stack(type_, self)
        return above

    def __iter__(self) -> Iterator[Type]:
        """The types, the top first."""
        cell = self
        while cell.type is not None:
            yield cell.type
            cell = cell.below

    def types(self) -> tuple[Type, ...]:
        """The types, the top last. Takes time in proportion to the depth."""
        return tuple(self)[::-1]

    def __str__(self) -> str:
        return self.describe(_SHOWN)

    def __repr__(self) -> str:
        return f"<{self}>"

    def describe(self, most: int) -> str:
        """The types, the top last; of a deep stack the `most` uppermost."""
        if self.depth == 0:
            return "(empty)"
        shown = list(islice(self, most))[::-1]
        hidden = self.depth - len(shown)
        return " ".join([*([f"({hidden} more)"] if hidden else []), *shown])


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
    steps = _Steps(program)
    maps, diagnostics = [], []
    for index in indices:
        check = _FunctionCheck(program, program.functions[index], steps)
        if check.diagnostics:
            diagnostics += check.diagnostics
        else:
            maps.append(check.stack_map())
    return maps, diagnostics


# What an instruction's operand contributes to its stack effect: the type it names, the index of
# the function it calls, or (for `ret`) the result of the function that it is in.
_Bound = Type | int | None
_Words = tuple[str, ...]


class _Steps:
    """How each instruction changes a stack."""

    def __init__(self, program: Program) -> None:
        self.empty = Stack()
        # The stack after an error: it may hold anything, and nothing more is blamed on it.
        self.unknown = Stack()
        self._program = program
        self._effects: dict[tuple[Opcode, _Bound], list[tuple[Variant, _Words, _Words]]] = {}

    def effects(self, opcode: Opcode, bound: _Bound) -> list[tuple[Variant, _Words, _Words]]:
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

    def _types(self, words: _Words, bound: _Bound) -> _Words:
        types: list[str] = []
        for word in words:
            if word == "T":
                assert isinstance(bound, Type)
                types.append(bound)
            elif word == "T[]":
                assert isinstance(bound, Type)
                types.append(bound.array)
            elif word == "args":
                assert isinstance(bound, int)
                types += (p.type for p in self._program.functions[bound].params)
            elif word == "result":
                result = self._program.functions[bound].result if isinstance(bound, int) else bound
                types += [] if result is None else [result]
            else:
                types.append(word if word in _LETTERS else Type(word))
        return tuple(types)

    def step(self, stack: Stack, opcode: Opcode, bound: _Bound) -> tuple[Variant, Stack] | None:
        """The variant that applies and the stack after it; None if none applies."""
        found = None
        for variant, pops, pushes in self.effects(opcode, bound):
            after = self._after(stack, pops, pushes)
            if after is None:
                continue
            if stack.bottom is self.empty:
                return variant, after
            # A stack that may hold anything leaves a choice.
            found = (variant, after if found is None or found[1] is after else self.unknown)
        return found

    def _after(self, stack: Stack, pops: _Words, pushes: _Words) -> Stack | None:
        letters: dict[str, Type] = {}
        for word in reversed(pops):
            if stack.type is None:
                if stack is self.unknown:
                    break
                return None
            if word in _LETTERS:
                letters[word] = stack.type
            elif word is not stack.type:
                return None
            stack = stack.below
        for word in pushes:
            if isinstance(word, Type):
                stack = stack.push(word)
            elif word in letters:
                stack = stack.push(letters[word])
            else:
                stack = self.unknown
        return stack


class _FunctionCheck:
    """The check of one function."""

    def __init__(self, program: Program, function: Function, steps: _Steps) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._program = program
        self._function = function
        self._code = function.code
        self._slots = function.slots
        self._steps = steps
        count = len(function.code)
        self._before: list[Stack | None] = [None] * count
        self._variants: list[Variant | None] = [None] * count
        # Where control came from when it first arrived; -1 at the start of a walk.
        self._origins = [-1] * count
        self._pending: list[tuple[int, Stack, int]] = []
        self._unreachable_from: int | None = None
        self._walk(0)
        self._reachable = tuple(stack is not None for stack in self._before)
        for index in range(count):
            if self._before[index] is None:
                self._unreachable_from = index
                self._walk(index)
        self._check_frame()

    def stack_map(self) -> StackMap:
        before = tuple(s for s in self._before if s is not None)
        variants = tuple(v for v in self._variants if v is not None)
        return StackMap(before, variants, self._reachable, self._max_depth())

    def _max_depth(self) -> int:
        return max((s.depth for s in self._before if s is not None), default=0)

    def _walk(self, start: int) -> None:
        """Check everything that can be reached from `start`, entered with an empty stack."""
        self._pending.append((start, self._steps.empty, -1))
        while self._pending:
            self._follow(*self._pending.pop())

    def _follow(self, index: int, stack: Stack, origin: int) -> None:
        """Check along one path, up to its end or to where another has been. Branches not taken
        are left pending."""
        code, before, step = self._code, self._before, self._steps.step
        while index < len(code):
            known = before[index]
            if known is not None:
                if known is not stack:
                    self._check_merge(index, known, stack, origin)
                return
            before[index] = stack
            self._origins[index] = origin
            instruction = code[index]
            opcode = instruction.opcode
            bound = self._bound(index)
            found = step(stack, opcode, bound)
            if found is None:
                self._report_operands(index, stack, bound)
                found = step(self._steps.unknown, opcode, bound)
                assert found is not None
            self._variants[index], stack = found
            origin = index
            flow = opcode.flow
            if flow is Flow.RETURN:
                if stack.depth:
                    self._report_leftover(index, stack)
                return
            if flow is Flow.JUMP:
                index = instruction.target
                continue
            if flow is Flow.BRANCH:
                self._pending.append((instruction.target, stack, index))
            index += 1
        self._report_fall(origin)

    def _bound(self, index: int) -> _Bound:
        instruction = self._code[index]
        operand = instruction.operand
        match instruction.opcode.operand:
            case None:
                return self._function.result if instruction.opcode.flow is Flow.RETURN else None
            case Operand.LITERAL:
                return Type.INT if isinstance(operand, int) else Type.FLOAT
            case Operand.LOCAL | Operand.GLOBAL:
                return self._variable(instruction).type
            case Operand.FUNCTION:
                return instruction.target
            case Operand.ELEMENT:
                assert isinstance(operand, Type)
                return operand
            case Operand.LABEL:
                return None

    # Reports

    def _report(
        self,
        kind: Kind,
        span: Span,
        message: str,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
        notes: Iterable[Note] = (),
    ) -> None:
        notes = tuple(notes)
        if self._unreachable_from is not None:
            first = self._code[self._unreachable_from].span
            message_ = "no path leads here; unreachable code must be valid for an empty stack"
            notes += (Note(message_, first),)
        self.diagnostics.append(Diagnostic(kind, span, message, expected, found, hint, notes))

    def _report_operands(self, index: int, stack: Stack, bound: _Bound) -> None:
        """No variant of the instruction takes what is on the stack."""
        instruction = self._code[index]
        opcode = instruction.opcode
        if opcode.flow is Flow.RETURN:
            self._report_result(index, stack)
            return
        if opcode.flow is Flow.CALL:
            self._report_arguments(index, stack)
            return
        effects = self._steps.effects(opcode, bound)
        wanted = [pops for _, pops, _ in effects]
        expected = either([_any(pops) for pops in wanted])
        need = len(wanted[0])
        if stack.bottom is self._steps.empty and stack.depth < need:
            self._report(
                "stack-underflow",
                instruction.span,
                f"'{opcode.name}' takes {counted(need, 'value')} from the stack, "
                f"which holds {stack.depth or 'none'}",
                expected=expected,
                found=str(stack),
            )
            return
        operands = tuple(islice(stack, need))[::-1]
        producers = self._producers(index, range(stack.depth - need, stack.depth))
        if opcode.operand in (Operand.LOCAL, Operand.GLOBAL):
            variable = self._variable(instruction)
            self._report(
                "store-type",
                instruction.operand_span or instruction.span,
                f"'{variable.name}' cannot hold this value",
                expected=variable.type,
                found=stack.type,
                hint=_conversion(stack.type, variable.type),
                notes=[*producers, Note(f"'{variable.name}' is declared here", variable.span)],
            )
        else:
            self._report(
                "operand-type",
                instruction.span,
                f"'{opcode.name}' does not work on these types",
                expected=expected,
                found=" ".join(operands),
                hint=_operand_hint(opcode, wanted, operands),
                notes=producers,
            )

    def _variable(self, instruction: Instruction) -> Variable:
        local = instruction.opcode.operand is Operand.LOCAL
        return (self._slots if local else self._program.globals)[instruction.target]

    def _report_arguments(self, index: int, stack: Stack) -> None:
        instruction = self._code[index]
        callee = self._program.functions[instruction.target]
        count = len(callee.params)
        span = instruction.operand_span or instruction.span
        declared = Note(f"'{callee.name}' is declared here", callee.span)
        signature = " ".join(p.type for p in callee.params[-_SHOWN:])
        if stack.bottom is self._steps.empty and stack.depth < count:
            self._report(
                "missing-arguments",
                span,
                f"'{callee.name}' takes {counted(count, 'argument')}, "
                f"but the stack holds {counted(stack.depth, 'value')}",
                expected=signature,
                found=str(stack),
                notes=[declared],
            )
            return
        position = count
        while position > 0 and stack.type is callee.params[position - 1].type:
            position -= 1
            stack = stack.below
        param = callee.params[position - 1]
        self._report(
            "argument-type",
            span,
            f"'{callee.name}' is called with a wrong argument for '{param.name}'",
            expected=param.type,
            found=stack.type,
            hint=_conversion(stack.type, param.type),
            notes=[
                *self._producers(index, [stack.depth - 1]),
                Note(f"'{param.name}' is declared here", param.span),
            ],
        )

    def _report_result(self, index: int, stack: Stack) -> None:
        function = self._function
        declared = Note(f"'{function.name}' is declared here", function.span)
        span = self._code[index].span
        assert function.result is not None
        if stack.depth == 0:
            self._report(
                "missing-result",
                span,
                f"'{function.name}' must return {a(function.result)}, but the stack is empty",
                hint=f"push the result before 'ret', or drop '-> {function.result}'",
                notes=[declared],
            )
        else:
            self._report(
                "result-type",
                span,
                f"'{function.name}' returns a value of the wrong type",
                expected=function.result,
                found=stack.type,
                hint=_conversion(stack.type, function.result),
                notes=[*self._producers(index, [stack.depth - 1]), declared],
            )

    def _report_leftover(self, index: int, after: Stack) -> None:
        if after.bottom is self._steps.unknown:
            return
        result = self._function.result
        if result is None and after.depth == 1:
            hint = f"drop it with 'pop', or declare the result with '-> {after.type}'"
        else:
            hint = f"drop {'it' if after.depth == 1 else 'them'} with 'pop'"
        before = self._before[index]
        self._report(
            "leftover-values",
            self._code[index].span,
            f"'ret' leaves {counted(after.depth, 'value')} behind on the stack",
            expected=result or "(empty)",
            found=str(before),
            hint=hint,
            notes=[
                *self._producers(index, [after.depth - 1]),
                Note(f"'{self._function.name}' is declared here", self._function.span),
            ],
        )

    def _check_merge(self, index: int, known: Stack, stack: Stack, origin: int) -> None:
        """Two paths meet with different stacks."""
        if self._steps.unknown in (known.bottom, stack.bottom):
            return
        label = next((f"'{name}'" for name, at in self._function.labels if at == index), "there")
        first = self._origins[index]
        if first < 0:
            other = Note(f"{label} is entered from the start of the function", self._function.span)
        else:
            other = Note(f"the other path to {label} comes from here", self._code[first].span)
        shown = _SHOWN
        if known.depth != stack.depth:
            kind: Kind = "merge-depth"
            message = (
                f"this path brings {counted(stack.depth, 'value')} to {label}, "
                f"another brings {counted(known.depth, 'value')}"
            )
            hint = "all paths to a label must leave the same types on the stack"
        else:
            kind = "merge-type"
            message = f"this path brings other types to {label} than another does"
            hint = "convert before the paths meet, or keep the value in a local"
            pairs = enumerate(islice(zip(known, stack, strict=True), _SEARCHED), 1)
            shown = max(shown, next((n for n, (a, b) in pairs if a is not b), 0))
        self._report(
            kind,
            self._code[origin].span,
            message,
            expected=known.describe(shown),
            found=stack.describe(shown),
            hint=hint,
            notes=[other, Note("the paths meet here", self._code[index].span)],
        )

    def _report_fall(self, origin: int) -> None:
        function = self._function
        self._report(
            "fall-off-end",
            function.span if origin < 0 else self._code[origin].span,
            f"'{function.name}' runs off its end"
            + ("" if origin < 0 else " after this instruction"),
            hint="end every path with 'ret' or a jump",
        )

    def _check_frame(self) -> None:
        most = MAX_FRAME_WORDS - len(self._slots)
        if self.diagnostics or self._max_depth() <= most:
            return
        first = next((i for i, s in enumerate(self._before) if s and s.depth > most), 0)
        self._report(
            "frame-too-large",
            self._function.span if most < 0 else self._code[self._origins[first]].span,
            f"'{self._function.name}' needs too large a frame: "
            f"{counted(len(self._slots), 'slot')} and {counted(self._max_depth(), 'operand')}",
            expected=f"at most {MAX_FRAME_WORDS} together",
            hint="keep many values in an array",
        )

    def _producers(self, index: int, positions: Iterable[int]) -> list[Note]:
        """Notes on where the values at these positions (0 is the bottom) were made, on the path
        that came here first."""
        stack = self._before[index]
        assert stack is not None
        types = dict(zip(range(stack.depth - 1, -1, -1), islice(stack, _SHOWN), strict=False))
        wanted = {p for p in positions if p in types}
        notes: list[Note] = []
        for _ in range(_SEARCHED):
            index = self._origins[index]
            before = self._before[index]
            if not wanted or index < 0 or before is None or before.bottom is not stack.bottom:
                break
            instruction = self._code[index]
            _, pops, _ = self._steps.effects(instruction.opcode, self._bound(index))[0]
            for position in sorted(p for p in wanted if p >= before.depth - len(pops)):
                wanted.remove(position)
                note = Note(f"the {types[position]} comes from here", instruction.span)
                if note not in notes:
                    notes.append(note)
        return notes[::-1]


def _operand_hint(opcode: Opcode, wanted: list[_Words], operands: _Words) -> str | None:
    """What to do about operands (the top last) that the instruction does not take."""
    if opcode.flow is Flow.BRANCH and operands[-1] is Type.FLOAT:
        return "compare it with something: a comparison of floats gives the int 0 or 1"
    if operands[::-1] in wanted and len(operands) == 2:
        return "the operands are in the wrong order; 'swap' exchanges them"
    if len(wanted) > 1 and set(operands) == {Type.INT, Type.FLOAT}:
        return "convert one of them: 'float' makes an int a float, 'int' a float an int"
    for have, want in zip(reversed(operands), reversed(wanted[0]), strict=False):
        if have is not want:
            return _conversion(have, want)
    return None


def _conversion(have: str | None, want: str | None) -> str | None:
    """How to make the value on top another type."""
    if (have, want) == (Type.INT, Type.FLOAT):
        return "'float' turns an int into a float"
    if (have, want) == (Type.FLOAT, Type.INT):
        return "'int' turns a float into an int, toward zero"
    if have in (Type.INT_ARRAY, Type.FLOAT_ARRAY) and want in (Type.INT, Type.FLOAT):
        return "this is a whole array; take an element with 'aload', or its length with 'len'"
    return None


def _any(words: _Words) -> str:
    """The words of a stack effect for a reader: letters stand for any type."""
    return " ".join("any" if word in _LETTERS else word for word in words)
