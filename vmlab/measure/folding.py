"""Noticing that the compiler folded a program's work away.

An optimiser drops what cannot be seen from outside, and computes once what is the same in every
iteration. A time then says nothing about the instructions that are gone. The loops themselves stay,
because each iteration can be interrupted, so a program has been folded if both hold:

    nothing is left in its innermost loops but counting
    it takes little longer than an empty loop of as many iterations, timed in the same rounds

Time alone would not do: a core that executes several instructions at once also hides an addition
or two behind the counting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from vmlab.assembler import assemble
from vmlab.engines import ENGINES, Executable
from vmlab.measure.sampling import Rounds, Subject
from vmlab.outcome import Outcome

# The engine whose compiler sees a program as a whole. The others do something an instruction.
FOLDING_ENGINE = "inlined"

EMPTY_LOOP = "empty loop"  # its name among the subjects

# With fewer backward jumps, what a call costs hides what its loops cost.
LEAST_BACK_EDGES = 1_000

# A program that takes longer than this many empty loops spends less than half its time counting.
_MARGIN = 2.0

_SOURCE = """
func main(n: int) -> int
again:
    load n
    push 1
    sub
    store n
    load n
    jnz again
    load n
    ret
end
"""


def empty_loop(back_edges: int) -> Subject:
    """A loop on the same engine that jumps back so many times and does nothing else."""
    program = assemble(_SOURCE, f"<{EMPTY_LOOP}>")
    executable = ENGINES[FOLDING_ENGINE].build(program, counting=False)
    return Subject(EMPTY_LOOP, executable, (back_edges + 1,), Outcome(0, (), None, None))


def is_folded(rounds: Rounds, executable: Executable) -> bool:
    """Whether the program has been folded in this executable, timed in these rounds."""
    if EMPTY_LOOP not in rounds.samples:
        return False
    pairs = zip(rounds.samples[FOLDING_ENGINE], rounds.samples[EMPTY_LOOP], strict=True)
    if median(engine / loop for engine, loop in pairs) > _MARGIN:
        return False
    ir = executable.ir()
    return ir is not None and only_counts(ir)


def only_counts(ir: str) -> bool:
    """Whether there is nothing but counting in the innermost loops of a program's optimised LLVM
    IR. Only loops that can be interrupted are the program's: their sign is a volatile load."""
    loops = [
        loop for function in _functions(ir) for loop in _innermost_loops(function) if _polls(loop)
    ]
    return bool(loops) and all(map(_is_counting, loops))


@dataclass
class _Block:
    successors: list[str] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)


_LABEL = re.compile(r'([^\s:;]+|"[^"]*"):')
_SUCCESSOR = re.compile(r'label %([^\s,\]"]+|"[^"]*")')
_POLL = re.compile(r".* = load volatile ")
_PHI = re.compile(r".* = phi ")
_COUNTING = re.compile(r"br |.* = (?:phi |icmp |load volatile |add [^%]*%\S+, -?\d+\b)")


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


def _innermost_loops(blocks: dict[str, _Block]) -> Iterator[list[str]]:
    """The instructions of each natural loop that holds no other loop."""
    bodies = _loops(blocks)
    for header, body in bodies.items():
        if not any(other in body for other in bodies if other != header):
            yield [i for label in body for i in blocks[label].instructions]


def _loops(blocks: dict[str, _Block]) -> dict[str, set[str]]:
    """The natural loops by their headers: the labels in each."""
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
    return bodies


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


def _polls(loop: list[str]) -> bool:
    return any(map(_POLL.match, loop))


def _is_counting(loop: list[str]) -> bool:
    """One number that goes from iteration to iteration, constant steps, and tests."""
    carried = sum(_PHI.match(i) is not None for i in loop)
    return carried == 1 and all(map(_COUNTING.match, loop))
