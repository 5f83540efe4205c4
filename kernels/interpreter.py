"""The interpreters `threaded` and `switch`: the same handlers, composed with two ways of dispatch.

Locals and operands of all frames stand in one stack of words; a caller's topmost operands become
the callee's parameters where they stand, and the result takes the place of the first.
"""

from functools import partial

from llvmlite import ir

from vmlab.isa import WORD_BYTES, Flow, Trap
from vmlab.kernels.callgraph import CallGraph
from vmlab.kernels.context import FRAME_RECORD_WORDS
from vmlab.kernels.dispatch import Registers, Switch, Threaded
from vmlab.kernels.emitter import Emitter
from vmlab.kernels.encoding import HALT, HANDLERS, encode, interpreter_needs
from vmlab.kernels.entry import copy_words, emit_enter, emit_run, field, get, pointer
from vmlab.kernels.executable import CompiledExecutable
from vmlab.kernels.native import compile_cached
from vmlab.kernels.values import I64, WORDS, from_word, i64, keep_apart, to_word


def threaded(program, counting):
    return InterpreterExecutable("threaded", Threaded, program, counting)


def switch(program, counting):
    return InterpreterExecutable("switch", Switch, program, counting)


class InterpreterExecutable(CompiledExecutable):
    def __init__(self, engine, dispatch, program, counting):
        make_ir = partial(engine_ir, engine, dispatch, counting)
        name = f"{engine}.counting" if counting else engine
        super().__init__(program, counting, compile_cached(name, make_ir, "enter"), make_ir)
        self._graph = CallGraph.of(program)
        self._encoded = encode(program)
        self._code = self._encoded.region()
        context = self.state.context
        context.code = self._code.address
        context.entry = self._code.address + WORD_BYTES * self._encoded.entry

    def needs(self, max_depth):
        return interpreter_needs(self.program, self._graph, max_depth)

    def call_chain(self):
        state, context = self.state, self.state.context
        top = (context.rp - context.frames) // WORD_BYTES
        returns = state.frames.words[:top:FRAME_RECORD_WORDS]
        return self._encoded.call_chain(
            (context.pc - context.code) // WORD_BYTES,
            [(return_pc - context.code) // WORD_BYTES for return_pc in returns],
        )


def engine_ir(engine, dispatch_type, counting) -> str:
    """The module of an interpreter, for any program."""
    module = ir.Module(engine)

    def emit_handler(dispatch, handler, b, registers, context, heap):
        HandlerEmitter(dispatch, handler, b, registers, context, heap).emit(counting)

    dispatch = dispatch_type(module, HANDLERS, emit_handler)

    def emit_body(b, context):
        args, stack = pointer(b, context, "args"), pointer(b, context, "stack")
        copy_words(b, stack, args, get(b, context, "main_slots"))
        frames = pointer(b, context, "frames")
        b.store(get(b, context, "code"), frames)
        b.store(get(b, context, "stack"), b.gep(frames, [i64(1)]))
        registers = Registers(
            pc=pointer(b, context, "entry"),
            sp=b.gep(stack, [get(b, context, "main_slots")]),
            fp=stack,
            rp=b.gep(frames, [i64(FRAME_RECORD_WORDS)]),
        )
        code = dispatch.start(b, registers, context, pointer(b, context, "heap"))
        b.store(b.load(stack), field(b, context, "result"))
        return code

    emit_run(module, emit_body)
    emit_enter(module)
    return str(module)


class HandlerEmitter(Emitter):
    """Emits one handler. Pops and pushes move `height`, relative to sp, at compile time; sp itself
    moves once, at the handler's end."""

    def __init__(self, dispatch, handler, b, registers, context, heap):
        super().__init__(b, context, heap)
        self.dispatch = dispatch
        self.handler = handler
        self.registers = registers
        self.height = 0
        self.next_pc = None
        self._raise = None

    def emit(self, counting):
        if self.handler.name == HALT:
            self._stop(i64(0))
            return
        if counting:
            fuel = self.get("fuel")
            self.trap_if(self.b.icmp_signed("==", fuel, i64(0)), Trap.OUT_OF_FUEL)
            self.put("fuel", self.b.sub(fuel, i64(1)))
        if self.handler.backward:
            self.safepoint()
        self.counting = counting
        variant = self.handler.variant
        self.next_pc = self._word_address(i64(self.handler.words))
        if variant.opcode.flow is Flow.CALL:
            after = self._call()
        elif variant.opcode.flow is Flow.RETURN:
            after = self._return()
        else:
            self.compute(variant)
            sp = self._operand(self.height)
            after = self.registers._replace(pc=self.next_pc, sp=sp)
        self.dispatch.next(self.b, after, self.context, self.heap)

    # Operands

    def _operand(self, height):
        return self.b.gep(self.registers.sp, [i64(height)], inbounds=True)

    def pop(self, type_):
        self.height -= 1
        return from_word(self.b, self.load(self._operand(self.height), "frame"), type_)

    def push(self, value):
        self.store(to_word(self.b, value), self._operand(self.height), "frame")
        self.height += 1

    # Linkage

    def _call(self):
        b = self.b
        _, sp, fp, rp = self.registers
        full = b.icmp_unsigned(">=", b.ptrtoint(rp, I64), self.get_shared("frame_limit"))
        with self.unlikely(full):
            self._stop(self.refusal())
        self.store(b.ptrtoint(self.next_pc, I64), rp, "record")
        self.store(b.ptrtoint(fp, I64), b.gep(rp, [i64(1)], inbounds=True), "record")
        target, args, cleared = self._word(1), self._word(2), self._word(3)
        clear, done = b.append_basic_block("clear"), b.append_basic_block("done")
        here = b.block
        top = b.gep(sp, [cleared], inbounds=True)
        b.cbranch(b.icmp_unsigned("!=", sp, top), clear, done)
        b.position_at_end(clear)
        slot = b.phi(WORDS)
        slot.add_incoming(sp, here)
        self.store(i64(0), slot, "frame")
        following = b.gep(slot, [i64(1)], inbounds=True)
        slot.add_incoming(following, clear)
        b.cbranch(b.icmp_unsigned("!=", following, top), clear, done)
        b.position_at_end(done)
        return Registers(
            pc=self._word_address(target),
            sp=top,
            fp=b.gep(sp, [b.neg(args)], inbounds=True),
            rp=b.gep(rp, [i64(FRAME_RECORD_WORDS)], inbounds=True),
        )

    def _return(self):
        b = self.b
        _, _, fp, rp = self.registers
        sp = fp
        if self.handler.has_value:
            self.store(self.pop(None), fp, "frame")
            sp = b.gep(fp, [i64(1)], inbounds=True)
        record = b.gep(rp, [i64(-FRAME_RECORD_WORDS)], inbounds=True)
        return_pc = self.load(record, "record")
        caller = self.load(b.gep(record, [i64(1)], inbounds=True), "record")
        return Registers(b.inttoptr(return_pc, WORDS), sp, b.inttoptr(caller, WORDS), record)

    # What semantics functions ask for

    def _word_address(self, offset):
        return self.b.gep(self.registers.pc, [offset], inbounds=True)

    def _word(self, index):
        return self.load(self._word_address(i64(index)), "code")

    def literal(self):
        return self._word(1)

    def _local(self):
        return self.b.gep(self.registers.fp, [self._word(1)], inbounds=True)

    def get_local(self):
        return self.load(self._local(), "frame")

    def set_local(self, value):
        self.store(value, self._local(), "frame")

    def _global(self):
        return self.b.gep(self.pointer("globals"), [self._word(1)], inbounds=True)

    def get_global(self):
        return self.load(self._global(), "global")

    def set_global(self, value):
        self.store(value, self._global(), "global")

    def jump(self):
        self._count_back_edge()
        self.next_pc = self._word_address(self._word(1))

    def jump_if(self, condition):
        """A branch, so that the CPU predicts it: as a select, the address of every instruction to
        come would wait for the condition. Both ways meet again before the one dispatch."""
        b = self.b
        taken, joined = b.append_basic_block("taken"), b.append_basic_block("joined")
        here, following = b.block, self.next_pc
        b.cbranch(condition, taken, joined)
        b.position_at_end(taken)
        self._count_back_edge()
        target = self._word_address(self._word(1))
        keep_apart(b)
        b.branch(joined)
        b.position_at_end(joined)
        self.next_pc = b.phi(WORDS)
        self.next_pc.add_incoming(following, here)
        self.next_pc.add_incoming(target, taken)

    def _count_back_edge(self):
        if self.counting and self.handler.backward:
            self.put("back_edges", self.b.add(self.get("back_edges"), i64(1)))

    # Traps

    def trap_block(self, trap):
        if self._raise is None:
            block = self.b.append_basic_block("raise")
            here, self.b = self.b, ir.IRBuilder(block)
            code = self.b.phi(I64)
            self._stop(code)
            self.b = here
            self._raise = block, code
        block, code = self._raise
        code.add_incoming(i64(trap.code), self.b.block)
        return block

    def _stop(self, code):
        """End the run here."""
        self.put("pc", self.b.ptrtoint(self.registers.pc, I64))
        self.put("rp", self.b.ptrtoint(self.registers.rp, I64))
        self.b.ret(code)
