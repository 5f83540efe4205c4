"""The blocks of a function as Python statements: operands that the stack only hands on become
expressions.

An operand stays an unevaluated expression until an instruction uses it. What it would evaluate
must not change or happen out of order meanwhile: an expression that reads a local is evaluated
into a temporary before the local changes; and those that can trap, call, or read what others can
change (`Operand.ordered`) are evaluated in the order in which the VM does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace

from vmlab.cpython.graph import Block
from vmlab.cpython.names import FunctionNames
from vmlab.cpython.nodes import Nodes, Test, combined, compared, tested
from vmlab.engines import EngineUnavailable
from vmlab.isa import INT_MIN, Flow, Type
from vmlab.program import Function, Instruction, Program
from vmlab.ranges import ANY, MAX_LENGTH, Interval, Ranges

# Nodes of one expression, and operands that are kept as expressions, at most. Compilers recurse
# on the ones and the others are looked through at every store.
_MOST_NODES, _MOST_KEPT = 24, 64


@dataclass(frozen=True, slots=True)
class Form:
    """What generated code does beside the program's own work.

    counting   it counts instructions and backward jumps, and knows fuel
    frames     it counts frames, and does not leave that to CPython's own limit
    wrapping   all arithmetic wraps, also where it cannot leave 64 bits
    """

    counting: bool = False
    frames: bool = False
    wrapping: bool = False


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand that is not evaluated yet.

    expression  what gives its value
    test        for a comparison's result: the condition itself, of which the value is 1 or 0
    reads       the names of the locals and temporaries in it
    interval    that of an int
    ordered     it traps, calls, or reads what can change otherwise than by a store to a local
    nodes       its size
    raw         of an int that may have to wrap, the value before that; what comes of it by
                operations that look at its low 64 bits alone need wrap only once
    exact       the interval of `raw`, where that is known
    """

    expression: ast.expr
    reads: frozenset[str] = frozenset()
    interval: Interval = ANY
    ordered: bool = False
    nodes: int = 1
    test: Test | None = None
    raw: ast.expr | None = None
    exact: Interval | None = None

    @property
    def low_bits(self) -> ast.expr:
        """A value that differs from its own by a multiple of 2**64."""
        return self.raw or self.expression

    @property
    def is_simple(self) -> bool:
        return isinstance(self.expression, ast.Name | ast.Constant) and not self.ordered


@dataclass(slots=True)
class Piece:
    """A block in Python. Where there is a `test`, made of `conditions` conditional jumps,
    `successors` are the block that follows where it holds, and the one where it does not. `at` is
    the instruction that leaves the block."""

    statements: list[ast.stmt]
    successors: tuple[int, ...]
    at: int
    test: Test | None = None
    conditions: int = 1


_BINARY: dict[str, type[ast.operator]] = {
    "add": ast.Add,
    "sub": ast.Sub,
    "mul": ast.Mult,
    "and": ast.BitAnd,
    "or": ast.BitOr,
    "xor": ast.BitXor,
    "mod": ast.Mod,
    "div": ast.FloorDiv,
    "floordiv": ast.FloorDiv,
    "rem": ast.Mod,
    "shl": ast.LShift,
    "shr": ast.RShift,
    "ushr": ast.RShift,
}
_UNARY: dict[str, type[ast.unaryop]] = {"neg": ast.USub, "not": ast.Invert}
_COMPARED: dict[str, type[ast.cmpop]] = {
    "eq": ast.Eq,
    "ne": ast.NotEq,
    "lt": ast.Lt,
    "le": ast.LtE,
    "gt": ast.Gt,
    "ge": ast.GtE,
}
# What becomes a call, and the function that is called; by variant.
_CALLED = {
    "abs.int": "abs",
    "abs.float": "abs",
    "min.int": "min",
    "max.int": "max",
    "min.float": "smallest",
    "max.float": "largest",
    "div.float": "divide",
    "float": "float",
    "int": "truncate",
    "sqrt": "sqrt",
    "floor": "floor",
    "ceil": "ceil",
    "len.int[]": "len",
    "len.float[]": "len",
}
# The same of those that stand for an operator where the operands' ranges do not allow that.
_CAREFUL = {"div": "quotient", "floordiv": "floordiv", "rem": "remainder"}


class Translator:
    """Translates the blocks of one function, each from an operand stack whose values are in the
    variables `s0`, `s1`, ... to the same."""

    def __init__(
        self,
        program: Program,
        index: int,
        ranges: Ranges,
        names: FunctionNames,
        form: Form,
        nodes: Nodes,
    ) -> None:
        self._program = program
        self._function: Function = program.functions[index]
        self._map = program.stack_maps[index]
        self._ranges = ranges
        self._names = names
        self._form = form
        self._nodes = nodes
        self.segment_ends: dict[int, int] = {}

    def block(self, block: Block) -> Piece:
        nodes, code = self._nodes, self._function.code
        self._statements: list[ast.stmt] = []
        self._base = self._map.before[block.start].depth  # operands at home, below the others
        self._kept: list[Operand] = []
        segment = block.start
        for at in range(block.start, block.end):
            nodes.at = at
            if self._form.counting and at == segment:
                segment = self._segment(at, block.end)
            instruction = code[at]
            if instruction.opcode.flow in (Flow.NEXT, Flow.CALL):
                self._step(at, instruction)
        last = code[block.end - 1]
        test = None
        successors = block.successors
        if last.opcode.flow is Flow.RETURN:
            value = self._pop().expression if self._function.result is not None else None
            self._statements.append(nodes.result(value))
        elif last.opcode.flow is Flow.BRANCH:
            condition = self._condition()
            test = condition.test or tested(condition.expression)
            if last.opcode.name == "jz":
                test = test.opposite
        else:
            self._go_home(len(self._kept))
        return Piece(self._statements, successors, nodes.at, test)

    # Counting

    def _segment(self, start: int, end: int) -> int:
        """Count the instructions up to the next that can trap, that one included; so whatever
        stops the program, the count is right. Returns where the next segment starts."""
        code, nodes = self._function.code, self._nodes
        stop = next((at + 1 for at in range(start, end) if code[at].opcode.traps), end)
        self.segment_ends[start] = stop
        self._evaluate_ordered(len(self._kept))
        executed, fuel = nodes.name("executed"), nodes.name("fuel")
        self._statements += [
            nodes.add_to("executed", ast.Add(), nodes.constant(stop - start)),
            nodes.when(
                nodes.compare(executed, (ast.Gt(), fuel)),
                [nodes.effect(nodes.call("out_of_fuel"))],
            ),
        ]
        return stop

    # The operands

    def _home(self, position: int) -> str:
        return self._names.of(f"s{position}")

    def _pop(self) -> Operand:
        """The top, its value as an expression."""
        if self._kept:
            top = self._kept.pop()
            return self._valued(top) if top.test else top
        self._base -= 1
        return self._named(self._home(self._base))

    def _valued(self, operand: Operand) -> Operand:
        """A comparison's result, which must be an int where it is more than a condition."""
        if operand.test is None:
            return operand
        nodes = self._nodes
        value = nodes.choice(operand.test.holds, nodes.constant(1), nodes.constant(0))
        return replace(operand, expression=value, nodes=operand.nodes + 2, test=None)

    def _named(self, name: str, interval: Interval = ANY) -> Operand:
        return Operand(self._nodes.name(name), frozenset([name]), interval)

    def _keep(self, count: int) -> None:
        """See that the top `count` operands are among the kept."""
        while len(self._kept) < count:
            self._base -= 1
            self._kept.insert(0, self._named(self._home(self._base)))

    def _push(self, operand: Operand) -> None:
        self._kept.append(operand)
        if operand.nodes > _MOST_NODES:
            self._evaluate(len(self._kept) - 1)
        if len(self._kept) > _MOST_KEPT:
            self._go_home(_MOST_KEPT // 2)

    def _evaluate(self, position: int) -> None:
        """Put a kept operand into a temporary, in its turn."""
        operand = self._valued(self._kept[position])
        if operand.ordered:
            self._evaluate_ordered(position)
        used = frozenset().union(*(kept.reads for kept in self._kept))
        number = 0
        while (name := self._names.of(f"t{number}")) in used:
            number += 1
        self._set(name, operand)
        self._kept[position] = self._named(name, operand.interval)

    def _evaluate_ordered(self, below: int) -> None:
        for position in range(below):
            if self._kept[position].ordered:
                self._evaluate(position)

    def _go_home(self, count: int) -> None:
        """Bring the lowest of the kept operands to where the next block looks for them."""
        homes = {position: self._home(self._base + position) for position in range(count)}
        moved = {
            position: name
            for position, name in homes.items()
            if self._kept[position].reads != {name} or not self._kept[position].is_simple
        }
        changed = set(moved.values())
        for position in range(count, len(self._kept)):
            if changed & self._kept[position].reads:
                self._evaluate(position)
        nodes = self._nodes
        values = [self._valued(self._kept[position]) for position in moved]
        targets = list(moved.values())
        apart = all(
            name not in later.reads for i, name in enumerate(targets) for later in values[i + 1 :]
        )
        if apart:
            for name, value in zip(targets, values, strict=True):
                self._set(name, value)
        else:
            self._statements.append(
                nodes.assign(
                    [nodes.place(ast.Tuple([*map(nodes.target, targets)], ast.Store()))],
                    nodes.place(ast.Tuple([value.expression for value in values], ast.Load())),
                )
            )
        del self._kept[:count]
        self._base += count

    def _condition(self) -> Operand:
        """Pop the top for a conditional jump, and bring the others home."""
        self._keep(1)
        last = len(self._kept) - 1
        if self._kept[last].ordered and any(
            not kept.is_simple or kept.reads != {self._home(self._base + position)}
            for position, kept in enumerate(self._kept[:last])
        ):
            self._evaluate(last)
        self._go_home(last)
        return self._kept.pop()

    # Instructions

    def _step(self, at: int, instruction: Instruction) -> None:
        name = instruction.opcode.name
        special: Callable[[Instruction], None] | None = getattr(self, f"_do_{name}", None)
        if special is not None:
            special(instruction)
        elif instruction.opcode.group == "stack":
            self._move(self._map.variants[at].effect.pops, self._map.variants[at].effect.pushes)
        elif name in _COMPARED:
            self._compare(name, self._map.variants[at].effect.pops[0] == "int")
        elif name in _BINARY or name in _UNARY or self._map.variants[at].name in _CALLED:
            self._compute(at, name)
        else:
            raise EngineUnavailable(f"it is not known how to write '{name}' in Python")

    @property
    def _interval(self) -> Interval:
        """That of the result of the instruction at work."""
        interval = self._ranges.exact[self._nodes.at]
        return interval if interval is not None and interval.fits else ANY

    def _do_push(self, instruction: Instruction) -> None:
        assert isinstance(instruction.operand, int | float)
        value = self._nodes.constant(instruction.operand)
        self._push(Operand(value, interval=self._interval))

    def _do_load(self, instruction: Instruction) -> None:
        self._push(self._named(self._names.slots[instruction.target], self._interval))

    def _do_store(self, instruction: Instruction) -> None:
        name = self._names.slots[instruction.target]
        self._keep(1)
        top = len(self._kept) - 1
        for position in range(top):
            if name in self._kept[position].reads:
                self._evaluate(position)
        if self._kept[top].ordered:
            self._evaluate_ordered(top)
        self._set(name, self._pop())

    def _set(self, name: str, value: Operand) -> None:
        """Give a local or temporary a value. Most ints fit, and a test is cheaper than a call."""
        nodes = self._nodes
        self._statements.append(nodes.set(name, value.low_bits))
        if value.raw is not None:
            inside = nodes.compare(
                nodes.name("INT_MIN"),
                (ast.LtE(), nodes.name(name)),
                (ast.LtE(), nodes.name("INT_MAX")),
            )
            wrapped = nodes.set(name, nodes.call("wrap", nodes.name(name)))
            self._statements.append(nodes.when(tested(inside).fails, [wrapped]))

    def _do_gload(self, instruction: Instruction) -> None:
        name = self._names.globals[instruction.target]
        self._push(Operand(self._nodes.name(name), interval=self._interval, ordered=True))

    def _do_gstore(self, instruction: Instruction) -> None:
        self._keep(1)
        self._evaluate_ordered(len(self._kept) - 1)
        name = self._names.globals[instruction.target]
        self._statements.append(self._nodes.set(name, self._pop().expression))

    def _do_call(self, instruction: Instruction) -> None:
        callee = self._program.functions[instruction.target]
        args = [self._pop() for _ in callee.params][::-1]
        operands = [arg.expression for arg in args]
        nodes = self._nodes
        if self._form.frames:
            depth = nodes.name(self._names.of("depth"))
            operands.append(nodes.binary(depth, ast.Add(), nodes.constant(1)))
        call = self._made(
            nodes.call(self._names.functions[instruction.target], *operands), *args, ordered=True
        )
        self._push(call)
        if callee.result is None:
            self._effect()

    def _do_newarr(self, instruction: Instruction) -> None:
        make = "ints" if instruction.operand is Type.INT else "floats"
        length = self._pop()
        array = self._nodes.call(make, length.expression)
        self._push(self._made(array, length, ordered=True))

    def _do_aload(self, instruction: Instruction) -> None:
        index, array = self._pop(), self._pop()
        element = self._nodes.element(array.expression, self._index(index))
        self._push(self._made(element, array, index, ordered=True))

    def _do_astore(self, instruction: Instruction) -> None:
        self._keep(3)
        last = len(self._kept) - 1
        self._evaluate_ordered(last - 2)
        if self._kept[last].ordered:  # Python evaluates the value first
            self._evaluate_ordered(last)
        value, index, array = self._pop(), self._pop(), self._pop()
        nodes = self._nodes
        target = nodes.place(ast.Subscript(array.expression, self._index(index), ast.Store()))
        self._statements.append(nodes.assign([target], value.expression))

    def _index(self, index: Operand) -> ast.expr:
        """Python counts negative indices from the end; what is beyond the end, it finds itself."""
        nodes = self._nodes
        if index.interval.low >= 0:
            return index.expression
        exact = index.exact
        if exact is not None and MAX_LENGTH - 2**64 < exact.low <= exact.high < 2**64:
            # Outside of 64 bits it is outside of all arrays, and so it is when it has wrapped.
            index = replace(index, expression=index.low_bits)
            if exact.low >= 0:
                return index.expression
        kept, again = self._twice(index)
        inside = nodes.compare(kept, (ast.GtE(), nodes.constant(0)))
        return nodes.choice(inside, again, nodes.call("outside"))

    def _twice(self, operand: Operand) -> tuple[ast.expr, ast.expr]:
        """Its value, to be evaluated first, and once more."""
        if operand.is_simple:
            return operand.expression, operand.expression
        it = self._names.of("it")
        return self._nodes.keep(it, operand.expression), self._nodes.name(it)

    def _do_print(self, instruction: Instruction) -> None:
        value = self._pop()
        put = self._nodes.call("put", value.expression)
        self._push(self._made(put, value, ordered=True))
        self._effect()

    def _do_pop(self, instruction: Instruction) -> None:
        self._keep(1)
        if self._kept[-1].ordered:
            self._effect()
        else:
            self._kept.pop()

    def _effect(self) -> None:
        """Evaluate the top, of which nothing is left."""
        self._keep(1)
        if self._kept[-1].ordered:
            self._evaluate_ordered(len(self._kept) - 1)
            self._statements.append(self._nodes.effect(self._kept.pop().expression))
        else:  # has been evaluated already
            self._kept.pop()

    def _move(self, pops: tuple[str, ...], pushes: tuple[str, ...]) -> None:
        """`dup` and its like: an expression that is needed twice, or out of its order, gets a
        name first."""
        self._keep(len(pops))
        first = len(self._kept) - len(pops)
        several = sum(operand.ordered for operand in self._kept[first:]) > 1
        for position, letter in enumerate(pops, start=first):
            operand = self._kept[position]
            twice = pushes.count(letter) > 1 and not operand.is_simple
            if twice or (several and operand.ordered):
                self._evaluate(position)
        found = dict(zip(pops, self._kept[first:], strict=True))
        del self._kept[first:]
        for letter in pushes:
            self._push(found[letter])

    def _made(
        self, expression: ast.expr, *parts: Operand, ordered: bool = False, test: Test | None = None
    ) -> Operand:
        return Operand(
            expression,
            frozenset().union(*(part.reads for part in parts)),
            self._interval,
            ordered or any(part.ordered for part in parts),
            1 + sum(part.nodes for part in parts),
            test,
        )

    def _compare(self, name: str, ints: bool) -> None:
        self._keep(2)
        left, right = self._kept[-2], self._kept[-1]
        nodes = self._nodes
        is_zero = right.interval == (0, 0) and not right.ordered  # what may trap is computed
        if name in ("eq", "ne") and left.test is not None and is_zero:
            test = left.test.opposite if name == "eq" else left.test
            del self._kept[-2:]
        else:
            right, left = self._pop(), self._pop()
            test = compared(nodes, left.expression, _COMPARED[name](), right.expression, total=ints)
        self._push(self._made(test.holds, left, right, test=test))

    def _compute(self, at: int, name: str) -> None:
        variant = self._map.variants[at]
        if name in ("and", "or"):
            self._keep(2)
            left, right = self._kept[-2:]
            if left.test is not None and right.test is not None and not right.ordered:
                op: ast.boolop = ast.And() if name == "and" else ast.Or()
                test = combined(self._nodes, op, left.test, right.test)
                del self._kept[-2:]
                self._push(self._made(test.holds, left, right, test=test))
                return
        operands = [self._pop() for _ in variant.effect.pops][::-1]
        is_int = variant.effect.pops[0] == "int"
        ordered = False
        if variant.name in _CALLED:
            ordered = name == "int"
            expression = self._called(variant.name, operands)
        elif name in _UNARY:
            expression = self._nodes.unary(_UNARY[name](), operands[0].low_bits)
        else:
            expression, ordered = self._operator(name, *operands)
        made = self._made(expression, *operands, ordered=ordered)
        if is_int and variant.effect.pushes == ("int",):
            unwrapped = name in _LOW_BITS and any(operand.raw for operand in operands)
            if name == "and" and any(operand.interval.low >= 0 for operand in operands):
                unwrapped = False
            everywhere = self._form.wrapping and name in _WRAPPING
            if unwrapped or everywhere or self._ranges.may_wrap(at):
                made = replace(
                    made,
                    expression=self._wrapped(expression),
                    nodes=made.nodes + 3,
                    raw=expression,
                    exact=None if unwrapped else self._ranges.exact[at],
                )
        self._push(made)

    def _called(self, variant: str, operands: list[Operand]) -> ast.expr:
        nodes, function = self._nodes, _CALLED[variant]
        values = [operand.expression for operand in operands]
        if variant == "div.float":
            divisor = operands[1]
            quotient = nodes.binary(values[0], ast.Div(), values[1])
            if isinstance(divisor.expression, ast.Constant) and divisor.expression.value:
                return quotient
            if divisor.is_simple and operands[0].is_simple:
                return nodes.choice(values[1], quotient, nodes.call(function, *values))
        return nodes.call(function, *values)

    def _operator(self, name: str, left: Operand, right: Operand) -> tuple[ast.expr, bool]:
        """An operator's expression, and whether it can trap."""
        nodes = self._nodes
        a, b = left.expression, right.expression
        if name in ("div", "floordiv", "rem", "mod"):
            may_trap = right.interval.low <= 0 <= right.interval.high
            if name == "floordiv":
                plain = left.interval.low > INT_MIN or right.interval.low >= 0
            else:
                plain = name == "mod" or (left.interval.low >= 0 and right.interval.low >= 0)
            if not plain:
                return nodes.call(_CAREFUL[name], a, b), True
            return nodes.binary(a, _BINARY[name](), b), may_trap
        if name in ("shl", "shr", "ushr"):
            if not (right.interval.low >= 0 and right.interval.high <= 63):
                b = nodes.binary(b, ast.BitAnd(), nodes.constant(63))
            if name == "shl":
                a = left.low_bits
            elif name == "ushr" and left.interval.low < 0:
                a = nodes.binary(left.low_bits, ast.BitAnd(), nodes.constant(2**64 - 1))
        elif name == "and" and left.interval.low >= 0:
            b = right.low_bits
        elif name == "and" and right.interval.low >= 0:
            a = left.low_bits
        else:
            a, b = left.low_bits, right.low_bits
        return nodes.binary(a, _BINARY[name](), b), False

    def _wrapped(self, expression: ast.expr) -> ast.expr:
        nodes = self._nodes
        it = self._names.of("it")
        inside = nodes.compare(
            nodes.name("INT_MIN"),
            (ast.LtE(), nodes.keep(it, expression)),
            (ast.LtE(), nodes.name("INT_MAX")),
        )
        return nodes.choice(inside, nodes.name(it), nodes.call("wrap", nodes.name(it)))


# What can leave 64 bits; and what only looks at its operands' low 64 bits (of the number of bits to
# shift by, it is given the value).
_WRAPPING = ("add", "sub", "mul", "neg", "abs", "shl", "ushr")
_LOW_BITS = ("add", "sub", "mul", "neg", "shl", "and", "or", "xor", "not")
