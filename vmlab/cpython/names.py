"""Python names for the names of a program."""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from dataclasses import dataclass, field

from vmlab.cpython import runtime

# Of Python's own functions, those that generated code calls.
_BUILTINS = ("abs", "float", "len", "max", "min")

# What generated code finds beside the program's own globals and functions.
GIVEN = ("ints", "floats", "put", "executed", "back_edges", "fuel", "max_depth", "out_of_fuel")

_RESERVED = frozenset((*keyword.kwlist, "__debug__", *_BUILTINS, *GIVEN, *runtime.__all__))


class Names:
    """Names that nothing else has. A name that is taken gets an underscore."""

    def __init__(self, taken: Iterable[str] = _RESERVED) -> None:
        self.taken = set(taken)

    def new(self, wanted: str) -> str:
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        return wanted


@dataclass(slots=True)
class FunctionNames:
    """How a function and its variables are called. `made` are those that the program lacks."""

    function: str
    slots: list[str]
    globals: list[str]
    functions: list[str]
    unique: Names
    made: dict[str, str] = field(default_factory=dict)

    def of(self, wanted: str) -> str:
        """A variable beside the program's own."""
        if wanted not in self.made:
            self.made[wanted] = self.unique.new(wanted)
        return self.made[wanted]
