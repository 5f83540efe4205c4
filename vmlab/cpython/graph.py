"""The control flow of a function: its basic blocks, who dominates whom, and its loops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vmlab.blocks import basic_blocks
from vmlab.isa import Flow
from vmlab.program import Function
from vmlab.verifier import StackMap


@dataclass(frozen=True, slots=True)
class Block:
    """The instructions from `start` up to `end`, without it, and the blocks that may follow: none
    after `ret`; after a conditional jump its target, then the other one."""

    start: int
    end: int
    successors: tuple[int, ...]


def split(function: Function, stack_map: StackMap) -> tuple[Block, ...]:
    """The blocks that can be reached, in the order of the code; the first is where it begins."""
    code = function.code
    reached = [block for block in basic_blocks(function) if stack_map.reachable[block.start]]
    number = {block.start: index for index, block in enumerate(reached)}
    blocks = []
    for block in reached:
        last = code[block[-1]]
        following: tuple[int, ...] = (block.stop,)
        if last.opcode.flow is Flow.RETURN:
            following = ()
        elif last.opcode.flow is Flow.JUMP:
            following = (last.target,)
        elif last.opcode.flow is Flow.BRANCH:
            following = (last.target, block.stop)
        blocks.append(Block(block.start, block.stop, tuple(number[to] for to in following)))
    return tuple(blocks)


class Graph:
    """Nodes are numbers; the first is where control enters, and every node can be reached."""

    def __init__(self, successors: dict[int, tuple[int, ...]], entry: int = 0) -> None:
        self.successors = successors
        self.entry = entry
        self.order = self._reverse_postorder()
        self.position = {node: i for i, node in enumerate(self.order)}
        self.predecessors: dict[int, list[int]] = {node: [] for node in self.order}
        for node in self.order:
            for to in dict.fromkeys(successors[node]):
                self.predecessors[to].append(node)

    def _reverse_postorder(self) -> list[int]:
        seen, done = {self.entry}, []
        path = [(self.entry, iter(self.successors[self.entry]))]
        while path:
            node, following = path[-1]
            to = next((to for to in following if to not in seen), None)
            if to is None:
                done.append(node)
                path.pop()
            else:
                seen.add(to)
                path.append((to, iter(self.successors[to])))
        return done[::-1]

    def is_backward(self, node: int, to: int) -> bool:
        return self.position[to] <= self.position[node]

    def is_merge(self, node: int) -> bool:
        """Whether control can come from several places, loops back to it not among them."""
        return sum(not self.is_backward(one, node) for one in self.predecessors[node]) > 1

    @cached_property
    def dominators(self) -> dict[int, int]:
        """The immediate dominator of every node; the entry is its own. Cooper, Harvey and
        Kennedy, "A simple, fast dominance algorithm", 2001."""
        found = {self.entry: self.entry}
        position = self.position
        changed = True
        while changed:
            changed = False
            for node in self.order[1:]:
                known = [one for one in self.predecessors[node] if one in found]
                best = known[0]
                for other in known[1:]:
                    while best != other:
                        if position[best] > position[other]:
                            best = found[best]
                        else:
                            other = found[other]
                if found.get(node) != best:
                    found[node] = best
                    changed = True
        return found

    def _dominates(self, one: int, other: int) -> bool:
        while self.position[other] > self.position[one]:
            other = self.dominators[other]
        return one == other

    @cached_property
    def headers(self) -> frozenset[int]:
        """Where backward edges lead."""
        return frozenset(
            to for node in self.order for to in self.successors[node] if self.is_backward(node, to)
        )

    @cached_property
    def is_reducible(self) -> bool:
        """Whether every loop is entered at its header only."""
        return all(
            self._dominates(to, node)
            for node in self.order
            for to in self.successors[node]
            if self.is_backward(node, to)
        )

    @cached_property
    def loops(self) -> dict[int, frozenset[int]]:
        """The natural loop of each header, outer ones before inner ones."""
        found = {}
        for header in sorted(self.headers, key=self.position.__getitem__):
            body = {header}
            pending = [one for one in self.predecessors[header] if self.is_backward(one, header)]
            while pending:
                node = pending.pop()
                if node not in body:
                    body.add(node)
                    pending += self.predecessors[node]
            found[header] = frozenset(body)
        return found
