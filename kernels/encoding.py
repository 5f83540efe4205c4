"""The program as the interpreters read it: 64-bit words, an opcode and then its operands.

The opcodes are derived from the instruction table. A jump is encoded by its direction, since a
backward jump is a safepoint, and a return by whether it has a value, so that no handler has to
find out.

Where instructions quicken (see `quickening.py`), a program is written in those that do so, and the
running code replaces words of it. Every form of an instruction has as many words.
"""

import struct
from array import array
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, cycle

from vmlab.isa import (
    COROUTINES,
    FRAME_RECORD_WORDS,
    OPCODES,
    TASKS,
    Flow,
    Opcode,
    Operand,
    Type,
    Variant,
    further_stack_words,
)
from vmlab.kernels.barrier import NO_BARRIER, NoBarrier
from vmlab.kernels.callgraph import CallGraph, stack_slots
from vmlab.kernels.context import Region
from vmlab.kernels.executable import Needs
from vmlab.kernels.names import function_name, intern
from vmlab.kernels.values import IMMORTAL, RAW, TAG, Raw
from vmlab.outcome import Place
from vmlab.program import Instruction, Program

# The operands that are names where names are late.
LATE_NAMES = (Operand.GLOBAL, Operand.FUNCTION)

HALT = "halt"  # the opcode that main returns to; it is not an instruction and does not count

# The like for tasks: what functions without and with a result return to that were spawned, and
# what a call goes to that finds no room on the task's stack.
FINISH, FINISH_VALUE, GROW = "finish", "finish.value", "grow"
PSEUDO = HALT, FINISH, FINISH_VALUE, GROW


@dataclass(frozen=True)
class Handler:
    """What interprets an instruction in one circumstance: one variant of it, or all of them where
    the values' types are only found when it runs. `words` counts the opcode in."""

    name: str
    variants: tuple[Variant, ...]
    words: int = 1
    backward: bool = False  # a jump to itself or to an instruction before it
    has_value: bool = False  # a return with a result
    reference: bool = False  # stores a reference, and nobody else could tell
    generic: str | None = None  # what this one, quickened to a variant, goes back to
    bound: bool = False  # quickened: the late name has been replaced by what it means

    @property
    def opcode(self) -> Opcode:
        return self.variants[0].opcode


@dataclass(frozen=True)
class InstructionSet:
    """What is written in words, for values of a representation and names bound or late.
    `quickened` says whether the instructions have forms that they quicken to, `tasks` whether there
    are instructions of coroutines, `barrier` what stores of references do besides."""

    values: Raw
    late: bool
    quickened: bool = False
    tasks: bool = False
    barrier: NoBarrier = NO_BARRIER

    @cached_property
    def handlers(self) -> dict[str, Handler]:
        """By name, in the order of their opcodes."""
        return {handler.name: handler for handler in self._handlers()}

    @cached_property
    def codes(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.handlers)}

    def _handlers(self):
        for name in self.pseudo:
            yield Handler(name, ())
        for opcode in OPCODES.values():
            if opcode.group == COROUTINES and not self.tasks:
                continue
            if self._chosen_by_type(opcode):
                groups = {opcode.name: opcode.variants}
            else:
                groups = {variant.name: (variant,) for variant in opcode.variants}
            for name, variants in groups.items():
                words = 1 + self._operand_words(opcode)
                yield Handler(name, variants, words)
                if opcode.operand is Operand.LABEL:
                    yield Handler(f"{name}.backward", variants, words, backward=True)
                elif opcode.flow is Flow.RETURN:
                    yield Handler(f"{name}.value", variants, words, has_value=True)
                if self._quickens(variants):
                    for variant in variants:
                        yield Handler(typed_form(variant), (variant,), words, generic=name)
                elif self.quickened and self.late and opcode.operand in LATE_NAMES:
                    yield Handler(bound_form(opcode), variants, words, bound=True)
        # Last, so that the others stand where they stand without a barrier: how well the shared
        # jump of a `switch` is predicted depends on where the handlers are.
        for opcode in filter(self._tells_references, OPCODES.values()):
            [variant] = opcode.variants
            words = 1 + self._operand_words(opcode)
            yield Handler(f"{variant.name}.reference", (variant,), words, reference=True)

    def _quickens(self, variants) -> bool:
        """Whether a typed form makes fewer tests than the generic one, which tests each operand,
        for each variant. A single test for a single variant is all that a typed form would do."""
        tests = sum(type_ in TAG for type_ in variants[0].effect.pops)
        return self.quickened and self.values.checked and tests * len(variants) > 1

    def _tells_references(self, opcode) -> bool:
        """Whether a store of a reference is another instruction than one of a number: where it has
        a barrier, and the value itself does not tell."""
        stores = opcode.operand is Operand.GLOBAL and opcode.effects[0].pops
        return bool(stores) and self.barrier.marks and not self.values.typed

    @property
    def pseudo(self) -> tuple[str, ...]:
        """The opcodes that stand before every program."""
        return PSEUDO if self.tasks else (HALT,)

    def _chosen_by_type(self, opcode) -> bool:
        """Whether the variant is only found when the instruction runs. Where variants push more or
        less than others, the stack's depth must be known before."""
        results = {len(variant.effect.pushes) for variant in opcode.variants}
        return self.values.checked and len(results) == 1

    def _operand_words(self, opcode) -> int:
        """A call has its target or the callee's name, and the words of its arguments and of the
        locals to start; with tasks, also the words of the operands that the callee can have. A
        spawn has in their place the words that the task's stack needs beside its first, where its
        function returns to, and the type of the task. A return has the words of the slots whose
        references end."""
        match opcode.operand:
            case Operand.LITERAL:
                return self.values.words
            case Operand.LOCAL | Operand.GLOBAL | Operand.LABEL:
                return 1
            case Operand.FUNCTION if opcode.flow is Flow.SPAWN:
                return 6
            case Operand.FUNCTION:
                return 3 + self.tasks
            case Operand.ELEMENT:
                return int(self.values.typed)  # without types, arrays of zeros look alike
        return int(opcode.flow is Flow.RETURN and self.values.counted)

    def handler(self, program, function, index) -> Handler:
        """What interprets an instruction of a program."""
        instruction = program.functions[function].code[index]
        opcode = instruction.opcode
        variant = program.stack_maps[function].variants[index]
        name = opcode.name if self._chosen_by_type(opcode) else variant.name
        if opcode.operand is Operand.LABEL and instruction.target <= index:
            name += ".backward"
        elif opcode.flow is Flow.RETURN and program.functions[function].result:
            name += ".value"
        elif self._tells_references(opcode):
            type_ = program.globals[instruction.target].type
            name += "" if type_.is_number else ".reference"
        return self.handlers[name]


def typed_form(variant: Variant) -> str:
    """The name of the handler that an instruction with operands of this variant quickens to."""
    return f"{variant.name}.quick"


def bound_form(opcode: Opcode) -> str:
    """The name of the handler that an instruction with a late name quickens to."""
    return f"{opcode.name}.bound"


PLAIN = InstructionSet(RAW, late=False)


@dataclass(frozen=True)
class Encoded:
    """`words` with `halt` first; `places[w]` is the instruction that the word w belongs to, None
    for one that belongs to none; `entry` is where main starts; `functions` is where each starts,
    by its interned name; `opcodes` are the places of the program's opcodes, `others` those of
    the opcodes of no instruction, and those inside of sequences: a call goes there when it has made
    room for its callee. They have one replica."""

    words: list[int]
    places: list[Place | None]
    entry: int
    functions: dict[int, int]
    opcodes: list[int]
    others: list[int]

    def replicated(self, handlers: int, replicas: int) -> "Encoded":
        """With instructions that take the replicas of their handler in turn."""
        words, turns = self.words.copy(), defaultdict(lambda: cycle(range(replicas)))
        for place in self.opcodes:
            words[place] += handlers * next(turns[words[place]])
        return replace(self, words=words)

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


def interpreter_needs(program: Program, graph: CallGraph, max_depth: int, spare: int = 0) -> Needs:
    """What an interpreter of encoded programs needs to run this one, with so many spare slots of
    stack a frame."""
    return Needs(
        stack=stack_slots(program, graph, max_depth, spare), frames=FRAME_RECORD_WORDS * max_depth
    )


def encode(program: Program, instructions: InstructionSet = PLAIN) -> Encoded:
    return _Encoder(program, instructions).encode()


class _Encoder:
    def __init__(self, program, instructions):
        self.program = program
        self.instructions = instructions
        self.values = instructions.values
        self.names = intern(program)
        self.words: list[int] = []
        self.places: list[Place | None] = []
        self.constants: dict[tuple[int, int], list[int]] = {}  # (tag, word): where it is wanted

    def encode(self) -> Encoded:
        handlers = [
            [self.instructions.handler(self.program, f, i) for i in range(len(function.code))]
            for f, function in enumerate(self.program.functions)
        ]
        starts, at = [], len(self.instructions.pseudo)
        for function, row in zip(self.program.functions, handlers, strict=True):
            offsets = []
            at += self._start_words(function)
            for handler in row:
                offsets.append(at)
                at += handler.words
            starts.append(offsets)
        codes = self.instructions.codes
        self._write(None, *(codes[name] for name in self.instructions.pseudo))
        for f, function in enumerate(self.program.functions):
            if self.values.typed:
                for local in function.locals:
                    self._constant(None, local.type, 0)
            for i, instruction in enumerate(function.code):
                place = Place(f, i)
                self._write(place, codes[handlers[f][i].name])
                self._operands(place, starts, instruction)
        self._append_constants()
        functions = {
            self.names[function_name(function)]: offsets[0]
            for function, offsets in zip(self.program.functions, starts, strict=True)
        }
        entry, opcodes = starts[self.program.main_index][0], list(chain.from_iterable(starts))
        others = list(range(len(self.instructions.pseudo)))
        return Encoded(self.words, self.places, entry, functions, opcodes, others)

    def _start_words(self, function):
        """Before a function stand its locals as they start, where zeros would not do."""
        return self.values.words * len(function.locals) if self.values.typed else 0

    def _write(self, place, *words):
        self.words += words
        self.places += [place] * len(words)

    def _operands(self, place, starts, instruction: Instruction):
        """Distances are in words: those of jumps and calls from the instruction's first word."""
        here = starts[place.function][place.instruction]
        values = self.values
        opcode = instruction.opcode
        match opcode.operand:
            case Operand.LITERAL:
                number = instruction.operand
                type_ = Type.FLOAT if isinstance(number, float) else Type.INT
                self._constant(place, type_, bits(number))
            case Operand.LOCAL:
                self._write(place, values.words * instruction.target)
            case Operand.GLOBAL if self.instructions.late:
                self._write(place, self.names[self.program.globals[instruction.target].name])
            case Operand.GLOBAL:
                self._write(place, values.words * instruction.target)
            case Operand.LABEL:
                self._write(place, starts[place.function][instruction.target] - here)
            case Operand.FUNCTION:
                callee = self.program.functions[instruction.target]
                target = starts[instruction.target][0] - here
                if self.instructions.late:
                    target = self.names[function_name(callee)]
                slots = len(callee.params), len(callee.locals)
                self._write(place, target, *(values.words * count for count in slots))
                if self.instructions.tasks:
                    self._task_operands(place, opcode, instruction.target)
            case Operand.ELEMENT if values.typed:
                [made] = opcode.effects[0].pushes
                self._write(place, TAG[Type.of(made, instruction.operand)])
        if opcode.flow is Flow.RETURN and values.counted:
            slots = self.program.functions[place.function].slots
            self._write(place, values.words * len(slots))

    def _task_operands(self, place, opcode, index):
        callee, deepest = self.program.functions[index], self.program.stack_maps[index].max_depth
        if opcode.flow is Flow.CALL:
            self._write(place, self.values.words * deepest)
            return
        further = further_stack_words(self.program.frame_words(index))
        finish = self.instructions.pseudo.index(FINISH_VALUE if callee.result else FINISH)
        self._write(place, further, finish, TAG[TASKS[callee.result]])

    def _constant(self, place, type_, word):
        if self.values.counted:
            self.constants.setdefault((TAG[type_], word), []).append(len(self.words))
            self._write(place, 0)
        elif self.values.typed:
            self._write(place, TAG[type_], word)
        else:
            self._write(place, word)

    def _append_constants(self):
        """The cells of constants stand behind the code, and where one is wanted stands its
        distance from there."""
        for (tag, word), uses in self.constants.items():
            for use in uses:
                self.words[use] = len(self.words) - use
            self._write(None, IMMORTAL, tag, word)


def bits(value) -> int:
    """A number as the word that holds it, read as a signed integer."""
    if isinstance(value, float):
        return struct.unpack("<q", struct.pack("<d", value))[0]
    return value
