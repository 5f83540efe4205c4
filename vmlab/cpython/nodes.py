"""Python syntax trees whose line numbers name VM instructions.

The line of a node is the index of its instruction in its function, plus one. So the line that a
traceback gives for a frame says which instruction was at work there, and running pays nothing
for it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TypeVar

_Node = TypeVar("_Node", bound=ast.expr | ast.stmt | ast.arg | ast.alias)


def instruction(line: int | None) -> int:
    """The index of the instruction that a line names. Code that belongs to no line, such as the
    start of a function, counts as the first instruction."""
    return max(0, (line or 1) - 1)


class Nodes:
    """Makes nodes for the instruction `at`. `read` are the names that are read in them."""

    def __init__(self) -> None:
        self.at = 0
        self.read: set[str] = set()

    def place(self, node: _Node) -> _Node:
        node.lineno = node.end_lineno = self.at + 1
        node.col_offset = node.end_col_offset = 0
        return node

    # Expressions

    def name(self, name: str) -> ast.expr:
        self.read.add(name)
        return self.place(ast.Name(name, ast.Load()))

    def target(self, name: str) -> ast.Name:
        return self.place(ast.Name(name, ast.Store()))

    def constant(self, value: float | bool | str | None) -> ast.expr:
        if isinstance(value, float) and (value != value or abs(value) == float("inf")):
            name = self.name("nan" if value != value else "inf")
            return self.unary(ast.USub(), name) if value < 0 else name
        return self.place(ast.Constant(value))

    def unary(self, op: ast.unaryop, operand: ast.expr) -> ast.expr:
        return self.place(ast.UnaryOp(op, operand))

    def call(self, function: str, *args: ast.expr) -> ast.expr:
        return self.place(ast.Call(self.name(function), list(args), []))

    def binary(self, left: ast.expr, op: ast.operator, right: ast.expr) -> ast.expr:
        return self.place(ast.BinOp(left, op, right))

    def compare(self, left: ast.expr, *rest: tuple[ast.cmpop, ast.expr]) -> ast.expr:
        ops, operands = zip(*rest, strict=True)
        return self.place(ast.Compare(left, list(ops), list(operands)))

    def choice(self, test: ast.expr, then: ast.expr, otherwise: ast.expr) -> ast.expr:
        return self.place(ast.IfExp(test, then, otherwise))

    def empty_list(self) -> ast.expr:
        return self.place(ast.List([], ast.Load()))

    def element(self, array: ast.expr, index: ast.expr) -> ast.expr:
        return self.place(ast.Subscript(array, index, ast.Load()))

    def keep(self, name: str, value: ast.expr) -> ast.expr:
        """`(name := value)`."""
        return self.place(ast.NamedExpr(self.target(name), value))

    # Statements

    def assign(self, targets: list[ast.expr], value: ast.expr) -> ast.stmt:
        return self.place(ast.Assign(targets, value))

    def set(self, name: str, value: ast.expr) -> ast.stmt:
        """`name = value`, or `name += ...`."""
        if (
            isinstance(value, ast.BinOp)
            and isinstance(value.left, ast.Name)
            and value.left.id == name
        ):
            # What traps is the operation, whose instruction this need not be.
            return ast.copy_location(self.add_to(name, value.op, value.right), value)
        return self.assign([self.target(name)], value)

    def add_to(self, name: str, op: ast.operator, value: ast.expr) -> ast.stmt:
        return self.place(ast.AugAssign(self.target(name), op, value))

    def effect(self, value: ast.expr) -> ast.stmt:
        return self.place(ast.Expr(value))

    def result(self, value: ast.expr | None) -> ast.stmt:
        return self.place(ast.Return(value))

    def when(
        self, test: ast.expr, then: list[ast.stmt], otherwise: list[ast.stmt] | None = None
    ) -> ast.stmt:
        return self.place(ast.If(test, then, otherwise or []))

    def loop(self, test: ast.expr, body: list[ast.stmt]) -> ast.stmt:
        return self.place(ast.While(test, body or [self.place(ast.Pass())], []))

    def leave(self) -> ast.stmt:
        return self.place(ast.Break())

    def again(self) -> ast.stmt:
        return self.place(ast.Continue())


@dataclass(frozen=True, slots=True)
class Test:
    """A condition: one expression that is true where it holds, another that is where it fails."""

    holds: ast.expr
    fails: ast.expr

    @property
    def opposite(self) -> Test:
        return Test(self.fails, self.holds)


def tested(expression: ast.expr) -> Test:
    return Test(expression, ast.copy_location(ast.UnaryOp(ast.Not(), expression), expression))


_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
}


def compared(nodes: Nodes, left: ast.expr, op: ast.cmpop, right: ast.expr, total: bool) -> Test:
    """Without a `total` order, as of floats with NaN, not less is something else than greater or
    equal."""
    holds = nodes.compare(left, (op, right))
    if total or isinstance(op, ast.Eq | ast.NotEq):
        return Test(holds, nodes.compare(left, (_OPPOSITE[type(op)](), right)))
    return tested(holds)


def combined(nodes: Nodes, op: ast.boolop, left: Test, right: Test) -> Test:
    """`left and right`, or `left or right`."""
    values: list[ast.expr] = []
    for operand in (left.holds, right.holds):
        alike = isinstance(operand, ast.BoolOp) and type(operand.op) is type(op)
        values += operand.values if alike and isinstance(operand, ast.BoolOp) else [operand]
    return tested(nodes.place(ast.BoolOp(op, values)))
