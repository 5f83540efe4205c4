"""The program as the interpreters read it: 64-bit words, an opcode and then its operands.

The opcodes are `HANDLERS`, derived from the instruction table. A jump is encoded by its direction,
since a backward jump is a safepoint, and a return by whether it has a value, so that no handler
has to find out.
"""

import struct
from array import array
from dataclasses import dataclass

from vmlab.isa import VARIANTS, Flow, Operand, Variant
from vmlab.kernels.callgraph import CallGraph, stack_words
from vmlab.kernels.context import FRAME_RECORD_WORDS, Region
from vmlab.kernels.executable import Needs
from vmlab.outcome import Place
from vmlab.program import Instruction, Program

HALT = "halt"  # the opcode that main returns to; it is not an instruction and does not count

# How many words stand behind the opcode. A call has its target, the number of its arguments, and
# the number of locals to clear.
OPERAND_WORDS = {
    None: 0,
    Operand.LITERAL: 1,
    Operand.LOCAL: 1,
    Operand.GLOBAL: 1,
    Operand.LABEL: 1,
    Operand.FUNCTION: 3,
    Operand.ELEMENT: 0,  # arrays of zeros look alike
}


@dataclass(frozen=True)
class Handler:
    """What interprets one variant of an instruction in one circumstance."""

    name: str
    variant: Variant | None
    backward: bool = False  # a jump to itself or to an instruction before it
    has_value: bool = False  # a return with a result

    @property
    def words(self) -> int:
        return 1 + (OPERAND_WORDS[self.variant.opcode.operand] if self.variant else 0)


def _handlers():
    yield Handler(HALT, None)
    for variant in VARIANTS.values():
        if variant.opcode.operand is Operand.LABEL:
            yield Handler(variant.name, variant)
            yield Handler(f"{variant.name}.backward", variant, backward=True)
        elif variant.opcode.flow is Flow.RETURN:
            yield Handler(variant.name, variant)
            yield Handler(f"{variant.name}.value", variant, has_value=True)
        else:
            yield Handler(variant.name, variant)


HANDLERS: dict[str, Handler] = {handler.name: handler for handler in _handlers()}
OPCODE: dict[str, int] = {name: code for code, name in enumerate(HANDLERS)}


@dataclass(frozen=True)
class Encoded:
    """`words` with `halt` first; `places[w]` is the instruction that the word w belongs to, None
    for `halt`; `entry` is where main starts."""

    words: list[int]
    places: list[Place | None]
    entry: int

    def region(self) -> Region:
        """A copy of the words for a program to run from."""
        region = Region(len(self.words), "the encoded program")
        region.words[: len(self.words)] = array("q", self.words)
        return region

    def call_chain(self, pc: int, return_pcs: list[int]) -> tuple[Place, ...]:
        """The places of a trap at word `pc`, under the frame records with these return pcs, the
        oldest first: main's, which returns to `halt`."""
        # The word before a return pc belongs to the call.
        calls = [self.places[return_pc - 1] for return_pc in reversed(return_pcs[1:])]
        return (self.places[pc], *calls)


def interpreter_needs(program: Program, graph: CallGraph, max_depth: int) -> Needs:
    """What an interpreter of encoded programs needs to run this one."""
    return Needs(
        stack=stack_words(program, graph, max_depth), frames=FRAME_RECORD_WORDS * max_depth
    )


def encode(program: Program) -> Encoded:
    handlers = [
        [
            _handler(program, f, i, variant, instruction)
            for i, (variant, instruction) in enumerate(
                zip(program.stack_maps[f].variants, function.code, strict=True)
            )
        ]
        for f, function in enumerate(program.functions)
    ]
    starts, at = [], HANDLERS[HALT].words
    for row in handlers:
        offsets = []
        for handler in row:
            offsets.append(at)
            at += handler.words
        starts.append(offsets)
    words: list[int] = [OPCODE[HALT]]
    places: list[Place | None] = [None]
    for f, function in enumerate(program.functions):
        for i, instruction in enumerate(function.code):
            operands = _operands(program, starts, f, i, instruction)
            words += [OPCODE[handlers[f][i].name], *operands]
            places += [Place(f, i)] * (1 + len(operands))
    return Encoded(words, places, starts[program.main_index][0])


def _handler(program, function, index, variant, instruction) -> Handler:
    flow = instruction.opcode.flow
    suffix = ""
    if instruction.opcode.operand is Operand.LABEL and instruction.target <= index:
        suffix = ".backward"
    elif flow is Flow.RETURN and program.functions[function].result:
        suffix = ".value"
    return HANDLERS[variant.name + suffix]


def _operands(program, starts, function, index, instruction: Instruction) -> list[int]:
    """Targets are distances in words from the instruction's own first word."""
    here = starts[function][index]
    match instruction.opcode.operand:
        case Operand.LITERAL:
            return [bits(instruction.operand)]
        case Operand.LOCAL | Operand.GLOBAL:
            return [instruction.target]
        case Operand.LABEL:
            return [starts[function][instruction.target] - here]
        case Operand.FUNCTION:
            callee = program.functions[instruction.target]
            return [
                starts[instruction.target][0] - here,
                len(callee.params),
                len(callee.locals),
            ]
    return []


def bits(value) -> int:
    """A number as the word that holds it, read as a signed integer."""
    if isinstance(value, float):
        return struct.unpack("<q", struct.pack("<d", value))[0]
    return value
