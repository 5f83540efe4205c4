"""Noticing that the compiler folded a program's work away.

An optimiser drops what cannot be seen from outside, such as a total that nobody reads. The time
then says nothing about the instructions that are gone. The loops themselves stay, since they can be
interrupted: of a folded program nothing is left but loops that count. The time alone would not
tell, because a core that executes several instructions at once hides an addition or two behind the
counting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# The engine whose compiler sees a program as a whole. The others do something an instruction.
FOLDING_ENGINE = "inlined"

# With fewer backward jumps in a run, its loops are not what takes the time.
LEAST_BACK_EDGES = 1_000


def only_counts(ir: str) -> bool:
    """Whether a program's optimised LLVM IR has loops, and nothing in them but counting.

    Loops that nobody can interrupt belong to the harness: the program's have a volatile load. A
    function of the program that is still called may be recursive, and its work is not folded."""
    if _CALL.search(ir):
        return False
    loops = [
        loop
        for blocks in _functions(ir)
        for loop in _loops(blocks)
        if any(_POLL.match(i) for block in loop.blocks for i in block.instructions)
    ]
    return bool(loops) and all(map(_counts, loops))


@dataclass
class _Block:
    successors: list[str] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)


@dataclass
class _Loop:
    header: _Block
    blocks: list[_Block]


_CALL = re.compile(r"call [^@\n]*@vm\.")
_LABEL = re.compile(r'([^\s:;]+|"[^"]*"):')
_SUCCESSOR = re.compile(r'label %([^\s,\]"]+|"[^"]*")')
_POLL = re.compile(r".* = load volatile ")
_PHI = re.compile(r".* = phi ")
_COUNTING = re.compile(
    r"br |.* = (?:phi |icmp |load volatile |(?:and|or|xor|select|freeze) i1 "
    r"|(?:add|or disjoint) [^%]*%\S+, -?\d+)"
)


def _counts(loop: _Loop) -> bool:
    """Steps by constants, tests, and one number that goes from iteration to iteration."""
    carried = sum(_PHI.match(i) is not None for i in loop.header.instructions)
    return carried == 1 and all(
        _COUNTING.match(i) for block in loop.blocks for i in block.instructions
    )


def _functions(ir: str) -> Iterator[dict[str, _Block]]:
    """The blocks by label, of each function in turn. A first block without a label is ''."""
    blocks: dict[str, _Block] = {}
    for line in ir.splitlines():
        if line.startswith("define "):
            blocks = {"": _Block()}
        elif line == "}":
            yield blocks
        elif label := _LABEL.match(line):
            blocks[label[1]] = _Block()
        elif line.startswith(" ") and blocks:
            block = next(reversed(blocks.values()))
            block.instructions.append(line.strip())
            block.successors += _SUCCESSOR.findall(line)


def _loops(blocks: dict[str, _Block]) -> list[_Loop]:
    """The natural loops, one a header."""
    predecessors: dict[str, list[str]] = {label: [] for label in blocks}
    for label, block in blocks.items():
        for successor in block.successors:
            predecessors[successor].append(label)
    bodies: dict[str, set[str]] = {}
    for latch, header in _back_edges(blocks):
        body = bodies.setdefault(header, {header})
        pending = [latch]
        while pending:
            label = pending.pop()
            if label not in body:
                body.add(label)
                pending += predecessors[label]
    return [
        _Loop(blocks[header], [blocks[label] for label in body]) for header, body in bodies.items()
    ]


def _back_edges(blocks: dict[str, _Block]) -> Iterator[tuple[str, str]]:
    """The edges that lead to a block on the path by which a depth-first search got there."""
    entry = next(label for label, block in blocks.items() if block.instructions)
    path = [(entry, iter(blocks[entry].successors))]
    on_path, seen = {entry}, {entry}
    while path:
        label, successors = path[-1]
        successor = next(successors, None)
        if successor is None:
            path.pop()
            on_path.remove(label)
        elif successor in on_path:
            yield label, successor
        elif successor not in seen:
            path.append((successor, iter(blocks[successor].successors)))
            on_path.add(successor)
            seen.add(successor)
