"""The engines by name: what each adds, and how to get a program onto it.

An engine turns a program into an `Executable`. Executables count instructions or do not: counting
is part of the code that is built, so it never disturbs what is timed.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from vmlab.checking import check_type
from vmlab.diagnostics import closest
from vmlab.outcome import Limits, Outcome, bind_arguments
from vmlab.program import Number, Program


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed call: `iterations` runs of the program one after the other, which took
    `nanoseconds` together, and the outcome of the last."""

    nanoseconds: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Standalone:
    """A program on an engine, to be made an executable file of its own.

    object_code  the machine code that the engine runs
    source       a `main` for it in C: it runs the program as often as its argument says, and
                 prints what came of the last run
    read         makes an outcome of what `main` printed; raises ValueError where it is none
    """

    object_code: bytes
    source: str
    read: Callable[[str], Outcome]


class Executable(ABC):
    """A program, ready to run on one engine. One thread at a time may run it.

    compile_seconds  what it took to make it from the program, or to load it from the cache
    from_cache       whether any compiled code came from the disk cache
    back_edges       backward jumps taken by the last counting call; None without counting
    """

    compile_seconds: float = 0.0
    from_cache: bool = False
    back_edges: int | None = None

    @abstractmethod
    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        """Run `main` `iterations` times on the calling thread, without the GIL where the engine
        is native. A run that traps is the last. `limits.timeout` is not looked at: see
        `vmlab.supervise`."""

    @abstractmethod
    def interrupt(self) -> None:
        """Make the running call trap `interrupted` at its next safepoint. Any thread may do so."""

    def relocate(self) -> bool:
        """Move the machine code to another place in memory, drawn at random, and an interpreter's
        handlers into another order; the next call has its data at another place, too. Without
        machine code of its own, do nothing. Not while a call runs. Returns whether it moved."""
        return False

    def machine_code(self) -> str | None:
        """The assembly text of the code that runs; None where the engine makes none."""
        return None

    def ir(self) -> str | None:
        """The LLVM IR of the code that runs, optimised; None where the engine makes none."""
        return None

    def functions(self) -> dict[str, range]:
        """By name, the addresses at which the functions of its machine code lie now; none where
        that is not known."""
        return {}

    def listing(self) -> str | None:
        """The program as the engine reads it, for people; None where that is the stack code."""
        return None

    def standalone(self) -> Standalone:
        """The program with the arguments and limits of the last call, as an executable of its own.
        Raises `EngineUnavailable` where the engine can make none."""
        raise EngineUnavailable("it makes no machine code of its own")

    def output_from(self, start: int) -> tuple[Number, ...]:
        """What the running call has printed up to now, from the value `start` on. Any thread may
        look."""
        return ()


class EngineUnavailable(Exception):
    """This engine cannot run this program here; the message says why, for the user."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A row of the registry.

    name    as on the command line
    adds    the mechanism it adds to the engine that `beside` names
    beside  the engine it differs from by that mechanism; None for the first
    make    "module:function", called with (program, counting, *parts) to build an `Executable`
    parts   what a composed engine is composed of: its base, and what is added to that
    """

    name: str
    adds: str
    beside: str | None
    make: str
    parts: tuple[str, ...] = ()

    def build(self, program: Program, *, counting: bool, workers: int = 1) -> Executable:
        """Make the program executable, by so many workers. Raises `EngineUnavailable`."""
        module, function = self.make.split(":")
        maker: Callable[..., Executable] = getattr(importlib.import_module(module), function)
        if workers == 1:
            return maker(program, counting, *self.parts)
        if self.parts not in PARALLEL:
            raise EngineUnavailable(
                "it has one worker: several need compiled code whose values are raw, as"
                " 'inlined' and 'template' have it"
            )
        return maker(program, counting, *self.parts, workers=workers)


def _composed(name: str, adds: str, beside: str | None, *parts: str) -> Engine:
    return Engine(name, adds, beside, "vmlab.kernels.compose:compose", parts)


REPLICAS = 16  # handlers an instruction, on engines that are `replicated`

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        _composed("inlined", "nothing: one compiled unit, values in SSA", None, "inlined"),
        _composed("template", "the operand stack in memory", "inlined", "template"),
        _composed("threaded", "dispatch, a jump in every handler", "template", "threaded"),
        _composed("switch", "dispatch through one shared jump", "threaded", "switch"),
        _composed("tagged", "a type tag beside every value, checked", "switch",
                  "switch", "tagged"),
        _composed("boxed", "values in heap cells, references counted", "tagged",
                  "switch", "boxed"),
        _composed("late", "names looked up by hash at every access", "boxed",
                  "switch", "boxed", "late"),
        Engine("cpython", "the same program as Python on the real CPython", "late",
               "vmlab.cpython.executable:cpython"),
        Engine("subroutine", "a call and a return an instruction", "template",
               "vmlab.kernels.subroutine:subroutine"),
        _composed("cached", "the top of the stack in a register", "switch", "switch", "cached"),
        _composed("register", "three-address code instead of a stack's", "switch",
                  "switch", "register"),
        _composed("super", "frequent sequences as one instruction", "switch",
                  "switch", "super"),
        _composed("quickened", "instructions that rewrite themselves for the types seen", "tagged",
                  "switch", "tagged", "quickened"),
        _composed("direct", "handlers' addresses in the code, in place of opcodes", "threaded",
                  "threaded", "direct"),
        _composed("replicated", f"{REPLICAS} handlers an instruction, used in turn", "threaded",
                  "threaded", "replicated"),
        Engine("textbook", "control: plain Numba, written by hand", "switch",
               "vmlab.kernels.textbook:textbook"),
        Engine("reference", "oracle: plain Python, for reading", None,
               "vmlab.reference:reference"),
    )
}  # fmt: skip

# The parts of the engines on which several workers can run the tasks of a program.
PARALLEL = (("inlined",), ("template",))

# What can be added to a base, apart from the ladder: a way to represent values, and late names.
BASES = ("inlined", "template", "threaded", "switch")
REPRESENTATIONS = {
    "tagged": "a type tag beside every value, checked",
    "boxed": "values in heap cells with tags checked, references counted",
    "cells": "values in heap cells, references counted, types not checked",
}
LATE = {"late": "names looked up by hash at every access"}
# To compiled code alone: another way to switch from task to task,
COMPILED = ("inlined", "template")
SWITCHES = {"stackful": "a machine stack for each task, in place of frames of coroutines"}
# And to an interpreter alone: what a runtime with tasks and a collector may do besides,
INTERPRETERS = ("threaded", "switch")
POLICIES = {
    "copy": "one stack for all tasks, copied out and in at every switch",
    "barrier": "a card marked at every store of a reference outside of the running stack",
}
# or a technique that buys some of the time back.
TECHNIQUES = {
    "cached": "the top of the stack in a register",
    "register": "three-address code instead of a stack's",
    "super": "frequent sequences as one instruction",
    "quickened": "instructions that rewrite themselves for the types and names seen",
}
# or another way from handler to handler, whatever they do.
DISPATCH = {
    "direct": "handlers' addresses in the code, in place of opcodes",
    "replicated": f"{REPLICAS} handlers an instruction, used in turn",
}
PARTS = REPRESENTATIONS | LATE | SWITCHES | POLICIES | TECHNIQUES | DISPATCH

# The engines that add a mechanism each to the one before; the others stand beside the ladder.
LADDER = (*BASES, "tagged", "boxed", "late")

# What `compare` times unless told otherwise: the ladder, its far end, and the control.
COMPARED = (*LADDER, "cpython", "textbook")

# Names for several engines, wherever engines are named. `published` are those that `publish`
# times: the reference is for checking, not for timing.
GROUPS = {
    "ladder": LADDER,
    "techniques": tuple(name for name in ENGINES if name not in (*COMPARED, "reference")),
    "published": (
        *(name for name in ENGINES if name != "reference"),
        *(f"threaded+{part}" for part in ("tagged", *TECHNIQUES)),
        "switch+replicated",
    ),
}


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """The engines that these names of engines and groups stand for, each once. Raises as `find`
    does."""
    return tuple(dict.fromkeys(engine for name in names for engine in _members(name)))


def _members(name: str) -> tuple[str, ...]:
    check_type("engine", name, str, "the name of one, such as 'switch'")
    return GROUPS[name] if name in GROUPS else (find(name, GROUPS).name,)


def find(name: str, groups: Collection[str] = ()) -> Engine:
    """The engine of this name: one of `ENGINES`, or a composition such as `template+boxed+late`.
    Raises TypeError or ValueError, with a message for the user; `groups` might be meant, too."""
    check_type("engine", name, str, "the name of one, such as 'switch'")
    if name in ENGINES:
        return ENGINES[name]
    base, *parts = name.split("+")
    if parts and base in BASES:
        return _composition(name, base, parts)
    if parts and base in ENGINES:
        composed = ENGINES[base].parts
        spelt = f"; '{base}' is '{'+'.join(composed)}', and can be spelt so" if composed else ""
        raise ValueError(f"'{name}': parts can be added to {', '.join(BASES)}{spelt}")
    if base in PARTS:
        raise ValueError(
            f"'{name}': '{base}' is no engine, but can be added to one: '{bases(base)[0]}+{name}'"
        )
    if name in GROUPS:
        raise ValueError(f"'{name}' is a group of engines; name one: {', '.join(GROUPS[name])}")
    known = [*ENGINES, *groups]
    meant = closest(base, BASES if parts else known)
    hint = f"; did you mean '{'+'.join([meant, *map(str.strip, parts)])}'?" if meant else ""
    raise ValueError(f"no engine is called '{name}'{hint} (there are: {', '.join(known)})")


def bases(part: str) -> tuple[str, ...]:
    """What this part can be added to."""
    if part in SWITCHES:
        return COMPILED
    if part == "direct":
        return ("threaded",)  # a switch needs opcodes
    return INTERPRETERS if part in POLICIES | TECHNIQUES | DISPATCH else BASES[1:]


def _composition(name: str, base: str, parts: list[str]) -> Engine:
    for part in parts:
        if part not in PARTS:
            meant = closest(part, PARTS)
            hint = f"; did you mean '{meant}'?" if meant else ""
            raise ValueError(
                f"'{name}': '{part}' cannot be added to an engine{hint}"
                f" (there are: {', '.join(PARTS)})"
            )
    for part in parts:
        # Why `inlined` has no other values and names is for the engine to say.
        if part not in REPRESENTATIONS | LATE and base not in bases(part):
            raise ValueError(f"'{name}': '{part}' can be added to {' and '.join(bases(part))} only")
    representations = [part for part in parts if part in REPRESENTATIONS]
    if len(representations) > 1 or len(set(parts)) < len(parts):
        raise ValueError(
            f"'{name}': an engine has one of {', '.join(REPRESENTATIONS)},"
            " and every other part once"
        )
    adds = "; ".join(PARTS[part] for part in parts)
    return _composed(name, adds, base, base, *sorted(parts, key=list(PARTS).index))


def run(
    program: Program, engine: str, args: dict[str, Number], limits: Limits | None = None
) -> Outcome:
    """Run `main` once, counting instructions, and watch over it: Ctrl-C and `limits.timeout` end
    it with the trap `interrupted`. Raises TypeError or ValueError on bad arguments or an unknown
    engine, `EngineUnavailable` where the engine cannot run this program."""
    from vmlab.supervise import supervised

    chosen = find(engine)
    values = bind_arguments(program, args)
    executable = chosen.build(program, counting=True)
    return supervised(executable, values, limits or Limits()).outcome
