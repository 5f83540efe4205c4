"""Facts about machine code, read off its assembly text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Dialect:
    """How an assembly language, as LLVM writes it, says things: patterns for the start of an
    instruction in lower case. Returns are neither jumps nor calls."""

    comment: str
    conditional: str
    indirect_jump: str
    call: str
    indirect_call: str
    access: str
    ordering: str
    pairs: str = r"(?!)"  # what the assembler makes two instructions of

    def matches(self, pattern: str, instruction: str) -> bool:
        return re.match(getattr(self, pattern), instruction) is not None


# Through a register or through memory: `jmpq *%rax`, `jmp *(%rax,%rcx,8)`; in Intel's syntax
# `jmp rax`, `jmp qword ptr [rax + 8*rcx]`. A jump through the global offset table has one target,
# which the linker chose.
_X86 = Dialect(
    comment="#",
    conditional=r"j(?!mp)[a-z]+\s|loop",
    indirect_jump=(
        r"(?:notrack\s+)?jmp[qlw]?\s+(?!.*@got)(?:\*|(?:[qd]?word\s+ptr\s+)?\[|"
        r"(?:[er]?(?:[abcd]x|[sd]i|[sb]p)|r(?:[89]|1[0-5])[dw]?)(?!\w))"
    ),
    call=r"call",
    indirect_call=r"call[qlw]?\s+\*",
    access=r"(?!lea|nop|prefetch).*\(|push|pop(?!cnt)",
    ordering=r"lock\s|xchg.*\(|mfence",
)
_ARM64 = Dialect(
    comment="//",
    conditional=r"b\.|cbn?z\s|tbn?z\s",
    indirect_jump=r"br(?:a[ab]z?)?\s+x\d+",
    call=r"blr?\s",
    indirect_call=r"blr\s",
    access=r"(?:ld|st|cas|swp)",
    ordering=r"ldax?r|ldxr|stlx?r|stxr|cas|swp|ld(?:add|clr|eor|set)|dmb|dsb|isb",
)
_PPC64 = Dialect(
    comment="#",
    conditional=r"b(?:eq|ne|lt|gt|le|ge|so|ns|un|nu|dnz|dz|c)(?:lr|ctr)?[-+]?\s",
    indirect_jump=r"bctr(?!l)",
    call=r"b(?:ctr)?l(?!r)\b",
    indirect_call=r"bctrl",
    access=r"l(?:[bhwd]|q|x|v|f)(?!sync)[a-z0-9]*\s.*,|st(?!op)",
    ordering=r"l[bhwdq]arx|st[bhwdq]cx|l?w?sync|isync|eieio",
)
_RISCV64 = Dialect(
    comment="#",
    conditional=r"b(?:eq|ne|lt|gt|le|ge)(?:u|z)?\s",
    indirect_jump=r"jr\s+(?!ra\b)",
    call=r"call\s|jalr?\s",
    indirect_call=r"jalr\s",
    access=r"(?:f?l[bhwd]u?|f?s[bhwd])\s|(?:lr|sc|amo[a-z]+)\.",
    ordering=r"(?:lr|sc|amo[a-z]+)\.|fence",
    pairs=r"(?:call|tail)\s",
)

# By what `platform.machine()` calls them, and `vmlab.kernels.cross`.
_DIALECTS = {
    **dict.fromkeys(("x86_64", "AMD64", "x86-64"), _X86),
    **dict.fromkeys(("aarch64", "arm64"), _ARM64),
    "ppc64le": _PPC64,
    "riscv64": _RISCV64,
}


def dialect(machine: str) -> Dialect | None:
    """Of a machine, by what `platform.machine()` calls it; None if it is none of these."""
    return _DIALECTS.get(machine)


@dataclass(frozen=True)
class Counts:
    """What instructions stand in a piece of code.

    conditional     branches that are taken or not
    indirect_jumps  to an address that is computed when they run; returns do not count
    calls           all, the indirect ones among them
    accesses        load or store, without calls and returns
    ordering        atomic updates, fences, and accesses that are ordered
    """

    instructions: int = 0
    conditional: int = 0
    indirect_jumps: int = 0
    calls: int = 0
    indirect_calls: int = 0
    accesses: int = 0
    ordering: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def instructions(assembly: str, dialect: Dialect) -> Iterator[str]:
    """In lower case, with single spaces; labels, directives and comments are left out."""
    for line in assembly.splitlines():
        text = line.split(dialect.comment)[0].strip().lower()
        if text and text[0] != "." and not text.endswith(":"):
            yield " ".join(text.split()) + " "


def count(assembly: str, dialect: Dialect) -> Counts:
    total = Counts()
    for text in instructions(assembly, dialect):
        total += Counts(
            instructions=1 + dialect.matches("pairs", text),
            conditional=dialect.matches("conditional", text),
            indirect_jumps=dialect.matches("indirect_jump", text),
            calls=dialect.matches("call", text),
            indirect_calls=dialect.matches("indirect_call", text),
            accesses=dialect.matches("access", text),
            ordering=dialect.matches("ordering", text),
        )
    return total


def body(assembly: str, function: str) -> str:
    """The lines of a function in ELF assembly text, from its label up to its end."""
    found = re.search(rf"^{re.escape(function)}:.*?(?=^\.Lfunc_end)", assembly, re.S | re.M)
    if found is None:
        raise ValueError(f"there is no function {function}")
    return found[0]


def count_indirect_jumps(assembly: str, machine: str) -> int | None:
    """How many instructions jump to an address that is computed when they run. Calls and returns
    do not count; tail calls through a pointer do, being jumps.

    `machine` is what `platform.machine()` says. x86-64 code may be in AT&T's or in Intel's syntax.
    None for machines whose code this function cannot read."""
    spoken = dialect(machine)
    if spoken is None:
        return None
    return sum(spoken.matches("indirect_jump", text) for text in instructions(assembly, spoken))
