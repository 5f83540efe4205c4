"""What the verifier objects to, told so that the reader knows what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, islice

from vmlab.diagnostics import Diagnostic, Kind, Note, a, counted, either
from vmlab.isa import LETTERS, TASKS, Flow, Opcode, Operand, Type
from vmlab.program import Function, Program, Span
from vmlab.stacks import Stack, Steps, Words
from vmlab.unknown import UNKNOWN, fits

_SHOWN = 8
_SEARCHED = 256


class Objections:
    """Collects what is wrong with one function.

    before            the stack at each instruction that has been reached
    origins           from which instruction it was first reached; -1 at the start of a walk
    unreachable_from  the start of the current walk, if no path of the function leads there
    """

    def __init__(
        self,
        program: Program,
        function: Function,
        steps: Steps,
        before: Sequence[Stack | None],
        origins: Sequence[int],
    ) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.unreachable_from: int | None = None
        self._program = program
        self._function = function
        self._steps = steps
        self._before = before
        self._origins = origins
        self._labels = {index: name for name, index in reversed(function.labels)}
        self._declared = Note(f"'{function.name}' is declared here", function.span)

    def _add(
        self,
        kind: Kind,
        span: Span,
        message: str,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
        notes: Sequence[Note] = (),
    ) -> None:
        if self.unreachable_from is not None:
            unreachable = "no path leads here; unreachable code must be valid for an empty stack"
            span_ = self._span(self.unreachable_from)
            notes = (*notes, Note(unreachable, span_))
        self.diagnostics.append(
            Diagnostic(kind, span, message, expected, found, hint, tuple(notes))
        )

    def _span(self, index: int) -> Span:
        return self._function.code[index].span

    def _stack(self, index: int) -> Stack:
        stack = self._before[index]
        assert stack is not None
        return stack

    def to_operands(self, index: int) -> None:
        """The instruction does not take what is on the stack."""
        instruction = self._function.code[index]
        match instruction.opcode.flow:
            case Flow.RETURN:
                self._to_result(index)
            case Flow.CALL | Flow.SPAWN:
                self._to_arguments(index)
            case _:
                bound = self._steps.bound(self._function, instruction)
                effects = self._steps.effects(instruction.opcode, bound)
                wanted = [pops for _, pops, _ in effects]
                stack = self._stack(index)
                if stack.bottom is self._steps.empty and stack.depth < len(wanted[0]):
                    self._to_underflow(index, wanted)
                elif instruction.opcode.operand in (Operand.LOCAL, Operand.GLOBAL):
                    self._to_store(index)
                else:
                    self._to_types(index, wanted)

    def _to_underflow(self, index: int, wanted: list[Words]) -> None:
        stack = self._stack(index)
        takes = counted(len(wanted[0]), "value")
        self._add(
            "stack-underflow",
            self._span(index),
            f"'{self._function.code[index].opcode.name}' takes {takes} from the stack, "
            f"which holds {stack.depth or 'none'}",
            expected=_either(wanted),
            found=str(stack),
        )

    def _to_store(self, index: int) -> None:
        instruction = self._function.code[index]
        variable = self._steps.variable(self._function, instruction)
        stack = self._stack(index)
        self._add(
            "store-type",
            instruction.operand_span or instruction.span,
            f"'{variable.name}' cannot hold this value",
            expected=variable.type,
            found=stack.type,
            hint=_conversion(stack.type, variable.type),
            notes=[
                *self._producers(index, [stack.depth - 1]),
                Note(f"'{variable.name}' is declared here", variable.span),
            ],
        )

    def _to_types(self, index: int, wanted: list[Words]) -> None:
        opcode = self._function.code[index].opcode
        stack = self._stack(index)
        count = len(wanted[0])
        operands = tuple(islice(stack, count))[::-1]
        self._add(
            "operand-type",
            self._span(index),
            f"'{opcode.name}' does not work on these types",
            expected=_either(wanted),
            found=" ".join(operands),
            hint=_operand_hint(opcode, wanted, operands),
            notes=self._producers(index, range(stack.depth - count, stack.depth)),
        )

    def _to_arguments(self, index: int) -> None:
        instruction = self._function.code[index]
        callee = self._program.functions[instruction.target]
        span = instruction.operand_span or instruction.span
        stack = self._stack(index)
        arity = len(callee.params)
        if stack.bottom is self._steps.empty and stack.depth < arity:
            self._add(
                "missing-arguments",
                span,
                f"'{callee.name}' takes {counted(arity, 'argument')}, "
                f"but the stack holds {counted(stack.depth, 'value')}",
                expected=" ".join(param.type for param in callee.params[-_SHOWN:]),
                found=str(stack),
                notes=[Note(f"'{callee.name}' is declared here", callee.span)],
            )
            return
        wrong = next(
            (param, position, type_)
            for param, position, type_ in zip(
                reversed(callee.params), count(stack.depth - 1, -1), stack, strict=False
            )
            if not fits(type_, param.type)
        )
        param, position, type_ = wrong
        self._add(
            "argument-type",
            span,
            f"'{callee.name}' gets a wrong argument for '{param.name}'",
            expected=param.type,
            found=type_,
            hint=_conversion(type_, param.type),
            notes=[
                *self._producers(index, [position]),
                Note(f"'{param.name}' is declared here", param.span),
            ],
        )

    def to_task(self, index: int) -> None:
        """The instruction may spawn a function with a result that no task can have."""
        instruction = self._function.code[index]
        callee = self._program.functions[instruction.target]
        if callee.result not in TASKS and callee.result is not UNKNOWN:
            self._add(
                "spawn-result",
                instruction.operand_span or instruction.span,
                f"'{callee.name}' cannot be spawned: a task's result is a number",
                expected="int, float, or no result",
                found=callee.result,
                hint="pass it a channel, and send through that what it finds",
                notes=[Note(f"'{callee.name}' is declared here", callee.span)],
            )

    def _to_result(self, index: int) -> None:
        stack = self._stack(index)
        result = self._function.result
        assert result is not None
        if stack.depth == 0:
            self._add(
                "missing-result",
                self._span(index),
                f"'{self._function.name}' must return {a(result)}, but the stack is empty",
                hint=f"push the result before 'ret', or drop '-> {result}'",
                notes=[self._declared],
            )
        else:
            self._add(
                "result-type",
                self._span(index),
                f"'{self._function.name}' returns a value of the wrong type",
                expected=result,
                found=stack.type,
                hint=_conversion(stack.type, result),
                notes=[*self._producers(index, [stack.depth - 1]), self._declared],
            )

    def to_leftover(self, index: int, after: Stack) -> None:
        """The stack is not empty after `ret` has taken the result."""
        if after.bottom is not self._steps.empty:
            return
        result = self._function.result
        it = "it" if after.depth == 1 else "them"
        hint = f"drop {it} with 'pop'"
        if result is None and after.depth == 1 and after.certain:
            hint += f", or declare the result with '-> {after.type}'"
        self._add(
            "leftover-values",
            self._span(index),
            f"'ret' leaves {counted(after.depth, 'value')} behind on the stack",
            expected=result or "(empty)",
            found=str(self._stack(index)),
            hint=hint,
            notes=[*self._producers(index, [after.depth - 1]), self._declared],
        )

    def to_merge(self, index: int, origin: int, stack: Stack) -> None:
        """The instruction is reached with another stack than before."""
        known = self._stack(index)
        label = self._labels.get(index)
        place = "there" if label is None else f"'{label}'"
        first = self._origins[index]
        if first < 0:
            other = Note(f"{place} is entered from the start", self._function.span)
        else:
            other = Note(f"the other path to {place} comes from here", self._span(first))
        shown = _SHOWN
        if known.bottom is stack.bottom and known.depth != stack.depth:
            kind: Kind = "merge-depth"
            if known.bottom is self._steps.empty:
                message = (
                    f"this path brings {counted(stack.depth, 'value')} to {place}, "
                    f"another brings {counted(known.depth, 'value')}"
                )
            else:
                more = stack.depth - known.depth
                message = (
                    f"this path brings {counted(abs(more), 'value')} "
                    f"{'more' if more > 0 else 'less'} to {place} than another does"
                )
            hint = "all paths to a label must leave the same types on the stack"
            differs = 1 if stack.depth > known.depth else 0
        else:
            kind = "merge-type"
            message = f"this path brings other types to {place} than another does"
            hint = "convert before the paths meet, or keep the value in a local"
            pairs = enumerate(islice(zip(known, stack, strict=False), _SEARCHED), 1)
            differs = next((n for n, (a, b) in pairs if not fits(a, b)), 0)
            shown = max(shown, differs)
        made = self._made(stack, origin, [stack.depth - differs] if differs else [])
        self._add(
            kind,
            self._span(origin),
            message,
            expected=known.describe(shown),
            found=stack.describe(shown),
            hint=hint,
            notes=[
                *(note for note in made if note.span != self._span(origin)),
                other,
                Note("the paths meet here", self._span(index)),
            ],
        )

    def to_fall(self, origin: int) -> None:
        """Control goes on behind the last instruction; -1 if there is none."""
        after = "" if origin < 0 else " after this instruction"
        self._add(
            "fall-off-end",
            self._function.span if origin < 0 else self._span(origin),
            f"'{self._function.name}' runs off its end{after}",
            hint="end every path with 'ret' or a jump",
        )

    def to_frame(self, most: int) -> None:
        """The function's slots and operands together are more than `most`."""
        slots = len(self._function.slots)
        depths = [self._stack(index).known for index in range(len(self._before))]
        first = next(index for index, depth in enumerate(depths) if slots + depth > most)
        self._add(
            "frame-too-large",
            self._span(self._origins[first]) if first else self._function.span,
            f"'{self._function.name}' needs too large a frame: "
            f"{counted(slots, 'slot')} and {counted(max(depths), 'operand')}",
            expected=f"at most {most} together",
            hint="keep many values in an array",
        )

    def _producers(self, index: int, positions: Iterable[int]) -> list[Note]:
        """Notes on where values at the instruction were made, on the path that came here first."""
        return self._made(self._stack(index), self._origins[index], positions)

    def _made(self, stack: Stack, origin: int, positions: Iterable[int]) -> list[Note]:
        """Notes on where the values at these positions (0 is the bottom) of the stack that `origin`
        leaves were made."""
        below_top = count(stack.depth - 1, -1)
        types = dict(zip(below_top, islice(stack, _SEARCHED), strict=False))
        wanted = {position for position in positions if position in types}
        notes: list[Note] = []
        for _ in range(_SEARCHED):
            if not wanted or origin < 0 or self._stack(origin).bottom is not stack.bottom:
                break
            instruction = self._function.code[origin]
            if not instruction.opcode.effects:
                break
            bound = self._steps.bound(self._function, instruction)
            _, pops, _ = self._steps.effects(instruction.opcode, bound)[0]
            kept = self._stack(origin).depth - len(pops)
            for position in sorted(p for p in wanted if p >= kept):
                wanted.remove(position)
                what = f"the {types[position]}" if types[position] is not UNKNOWN else "this value"
                note = Note(f"{what} comes from here", instruction.span)
                if note not in notes:
                    notes.append(note)
            origin = self._origins[origin]
        return notes[::-1]


def _operand_hint(opcode: Opcode, wanted: list[Words], operands: Words) -> str | None:
    """What to do about operands (the top last) that the instruction does not take."""
    if opcode.flow is Flow.BRANCH and operands[-1] is Type.FLOAT:
        return "compare it with something: a comparison of floats gives the int 0 or 1"
    if operands[::-1] in wanted and len(operands) == 2:
        return "the operands are in the wrong order; 'swap' exchanges them"
    if len(wanted) > 1 and set(operands) == {Type.INT, Type.FLOAT}:
        return "convert one of them: 'float' makes an int a float, 'int' a float an int"
    # Pairs from the top, since below an error the stack may be known for less than all operands.
    pairs = [list(zip(operands[::-1], pops[::-1], strict=False)) for pops in wanted]
    # The lowest operand, such as the array, says best which effect was meant.
    likely = max(pairs, key=lambda pairs: [fits(have, want) for have, want in reversed(pairs)])
    return next(_conversion(have, want) for have, want in likely if not fits(have, want))


def _conversion(have: str | None, want: str | None) -> str | None:
    """How to make the value on top another type."""
    if (have, want) == (Type.INT, Type.FLOAT):
        return "'float' turns an int into a float"
    if (have, want) == (Type.FLOAT, Type.INT):
        return "'int' turns a float into an int, toward zero"
    if want in (Type.INT, Type.FLOAT):
        match have:
            case Type.INT_ARRAY | Type.FLOAT_ARRAY:
                return (
                    "this is a whole array; take an element with 'aload', or its length with 'len'"
                )
            case Type.INT_TASK | Type.FLOAT_TASK:
                return "this is a task; 'join' waits for its result"
            case Type.INT_CHANNEL | Type.FLOAT_CHANNEL:
                return "this is a whole channel; take a value from it with 'recv'"
    return None


def _either(wanted: list[Words]) -> str:
    """Stacks in words; letters stand for any type."""
    any_ = {*LETTERS, UNKNOWN}
    return either([" ".join("any" if word in any_ else word for word in w) for w in wanted])
