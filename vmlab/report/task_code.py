"""What the machine does to launch, to switch and to resume tasks: the code, and its counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import llvmlite.binding as llvm
from tabulate import tabulate

from vmlab.kernels import cross
from vmlab.kernels.scheduler.code import OPERATIONS, Code, code

_HEADERS = (
    "operation",
    "composition",
    "architecture",
    "instructions",
    "conditional branches",
    "indirect jumps",
    "calls",
    "of them indirect",
    "memory accesses",
    "atomic or ordered",
    "bytes",
)

_ABOUT = """\
# What launching, switching and resuming a task comes to

Made by `vmlab show --asm` with LLVM {}: it compiles and assembles the operations for every
architecture, and counts in the assembly text. `vmlab show --asm spawn --arch aarch64` prints that.
"""

_NOTES = f"""\
- **spawn**: a launch with two arguments, until the task stands in its worker's queue. Its frame is
  taken when it first runs.
- **switch**: a task has left its frame to yield. It is put into the queue; the next one is taken
  out and entered, by one of the two indirect calls: into a task that begins, or one that goes on.
- **resume**: a task from one suspension to the next: it counts, asks for a yield, and leaves. If
  its code had several suspensions, it would first look up which one it goes on from.
- **single-worker**, **M:N**: the compositions of the native scheduler (`kernels/scheduler/`), whose
  tasks are stackless: LLVM's coroutines, with frames of what lives across a suspension.
- **stackful**: the bare exchange of machine stacks (`kernels/stackful.py`), without any queue, to
  compare with: a function of its own, in the C convention. The part `stackful` of an engine
  exchanges them in the middle of functions, where LLVM saves what is alive.
- Counted is what stands in a function, on all ways through it: more than is executed at once. Rare
  ways lead to calls, and what is called is not counted. Returns are not among the jumps, nor calls
  and returns among the memory accesses. On riscv64 a call is two instructions, until the linker
  makes it one.
- Compiled for {", ".join(f"{a.name} `{a.cpu}`" for a in cross.ARCHITECTURES.values())}, which have
  no atomic updates in one instruction but on x86-64 and, additions and exchanges, on riscv64.
- The kernel that `vmlab sched` measures is compiled to lie anywhere: there, all calls go through a
  register.
- Run were these on x86-64 only. For the other architectures they are assembled, and no more.
"""


def listing(operation: str, architecture: str) -> str:
    """An operation's code, in every composition. Raises `cross.Unsupported`."""
    lines = []
    for composition in OPERATIONS[operation]:
        shown = code(operation, composition, architecture)
        lines.append(f"# {operation}, {composition}, {architecture}: {', '.join(_said(shown))}")
        lines.append(shown.assembly)
    return "\n".join(lines)


def _said(shown: Code) -> Iterator[str]:
    """The counts with their names."""
    return (
        f"{name} {number:,}" for name, number in zip(_HEADERS[3:], _numbers(shown), strict=True)
    )


def _numbers(shown: Code) -> tuple[int, ...]:
    counts = shown.counts
    return (
        counts.instructions, counts.conditional, counts.indirect_jumps, counts.calls,
        counts.indirect_calls, counts.accesses, counts.ordering, shown.bytes,
    )  # fmt: skip


def table() -> str:
    """The counts of all operations on all architectures, in Markdown. What cannot be made says
    why."""
    rows = []
    for operation, compositions in OPERATIONS.items():
        for composition in compositions:
            for architecture in cross.ARCHITECTURES:
                cells: Sequence[object]
                try:
                    cells = _numbers(code(operation, composition, architecture))
                except cross.Unsupported as reason:
                    cells = [f"none: {reason}"]
                rows.append((operation, composition, architecture, *cells))
    align = ["left"] * 3 + ["right"] * (len(_HEADERS) - 3)
    about = _ABOUT.format(".".join(map(str, llvm.llvm_version_info)))
    return f"{about}\n{tabulate(rows, _HEADERS, 'github', colalign=align)}\n\n{_NOTES}"
