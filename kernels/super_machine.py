"""The interpreters with superinstructions: one dispatch for a whole sequence, and what one of its
instructions pushes for the next stays out of memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from vmlab.blocks import basic_blocks
from vmlab.disassembler import instruction_texts
from vmlab.isa import Flow
from vmlab.kernels.encoding import HALT, Encoded, Handler, InstructionSet, encode
from vmlab.kernels.interpreter import HandlerEmitter, InterpreterExecutable
from vmlab.kernels.superinstructions import Joint, chosen, join
from vmlab.kernels.values import RAW
from vmlab.outcome import Place
from vmlab.program import Program


@dataclass(frozen=True)
class SuperHandler:
    """What interprets the instructions of these handlers, one after the other."""

    name: str
    parts: tuple[Handler, ...]


@dataclass(frozen=True)
class SuperInstructionSet(InstructionSet):
    """The instructions as they are, and the superinstructions behind them."""

    @cached_property
    def joints(self) -> list[Joint]:
        return chosen()

    def _handlers(self):
        plain = {handler.name: handler for handler in super()._handlers()}
        yield from plain.values()
        for joint in self.joints:
            *front, last = joint.first + joint.second
            if not plain.keys() >= set(front):
                continue  # what only programs with tasks have
            # Of a jump and a return there is a handler for each circumstance.
            for kind in (last, f"{last}.backward", f"{last}.value"):
                if kind in plain:
                    parts = tuple(plain[name] for name in (*front, kind))
                    yield SuperHandler("+".join(part.name for part in parts), parts)

    def blocks(self, program: Program) -> Iterator[tuple[Place, list[list[Handler]]]]:
        """Where each basic block begins, and its instructions, those together that are joined."""
        for f, function in enumerate(program.functions):
            variants = program.stack_maps[f].variants
            for block in basic_blocks(function, calls_end=True):
                handlers = iter([self.handler(program, f, at) for at in block])
                parts = join([variants[at].name for at in block], self.joints)
                yield Place(f, block.start), [[next(handlers) for _ in part] for part in parts]


# By whether the program has tasks.
SUPER = {tasks: SuperInstructionSet(RAW, late=False, tasks=tasks) for tasks in (False, True)}


def encode_super(program: Program) -> Encoded:
    """The code as it is, but the first opcode of a sequence stands for the whole: its handler finds
    the operands where they are."""
    instructions = SUPER[program.has_tasks]
    encoded = encode(program, instructions)
    words = {encoded.places[word]: word for word in encoded.opcodes}
    opcodes = []
    for start, parts in instructions.blocks(program):
        at = start.instruction
        for part in parts:
            name = "+".join(handler.name for handler in part)
            opcodes.append(words[Place(start.function, at)])
            encoded.words[opcodes[-1]] = instructions.codes[name]
            at += len(part)
    inner = sorted(set(encoded.opcodes) - set(opcodes))
    return replace(encoded, opcodes=opcodes, others=encoded.others + inner)


class SuperExecutable(InterpreterExecutable):
    """`engine` names the composition; `dispatch` is its way of dispatch."""

    def __init__(self, engine, dispatch, program, counting, emitter=None):
        emitter, instructions = emitter or SuperEmitter, SUPER[program.has_tasks]
        encoded = encode_super(program)
        self._load(engine, dispatch, instructions, emitter, encoded, program, counting)

    def listing(self):
        return listing(self.program)


class SuperEmitter(HandlerEmitter):
    """Emits a superinstruction: its parts one after the other. What one pushes and another pops
    stays in LLVM values; what is left over goes to the stack in the end."""

    def emit(self, counting):
        if self.handler.name == HALT:
            super().emit(counting)
            return
        self.pushed = []
        registers, whole = self.registers, self.handler
        parts = whole.parts if isinstance(whole, SuperHandler) else (whole,)
        word = 0
        for part in parts:
            self.handler = part
            self.registers = registers._replace(pc=self.word(registers.pc, word))
            self._raise = None  # a trap is at its own part
            if part.opcode.flow in (Flow.CALL, Flow.SPAWN, Flow.SWITCH):
                self._flush()
            if part.opcode.flow in (Flow.CALL, Flow.SPAWN):
                self.registers = self.registers._replace(sp=self._operand(self.height))
            after = self.emit_instruction(counting)
            word += part.words
        self._flush()
        if part.opcode.flow not in (Flow.CALL, Flow.SPAWN, Flow.RETURN):
            after = after._replace(sp=self._operand(self.height))
        self.dispatch.next(self.b, after, self.context, self.heap)

    def pop(self):
        return self.pushed.pop() if self.pushed else super().pop()

    def push(self, kept):
        self.pushed.append(kept)

    def _flush(self):
        for kept in self.pushed:
            super().push(kept)
        self.pushed = []


def listing(program: Program) -> str:
    """Every instruction, a superinstruction's on one line, with the index of the first."""
    lines, function = [], None
    for start, parts in SUPER[program.has_tasks].blocks(program):
        if start.function != function:
            function = start.function
            texts = instruction_texts(program, function)
            lines += [*(["end", ""] if lines else []), f"func {program.functions[function].name}"]
        at = start.instruction
        for part in parts:
            lines.append(f"{at:6}  {' + '.join(texts[at : at + len(part)])}")
            at += len(part)
    return "\n".join([*lines, "end", ""])
