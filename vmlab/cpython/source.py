"""A program as a Python module."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from vmlab.cpython import runtime
from vmlab.cpython.graph import Block, split
from vmlab.cpython.names import FunctionNames, Names
from vmlab.cpython.nodes import Nodes
from vmlab.cpython.structure import MOST_BLOCKS, structured
from vmlab.cpython.translate import Form, Translator
from vmlab.isa import Type
from vmlab.program import Function, Number, Program, Variable
from vmlab.ranges import Ranges, ranges


def first_value(variable: Variable) -> Number | list[Number]:
    """What a local or a global starts with. All empty arrays are alike."""
    if not variable.type.is_number:
        return []
    if variable.value is None:
        return 0.0 if variable.type is Type.FLOAT else 0
    return variable.value


@dataclass(frozen=True)
class Source:
    """A program in Python.

    module        its syntax tree; the line of a node is the index of its instruction, plus one
    functions     the names of its functions, in the order of the program's
    globals       the names of its globals
    segment_ends  in the form that counts: for each function, the instruction after the last of a
                  stretch that is counted at once, by the first
    """

    module: ast.Module
    functions: Sequence[str]
    globals: Sequence[str]
    segment_ends: Sequence[dict[int, int]]

    @property
    def text(self) -> str:
        return ast.unparse(self.module) + "\n"


def translate(program: Program, form: Form) -> Source:
    """Write the program in Python."""
    names = Names()
    functions = [names.new(function.name) for function in program.functions]
    globals_ = [names.new(variable.name) for variable in program.globals]
    nodes = Nodes()
    body: list[ast.stmt] = []
    for name, variable in zip(globals_, program.globals, strict=True):
        body.append(nodes.set(name, _initial(nodes, variable)))
    segment_ends = []
    for index in range(len(program.functions)):
        writer = _Writer(program, index, form, functions, globals_, names, nodes)
        body.append(writer.definition())
        segment_ends.append(writer.segment_ends)
    nodes.at = 0
    imported = [nodes.place(ast.alias(name)) for name in sorted(nodes.read & {*runtime.__all__})]
    if imported:
        body.insert(0, nodes.place(ast.ImportFrom(runtime.__name__, imported, 0)))
    return Source(ast.Module(body, []), functions, globals_, segment_ends)


def _initial(nodes: Nodes, variable: Variable) -> ast.expr:
    value = first_value(variable)
    return nodes.empty_list() if isinstance(value, list) else nodes.constant(value)


class _Writer:
    """Writes one function."""

    def __init__(
        self,
        program: Program,
        index: int,
        form: Form,
        functions: list[str],
        globals_: list[str],
        names: Names,
        nodes: Nodes,
    ) -> None:
        self._program = program
        self._function: Function = program.functions[index]
        self._index = index
        self._form = form
        unique = Names(names.taken)
        slots = [unique.new(variable.name) for variable in self._function.slots]
        self._names = FunctionNames(functions[index], slots, globals_, functions, unique)
        self._nodes = nodes
        self.segment_ends: dict[int, int] = {}

    def definition(self) -> ast.stmt:
        function, names, nodes = self._function, self._names, self._nodes
        blocks = split(function, self._program.stack_maps[self._index])
        translator = Translator(
            self._program, self._index, self._ranges(), names, self._form, nodes
        )
        pieces = {number: translator.block(block) for number, block in enumerate(blocks)}
        self.segment_ends = translator.segment_ends
        labels = {at: name for name, at in reversed(function.labels)}
        statements = structured(
            pieces,
            {n: labels.get(block.start, f"block {n}") for n, block in enumerate(blocks)},
            names.of("goto"),
            names.of("block"),
            self._form.counting,
        )
        last = statements[-1]
        if len(statements) > 1 and isinstance(last, ast.Return) and last.value is None:
            statements.pop()
        nodes.at = 0
        params = names.slots[: len(function.params)]
        if self._form.frames:
            params = [*params, names.of("depth")]
        arguments = ast.arguments(
            [], [nodes.place(ast.arg(name)) for name in params], None, [], [], None, []
        )
        body = [*self._prologue(blocks), *statements]
        return nodes.place(ast.FunctionDef(names.function, arguments, body, []))

    def _ranges(self) -> Ranges:
        if self._form.wrapping:
            return Ranges((None,) * len(self._function.code))
        return ranges(self._program, self._index)

    def _prologue(self, blocks: Sequence[Block]) -> list[ast.stmt]:
        function, names, nodes = self._function, self._names, self._nodes
        stored = {i.target for i in function.code if i.opcode.name == "gstore"}
        changed = [names.globals[index] for index in sorted(stored)]
        if self._form.counting:
            changed += ["executed", "back_edges"]
        body: list[ast.stmt] = [nodes.place(ast.Global(changed))] if changed else []
        if self._form.frames:
            deeper = nodes.compare(
                nodes.name(names.of("depth")), (ast.Gt(), nodes.name("max_depth"))
            )
            body.append(nodes.when(deeper, [nodes.effect(nodes.call("too_deep"))]))
        needed = _read_first(function, blocks)
        alike: dict[str, list[ast.expr]] = {}
        values: dict[str, ast.expr] = {}
        for slot, variable in enumerate(function.locals, start=len(function.params)):
            if needed >> slot & 1:
                value = _initial(nodes, variable)
                key = ast.dump(value)
                alike.setdefault(key, []).append(nodes.target(names.slots[slot]))
                values[key] = value
        body += [nodes.assign(targets, values[key]) for key, targets in alike.items()]
        return body


def _read_first(function: Function, blocks: Sequence[Block]) -> int:
    """The slots that some path reads before it stores to them, as a set of bits."""
    if len(blocks) > MOST_BLOCKS:
        return -1
    reads, stores = [], []
    for block in blocks:
        read = stored = 0
        for instruction in function.code[block.start : block.end]:
            if instruction.opcode.name == "load":
                read |= (1 << instruction.target) & ~stored
            elif instruction.opcode.name == "store":
                stored |= 1 << instruction.target
        reads.append(read)
        stores.append(stored)
    live = list(reads)
    changed = True
    while changed:
        changed = False
        for number in reversed(range(len(blocks))):
            after = 0
            for to in blocks[number].successors:
                after |= live[to]
            now = reads[number] | (after & ~stores[number])
            changed = changed or now != live[number]
            live[number] = now
    return live[0]
