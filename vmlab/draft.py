"""A function as the first pass leaves it: read line by line, its names not yet resolved."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmlab import syntax
from vmlab.isa import OPCODES, Flow, Type
from vmlab.program import Variable
from vmlab.syntax import Token

# That a declaration without a name may be of any name.
ANY_NAME = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A local or global: its index, its name where it is declared, and its type."""

    index: int
    name: Token
    type: Type


@dataclass(slots=True)
class Draft:
    """A function as it is read.

    slots        parameters and locals by name
    ops          the instructions; a token stands for something of which nothing is known
    labels       the index of the instruction below each, and its name where it stands
    well_formed  the shape of its header: parameters and result are those that were meant
    doubtful     names of locals and labels that may exist, or may be of another type or at
                 another place, since a line could not be read, or there are several of the name;
                 ANY_NAME stands for all that do not exist
    end          its `end`; one that may not have been meant as its end is among the ops
    end_missing  that it has none need not be reported any more
    headless     stands for the function that lines outside of any were meant for: nothing is
                 known of it, neither what is before them nor what is behind
    """

    name: Token
    params: list[Variable] = field(default_factory=list)
    locals: list[Variable] = field(default_factory=list)
    slots: dict[str, Slot] = field(default_factory=dict)
    result: Type | None = None
    ops: list[syntax.Op | Token] = field(default_factory=list)
    labels: dict[str, tuple[int, Token]] = field(default_factory=dict)
    well_formed: bool = True
    doubtful: set[str] = field(default_factory=set)
    end: Token | None = None
    end_missing: bool = False
    headless: bool = False

    @property
    def signature(self) -> tuple[list[Type], Type | None]:
        return [param.type for param in self.params], self.result

    @property
    def goes_on(self) -> bool:
        """Whether the next instruction can be reached from the last."""
        last = self.ops[-1] if self.ops else None
        opcode = OPCODES.get(last.tokens[0].text) if isinstance(last, syntax.Op) else None
        return opcode is None or opcode.flow not in (Flow.RETURN, Flow.JUMP)
