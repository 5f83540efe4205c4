"""The interpreters: handlers for values of a representation and names bound or late, composed with
two ways of dispatch.

Locals and operands of all frames stand in one stack of words; a caller's topmost operands become
the callee's parameters where they stand, and the result takes the place of the first.
"""

from functools import partial
from itertools import chain

from llvmlite import ir

from vmlab.isa import FRAME_RECORD_WORDS, WORD_BYTES, Flow, Trap
from vmlab.kernels.barrier import NO_BARRIER, card_words
from vmlab.kernels.callgraph import CallGraph
from vmlab.kernels.context import Region
from vmlab.kernels.dispatch import Registers
from vmlab.kernels.emitter import Emitter
from vmlab.kernels.encoding import HALT, InstructionSet, encode, interpreter_needs
from vmlab.kernels.entry import copy_words, emit_enter, emit_run
from vmlab.kernels.executable import CompiledExecutable, Memory
from vmlab.kernels.machine import Machine
from vmlab.kernels.names import ENTRY_WORDS, Table, hash_table, intern, look_up
from vmlab.kernels.native import Effort, compile_cached
from vmlab.kernels.values import I64, WORDS, i64, keep_apart


class InterpreterExecutable(CompiledExecutable):
    """`engine` names the composition of the others."""

    def __init__(
        self, engine, dispatch, values, late, program, counting, emitter=None, barrier=NO_BARRIER
    ):
        emitter = emitter or HandlerEmitter
        instructions = InstructionSet(
            values, late, emitter.QUICKENED, program.has_tasks, barrier=barrier
        )
        encoded = encode(program, instructions)
        self._load(engine, dispatch, instructions, emitter, encoded, program, counting)
        if late:
            self._bind(values)

    def _load(
        self, engine, dispatch, instructions, emitter, encoded, program, counting,
        effort=Effort.FULL,
    ):  # fmt: skip
        """Make the interpreter whose handlers `emitter` emits, and give it the encoded program."""
        make_ir = partial(engine_ir, engine, dispatch, instructions, emitter, counting)
        name = f"{engine}.counting" if counting else engine
        unit = compile_cached(name, make_ir, "enter", effort, dispatch.EXPORTS)
        self.instructions = instructions
        self._dispatch = dispatch
        self._encoded = encoded.replicated(len(instructions.handlers), dispatch.REPLICAS)
        self._code = self._encoded.region()
        # As encoded, until `_settle` knows the machine code.
        self._opcode_words = range(dispatch.REPLICAS * len(instructions.handlers))
        super().__init__(program, counting, unit, make_ir, effort, instructions.values)
        self._graph = CallGraph.of(program)
        self._spare = emitter.SPARE_SLOTS
        context = self.state.context
        context.code = self._code.address
        context.entry = self._code.address + WORD_BYTES * self._encoded.entry
        self._names = None
        self._cards = {}
        if instructions.barrier.marks:
            self._cover(self.state.globals, "global_cards")

    def _cover(self, region, name):
        """Make cards for a region; the context calls them so."""
        self._cards[name] = Region(card_words(region.size), "cards")
        setattr(self.state.context, name, self._cards[name].address)

    def call(self, args, limits, iterations=1):
        # As a collection would leave them.
        for cards in self._cards.values():
            cards.clear()
        return super().call(args, limits, iterations)

    def _bind(self, values):
        """Make the table of names: a global means its place among the globals' words, a function
        the place of its first instruction in the code."""
        names = intern(self.program)
        meanings = {
            names[variable.name]: values.words * index
            for index, variable in enumerate(self.program.globals)
        }
        entries = hash_table(meanings | self._encoded.functions, 0)
        self._names = Region(ENTRY_WORDS * len(entries), "names")
        for index, word in enumerate(chain.from_iterable(entries)):
            self._names.words[index] = word
        self.state.context.names = self._names.address
        self.state.context.last_name = len(entries) - 1

    def _moved(self):
        return self._unit.reordered()

    def _settle(self, unit):
        opcodes = self.opcodes() if self._dispatch.EXPORTS else {}
        super()._settle(unit)
        self._opcode_words = self._dispatch.words(unit, len(self.instructions.handlers))
        for place, opcode in opcodes.items():
            self._code.words[place] = self._opcode_words[opcode]

    def opcodes(self) -> dict[int, int]:
        """By its place in the code, each opcode as it is now: instructions may have quickened."""
        opcodes = {word: opcode for opcode, word in enumerate(self._opcode_words)}
        places = chain(self._encoded.opcodes, self._encoded.others)
        return {place: opcodes[self._code.words[place]] for place in places}

    def memory(self):
        handlers = self.opcodes() if self._dispatch.EXPORTS else {}
        filled = {"code": Memory(self._code, True, handlers=handlers)}
        if self._names is not None:
            filled["names"] = Memory(self._names, True)
        cards = {name: Memory(region) for name, region in self._cards.items()}
        return super().memory() | filled | cards

    def needs(self, max_depth):
        return interpreter_needs(self.program, self._graph, max_depth, self._spare)

    def call_chain(self):
        state, context = self.state, self.state.context
        top = (context.rp - context.frames) // WORD_BYTES
        returns = state.frames.words[:top:FRAME_RECORD_WORDS]
        return self._encoded.call_chain(
            (context.pc - context.code) // WORD_BYTES,
            [(return_pc - context.code) // WORD_BYTES for return_pc in returns],
        )


def engine_ir(engine, dispatch_type, instructions, emitter, counting) -> str:
    """The module of an interpreter, for any program."""
    module = ir.Module(engine)
    values = instructions.values

    def emit_handler(dispatch, handler, b, registers, context, heap):
        emitter(instructions, dispatch, handler, b, registers, context, heap).emit(counting)

    kind = emitter.REGISTERS
    dispatch = dispatch_type(module, instructions, kind, emit_handler)

    def emit_body(b, context):
        machine = Machine(b, context)
        values.begin_run(machine)
        args, stack = machine.pointer("args"), machine.pointer("stack")
        main = b.gep(stack, [i64(emitter.SPARE_SLOTS)])
        copy_words(b, main, args, machine.get("main_words"))
        initial = {
            "pc": machine.pointer("entry"),
            "sp": b.gep(main, [machine.get("main_words")]),
            "fp": main,
            "rp": emitter.first_record(machine, values),
            "top": i64(0),
        }
        registers = kind(*(initial[name] for name in kind._fields))
        code = dispatch.start(b, registers, context, machine.pointer("heap"))
        finished = b.icmp_unsigned("==", code, i64(0))
        with b.if_then(finished):
            has_result = b.icmp_unsigned("!=", machine.get("has_result"), i64(0))
            with b.if_then(has_result):
                values.take_result(machine, stack)
            values.end_run(machine)
        return code

    emit_run(module, emit_body)
    emit_enter(module)
    return str(module)


class HandlerEmitter(Emitter):
    """Emits one handler. Pops and pushes move `height`, relative to sp, at compile time; sp itself
    moves once, at the handler's end."""

    QUICKENED = False  # whether instructions rewrite themselves
    REGISTERS = Registers
    SPARE_SLOTS = 0  # of the stack, a frame, beside its locals and operands

    def __init__(self, instructions, dispatch, handler, b, registers, context, heap):
        super().__init__(b, context, heap, instructions.values)
        self.instructions = instructions
        self.late = instructions.late
        self.dispatch = dispatch
        self.handler = handler
        self.registers = registers
        self.height = 0
        self.next_pc = None
        self._raise = None

    @staticmethod
    def first_record(m, values):
        """Note that main returns to `halt`; the register for the top record."""
        frames = m.pointer("frames")
        m.b.store(m.get("code"), frames)
        m.b.store(m.get("stack"), m.b.gep(frames, [i64(1)]))
        return m.b.gep(frames, [i64(FRAME_RECORD_WORDS)])

    def emit(self, counting):
        if self.handler.name == HALT:
            self._halt()
            return
        self.dispatch.next(self.b, self.emit_instruction(counting), self.context, self.heap)

    def emit_instruction(self, counting):
        """Emit what it does; the registers after it."""
        if counting:
            fuel = self.get("fuel")
            self.trap_if(self.b.icmp_signed("==", fuel, i64(0)), Trap.OUT_OF_FUEL)
            self.put("fuel", self.b.sub(fuel, i64(1)))
        if self.handler.backward:
            self.safepoint()
        self.counting = counting
        self.next_pc = self._word_address(i64(self.handler.words))
        return self.execute(self.handler.opcode.flow)

    def execute(self, flow):
        """What is the instruction's own."""
        if flow is Flow.CALL:
            return self._call()
        if flow is Flow.RETURN:
            return self._return()
        self.compute(self.handler.variants)
        return self._settled()._replace(pc=self.next_pc)

    # Operands

    def _operand(self, height):
        return self.word(self.registers.sp, self.values.words * height)

    def pop(self):
        self.height -= 1
        return self.values.load(self, self._operand(self.height), "frame")

    def push(self, kept):
        self.values.store(self, kept, self._operand(self.height), "frame")
        self.height += 1

    def _settled(self):
        """The registers for the next handler."""
        return self.registers._replace(sp=self._operand(self.height))

    # Linkage

    def _halt(self):
        self._stop(i64(0))

    def _call(self):
        b = self.b
        record_end = self._record_caller()
        callee, args, fresh = self._word(1), self._word(2), self._word(3)
        target = self._callee(callee)
        self._spill()
        sp = self._operands_end()
        top = b.gep(sp, [fresh], inbounds=True)
        self._start_locals(target, sp, top)
        return self.registers._replace(
            pc=target,
            sp=top,
            fp=b.gep(sp, [b.neg(args)], inbounds=True),
            rp=record_end,
        )

    def _record_caller(self):
        """Keep what the return needs, and return where its record ends."""
        b = self.b
        fp, rp = self.registers.fp, self.registers.rp
        full = b.icmp_unsigned(">=", b.ptrtoint(rp, I64), self.get_shared("frame_limit"))
        with self.unlikely(full):
            self._stop(self.refusal())
        self.store(b.ptrtoint(self.next_pc, I64), rp, "record")
        self.store(b.ptrtoint(fp, I64), b.gep(rp, [i64(1)], inbounds=True), "record")
        return b.gep(rp, [i64(FRAME_RECORD_WORDS)], inbounds=True)

    def _spill(self):
        """Put into memory what operands are in registers."""

    def _operands_end(self):
        """Where they end when all are in memory."""
        return self.registers.sp

    def _callee(self, operand):
        return self.look_up_function(operand) if self.late else self._word_address(operand)

    def _start_locals(self, target, first, end):
        """With zeros; or, where values have types, with what stands before the callee's code."""
        b = self.b
        if not self.values.typed:
            with self.each_word(first, end) as slot:
                self.store(i64(0), slot, "frame")
            return
        distance = b.sub(b.ptrtoint(target, I64), b.ptrtoint(end, I64))
        with self.each_word(first, end, self.values.words) as slot:
            place = b.inttoptr(b.add(b.ptrtoint(slot, I64), distance), WORDS)
            self.values.store(self, self._constant(place), slot, "frame")

    def _return(self):
        b, fp = self.b, self.registers.fp
        result = self.pop() if self.handler.has_value else None
        if self.values.counted:
            end = b.gep(fp, [self._word(1)], inbounds=True)
            with self.each_word(fp, end) as slot:
                self.values.release(self, self.values.load(self, slot, "frame"))
        caller = self._caller()
        return self._left(fp, result)._replace(**caller)

    def _caller(self):
        """The registers that a return brings back."""
        record = self.word(self.registers.rp, -FRAME_RECORD_WORDS)
        return_pc = self.load(record, "record")
        caller = self.load(self.word(record, 1), "record")
        pc, fp = (self.b.inttoptr(address, WORDS) for address in (return_pc, caller))
        return {"pc": pc, "fp": fp, "rp": record}

    def _left(self, first, result):
        """The registers where the arguments are gone, which began here, and the result, if any,
        has their place."""
        if result is None:
            return self.registers._replace(sp=first)
        self.values.store(self, result, first, "frame")
        return self.registers._replace(sp=self.word(first, self.values.words))

    # What semantics functions ask for

    def _word_address(self, offset):
        return self.b.gep(self.registers.pc, [offset], inbounds=True)

    def _word(self, index):
        return self.load(self._word_address(i64(index)), "code")

    def literal(self):
        return self._constant(self._word_address(i64(1)))

    def _constant(self, place):
        """The constant at this place in the code, as it is kept."""
        if not self.values.counted:
            return self.values.load(self, place, "code")
        cell = self.b.gep(place, [self.load(place, "code")], inbounds=True)
        self.values.retain(self, cell)
        return cell

    def array_tag(self):
        return self._word(1) if self.values.typed else None

    def _local(self):
        return self.b.gep(self.registers.fp, [self._word(1)], inbounds=True)

    def read_local(self):
        return self.values.load(self, self._local(), "frame")

    def write_local(self, kept):
        self.values.store(self, kept, self._local(), "frame")

    def global_address(self):
        operand = self._word(1)
        place = self.look_up_global(operand) if self.late else operand
        return self.b.gep(self.pointer("globals"), [place], inbounds=True)

    def global_stored(self, kept, address):
        self.instructions.barrier.global_stored(self, kept, address)

    def look_up_global(self, name):
        return self._look_up(name)

    def look_up_function(self, name):
        return self.b.gep(self.pointer("code"), [self._look_up(name)], inbounds=True)

    def _look_up(self, name):
        return look_up(self, Table(self.pointer("names"), self.get("last_name")), name)

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

    def stop_block(self, code):
        if self._raise is None:
            block = self.b.append_basic_block("raise")
            here, self.b = self.b, ir.IRBuilder(block)
            reason = self.b.phi(I64)
            self._stop(reason)
            self.b = here
            self._raise = block, reason
        block, reason = self._raise
        reason.add_incoming(i64(code), self.b.block)
        return block

    def _stop(self, code, pc=None):
        """End the run at an instruction: this one, if there is no `pc`."""
        self.put("pc", self.b.ptrtoint(self.registers.pc if pc is None else pc, I64))
        self.put("rp", self.b.ptrtoint(self.registers.rp, I64))
        self.b.ret(code)
