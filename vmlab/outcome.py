"""What a run may use, and what came of it: the same data from every engine."""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from types import NoneType

from vmlab.checking import check_type
from vmlab.diagnostics import a
from vmlab.isa import INT_MAX, Trap, Type
from vmlab.program import Number, Program

DEFAULT_MAX_DEPTH = 10_000
DEFAULT_MAX_HEAP = 1 << 30
DEFAULT_MAX_OUTPUT = 1_000_000

# Of the tasks in a deadlock, so many are told of.
SHOWN_WAITERS = 10

# Of the launches that led to a task, so many are told of: a million would take longer to read than
# an interruption may.
MAX_LAUNCHES = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use; beyond it a program traps. Raises ValueError where a number is not a
    limit: all fit in 64 bits, none is negative, and `main` itself needs a frame; TypeError where
    it is no number.

    max_depth   frames alive at once in a task, its first included
    max_heap    bytes of arrays, channels and tasks; what they cost is in `vmlab.isa`
    max_output  printed values
    fuel        executed instructions; None: any number
    timeout     seconds; None: any time
    """

    max_depth: int = DEFAULT_MAX_DEPTH
    max_heap: int = DEFAULT_MAX_HEAP
    max_output: int = DEFAULT_MAX_OUTPUT
    fuel: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        for name, least, most in (
            ("max_depth", 1, INT_MAX),
            ("max_heap", 0, INT_MAX),
            ("max_output", 0, INT_MAX),
            ("fuel", 0, INT_MAX),
            ("timeout", 0, threading.TIMEOUT_MAX),
        ):
            value = getattr(self, name)
            kinds = (int, float, NoneType) if name == "timeout" else (int, NoneType)
            check_type(name, value, kinds, "seconds" if name == "timeout" else "an int")
            if value is not None and not least <= value <= most:
                raise ValueError(f"{name} is from {least} to {most}, not {value}")


@dataclass(frozen=True, slots=True)
class Place:
    """An instruction: the indices of its function and of itself therein."""

    function: int
    instruction: int


@dataclass(frozen=True, slots=True)
class Waiter:
    """A task that waits for ever.

    task    its number, in the order of launch; 0 is `main`
    place   the instruction it waits at: a `join`, a `send` or a `recv`
    number  of the task or channel that it waits for, in the order of launch or of creation
    origin  where that was launched or made
    """

    task: int
    place: Place
    number: int
    origin: Place


@dataclass(frozen=True, slots=True)
class Deadlock:
    """All tasks wait: `count` of them. `waiters` are the first `SHOWN_WAITERS` by number."""

    count: int
    waiters: tuple[Waiter, ...]


@dataclass(frozen=True, slots=True)
class TrapReport:
    """A trap and how it came about.

    chain     the trapping instruction first, then the calls that led there; in a deadlock those
              of `main`
    launches  of a trap in a task: the `spawn` that launched it, the one that launched the task
              that did so, and so on, `MAX_LAUNCHES` at most
    deadlock  who waits for what, if that is the trap
    """

    trap: Trap
    chain: tuple[Place, ...]
    launches: tuple[Place, ...] = ()
    deadlock: Deadlock | None = None

    @property
    def place(self) -> Place:
        return self.chain[0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of `main` did.

    result        what `main` returned; None if it returns nothing or a trap ended the program
    output        the printed values, in order
    trap          None if the program ran to its end
    instructions  executed VM instructions, the trapping one included; None if the engine ran
                  without counting
    """

    result: Number | None
    output: tuple[Number, ...]
    trap: TrapReport | None
    instructions: int | None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or a timeout has ended it."""
        return self.trap is not None and self.trap.trap is Trap.INTERRUPTED

    def differences(self, other: Outcome) -> list[str]:
        """What differs between two outcomes, by field name. Floats are compared bit by bit, but
        one NaN equals another; counts only where both sides counted; where an interruption
        struck, by its trap alone, since it may strike anywhere."""
        names = []
        if self.interrupted:
            return [] if other.interrupted else ["trap"]
        if not same_value(self.result, other.result):
            names.append("result")
        if len(self.output) != len(other.output) or not all(
            map(same_value, self.output, other.output)
        ):
            names.append("output")
        mine, its = self.trap, other.trap
        if (mine and mine.trap) != (its and its.trap):
            names.append("trap")
        elif mine != its:
            names.append("place")
        counted = None not in (self.instructions, other.instructions)
        if counted and self.instructions != other.instructions:
            names.append("instructions")
        return names


def same_value(a: Number | None, b: Number | None) -> bool:
    """Of one type and equal; floats bit by bit, but one NaN equals another."""
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))
    return type(a) is type(b) and a == b


def format_number(value: Number) -> str:
    """A value as `print` puts it out: ints in decimal, floats in their shortest form that reads
    back as the same float."""
    return repr(value)


def bind_arguments(program: Program, given: Mapping[str, Number]) -> tuple[Number, ...]:
    """`main`'s arguments by name, defaults filled in.

    Raises TypeError if one of the two is something else, and ValueError, with a message for the
    user, on a name that `main` does not have, a parameter left out that has no default, or a value
    not of the parameter's type."""
    check_type("program", program, Program, "what vmlab.load(NAME) or vmlab.assemble(TEXT) returns")
    check_type("args", given, Mapping, "a dict of main's arguments, such as {'n': 35}")
    params = {p.name: p for p in program.main.params}
    for name in given:
        if name not in params:
            has = ", ".join(f"{p.name}: {p.type}" for p in params.values()) or "no parameters"
            raise ValueError(f"main has no parameter '{name}' (it has {has})")
    values = []
    for name, param in params.items():
        value = given.get(name, param.value)
        if value is None:
            raise ValueError(
                f"main's parameter '{name}: {param.type}' has no default; give a value"
            )
        values.append(_checked(name, param.type, value))
    return tuple(values)


def _checked(name: str, type_: Type, value: Number) -> Number:
    kind = Real if type_ is Type.FLOAT else int
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ValueError(f"main's parameter '{name}' is {a(type_)}, not {value!r}")
    if type_ is Type.FLOAT:
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"main's parameter '{name}': no float is so large") from None
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"main's parameter '{name}': {value} does not fit in 64 bits")
    return value
