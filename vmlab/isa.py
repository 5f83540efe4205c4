"""The instruction set: one table. Everything else about instructions is derived from it.

A row gives an instruction's name, its operand, its stack effects and its meaning. An instruction
with several stack effects is *generic*: the verifier decides once, before the program runs, which
of them applies. Each (instruction, stack effect) pair is a `Variant`, the unit that engines
implement.

Stack effects read like Forth's, the right end is the top: `int int -- int`. The words are value
types, or one of these:

    T        the type the operand names (of the local, of the global, of the literal, of elements);
             also within the name of a type, as in `T[]`
    A B C    any type, the same wherever the letter stands
    args     one value per parameter of the function that the operand names
    result   the result of that function (for `ret`: of the enclosing one), or nothing;
             `task[result]` is the type of a task with that result
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property


class Type(enum.StrEnum):
    """The type of a value. Those that are no numbers are references: to an array's elements, to a
    task, to a channel."""

    INT = "int"
    FLOAT = "float"
    INT_ARRAY = "int[]"
    FLOAT_ARRAY = "float[]"
    TASK = "task"
    INT_TASK = "task[int]"
    FLOAT_TASK = "task[float]"
    INT_CHANNEL = "chan[int]"
    FLOAT_CHANNEL = "chan[float]"

    @property
    def is_number(self) -> bool:
        return self in (Type.INT, Type.FLOAT)

    @classmethod
    def of(cls, word: str, element: Type) -> Type:
        """The type that a word of a stack effect means where T is `element`: `chan[T]` is
        `chan[int]`, say."""
        return cls(word.replace("T", element))


# The type of a task by the result of its function. Functions with other results cannot be spawned.
TASKS: dict[Type | None, Type] = {
    None: Type.TASK,
    Type.INT: Type.INT_TASK,
    Type.FLOAT: Type.FLOAT_TASK,
}


class Operand(enum.StrEnum):
    """What stands behind an instruction's name, and what it becomes in a `Program`."""

    LITERAL = "literal"  # an int or a float
    LOCAL = "local"  # the slot's index: parameters first, then locals
    GLOBAL = "global"  # the global's index
    LABEL = "label"  # the index of the target instruction in its function
    FUNCTION = "function"  # the function's index
    ELEMENT = "element type"  # Type.INT or Type.FLOAT


class Trap(enum.StrEnum):
    """Why a program stopped before its end. The number that native code uses is the position."""

    DIVIDE_BY_ZERO = "divide_by_zero"
    INTEGER_OVERFLOW = "integer_overflow"
    INDEX_OUT_OF_RANGE = "index_out_of_range"
    NEGATIVE_LENGTH = "negative_length"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT_EXCEEDED = "output_limit_exceeded"
    CALL_DEPTH_EXCEEDED = "call_depth_exceeded"
    SEND_ON_CLOSED = "send_on_closed"
    DEADLOCK = "deadlock"
    OUT_OF_FUEL = "out_of_fuel"
    INTERRUPTED = "interrupted"

    @cached_property
    def code(self) -> int:
        """The number of this trap in native code; 0 means none."""
        return 1 + list(Trap).index(self)


TRAPS_BY_CODE: dict[int, Trap] = {trap.code: trap for trap in Trap}


class Flow(enum.Enum):
    """Where control goes after an instruction."""

    NEXT = enum.auto()
    JUMP = enum.auto()  # to the operand
    BRANCH = enum.auto()  # to the operand or to the next instruction
    CALL = enum.auto()  # into the operand, then to the next instruction
    RETURN = enum.auto()
    SPAWN = enum.auto()  # to the next instruction, while the operand waits for its turn
    SWITCH = enum.auto()  # to the next instruction; before that, perhaps, other tasks go on


# The words of a stack effect that stand for any type.
LETTERS = frozenset("ABC")


@dataclass(frozen=True, slots=True)
class Effect:
    """A stack effect: the words popped and pushed, the top last."""

    pops: tuple[str, ...]
    pushes: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Effect:
        pops, pushes = text.split("--")
        return cls(tuple(pops.split()), tuple(pushes.split()))

    def __str__(self) -> str:
        return " ".join((*self.pops, "--", *self.pushes))


@dataclass(frozen=True, slots=True)
class Variant:
    """One instruction with one of its stack effects: `add.int`, `add.float`, `jmp`."""

    name: str
    opcode: Opcode
    effect: Effect

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, eq=False)
class Opcode:
    """A row of the table."""

    name: str
    group: str
    operand: Operand | None
    effects: tuple[Effect, ...]
    meaning: str
    traps: tuple[Trap, ...]
    flow: Flow

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """One a stack effect; a generic instruction's are named after their first operand."""
        if len(self.effects) == 1:
            return (Variant(self.name, self, self.effects[0]),)
        return tuple(Variant(f"{self.name}.{e.pops[0]}", self, e) for e in self.effects)

    def __repr__(self) -> str:
        return f"<{self.name}>"


_NUMBERS = "int int -- int | float float -- float"
_NUMBER = "int -- int | float -- float"
_INTS = "int int -- int"
_COMPARED = "int int -- int | float float -- int"
_CLOSED = "chan[int] -- | chan[float] --"


def _rows(group: str, *rows: tuple[object, ...]) -> list[Opcode]:
    opcodes = []
    for name, operand, effects, meaning, *rest in rows:
        flow = next((r for r in rest if isinstance(r, Flow)), Flow.NEXT)
        traps = tuple(r for r in rest if isinstance(r, Trap))
        parsed = tuple(Effect.parse(e) for e in str(effects).split("|"))
        assert operand is None or isinstance(operand, Operand)
        opcodes.append(Opcode(str(name), group, operand, parsed, str(meaning), traps, flow))
    return opcodes


COROUTINES = "coroutines"  # the group of the instructions that need more than one task

# fmt: off
_TABLE: list[Opcode] = [
    *_rows(
        "constants",
        ("push", Operand.LITERAL, "-- T", "the literal"),
    ),
    *_rows(
        "locals and globals",
        ("load", Operand.LOCAL, "-- T", "the local's value"),
        ("store", Operand.LOCAL, "T --", "the local becomes the value"),
        ("gload", Operand.GLOBAL, "-- T", "the global's value"),
        ("gstore", Operand.GLOBAL, "T --", "the global becomes the value"),
    ),
    *_rows(
        "arithmetic",
        ("add", None, _NUMBERS, "a + b; int wraps"),
        ("sub", None, _NUMBERS, "a - b; int wraps"),
        ("mul", None, _NUMBERS, "a * b; int wraps"),
        ("div", None, _NUMBERS, "a / b; int truncates toward zero",
         Trap.DIVIDE_BY_ZERO, Trap.INTEGER_OVERFLOW),
        ("neg", None, _NUMBER, "-a; int wraps"),
        ("abs", None, _NUMBER, "|a|; int wraps"),
        ("min", None, _NUMBERS, "the smaller; NaN if either is, -0.0 below 0.0"),
        ("max", None, _NUMBERS, "the larger; NaN if either is, -0.0 below 0.0"),
    ),
    *_rows(
        "integers",
        ("rem", None, _INTS, "a - b * trunc(a / b): the sign of a", Trap.DIVIDE_BY_ZERO),
        ("floordiv", None, _INTS, "floor(a / b)",
         Trap.DIVIDE_BY_ZERO, Trap.INTEGER_OVERFLOW),
        ("mod", None, _INTS, "a - b * floor(a / b): the sign of b", Trap.DIVIDE_BY_ZERO),
        ("and", None, _INTS, "a & b, bit by bit"),
        ("or", None, _INTS, "a | b, bit by bit"),
        ("xor", None, _INTS, "a ^ b, bit by bit"),
        ("shl", None, _INTS, "a << (b mod 64), the low 64 bits"),
        ("shr", None, _INTS, "a >> (b mod 64), keeping the sign"),
        ("ushr", None, _INTS, "a >> (b mod 64), filling with zeros"),
        ("not", None, "int -- int", "~a, bit by bit"),
    ),
    *_rows(
        "comparison",
        ("eq", None, _COMPARED, "1 if a == b else 0"),
        ("ne", None, _COMPARED, "1 if a != b else 0; the only one that holds for NaN"),
        ("lt", None, _COMPARED, "1 if a < b else 0"),
        ("le", None, _COMPARED, "1 if a <= b else 0"),
        ("gt", None, _COMPARED, "1 if a > b else 0"),
        ("ge", None, _COMPARED, "1 if a >= b else 0"),
    ),
    *_rows(
        "conversion and float",
        ("float", None, "int -- float", "the nearest float"),
        ("int", None, "float -- int", "toward zero", Trap.INTEGER_OVERFLOW),
        ("sqrt", None, "float -- float", "the square root; NaN below zero"),
        ("floor", None, "float -- float", "the next integral float downwards"),
        ("ceil", None, "float -- float", "the next integral float upwards"),
    ),
    *_rows(
        "stack",
        ("dup", None, "A -- A A", "copies the top"),
        ("pop", None, "A --", "drops the top"),
        ("swap", None, "A B -- B A", "exchanges the top two"),
        ("over", None, "A B -- A B A", "copies the second to the top"),
        ("rot", None, "A B C -- B C A", "brings the third to the top"),
    ),
    *_rows(
        "control",
        ("jmp", Operand.LABEL, "--", "goes to the label", Flow.JUMP),
        ("jz", Operand.LABEL, "int --", "goes to the label if a is 0", Flow.BRANCH),
        ("jnz", Operand.LABEL, "int --", "goes to the label if a is not 0", Flow.BRANCH),
        ("call", Operand.FUNCTION, "args -- result", "runs the function", Flow.CALL,
         Trap.CALL_DEPTH_EXCEEDED, Trap.OUT_OF_MEMORY),
        ("ret", None, "result --", "ends the function with its result", Flow.RETURN),
    ),
    *_rows(
        "arrays",
        ("newarr", Operand.ELEMENT, "int -- T[]", "an array of a zeros",
         Trap.NEGATIVE_LENGTH, Trap.OUT_OF_MEMORY),
        ("aload", None, "int[] int -- int | float[] int -- float", "a[b]",
         Trap.INDEX_OUT_OF_RANGE),
        ("astore", None, "int[] int int -- | float[] int float --", "a[b] becomes c",
         Trap.INDEX_OUT_OF_RANGE),
        ("len", None, "int[] -- int | float[] -- int", "the number of elements"),
    ),
    *_rows(
        "output",
        ("print", None, "int -- | float --", "puts a out, one line a value",
         Trap.OUTPUT_LIMIT_EXCEEDED),
    ),
    *_rows(
        COROUTINES,
        ("spawn", Operand.FUNCTION, "args -- task[result]", "a task that runs the function",
         Flow.SPAWN, Trap.OUT_OF_MEMORY),
        ("join", None, "task -- | task[int] -- int | task[float] -- float",
         "waits for the task's end; its result", Flow.SWITCH, Trap.DEADLOCK),
        ("yield", None, "--", "lets all tasks that are ready go first", Flow.SWITCH),
        ("chan", Operand.ELEMENT, "int -- chan[T]", "a channel that holds a values",
         Trap.NEGATIVE_LENGTH, Trap.OUT_OF_MEMORY),
        ("send", None, "chan[int] int -- | chan[float] float --",
         "puts b into a; waits while there is no room", Flow.SWITCH,
         Trap.SEND_ON_CLOSED, Trap.DEADLOCK),
        ("recv", None, "chan[int] -- int int | chan[float] -- float int",
         "the oldest value and 1, after waiting for it; 0 and 0 from a closed channel",
         Flow.SWITCH, Trap.DEADLOCK),
        ("close", None, _CLOSED, "ends what can be sent", Trap.SEND_ON_CLOSED),
    ),
]
# fmt: on

OPCODES: dict[str, Opcode] = {opcode.name: opcode for opcode in _TABLE}
VARIANTS: dict[str, Variant] = {v.name: v for opcode in _TABLE for v in opcode.variants}

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

# An array costs its elements and one word for its length.
WORD_BYTES = 8
ARRAY_HEADER_WORDS = 1

# A channel costs the values that it can hold, and so many words.
CHANNEL_HEADER_WORDS = 8

# A task costs a record, which stays, and until it has finished also a descriptor and a stack. The
# stack holds slots, operands and a record a frame; once it has needed more than its first words,
# it costs the next power of two of words beside them.
TASK_RECORD_WORDS = 4
TASK_DESCRIPTOR_WORDS = 8
FIRST_STACK_WORDS = 16
FRAME_RECORD_WORDS = 2

# Until it has finished, and all that it costs at first; both beside a larger stack.
LIVE_TASK_WORDS = TASK_DESCRIPTOR_WORDS + FIRST_STACK_WORDS
NEW_TASK_WORDS = TASK_RECORD_WORDS + LIVE_TASK_WORDS


def further_stack_words(needed: int) -> int:
    """What a task's stack costs beside its first words, when it has needed so many."""
    return 0 if needed <= FIRST_STACK_WORDS else 1 << (needed - 1).bit_length()


# The most words that one function's locals and operands may take together.
MAX_FRAME_WORDS = 65_535
