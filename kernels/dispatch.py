"""How the end of one handler leads to the start of the next.

Threaded: each handler is a function and ends in a jump of its own, a guaranteed tail call through
the table of handlers. The CPU can learn for each handler what tends to follow it.

Switch: the handlers are blocks of one function and all go back to the one `switch`, so that a
single indirect jump decides everything.

Direct: as threaded, but what stands in the code for a handler is its address, in place of an opcode
to find that by in a table (J. R. Bell, "Threaded code", CACM 1973).

Each can have several handlers an opcode, which the instructions of a program take in turn. Then
fewer of them share a jump (Ertl and Gregg, "Optimizing indirect branch prediction accuracy in
virtual machine interpreters", PLDI 2003: static replication, round-robin).
"""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

from llvmlite import ir
from llvmlite.ir.instructions import InlineAsm

from vmlab.engines import REPLICAS
from vmlab.kernels.values import I64, WORDS, i64, keep_apart

TABLE = "handlers"  # the symbol of the table of handlers, in the order of their opcodes


class Registers(NamedTuple):
    """The interpreter's registers, each a pointer to words: the current instruction, the place
    behind the top operand, the first local, and the place behind the top frame record."""

    pc: ir.Value
    sp: ir.Value
    fp: ir.Value
    rp: ir.Value


class CachedRegisters(NamedTuple):
    """As `Registers`, and the word on top of the operands, which then is not in memory."""

    pc: ir.Value
    sp: ir.Value
    fp: ir.Value
    rp: ir.Value
    top: ir.Value


def _types(registers):
    return [I64 if name == "top" else WORDS for name in registers._fields]


def _function(module, name, parameters):
    function = ir.Function(module, ir.FunctionType(I64, parameters), name=name)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    # Clearing a few locals must stay a loop: a call to memset would make a handler save registers.
    set.add(function.attributes, '"no-builtins"')
    return function


class Dispatch:
    """`emit_handler(dispatch, handler, b, registers, context, heap)` is called for the handler of
    each of the instructions, and ends in `next`. `kind` is what the registers are a tuple of. The
    opcodes of a replica are those of the one before, and so many more as there are handlers."""

    REPLICAS = 1
    EXPORTS: tuple[str, ...] = ()  # symbols of the machine code that `words` needs

    def __init__(self, instructions):
        self._instructions = instructions
        self._code = 0  # the opcode of the handler that is being emitted

    @classmethod
    def words(cls, unit, handlers: int) -> Sequence[int]:
        """What stands in the code of programs for each opcode, while this unit runs them."""
        return range(cls.REPLICAS * handlers)

    def _handlers(self):
        """Those of all replicas, in the order of their opcodes, each with its place in machine
        code."""
        for replica in range(self.REPLICAS):
            mark = f".replica{replica}" if replica else ""
            for handler in self._instructions.handlers.values():
                yield f"op.{handler.name}{mark}", handler

    def opcode(self, name):
        """That of another handler, in the replica of this one."""
        codes = self._instructions.codes
        return codes[name] + self._code // len(codes) * len(codes)

    def word(self, name):
        """What stands in the code for that."""
        return i64(self.opcode(name))


class Threaded(Dispatch):
    CONVENTION = "preserve_nonecc"
    # The table stays in a register from handler to handler, like the context and the heap.
    FURTHER = (WORDS.as_pointer(),)

    def __init__(self, module, instructions, kind, emit_handler):
        super().__init__(instructions)
        types = _types(kind)
        entry = ir.FunctionType(I64, [*types, WORDS, WORDS, *self.FURTHER])
        self._functions = []
        handlers = list(self._handlers())
        for label, _ in handlers:
            function = _function(module, label, entry.args)
            function.calling_convention = self.CONVENTION
            self._functions.append(function)
        self._entry = entry.as_pointer()
        table = ir.ArrayType(self._entry, len(handlers))
        self._table = ir.GlobalVariable(module, table, TABLE)
        if TABLE not in self.EXPORTS:
            self._table.linkage = "internal"
        self._table.global_constant = True
        self._table.initializer = ir.Constant(table, self._functions)
        for code, (_, handler) in enumerate(handlers):
            self._code, function = code, self._functions[code]
            *registers, context, heap = function.args[: len(types) + 2]
            b = ir.IRBuilder(function.append_basic_block())
            emit_handler(self, handler, b, kind(*registers), context, heap)

    def start(self, b, registers, context, heap):
        """Run from `registers` to the end; the code of the trap, or 0."""
        further = [b.bitcast(self._table, type_) for type_ in self.FURTHER]
        return self._jump(b, [*registers, context, heap, *further], None)

    def next(self, b, registers, context, heap) -> None:
        # An assembler line without instructions that LLVM must not copy, so that there is one jump
        # a handler, also where it has a branch. The pc passes through it: LLVM would load the next
        # opcode relative to the old pc, and so need two registers and a move for it.
        line = InlineAsm(ir.FunctionType(WORDS, [WORDS]), "", "=r,0", side_effect=True)
        registers = registers._replace(pc=b.call(line, [registers.pc], attrs=("convergent",)))
        arguments = [*registers, context, heap]
        further = b.function.args[len(arguments) :]
        b.ret(self._jump(b, [*arguments, *further], "musttail"))

    def _jump(self, b, arguments, tail):
        target = self._target(b, arguments)
        return b.call(target, arguments, cconv=self.CONVENTION, tail=tail)

    def _target(self, b, arguments):
        pc, *_, table = arguments
        entries = b.bitcast(table, self._entry.as_pointer())
        return b.load(b.gep(entries, [b.load(pc)], inbounds=True))


class Direct(Threaded):
    """Here the table is for Python alone, which writes into the code where the handlers are."""

    EXPORTS = (TABLE,)
    FURTHER = ()

    @classmethod
    def words(cls, unit, handlers):
        table = ctypes.c_int64 * (cls.REPLICAS * handlers)
        return table.from_address(unit.library[TABLE])[:]

    def word(self, name):
        return self._functions[self.opcode(name)].ptrtoint(I64)

    def _target(self, b, arguments):
        return b.inttoptr(b.load(arguments[0]), self._entry)


class Switch(Dispatch):
    def __init__(self, module, instructions, kind, emit_handler):
        super().__init__(instructions)
        types = _types(kind)
        self._function = _function(module, "interpret", [*types, WORDS, WORDS])
        *initial, context, heap = self._function.args
        entry, self._dispatch, invalid = (
            self._function.append_basic_block(name) for name in ("entry", "dispatch", "invalid")
        )
        # The encoder writes no other opcodes. Yet the test for them stays, as in a `switch` in C:
        # without this branch before it the shared jump is predicted worse (on Zen 3, a tenth of
        # the time over ten programs).
        ir.IRBuilder(invalid).ret(ir.Constant(I64, 0))
        b = ir.IRBuilder(self._dispatch)
        self._registers = kind(*map(b.phi, types, kind._fields))
        self._opcode = b.phi(I64, "opcode")
        # LLVM likes to copy a small dispatch into every handler, which would be `threaded`.
        keep_apart(b)
        switch = b.switch(self._opcode, invalid)
        self._come_from(ir.IRBuilder(entry), initial, "entry")
        for code, (label, handler) in enumerate(self._handlers()):
            self._code, self._label = code, label
            block = self._function.append_basic_block(label)
            switch.add_case(ir.Constant(I64, code), block)
            emit_handler(self, handler, ir.IRBuilder(block), self._registers, context, heap)

    def _come_from(self, b, registers, name):
        self._opcode.add_incoming(b.load(registers[0]), b.block)
        for phi, value in zip(self._registers, registers, strict=True):
            phi.add_incoming(value, b.block)
        # Each handler keeps an end of its own: merged ends would hide from the CPU's predictor
        # where the jump to the dispatch came from.
        keep_apart(b, name)
        b.branch(self._dispatch)

    def start(self, b, registers, context, heap):
        return b.call(self._function, [*registers, context, heap])

    def next(self, b, registers, _context, _heap) -> None:
        self._come_from(b, registers, self._label)


def replicated(dispatch):
    """This way of dispatch with several handlers an opcode."""
    return type(f"Replicated{dispatch.__name__}", (dispatch,), {"REPLICAS": REPLICAS})
