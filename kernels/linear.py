"""What the values in a loop are as functions of its counter, as far as these are linear.

Symbolic execution of straight-line code, whose values are linear functions or unknown. Their
coefficients are expressions over what the loop leaves alone, to be computed before it.
"""

from dataclasses import dataclass
from typing import NamedTuple

from vmlab.isa import INT_MIN, LETTERS, Type

# The most loads and operations in an expression.
MAX_TERM = 32


class Loaded(NamedTuple):
    """What a `load` or a `gload` finds in this local or global."""

    opcode: str
    operand: int
    type: Type
    size: int = 1


class Computed(NamedTuple):
    """What a variant of an instruction makes of these operands."""

    variant: str
    operands: tuple
    size: int


# An expression over what the loop leaves alone.
Term = int | Loaded | Computed


@dataclass(frozen=True)
class Linear:
    """The function `base + slope * counter`, modulo 2**64."""

    base: Term
    slope: Term = 0


COUNTER = Linear(0, 1)


def is_pure(opcode) -> bool:
    """Whether the instruction does nothing but compute a value from operands."""
    pure = opcode.group in ("arithmetic", "integers", "comparison") and not opcode.traps
    return pure or opcode.name == "len"


class Path:
    """Code of a function from one place on, along no jumps. At the start the counter is itself;
    locals and globals among the `changed`, pairs of opcode and operand, are unknown, and so is
    what lies on the stack."""

    def __init__(self, program, index, changed, counter):
        self._globals = program.globals
        self._function = program.functions[index]
        self._variants = program.stack_maps[index].variants
        self._changed = changed
        self._locals = {counter: COUNTER}
        self.stack = []

    def step(self, at) -> list[Linear | None]:
        """Execute an instruction; the operands that it popped."""
        instruction, variant = self._function.code[at], self._variants[at]
        pops, pushes = variant.effect.pops, variant.effect.pushes
        operands = [self.stack.pop() if self.stack else None for _ in pops][::-1]
        match instruction.opcode.name:
            case "push":
                literal = instruction.operand
                results = [Linear(literal) if isinstance(literal, int) else None]
            case "load" | "gload" as opcode:
                results = [self._load(opcode, instruction.target)]
            case "store":
                results = []
                self._locals[instruction.target] = operands[0]
            case _ if is_pure(instruction.opcode):
                results = [_compute(variant.name, operands)]
            case _:
                known = dict(zip(pops, operands, strict=True))
                results = [known[word] if word in LETTERS else None for word in pushes]
        self.stack += results
        return operands

    def local(self, slot) -> Linear | None:
        return self._load("load", slot)

    def _load(self, opcode, operand):
        if opcode == "load" and operand in self._locals:
            return self._locals[operand]
        variables = self._function.slots if opcode == "load" else self._globals
        type_ = variables[operand].type
        if (opcode, operand) in self._changed or type_ is Type.FLOAT:
            return None
        return Linear(Loaded(opcode, operand, type_))


def _compute(variant, operands) -> Linear | None:
    if None in operands:
        return None
    bases = [operand.base for operand in operands]
    slopes = [operand.slope for operand in operands]
    if not any(slopes):
        base, slope = computed(variant, *bases), 0
    elif variant in ("add.int", "sub.int"):
        base, slope = computed(variant, *bases), computed(variant, *slopes)
    elif variant == "mul.int" and 0 in slopes:
        base = computed(variant, *bases)
        [factor] = [operand.base for operand in operands if operand.slope == 0]
        [slope] = [computed(variant, slope, factor) for slope in slopes if slope != 0]
    else:
        return None
    return None if base is None or slope is None else Linear(base, slope)


def computed(variant, *operands) -> Term | None:
    """The expression; simplified, as far as that tells whether a slope is a number. None if it is
    too large."""
    match variant, operands:
        case "add.int", (int(a), int(b)):
            return _wrap(a + b)
        case "sub.int", (int(a), int(b)):
            return _wrap(a - b)
        case "mul.int", (int(a), int(b)):
            return _wrap(a * b)
        case ("add.int" | "sub.int", (a, 0)) | ("add.int", (0, a)):
            return a
        case ("mul.int", (a, 1)) | ("mul.int", (1, a)):
            return a
        case "mul.int", _ if 0 in operands:
            return 0
    size = 1 + sum(operand.size for operand in operands if not isinstance(operand, int))
    return Computed(variant, operands, size) if size <= MAX_TERM else None


def _wrap(number):
    return (number - INT_MIN) % 2**64 + INT_MIN
