"""Blocks that jump become loops and conditionals.

After Ramsey, "Beyond Relooper: Recursive Translation of Unstructured Control Flow to Structured
Control Flow", ICFP 2022: the dominator tree says what to nest in what. A block that several others
lead to stands behind the block that dominates it, and behind the loops that it is not part of.
Where that alone does not bring control there, a `break` does; and where loops lie between, the
variable `goto` tells how to go on behind them.

A function whose loops have several entries, or that would nest too deeply for Python, becomes one
loop that looks up which block is next.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from vmlab.cpython.graph import Graph
from vmlab.cpython.nodes import Nodes, Test, combined
from vmlab.cpython.translate import Piece

# CPython allows 100 levels of indentation, and 20 loops within each other. What it compiles, it
# recurses on.
MOST_LEVELS, MOST_LOOPS = 40, 20

# Conditional jumps that become one condition.
MOST_CONDITIONS = 6

# Finding dominators takes time by the square of the number of blocks, at worst.
MOST_BLOCKS = 1_000


class _Unstructured(Exception):
    """This takes the loop that looks up blocks."""


def structured(
    pieces: dict[int, Piece], labels: Mapping[int, str], goto: str, block: str, counting: bool
) -> list[ast.stmt]:
    """The statements of a function. `pieces` are its blocks by number, the first of which is 0,
    and `labels` their names; `goto` and `block` are names for variables."""
    if not counting:
        _join_conditions(pieces)
    graph = Graph({number: piece.successors for number, piece in pieces.items()})
    if len(pieces) <= MOST_BLOCKS and graph.is_reducible:
        try:
            return _Structure(pieces, labels, goto, counting, graph).statements()
        except _Unstructured:
            pass
    return _Lookup(pieces, block, counting).statements()


def _join_conditions(pieces: dict[int, Piece]) -> None:
    """Two conditional jumps in a row with a target in common become one, by `and` or `or`."""
    graph = Graph({number: piece.successors for number, piece in pieces.items()})
    entries = {number: len(ones) for number, ones in graph.predecessors.items()}
    nodes = Nodes()
    for number in reversed(graph.order):
        piece = pieces[number]
        while piece.test is not None:
            holds, fails = piece.successors
            for second, other in ((holds, fails), (fails, holds)):
                inner = pieces[second]
                if (
                    inner.test is not None
                    and not inner.statements
                    and entries[second] == 1
                    and second not in (0, number)
                    and other in inner.successors
                    and inner.successors[0] != inner.successors[1]
                    and other != second
                    and piece.conditions + inner.conditions <= MOST_CONDITIONS
                ):
                    nodes.at = piece.at
                    last = inner.successors[inner.successors[0] == other]
                    to_last = inner.test if inner.successors[0] == last else inner.test.opposite
                    if second == holds:
                        piece.test = combined(nodes, ast.And(), piece.test, to_last)
                        piece.successors = (last, other)
                    else:
                        piece.test = combined(nodes, ast.Or(), piece.test, to_last.opposite)
                        piece.successors = (other, last)
                    piece.conditions += inner.conditions
                    entries[other] -= 1
                    del pieces[second]
                    break
            else:
                break


class _Edges:
    """What both forms need to know of blocks."""

    def __init__(self, pieces: dict[int, Piece], counting: bool) -> None:
        self._pieces = pieces
        self._counting = counting
        self._nodes = Nodes()

    def _crossed(self, piece: int, to: int) -> list[ast.stmt]:
        """What happens on the way from one block to another: backward jumps are counted."""
        if not self._counting or to > piece:
            return []
        return [self._nodes.add_to("back_edges", ast.Add(), self._nodes.constant(1))]


@dataclass(slots=True)
class _Scope:
    """A Python loop around the code that is being written. `continue` leads to the block `header`
    (of a loop that is only there to be left: None), `break` to the block `behind` (None: to where
    control has no reason to go). `passed` are the blocks that jumps lead to through it."""

    header: int | None
    behind: int | None
    outer: _Scope | None
    passed: dict[int, None] = field(default_factory=dict)


def _ends(statements: list[ast.stmt]) -> bool:
    """Whether control never comes to the end of these."""
    if not statements:
        return False
    last = statements[-1]
    if isinstance(last, ast.If):
        return _ends(last.body) and _ends(last.orelse)
    return isinstance(last, ast.Return | ast.Break | ast.Continue)


class _Structure(_Edges):
    """`_behind[x]` are the blocks that stand behind x and all that is nested in it; for the header
    of a loop, `_within` are those that do so within the loop."""

    def __init__(
        self,
        pieces: dict[int, Piece],
        labels: Mapping[int, str],
        goto: str,
        counting: bool,
        graph: Graph,
    ) -> None:
        super().__init__(pieces, counting)
        self._graph = graph
        self._labels = labels
        self._goto = goto
        self._behind: dict[int, list[int]] = {node: [] for node in graph.order}
        self._within: dict[int, list[int]] = {node: [] for node in graph.headers}
        # The blocks that it takes a loop of their own to jump to, as known and as found out.
        self._left: frozenset[int] = frozenset()
        self._wanted: set[int] = set()
        self._fails: dict[ast.stmt, ast.expr] = {}  # the opposite of a conditional's test
        self._levels = 0
        self._sizes = dict.fromkeys(graph.order, 1)
        for node in reversed(graph.order[1:]):
            self._sizes[graph.dominators[node]] += self._sizes[node]
        self._arrange()

    def _arrange(self) -> None:
        graph = self._graph
        exits: dict[int, list[int]] = {header: [] for header in graph.headers}
        for node in graph.order[1:]:
            above = graph.dominators[node]
            loops = (h for h, body in graph.loops.items() if above in body and node not in body)
            header = next(loops, None)
            if header is not None:
                exits[header].append(node)
            elif graph.is_merge(node):
                (self._within if above in graph.headers else self._behind)[above].append(node)
        for header, nodes in exits.items():
            merges = [node for node in nodes if graph.is_merge(node)]
            self._behind[header] += merges or self._main_exit(header, nodes)
        self._placed = {
            node for placed in (self._behind, self._within) for nodes in placed.values()
            for node in nodes
        }  # fmt: skip

    def _main_exit(self, header: int, exits: list[int]) -> list[int]:
        """Of the blocks that a loop leads to, each from one place, the one to write behind it;
        none if they are all left from inner loops."""
        graph = self._graph
        inner = [body for other, body in graph.loops.items() if other in graph.loops[header]]
        near = [
            node
            for node in exits
            if not any(graph.dominators[node] in body for body in inner if header not in body)
        ]
        return [node for node in near if node in graph.successors[header]] or near[-1:]

    def statements(self) -> list[ast.stmt]:
        self._write(self._graph.entry, None, None)
        self._left = frozenset(self._wanted)
        written = self._write(self._graph.entry, None, None)
        if self._wanted > self._left:
            raise _Unstructured
        return written

    # Each of these writes code after which control goes to the block `follow`.

    def _write(self, node: int, follow: int | None, scope: _Scope | None) -> list[ast.stmt]:
        return self._construct(node, self._behind[node], follow, scope)

    def _construct(
        self,
        node: int,
        behind: list[int],
        follow: int | None,
        scope: _Scope | None,
        inside: bool = False,
    ) -> list[ast.stmt]:
        """A block with all that is nested in it, and with those behind it. `inside` says that the
        loop that it is the header of has been written already."""
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise _Unstructured
        written: list[ast.stmt] = []
        tasks = [(node, behind, follow, inside)]
        while tasks:
            node, behind, follow, inside = tasks.pop()
            labels = [*behind, follow]
            left = max((i for i, to in enumerate(behind) if to in self._left), default=None)
            first = 0 if left is None else left
            for i in reversed(range(first, len(behind))):
                tasks.append((behind[i], self._behind[behind[i]], labels[i + 1], False))
            if left is not None:
                leaving = _Scope(None, behind[left], scope)
                body = self._construct(node, behind[:left], behind[left], leaving, inside)
                if not _ends(body):
                    body.append(self._nodes.leave())
                written += self._loop(body, leaving)
            elif node in self._graph.headers and not inside:
                around = _Scope(node, labels[0], scope)
                body = self._construct(node, self._within[node], node, around, inside=True)
                written += self._loop(body, around)
            else:
                onward = self._block(node, labels[0], scope, written)
                if onward is not None:
                    tasks.append((onward, self._behind[onward], labels[0], False))
        self._levels -= 1
        return written

    def _loop(self, body: list[ast.stmt], scope: _Scope) -> list[ast.stmt]:
        nodes = self._nodes
        if self._depth(scope) > MOST_LOOPS:
            raise _Unstructured
        test, first = nodes.constant(True), body[0] if body else None
        if (
            scope.header is not None
            and isinstance(first, ast.If)
            and not first.orelse
            and len(first.body) == 1
            and isinstance(first.body[0], ast.Break)
        ):
            test, body = self._fails[first], body[1:]
        written = [nodes.loop(test, body)]
        if scope.passed:
            # Whoever leaves the loop otherwise goes nowhere in particular.
            written.insert(0, nodes.set(self._goto, nodes.constant(None)))
            for to in scope.passed:
                here = nodes.compare(
                    nodes.name(self._goto), (ast.Eq(), nodes.constant(self._labels[to]))
                )
                written.append(nodes.when(here, self._jump(to, scope.behind, scope.outer, True)))
        return written

    @staticmethod
    def _depth(scope: _Scope | None) -> int:
        depth = 0
        while scope is not None:
            depth, scope = depth + 1, scope.outer
        return depth

    def _block(
        self, node: int, follow: int | None, scope: _Scope | None, written: list[ast.stmt]
    ) -> int | None:
        """The block itself. Returns what is to be written next to it, if that is not all."""
        piece = self._pieces[node]
        self._nodes.at = piece.at
        written += piece.statements
        if piece.test is None:
            if not piece.successors:
                return None
            (to,) = piece.successors
            return self._go(node, to, follow, scope, written)
        return self._branch(node, piece, piece.test, follow, scope, written)

    def _branch(
        self,
        node: int,
        piece: Piece,
        test: Test,
        follow: int | None,
        scope: _Scope | None,
        written: list[ast.stmt],
    ) -> int | None:
        holds, fails = piece.successors
        if holds == fails:
            written.append(self._nodes.effect(test.holds))
            return self._go(node, holds, follow, scope, written)
        then: list[ast.stmt] = []
        otherwise: list[ast.stmt] = []
        nested = self._go(node, holds, follow, scope, then)
        onward = self._go(node, fails, follow, scope, otherwise)
        if nested is None or (onward is not None and self._size(nested) > self._size(onward)):
            # What is nested less is written first: it may be an early end.
            test, nested, onward = test.opposite, onward, nested
            then, otherwise = otherwise, then
        if nested is not None:
            if onward is None and _ends(otherwise):
                self._append_if(piece, test.opposite, otherwise, [], written)
                written += then
                return nested
            then += self._write(nested, follow, scope)
        if onward is not None:
            if _ends(then):
                self._append_if(piece, test, then, [], written)
                written += otherwise
                return onward
            otherwise += self._write(onward, follow, scope)
        if not then or (_ends(otherwise) and not _ends(then)):
            test, then, otherwise = test.opposite, otherwise, then
        if not then:
            self._nodes.at = piece.at
            written.append(self._nodes.effect(test.holds))
        elif _ends(then):
            self._append_if(piece, test, then, [], written)
            written += otherwise
        else:
            self._append_if(piece, test, then, otherwise, written)
        return None

    def _append_if(
        self,
        piece: Piece,
        test: Test,
        then: list[ast.stmt],
        otherwise: list[ast.stmt],
        written: list[ast.stmt],
    ) -> None:
        self._nodes.at = piece.at
        statement = self._nodes.when(test.holds, then, otherwise)
        self._fails[statement] = test.fails
        written.append(statement)

    def _size(self, node: int) -> int:
        """How many blocks it dominates."""
        return self._sizes[node]

    def _go(
        self, node: int, to: int, follow: int | None, scope: _Scope | None, written: list[ast.stmt]
    ) -> int | None:
        """From one block to the next: by a jump, or by writing the other one here, which is then
        returned."""
        self._nodes.at = self._pieces[node].at
        written += self._crossed(node, to)
        if to not in self._placed and not self._graph.is_backward(node, to):
            return to
        written += self._jump(to, follow, scope)
        return None

    def _jump(
        self, to: int, follow: int | None, scope: _Scope | None, underway: bool = False
    ) -> list[ast.stmt]:
        """Statements that bring control to a block that stands somewhere else. `underway` says
        that `goto` is set."""
        nodes = self._nodes
        if to == follow:
            return []
        passed: list[_Scope] = []
        around = scope
        while around is not None and to not in (around.header, around.behind):
            passed.append(around)
            around = around.outer
        if not passed and around is not None:
            return [nodes.again() if to == around.header else nodes.leave()]
        target = self._pieces[to]
        if not target.successors and len(target.statements) == 1:
            return target.statements  # a `return`: said again rather than jumped to
        if around is None:
            self._wanted.add(to)
            return []
        for one in passed:
            one.passed[to] = None
        said = [] if underway else [nodes.set(self._goto, nodes.constant(self._labels[to]))]
        return [*said, nodes.leave()]


class _Lookup(_Edges):
    """The form for any control flow: a variable holds the number of the next block."""

    def __init__(self, pieces: dict[int, Piece], block: str, counting: bool) -> None:
        super().__init__(pieces, counting)
        self._block = block

    def statements(self) -> list[ast.stmt]:
        nodes = self._nodes
        numbers = sorted(self._pieces)
        return [
            nodes.set(self._block, nodes.constant(0)),
            nodes.loop(nodes.constant(True), self._among(numbers)),
        ]

    def _among(self, numbers: list[int]) -> list[ast.stmt]:
        if len(numbers) == 1:
            return self._one(numbers[0])
        middle = len(numbers) // 2
        nodes = self._nodes
        below = nodes.compare(nodes.name(self._block), (ast.Lt(), nodes.constant(numbers[middle])))
        return [nodes.when(below, self._among(numbers[:middle]), self._among(numbers[middle:]))]

    def _one(self, number: int) -> list[ast.stmt]:
        piece, nodes = self._pieces[number], self._nodes
        nodes.at = piece.at
        ways = [
            [*self._crossed(number, to), nodes.set(self._block, nodes.constant(to))]
            for to in piece.successors
        ]
        if piece.test is not None:
            return [*piece.statements, nodes.when(piece.test.holds, *ways)]
        return [*piece.statements, *(statement for way in ways for statement in way)]
