"""Explores all orders in which the steps of several threads may interleave.

A step is an access to a field that several workers share. The threads run the scheduler's own
functions: their source, with a `yield` in the place of each such access, so that the explorer does
it when it is the thread's turn. Everything else a thread does is its own and goes with the step
before.

Memory is sequentially consistent, or as on x86 (`tso=True`): a store waits in the thread's buffer
until it reaches memory some time later; the thread itself sees it at once; read-modify-writes and
fences wait until the buffer is empty (Owens, Sarkar and Sewell, "A better x86 memory model",
TPHOLs 2009). Weaker machines are not explored; but in sequentially consistent runs, `races` sees
whether the orders suffice to keep plain accesses apart on any of them, on the ways that are gone.

A state is the memory and where each thread is; one that was seen before is not gone into again, so
loops that wait end, too. Generators cannot be copied: to take another branch, the threads are
started anew and led there again."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Generator, Mapping, Sequence, Set
from dataclasses import dataclass
from types import CodeType, FunctionType

from races import HappensBefore

from vmlab.kernels.scheduler.language import External, Intrinsic, Order
from vmlab.kernels.scheduler.structures import Code, Frame, Sharing, Structure, Word
from vmlab.kernels.scheduler.translate import tree_of


class Memory:
    """What the nodes of a model hold now, as far as it has changed since the beginning."""

    def __init__(self):
        self.recording = False
        self.races: HappensBefore | None = None  # who looks at plain accesses
        self.changed: dict[tuple[str, object], object] = {}
        self._original: dict[tuple[str, object], tuple[Callable, object]] = {}

    def note(self, name, key, before, after, restore) -> None:
        if self.recording:
            self._original.setdefault((name, key), (restore, before))
            self.changed[name, key] = _plain(after)

    def reset(self) -> None:
        self.recording = False
        for restore, value in self._original.values():
            restore(value)
        self.changed.clear()
        self._original.clear()
        self.recording = True


class Node:
    """Something in a model's memory: its fields are attributes."""

    def __init__(
        self, memory: Memory, name: str, fields: Mapping[str, object], plain: Set[str] = frozenset()
    ):
        """`plain`: the fields that are not atomic."""
        vars(self).update(fields, _memory=memory, _name=name, _plain=plain)

    @classmethod
    def of(cls, structure: Structure, memory: Memory, name: str) -> Node:
        fields, plain = {}, set()
        for place in structure.places.values():
            type_ = place.field.type
            owned = place.field.sharing is Sharing.OWNED
            if isinstance(type_, Structure):
                value = cls.of(type_, memory, f"{name}.{place.field.name}")
            else:
                value = 0 if type_ in (Word, Code, Frame) else None
                if place.field.count != 1:
                    cells = [value] * place.field.count
                    value = Cells(memory, f"{name}.{place.field.name}", cells, plain=owned)
                elif owned:
                    plain.add(place.field.name)
            fields[place.field.name] = value
        return cls(memory, name, fields, plain)

    def __getattribute__(self, field):
        value = super().__getattribute__(field)
        if field[0] != "_" and self._memory.races and field in self._plain:
            self._memory.races.read((self._name, field))
        return value

    def __setattr__(self, field, value):
        if self._memory.races and field in self._plain:
            self._memory.races.write((self._name, field))
        before = vars(self)[field]
        vars(self)[field] = value
        restore = functools.partial(vars(self).__setitem__, field)
        self._memory.note(self._name, field, before, value, restore)

    def __repr__(self):
        return self._name


class Cells(list):
    """An array in a node."""

    def __init__(self, memory: Memory, name: str, values, plain: bool = False):
        super().__init__(values)
        self._memory, self._name, self._plain = memory, name, plain

    def __getitem__(self, index):
        if self._plain and self._memory.races:
            self._memory.races.read((self._name, index))
        return super().__getitem__(index)

    def __setitem__(self, index, value):
        if self._plain and self._memory.races:
            self._memory.races.write((self._name, index))
        before = super().__getitem__(index)
        super().__setitem__(index, value)
        restore = functools.partial(super().__setitem__, index)
        self._memory.note(self._name, index, before, value, restore)


def _plain(value):
    """A value as something that can be compared between two runs."""
    match value:
        case Node() | Cells():
            return value._name
        case tuple():
            return tuple(map(_plain, value))
        case None | int() | range():
            return value
    return type(value).__name__


@dataclass(frozen=True)
class Access:
    """What a thread does next: `operation` on a word of a node."""

    operation: str
    node: Node | None = None
    field: str = ""
    index: int | None = None
    values: tuple = ()
    order: Order = Order.relaxed  # of loads and stores; the others are sequentially consistent

    @property
    def word(self):
        return self.node._name, (self.field, self.index)

    def __str__(self):
        index = "" if self.index is None else f"[{self.index}]"
        values = ", ".join(map(str, self.values))
        return f"{self.node or ''}.{self.field}{index}.{self.operation}({values})"


_ACCESSES = {"load", "store", "exchange", "fetch_add", "compare_exchange"}


class _Steps(ast.NodeTransformer):
    """Turns accesses and calls of a function into yields."""

    def __init__(self, names: Mapping[str, object], stepping: Set[str], plain: Set[str]):
        self.names, self.stepping, self.plain = names, stepping, plain

    def visit_Call(self, node):
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in _ACCESSES:
            target, index = function.value, ast.Constant(None)
            if isinstance(target, ast.Subscript):
                target, index = target.value, target.slice
            values, order = node.args, []
            if function.attr in ("load", "store"):
                *values, last = values
                order = [last]
            made = ast.Call(
                ast.Name("Access", ast.Load()),
                [
                    ast.Constant(function.attr),
                    target.value,
                    ast.Constant(target.attr),
                    index,
                    ast.Tuple(values, ast.Load()),
                    *order,
                ],
                [],
            )
            return ast.Yield(made)
        if function.id in self.stepping:
            return ast.YieldFrom(node)
        if function.id in self.plain:
            return node
        called = self.names.get(function.id)
        if isinstance(called, Intrinsic) and called.name == "fence":
            made = ast.Call(ast.Name("Access", ast.Load()), [ast.Constant("fence")], [])
            return ast.Yield(made)
        return ast.YieldFrom(node) if _is_translated(called) else node


def _check_places(function: ast.FunctionDef) -> None:
    """A thread's state must be its variables and its place: nothing may be half computed at a
    step. So an access stands alone, or first in a condition."""

    def steps(node):
        return [n for n in ast.walk(node) if isinstance(n, ast.Yield | ast.YieldFrom)]

    def first(node) -> bool:
        match node:
            case ast.UnaryOp(op=ast.Not()):
                return first(node.operand)
            case ast.BoolOp():
                return all(first(value) for value in node.values)
            case ast.Compare():
                return first(node.left) and not any(steps(c) for c in node.comparators)
            case ast.BinOp(op=ast.RShift()):
                return first(node.left) and not steps(node.right)
        return steps(node) in ([], [node])

    for node in ast.walk(function):
        match node:
            case ast.If(test=value) | ast.While(test=value):
                good = first(value)
            case ast.Assign(value=value) | ast.Return(value=value) | ast.Expr(value=value):
                found = [] if value is None else steps(value)
                good = not found or found == [value]
            case ast.AugAssign(value=value) | ast.For(iter=value):
                good = not steps(value)
            case _:
                continue
        assert good, f"{function.name}: {ast.unparse(node)}: more than one step in a statement"


class Steps:
    """The functions of the scheduler as generators of their accesses.

    `replaced` has values for their global names: smaller constants, and functions that stand for
    others. `planted` has source text to be exchanged, to see that a bug is found: by the name of a
    function, what is there and what is put there."""

    def __init__(
        self,
        replaced: Mapping[str, object] = {},
        planted: Mapping[str, tuple[str, str]] = {},
    ):
        self.replaced = {**_WORDS, **replaced}
        self.planted = dict(planted)
        self._made: dict[FunctionType, Callable] = {}

    def __call__(self, function: FunctionType) -> Callable:
        if function not in self._made:
            stepping = frozenset(
                name for name, value in self.replaced.items() if inspect.isgeneratorfunction(value)
            )
            plain = frozenset(self.replaced) - stepping
            code, used = _compiled(function, self.planted.get(function.__name__), stepping, plain)
            names = {"__builtins__": __builtins__, "Access": Access}
            for name in used:
                names[name] = self._value({**function.__globals__, **self.replaced}[name])
            exec(code, names)
            self._made[function] = names[function.__name__]
        return self._made[function]

    def _value(self, value):
        if _is_translated(value):
            return self(value)
        if isinstance(value, Structure) or value in (Word, Code, Frame):
            return lambda same: same
        if isinstance(value, External):
            return lambda *_: None
        return value


@functools.cache
def _compiled(
    function: FunctionType,
    planted: tuple[str, str] | None,
    stepping: frozenset[str],
    plain: frozenset[str],
) -> tuple[CodeType, list[str]]:
    """The code that defines a function's generator, and the global names that it uses. Of the names
    that are replaced, `stepping` stand for generators and `plain` for others."""
    tree = tree_of(function)
    if planted is not None:
        old, new = planted
        text = ast.unparse(tree)
        assert text.count(old) == 1, f"{old!r} is not once in {text}"
        [tree] = ast.parse(text.replace(old, new)).body
    tree.decorator_list = []
    tree.returns = None
    for argument in tree.args.args:
        argument.annotation = None
    _Steps(function.__globals__, stepping, plain).visit(tree)
    _check_places(tree)
    known = {*function.__globals__, *stepping, *plain}
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} & known
    never = ast.parse("if False:\n    yield").body  # a generator, even without a step
    tree.body = [*never, *tree.body]
    module = ast.fix_missing_locations(ast.Module([tree], []))
    return compile(module, f"<steps of {function.__name__}>", "exec"), sorted(used)


def _is_translated(value) -> bool:
    return isinstance(value, FunctionType) and value.__module__.startswith("vmlab.kernels.")


_WORDS = {
    "pause": lambda: None,
    "trailing_zeros": lambda number: (number & -number).bit_length() - 1,
}


@dataclass
class Model:
    """Memory and threads. A thread is a function that gives the generator of its accesses.

    `check()` asserts what must hold at the end, when nobody can make a step; it is given the
    numbers of the threads that have ended. The others wait for ever."""

    memory: Memory
    threads: Sequence[Callable[[], Generator]]
    check: Callable[[Set[int]], None]


class Violation(AssertionError):
    """What does not hold, and the steps that lead there."""


@dataclass(frozen=True)
class Explored:
    """How many states there are, and how many of them are ends."""

    states: int
    ends: int


# A choice: the thread that makes a step, or (negative, from -1) whose oldest store reaches memory.
Choice = int


class _Run:
    """One way through a model, from the beginning."""

    def __init__(self, model: Model, tso: bool):
        self.memory = model.memory
        self.memory.races = None
        self.memory.reset()
        self.threads = [thread() for thread in model.threads]
        self.tso = tso
        self.memory.races = None if tso else HappensBefore(len(self.threads))
        self.trace: list[tuple[Choice, Access, object]] = []
        self.buffers: list[list[Access]] = [[] for _ in self.threads]
        self.asleep: set[int] = set()
        self.ended: set[int] = set()
        self.pending: list[Access | None] = [None for _ in self.threads]
        for number in range(len(self.threads)):
            self._go_on(number, None)

    def _go_on(self, number: int, result) -> None:
        if self.memory.races:
            self.memory.races.current = number
        try:
            self.pending[number] = self.threads[number].send(result)
        except StopIteration:
            self.pending[number] = None
            self.ended.add(number)

    def choices(self) -> list[Choice]:
        steps = [n for n, access in enumerate(self.pending) if access and self._may(n, access)]
        return steps + [-1 - n for n, buffer in enumerate(self.buffers) if buffer]

    def _may(self, number: int, access: Access) -> bool:
        if number in self.asleep:
            return False
        return access.operation in ("load", "store") or not self.buffers[number]

    def step(self, choice: Choice) -> None:
        if choice < 0:
            access = self.buffers[-1 - choice].pop(0)
            self.trace.append((choice, access, None))
            _write(access, access.values[0])
            return
        access = self.pending[choice]
        result = self._do(choice, access)
        self.trace.append((choice, access, result))
        if self.memory.races and access.node is not None:
            self._order(choice, access, result)
        if choice not in self.asleep:
            self._go_on(choice, result)

    def _do(self, number: int, access: Access):
        match access.operation, access.values:
            case "load", _:
                for store in reversed(self.buffers[number]):
                    if (store.node, store.field, store.index) == (
                        access.node, access.field, access.index,
                    ):  # fmt: skip
                        return store.values[0]
                return _read(access)
            case "store", [value]:
                if self.tso:
                    self.buffers[number].append(access)
                else:
                    _write(access, value)
            case "exchange", [value]:
                before = _read(access)
                _write(access, value)
                return before
            case "fetch_add", [value]:
                before = _read(access)
                _write(access, before + value)
                return before
            case "compare_exchange", [expected, new]:
                equal = _read(access) == expected
                if equal:
                    _write(access, new)
                return equal
            case "futex_wait", _:  # sleeps if the word is 0, until it is woken
                if _read(access) == 0:
                    self.asleep.add(number)
            case "futex_wake", _:
                for sleeper in sorted(self.asleep):
                    if self.pending[sleeper].node is access.node:
                        self.asleep.remove(sleeper)
                        self._go_on(sleeper, None)
        return None

    def _order(self, number: int, access: Access, result) -> None:
        """What an atomic access says about the order of plain ones."""
        races = self.memory.races
        races.current = number
        match access.operation:
            case "load":
                if access.order is Order.acquire:
                    races.acquire(access.word)
            case "store":
                if access.order is Order.release:
                    races.release(access.word)
                else:
                    races.overwrite(access.word)
            case "exchange" | "fetch_add" | "compare_exchange":
                races.acquire(access.word)
                if result is not False:
                    races.release(access.word)

    def state(self) -> int:
        return hash(
            (
                frozenset(self.memory.changed.items()),
                tuple(_place(thread) for thread in self.threads),
                tuple(tuple(map(str, buffer)) for buffer in self.buffers),
                tuple(sorted(self.asleep)),
            )
        )

    def story(self) -> str:
        lines = []
        for choice, access, result in self.trace:
            if choice < 0:
                lines.append(f"{-1 - choice}: {access} reaches memory")
            else:
                lines.append(f"{choice}: {access}" + ("" if result is None else f" -> {result}"))
        return "\n".join(lines)


def _read(access: Access):
    value = vars(access.node)[access.field]
    return value if access.index is None else value[access.index]


def _write(access: Access, value) -> None:
    if access.index is None:
        setattr(access.node, access.field, value)
    else:
        vars(access.node)[access.field][access.index] = value


def _place(thread: Generator | None):
    """Where a thread is: the instruction and the variables of each function it is in."""
    frames = []
    while thread is not None and (frame := getattr(thread, "gi_frame", None)) is not None:
        variables = tuple((name, _plain(value)) for name, value in frame.f_locals.items())
        frames.append((frame.f_code.co_name, frame.f_lasti, variables))
        thread = thread.gi_yieldfrom
    return tuple(frames)


def explore(model: Model, *, tso: bool = False) -> Explored:
    """Go through all states. Raises Violation at the first way to an end that must not be, or to a
    data race (without `tso`)."""
    seen: set[int] = set()
    ends = 0
    branches: list[list[Choice]] = [[]]
    while branches:
        way = branches.pop()
        run = _Run(model, tso)
        try:
            for choice in way:
                run.step(choice)
            while (state := run.state()) not in seen:
                seen.add(state)
                choices = run.choices()
                if not choices:
                    ends += 1
                    model.memory.races = None
                    model.check(run.ended)
                    break
                branches += [[*way, other] for other in choices[1:]]
                way = [*way, choices[0]]
                run.step(choices[0])
        except AssertionError as error:
            raise Violation(f"{error}\n{run.story()}") from error
    return Explored(len(seen), ends)
