"""How the end of one handler leads to the start of the next.

Threaded: each handler is a function and ends in a jump of its own, a guaranteed tail call through
the table of handlers. The CPU can learn for each handler what tends to follow it.

Switch: the handlers are blocks of one function and all go back to the one `switch`, so that a
single indirect jump decides everything.

Either can have several handlers an opcode, which the instructions of a program take in turn. Then
fewer of them share a jump (Ertl and Gregg, "Optimizing indirect branch prediction accuracy in
virtual machine interpreters", PLDI 2003: static replication, round-robin).
"""

from typing import NamedTuple

from llvmlite import ir
from llvmlite.ir.instructions import InlineAsm

from vmlab.kernels.values import I64, WORDS, keep_apart


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
    """`emit_handler(dispatch, handler, b, registers, context, heap)` is called for each of the
    handlers, a dict by name in the order of their opcodes, and ends in `next`. `kind` is what the
    registers are a tuple of. The opcodes of a replica are those of the one before, and so many
    more as there are handlers."""

    REPLICAS = 1

    def __init__(self, handlers):
        self._codes = {name: code for code, name in enumerate(handlers)}
        self._code = 0  # the opcode of the handler that is being emitted

    def _replicated(self, handlers):
        """The handlers of all replicas, in the order of their opcodes, each with its place in
        machine code."""
        for replica in range(self.REPLICAS):
            mark = f".replica{replica}" if replica else ""
            for handler in handlers.values():
                yield f"op.{handler.name}{mark}", handler

    def opcode(self, name):
        """That of another handler, in the replica of this one."""
        return self._codes[name] + self._code // len(self._codes) * len(self._codes)


class Threaded(Dispatch):
    CONVENTION = "preserve_nonecc"

    def __init__(self, module, handlers, kind, emit_handler):
        super().__init__(handlers)
        # The table stays in a register from handler to handler, like the context and the heap.
        entry = ir.FunctionType(I64, [*_types(kind), WORDS, WORDS, WORDS.as_pointer()])
        functions = []
        replicated = list(self._replicated(handlers))
        for label, _ in replicated:
            function = _function(module, label, entry.args)
            function.calling_convention = self.CONVENTION
            functions.append(function)
        self._entry = entry.as_pointer()
        table = ir.ArrayType(self._entry, len(functions))
        self._table = ir.GlobalVariable(module, table, "handlers")
        self._table.linkage = "internal"
        self._table.global_constant = True
        self._table.initializer = ir.Constant(table, functions)
        for code, (_, handler) in enumerate(replicated):
            self._code, function = code, functions[code]
            *registers, context, heap, _ = function.args
            b = ir.IRBuilder(function.append_basic_block())
            emit_handler(self, handler, b, kind(*registers), context, heap)

    def start(self, b, registers, context, heap):
        """Run from `registers` to the end; the code of the trap, or 0."""
        table = b.bitcast(self._table, WORDS.as_pointer())
        return self._jump(b, registers, context, heap, table, None)

    def next(self, b, registers, context, heap) -> None:
        table = b.function.args[-1]
        # An assembler line without instructions that LLVM must not copy, so that there is one jump
        # a handler, also where it has a branch. The pc passes through it: LLVM would load the next
        # opcode relative to the old pc, and so need two registers and a move for it.
        line = InlineAsm(ir.FunctionType(WORDS, [WORDS]), "", "=r,0", side_effect=True)
        registers = registers._replace(pc=b.call(line, [registers.pc], attrs=("convergent",)))
        b.ret(self._jump(b, registers, context, heap, table, "musttail"))

    def _jump(self, b, registers, context, heap, table, tail):
        entries = b.bitcast(table, self._entry.as_pointer())
        target = b.load(b.gep(entries, [b.load(registers.pc)], inbounds=True))
        arguments = [*registers, context, heap, table]
        return b.call(target, arguments, cconv=self.CONVENTION, tail=tail)


class Switch(Dispatch):
    def __init__(self, module, handlers, kind, emit_handler):
        super().__init__(handlers)
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
        for code, (label, handler) in enumerate(self._replicated(handlers)):
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


class ReplicatedThreaded(Threaded):
    REPLICAS = 16


class ReplicatedSwitch(Switch):
    REPLICAS = 16


REPLICATED = {Threaded: ReplicatedThreaded, Switch: ReplicatedSwitch}
