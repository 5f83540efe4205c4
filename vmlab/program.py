"""What a program is: plain, immutable data, as the assembler makes it and every engine takes it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from vmlab.checking import check_type
from vmlab.isa import COROUTINES, FRAME_RECORD_WORDS, Opcode, Type

if TYPE_CHECKING:
    from vmlab.outcome import Limits, Outcome
    from vmlab.verifier import StackMap

Number = int | float


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one source line. Lines and columns count from 1; `width` is in characters."""

    line: int
    column: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """The text a program was made from, and the name to report it under."""

    path: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Without their ends. Unlike `str.splitlines`, a line ends only where editors say so."""
        return re.split(r"\r\n|\n|\r", self.text)


@dataclass(frozen=True, slots=True)
class Variable:
    """A parameter, local or global. `value` is a parameter's default or a global's first value."""

    name: str
    type: Type
    value: Number | None = None
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Instruction:
    """An opcode with its operand resolved to what `isa.Operand` says."""

    opcode: Opcode
    operand: Number | Type | None = None
    span: Span = field(default=Span(0, 0), compare=False)
    operand_span: Span | None = field(default=None, compare=False)

    @property
    def target(self) -> int:
        """The operand as an index: a slot, a global, an instruction or a function."""
        assert isinstance(self.operand, int)
        return self.operand


@dataclass(frozen=True)
class Function:
    """A function. `labels` are (name, instruction index) pairs in the order of the source."""

    name: str
    params: tuple[Variable, ...]
    result: Type | None
    locals: tuple[Variable, ...]
    code: tuple[Instruction, ...]
    labels: tuple[tuple[str, int], ...] = ()
    span: Span = field(default=Span(0, 0), compare=False)

    @cached_property
    def slots(self) -> tuple[Variable, ...]:
        """What `load` and `store` index: the parameters, then the locals. Made once: there may be
        as many instructions that name one."""
        return self.params + self.locals


@dataclass(frozen=True, slots=True)
class Expectation:
    """One `expect` line: what `main` with these arguments must do. One field of the three is set,
    or none of them for `-> nothing`."""

    args: tuple[Number, ...]
    result: Number | None = None
    trap: str | None = None
    prints: str | None = None
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, eq=False)
class Program:
    """A whole program. It is valid: `stack_maps` raises `ProgramError` if the verifier objects."""

    globals: tuple[Variable, ...]
    functions: tuple[Function, ...]
    expectations: tuple[Expectation, ...]
    source: Source = field(repr=False)

    def __eq__(self, other: object) -> bool:
        """Programs are equal when they mean the same, wherever their text stands."""
        if not isinstance(other, Program):
            return NotImplemented
        return self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical text, in hexadecimal."""
        from vmlab.disassembler import disassemble

        return hashlib.sha256(disassemble(self).encode()).hexdigest()

    @cached_property
    def stack_maps(self) -> tuple[StackMap, ...]:
        """One a function, proven by the verifier on first use."""
        from vmlab.verifier import verify

        return verify(self)

    @cached_property
    def main_index(self) -> int:
        return next(i for i, f in enumerate(self.functions) if f.name == "main")

    @property
    def main(self) -> Function:
        return self.functions[self.main_index]

    @cached_property
    def has_tasks(self) -> bool:
        """Whether it has instructions of coroutines, so that more than `main` may run."""
        return any(i.opcode.group == COROUTINES for _, _, i in self.sites())

    def frame_words(self, function: int) -> int:
        """The words of a task's stack that a call of a function takes: locals, operands, and the
        record of the call."""
        deepest = self.stack_maps[function].max_depth
        return len(self.functions[function].slots) + deepest + FRAME_RECORD_WORDS

    @cached_property
    def first_site(self) -> tuple[int, ...]:
        """The site of each function's first instruction. A site numbers an instruction in the
        whole program; native code names places by it."""
        sites, total = [], 0
        for function in self.functions:
            sites.append(total)
            total += len(function.code)
        return tuple(sites)

    def sites(self) -> Iterator[tuple[int, int, Instruction]]:
        """(function index, instruction index, instruction), in the order of their sites."""
        for f, function in enumerate(self.functions):
            for i, instruction in enumerate(function.code):
                yield f, i, instruction

    def run(self, engine: str = "reference", **args: Number) -> Outcome:
        """Run `main` on an engine; see `vmlab.engines.run` for limits."""
        from vmlab.engines import run

        return run(self, engine, args)

    def compile(self, limits: Limits | None = None) -> Callable[..., Number | None]:
        """`main` as a function to call from `@njit` code, or from Python; see
        `vmlab.kernels.callable.compile_program`."""
        from vmlab.kernels.callable import compile_program
        from vmlab.outcome import Limits

        limits = limits or Limits()
        check_type("limits", limits, Limits, "of the type vmlab.outcome.Limits")
        function: Callable[..., Number | None] = compile_program(self, limits)
        return function
