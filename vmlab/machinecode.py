"""Facts about machine code, read off its assembly text."""

from __future__ import annotations

import re

# Through a register or through memory: `jmpq *%rax`, `jmp *(%rax,%rcx,8)`; in Intel's syntax
# `jmp rax`, `jmp qword ptr [rax + 8*rcx]`.
_X86 = re.compile(
    r"\s*(?:notrack\s+)?jmp[qlw]?\s+"
    r"(?:\*|(?:[qd]?word\s+ptr\s+)?\[|(?:[er]?(?:[abcd]x|[sd]i|[sb]p)|r(?:[89]|1[0-5])[dw]?)(?!\w))",
    re.IGNORECASE,
)
# A jump through the global offset table has one target, which the linker chose.
_X86_LINKED = re.compile(r"@GOT")

_ARM64 = re.compile(r"\s*br(?:a[ab]z?)?\s+x\d+", re.IGNORECASE)

_X86_MACHINES = {"x86_64", "AMD64"}
_ARM64_MACHINES = {"aarch64", "arm64"}


def count_indirect_jumps(assembly: str, machine: str) -> int | None:
    """How many instructions jump to an address that is computed when they run. Calls and returns
    do not count; tail calls through a pointer do, being jumps.

    `machine` is what `platform.machine()` says. x86-64 code may be in AT&T's or in Intel's syntax.
    None for machines whose code this function cannot read."""
    lines = assembly.splitlines()
    if machine in _ARM64_MACHINES:
        return sum(_ARM64.match(line) is not None for line in lines)
    if machine in _X86_MACHINES:
        return sum(_X86.match(line) is not None and not _X86_LINKED.search(line) for line in lines)
    return None
