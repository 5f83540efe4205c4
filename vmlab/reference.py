"""The oracle: a plain interpreter, to be read beside the instruction table in `vmlab.isa`.

Every other engine must agree with this one. It is slow because it hides nothing: values are
Python's own, an instruction looks at what it finds on the stack, and nothing that the verifier
found out is used. What an instruction makes of its operands stands in `COMPUTES` and `MOVES`, one
line each; those that touch more than the operand stack are in the loop of `Reference._run`, and
those of coroutines in `vmlab.tasks`.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from vmlab.engines import Executable, Sample
from vmlab.isa import ARRAY_HEADER_WORDS, INT_MAX, INT_MIN, Trap, Type
from vmlab.outcome import Limits, Outcome, Place, TrapReport
from vmlab.program import Instruction, Number, Program, Variable
from vmlab.tasks import FIRST_REFERENCES, Frame, Heap, Task, Tasks, Trapped, Value


def _wrap(x: Number) -> Number:
    """The low 64 bits of an int, as two's complement; a float as it is."""
    if isinstance(x, float) or INT_MIN <= x <= INT_MAX:
        return x
    return (x - INT_MIN) % 2**64 + INT_MIN


def _div(a: Number, b: Number) -> Number:
    if isinstance(a, float) or isinstance(b, float):
        return a / b if b else a * math.copysign(math.inf, b)  # 0.0 * inf is NaN, as 0 / 0 is
    quotient = _floordiv(a, b)
    return quotient + 1 if quotient < 0 and quotient * b != a else quotient


def _floordiv(a: int, b: int) -> int:
    if b == 0:
        raise Trapped(Trap.DIVIDE_BY_ZERO)
    if a // b > INT_MAX:
        raise Trapped(Trap.INTEGER_OVERFLOW)
    return a // b


def _mod(a: int, b: int) -> int:
    if b == 0:
        raise Trapped(Trap.DIVIDE_BY_ZERO)
    return a % b


def _rem(a: int, b: int) -> int:
    remainder = _mod(a, b)
    return remainder - b if remainder and (a < 0) != (b < 0) else remainder


def _extreme(choose: Callable[..., Number], a: Number, b: Number) -> Number:
    """`choose` is min or max, which know neither NaN nor that -0.0 is below 0.0."""
    if a != a or b != b:
        return math.nan
    return choose(a, b, key=lambda x: (x, math.copysign(1.0, x)))


def _to_int(a: float) -> int:
    if not -(2.0**63) <= a < 2.0**63:  # also true of NaN
        raise Trapped(Trap.INTEGER_OVERFLOW)
    return math.trunc(a)


def _to_integral(rounded: Callable[[float], int], a: float) -> float:
    """`rounded` is math.floor or math.ceil; infinities, NaN and the sign of a zero stay."""
    return math.copysign(float(rounded(a)), a) if math.isfinite(a) else a


# From the popped values, the last one from the top of the stack, to the one value pushed.
COMPUTES: dict[str, Callable[..., Number]] = {
    "add": lambda a, b: _wrap(a + b),
    "sub": lambda a, b: _wrap(a - b),
    "mul": lambda a, b: _wrap(a * b),
    "div": _div,
    "neg": lambda a: _wrap(-a),
    "abs": lambda a: _wrap(abs(a)),
    "min": lambda a, b: _extreme(min, a, b),
    "max": lambda a, b: _extreme(max, a, b),
    "rem": _rem,
    "floordiv": _floordiv,
    "mod": _mod,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: _wrap(a << (b % 64)),
    "shr": lambda a, b: a >> (b % 64),
    "ushr": lambda a, b: _wrap((a % 2**64) >> (b % 64)),
    "not": lambda a: ~a,
    "eq": lambda a, b: int(a == b),
    "ne": lambda a, b: int(a != b),
    "lt": lambda a, b: int(a < b),
    "le": lambda a, b: int(a <= b),
    "gt": lambda a, b: int(a > b),
    "ge": lambda a, b: int(a >= b),
    "float": lambda a: float(a),
    "int": _to_int,
    "sqrt": lambda a: math.nan if a < 0 else math.sqrt(a),
    "floor": lambda a: _to_integral(math.floor, a),
    "ceil": lambda a: _to_integral(math.ceil, a),
    "len": lambda a: len(a),
}

# The same for those that push not one value, but what they found, in another order.
MOVES: dict[str, Callable[..., tuple[Value, ...]]] = {
    "dup": lambda a: (a, a),
    "pop": lambda a: (),
    "swap": lambda a, b: (b, a),
    "over": lambda a, b: (a, b, a),
    "rot": lambda a, b, c: (b, c, a),
}

_ELEMENT_CODES = {Type.INT: "q", Type.FLOAT: "d"}  # as the module `array` calls them
_ZEROS: dict[Type, Value] = {
    Type.INT: 0,
    Type.FLOAT: 0.0,
    Type.INT_ARRAY: array("q"),
    Type.FLOAT_ARRAY: array("d"),
    **FIRST_REFERENCES,
}


def _first_value(variable: Variable) -> Value:
    return _ZEROS[variable.type] if variable.value is None else variable.value


def _new_array(element: Type, length: int) -> Value:
    try:
        return array(_ELEMENT_CODES[element], [0]) * length
    except MemoryError:  # the machine has less than the limit allows
        raise Trapped(Trap.OUT_OF_MEMORY) from None


def _decode(instruction: Instruction) -> tuple[str, Any, int, Callable[..., Number] | None]:
    """What the loop needs of an instruction: name, operand, how many values the name alone says
    it pops, and its line of `COMPUTES` if it has one."""
    opcode = instruction.opcode
    return opcode.name, instruction.operand, len(opcode.effects[0].pops), COMPUTES.get(opcode.name)


class Reference(Executable):
    """A program on the reference interpreter. `make_tasks` makes the tasks of a run."""

    def __init__(
        self,
        program: Program,
        counting: bool,
        make_tasks: Callable[[Frame, Heap], Tasks] = Tasks,
    ) -> None:
        self._program = program
        self._counting = counting
        self._make_tasks = make_tasks
        self._interrupted = False
        self._output: list[Number] = []
        self._code = [[_decode(i) for i in function.code] for function in program.functions]
        self._deepest = [stack_map.max_depth for stack_map in program.stack_maps]

    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        self._interrupted = False  # a request that came when nothing ran is for nobody
        start = time.perf_counter_ns()
        for _ in range(iterations):
            outcome = self._run(args, limits)
            if outcome.trap is not None:
                break
        return Sample(time.perf_counter_ns() - start, outcome)

    def interrupt(self) -> None:
        self._interrupted = True

    def output_from(self, start: int) -> tuple[Number, ...]:
        return tuple(self._output[start:])

    def _enter(self, function: int, args: Sequence[Value]) -> Frame:
        """A new frame, its locals at zero."""
        variables = self._program.functions[function].locals
        return Frame(function, [*args, *map(_first_value, variables)])

    def _take_arguments(self, function: int, stack: list[Value]) -> Frame:
        """A new frame for a call, with what the caller has pushed."""
        first = len(stack) - len(self._program.functions[function].params)
        args = stack[first:]
        del stack[first:]
        return self._enter(function, args)

    def _schedule(self, tasks: Tasks, task: Task, name: str, operand: Any) -> Task:
        """An instruction of coroutines; the task that goes on."""
        here = Place(task.frames[-1].function, task.frames[-1].at)
        match name:
            case "spawn":
                if self._interrupted:
                    raise Trapped(Trap.INTERRUPTED)
                frame = self._take_arguments(operand, task.stack)
                return tasks.spawn(task, frame, here, self._deepest[operand])
            case "chan":
                return tasks.chan(task, operand, here)
            case "join":
                return tasks.join(task)
            case "yield":
                return tasks.yield_(task)
            case "send":
                return tasks.send(task)
            case "recv":
                return tasks.recv(task)
            case _:
                return tasks.close(task)

    def _run(self, args: Sequence[Number], limits: Limits) -> Outcome:
        """Run `main` once, from a fresh state."""
        fuel = math.inf if limits.fuel is None else limits.fuel
        functions = self._program.functions
        variables = [_first_value(variable) for variable in self._program.globals]
        output: list[Number] = []
        self._output = output
        executed = back_edges = 0
        result = trap = None

        heap = Heap(limits.max_heap)
        frame = self._enter(self._program.main_index, args)
        tasks = self._make_tasks(frame, heap)
        task = tasks.main
        frames, stack = task.frames, task.stack
        push, pop = stack.append, stack.pop
        code, slots, at = self._code[frame.function], frame.slots, frame.at
        try:
            while True:
                if executed >= fuel:
                    raise Trapped(Trap.OUT_OF_FUEL)
                executed += 1
                name, operand, arity, compute = code[at]
                match name:
                    case "load":
                        push(slots[operand])
                    case "store":
                        slots[operand] = pop()
                    case "push":
                        push(operand)
                    case _ if compute is not None:
                        stack[-arity:] = (compute(*stack[-arity:]),)
                    case "jmp" | "jz" | "jnz":
                        taken = name == "jmp" or (pop() == 0) == (name == "jz")
                        if taken:
                            if operand <= at:
                                if self._interrupted:
                                    raise Trapped(Trap.INTERRUPTED)
                                back_edges += 1
                            at = operand
                            continue
                    case "aload":
                        index, cells = pop(), pop()
                        if not 0 <= index < len(cells):
                            raise Trapped(Trap.INDEX_OUT_OF_RANGE)
                        push(cells[index])
                    case "astore":
                        value, index, cells = pop(), pop(), pop()
                        if not 0 <= index < len(cells):
                            raise Trapped(Trap.INDEX_OUT_OF_RANGE)
                        cells[index] = value
                    case "call":
                        if self._interrupted:
                            raise Trapped(Trap.INTERRUPTED)
                        if len(frames) >= limits.max_depth:
                            raise Trapped(Trap.CALL_DEPTH_EXCEEDED)
                        frame.at = at
                        callee = self._take_arguments(operand, stack)
                        tasks.enter(task, callee, self._deepest[operand])
                        frame = callee
                        code, slots, at = self._code[operand], frame.slots, 0
                        continue
                    case "ret":
                        frames.pop()
                        if not frames:
                            value = pop() if functions[frame.function].result else None
                            if task is tasks.main:
                                result = value
                                break
                            tasks.executed = executed
                            task = tasks.finish(task, value)
                            frames, stack = task.frames, task.stack
                            push, pop = stack.append, stack.pop
                        frame = frames[-1]
                        code, slots, at = self._code[frame.function], frame.slots, frame.at
                    case "gload":
                        push(variables[operand])
                    case "gstore":
                        variables[operand] = pop()
                    case "newarr":
                        length = pop()
                        if length < 0:
                            raise Trapped(Trap.NEGATIVE_LENGTH)
                        heap.take(length + ARRAY_HEADER_WORDS)
                        push(_new_array(operand, length))
                    case "print":
                        if len(output) == limits.max_output:
                            raise Trapped(Trap.OUTPUT_LIMIT_EXCEEDED)
                        output.append(pop())
                    case _ if name in MOVES:
                        stack[-arity:] = MOVES[name](*stack[-arity:])
                    case _:
                        frame.at = at
                        tasks.executed = executed
                        task = self._schedule(tasks, task, name, operand)
                        frames, stack = task.frames, task.stack
                        push, pop = stack.append, stack.pop
                        frame = frames[-1]
                        code, slots, at = self._code[frame.function], frame.slots, frame.at
                at += 1
        except Trapped as trapped:
            frame.at = at
            deadlock = None
            if trapped.trap is Trap.DEADLOCK:
                task, deadlock = tasks.main, tasks.deadlock()
            chain = tuple(Place(f.function, f.at) for f in reversed(task.frames))
            trap = TrapReport(trapped.trap, chain, task.launches(), deadlock)
        self.back_edges = back_edges if self._counting else None
        return Outcome(result, tuple(output), trap, executed if self._counting else None)


def reference(program: Program, counting: bool) -> Executable:
    """Make the program executable on the reference interpreter."""
    return Reference(program, counting)
