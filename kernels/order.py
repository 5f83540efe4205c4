"""The order in which an interpreter's handlers lie in memory: drawn anew, without compiling again.

A CPU foresees indirect jumps by the jumps before them, of which it remembers a few low bits of the
addresses. Which jumps look alike in these bits depends on where each handler lies, and LLVM's order
of handlers carries no meaning. No alignment helps: it takes bits away that tell jumps apart
(`python -m tests.benchmarks.handler_order`).

For the same reason the functions of `threaded`, which LLVM puts at multiples of 16 bytes, lie at
any byte here: that takes up to a third off the time of programs whose jumps are hard to foresee.

What is moved are stretches of assembler text that nothing falls into or out of, and that a table of
handlers names: blocks of the one function of `switch`, functions of `threaded`.
"""

import functools
import platform
import random
import re
import sys

# Tables are addresses only in code that is compiled far, and the text is that of ELF on x86-64.
CAN_REORDER = sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")

_PADDING = 64  # bytes before a function that was aligned, fewer than so many
_ANY_BYTE = "\t# any byte"

_ENTRY = re.compile(r'\s+\.quad\s+("?op\..*|\.LBB\w+)$')
_LABEL = re.compile(r'("[^"]+"|[\w.$]+):')
_LEAVES = re.compile(r"\s+(jmpq?|retq?|ud2)\b")
_BEFORE_LABEL = re.compile(r"\s*(#.*|\.p2align.*|\.type.*)?$")


def reordered(assembly: str) -> str:
    """The text with the handlers in an order drawn at random, each of them as it was."""
    stretches, movable = _cut(assembly)
    order = dict(zip(movable, random.sample(movable, len(movable)), strict=True))
    text = "".join(stretches[order.get(i, i)] for i in range(len(stretches)))
    first, *others = text.split(_ANY_BYTE)
    return first + "".join(f"\t.zero\t{random.randrange(_PADDING)}, 0xcc{s}" for s in others)


@functools.cache
def _cut(assembly: str) -> tuple[list[str], list[int]]:
    """The text in pieces, and which of them are handlers; where these were aligned, a mark."""
    lines = assembly.splitlines()
    handlers = {match[1] for line in lines if (match := _ENTRY.match(line))}
    stretches = _stretches(lines, handlers)
    movable = [i for i, (label, _) in enumerate(stretches) if label in handlers]
    for i in movable:
        _free(stretches[i][1])
    return ["\n".join([*stretch, ""]) for _, stretch in stretches], movable


def _free(handler):
    """Put it at any byte instead of an aligned one."""
    for i, line in enumerate(handler):
        if _LABEL.match(line):
            return
        if line.lstrip().startswith(".p2align"):
            handler[i] = _ANY_BYTE


def _stretches(lines, handlers):
    """The text in pieces, each with the label that it begins with. A piece ends where code leaves
    for good, and a label follows: any label if the handlers are blocks, else a function's."""
    blocks = any(label.startswith(".L") for label in handlers)
    stretches = [(None, [])]
    waiting = []  # lines that belong to what comes next
    left = True
    for line in lines:
        if _BEFORE_LABEL.match(line):
            waiting.append(line)
            continue
        label = _LABEL.match(line)
        if label and left and (blocks or not line.startswith(".L")):
            stretches.append((label[1], []))
        if not label:
            left = _LEAVES.match(line) is not None or (left and line.lstrip().startswith("."))
        stretches[-1][1].extend([*waiting, line])
        waiting = []
    stretches[-1][1].extend(waiting)
    return stretches
