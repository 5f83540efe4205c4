"""Tasks of the interpreters: how handlers launch, switch and end them.

The descriptor of a task holds its registers while another runs, and where its stack is. Stacks have
no pointers into themselves: a frame record holds the distance to the caller's frame, so a stack can
be copied as it is. Operands grow upwards from its start, frame records downwards from its end, and
a call looks whether there is room between them. So both are memory of one kind, "frame".

While a task waits, the places of the operands that its instruction popped hold what it waits for,
and what it would send.
"""

from llvmlite import ir

from vmlab.isa import (
    FIRST_STACK_WORDS,
    FRAME_RECORD_WORDS,
    TASK_DESCRIPTOR_WORDS,
    WORD_BYTES,
    Flow,
    Trap,
)
from vmlab.kernels.channels import Channels
from vmlab.kernels.context import FRAGMENTED
from vmlab.kernels.dispatch import Registers
from vmlab.kernels.encoding import FINISH, FINISH_VALUE, GROW
from vmlab.kernels.entry import copy_bytes
from vmlab.kernels.interpreter import HandlerEmitter
from vmlab.kernels.queues import begin_lists, begin_tasks
from vmlab.kernels.values import I1, WORDS, i64

# A descriptor: the registers, and its stack around what `queues` has there.
PC, SP, FP, RP = REGISTERS = 1, 2, 3, 5
BASE, END = 6, 7

# Where a waiting task keeps them, above its stack pointer.
AWAITED, SENT = range(2)

# Larger stacks are segments of 2^n words; as many lists of free ones.
SEGMENT_LISTS = 64


def block_words(values) -> int:
    """A descriptor and the first words of its stack."""
    return TASK_DESCRIPTOR_WORDS + values.words * FIRST_STACK_WORDS


class TaskHandlerEmitter(Channels, HandlerEmitter):
    """Emits one handler of an interpreter for programs with tasks, each of which has a stack of its
    own."""

    COPIES = False  # whether tasks share one stack
    RECORD_WORDS = FRAME_RECORD_WORDS

    @classmethod
    def record_stride(cls, values) -> int:
        """The words of a frame record: as if they were values, since both share the stack."""
        return values.words * cls.RECORD_WORDS

    @classmethod
    def first_record(cls, m, values):
        """Besides, all that belongs to tasks begins anew."""
        begin_tasks(m, block_words(values))
        begin_lists(m, SEGMENT_LISTS)
        main, end = m.pointer("blocks"), m.pointer("stack_end")
        for place, name in ((BASE, "stack"), (END, "stack_end")):
            m.store(m.get(name), m.word(main, place), "task")
        first = m.word(end, -cls.record_stride(values))
        m.store(m.get("code"), first, "frame")
        cls.keep_distance(m, first, i64(0))
        return first

    @staticmethod
    def keep_distance(m, record, distance):
        """Of a new frame to its caller's."""
        m.store(distance, m.word(record, 1), "frame")

    def _distance(self):
        return self.load(self.word(self.registers.rp, 1), "frame")

    # Instructions

    def emit(self, counting):
        name = self.handler.name
        if name in (FINISH, FINISH_VALUE):
            self._finish(has_value=name == FINISH_VALUE)
        elif name == GROW:
            self._grow(counting)
        else:
            super().emit(counting)

    def execute(self, flow):
        return self._spawn() if flow is Flow.SPAWN else super().execute(flow)

    def _stack_bytes(self, words):
        """Of the VM's words, what they take as they are kept here."""
        return self.b.mul(words, i64(WORD_BYTES * self.values.words))

    # Calls

    def _call(self):
        b = self.b
        pc, fp = self.registers.pc, self.registers.fp
        self.safepoint()
        record = self._next_record()
        end = self.read(self.pointer("current"), END)
        deep = b.icmp_signed(">", b.sub(end, self.address_of(record)), self.get("depth_bytes"))
        self.trap_if(deep, Trap.CALL_DEPTH_EXCEEDED)
        callee, args = self._word(1), self._word(2)
        sp = self._operands_end()
        top, needed = self._callees_operands(sp)
        with self.unlikely(b.icmp_unsigned(">", needed, record)):
            self.put("pc", self.address_of(pc))
            grow = self.word(self.pointer("code"), self.instructions.pseudo.index(GROW))
            self.go_on(self.registers._replace(pc=grow))
        self._spill()
        frame = b.gep(sp, [b.neg(args)], inbounds=True)
        self.store(self.address_of(self.next_pc), record, "frame")
        distance = b.sub(self.address_of(frame), self.address_of(fp))
        self.keep_distance(self, record, distance)
        target = self._callee(callee)
        self._start_locals(target, sp, top)
        return self.registers._replace(pc=target, sp=top, fp=frame, rp=record)

    def _next_record(self):
        return self.word(self.registers.rp, -self.record_stride(self.values))

    def _callees_operands(self, sp):
        """Of the function that is called: where its operands begin, and where they can end."""
        fresh, operands = self._word(3), self._word(4)
        top = self.b.gep(sp, [fresh], inbounds=True)
        return top, self.b.gep(top, [operands], inbounds=True)

    def _caller(self):
        fp, rp = self.registers.fp, self.registers.rp
        return_pc, distance = self.load(rp, "frame"), self._distance()
        return {
            "pc": self.words_at(return_pc),
            "fp": self.words_at(self.b.sub(self.address_of(fp), distance)),
            "rp": self.word(rp, self.record_stride(self.values)),
        }

    def _grow(self, counting):
        """The stack gets as large as the call at the context's pc needs it. Then that is executed
        anew, so it must not count twice."""
        b, size = self.b, i64(WORD_BYTES * self.values.words)
        call = self.pointer("pc")
        self.registers = self.registers._replace(pc=call)
        current = self.pointer("current")
        base, end = self.read(current, BASE), self.read(current, END)
        _, top = self._callees_operands(self._operands_end())
        below = b.sub(self.address_of(top), base)
        records = b.sub(end, self.address_of(self._next_record()))
        words = self.power_of_two(b.udiv(b.add(below, records), size))
        self.charge(b.sub(words, self._further_words(current)))
        registers = self.move_stack(current, base, end, self._new_segment(words))
        if counting:
            self.add_to("fuel", self._counted())
        self.go_on(registers)

    def _counted(self):
        """What a call takes of the fuel."""
        return i64(1)

    def move_stack(self, current, base, end, segment):
        """The registers of the running task when its stack, from `base` to `end`, has come to be
        this segment, which is larger. `segment` is its start and its end."""
        b = self.b
        sp, fp, rp = self.registers.sp, self.registers.fp, self.registers.rp
        new_base, new_end = (self.address_of(address) for address in segment)
        kept = b.sub(self.address_of(sp), base)
        copy_bytes(b, segment[0], self.words_at(base), kept)
        records = b.sub(end, self.address_of(rp))
        new_rp = self.words_at(b.sub(new_end, records))
        copy_bytes(b, new_rp, rp, records)
        self.free_segment(current)
        self.write(current, BASE, new_base)
        self.write(current, END, new_end)
        moved = b.sub(new_base, base)
        sp, fp = (self.words_at(b.add(self.address_of(address), moved)) for address in (sp, fp))
        return self.registers._replace(sp=sp, fp=fp, rp=new_rp)

    # Memory of stacks. What was a list of free memory becomes values and records: plain loads and
    # stores, of no kind, so that LLVM keeps them in order.

    def segment_of(self, task):
        """The addresses of the start and the end of the memory that the running task has."""
        return self.read(task, BASE), self.read(task, END)

    def _further_words(self, task):
        """What the running task's stack costs beside the first words."""
        b = self.b
        base, end = self.segment_of(task)
        words = b.udiv(b.sub(end, base), i64(WORD_BYTES * self.values.words))
        first = self.address_of(self.word(task, TASK_DESCRIPTOR_WORDS))
        return b.select(b.icmp_unsigned("==", base, first), i64(0), words)

    def _free_list(self, words):
        zeros = self.intrinsic("llvm.cttz", words, ir.Constant(I1, 1))
        return self.within("segments", zeros)

    def _new_segment(self, words):
        """The start and the end of a segment of so many of the VM's words."""
        b = self.b
        free_list, bytes_ = self._free_list(words), self._stack_bytes(words)

        def reuse(segment):
            b.store(b.load(segment), free_list)

        def make():
            start = self.get("fresh_segment")
            end = b.add(start, bytes_)
            too_much = b.icmp_unsigned(">", end, self.get("segments_end"))
            self.leave_if(too_much, self.stop_block(FRAGMENTED))
            self.put("fresh_segment", end)
            return self.words_at(start)

        segment = self.block_from(b.load(free_list), reuse, make)
        return segment, self.words_at(b.add(self.address_of(segment), bytes_))

    def free_segment(self, task):
        """If its stack is one, put it to the free ones."""
        b = self.b
        words = self._further_words(task)
        with b.if_then(b.icmp_unsigned("!=", words, i64(0)), likely=False):
            base, free_list = self.segment_of(task)[0], self._free_list(words)
            b.store(b.load(free_list), self.words_at(base))
            b.store(base, free_list)

    # Launch and end

    def _spawn(self):
        b = self.b
        self.safepoint()
        callee, args, fresh, further, finish = (self._word(index) for index in range(1, 6))
        task, record = self.new_task(block_words(self.values), further)
        base, end = self._first_stack(task, further)
        self._spill()
        first = b.gep(self._operands_end(), [b.neg(args)], inbounds=True)
        passed = b.gep(base, [args], inbounds=True)
        moved = b.sub(self.address_of(first), self.address_of(base))
        with self.each_word(base, passed) as slot:
            source = self.words_at(b.add(self.address_of(slot), moved))
            self.store(self.load(source, "frame"), slot, "frame")
        top = b.gep(passed, [fresh], inbounds=True)
        target = self._callee(callee)
        self._start_locals(target, passed, top)
        frame_record = self.word(end, -self.record_stride(self.values))
        back = self.within("code", finish)
        self.store(self.address_of(back), frame_record, "frame")
        self.keep_distance(self, frame_record, i64(0))
        self._save(task, Registers(target, self._no_operands(top), base, frame_record))
        for place, address in ((BASE, base), (END, end)):
            self.write(task, place, self.address_of(address))
        self.get_ready(task)

        handle = self.values.wrap(self, self.number(record), self._tag_word(6))
        return self._left(first, handle)._replace(pc=self.next_pc)

    def _no_operands(self, top):
        """Where a function's operands end in memory, when it has none and they begin here."""
        return top

    def _tag_word(self, index):
        return self._word(index) if self.values.typed else None

    def _first_stack(self, task, further):
        """Its start and end; it stands behind the descriptor, if that is enough."""
        b = self.b
        near = self.word(task, TASK_DESCRIPTOR_WORDS)
        near_end = self.word(task, block_words(self.values))
        large, done = b.append_basic_block("large"), b.append_basic_block("stack")
        here = b.block
        b.cbranch(b.icmp_unsigned("!=", further, i64(0)), large, done).set_weights([1, 1 << 20])
        b.position_at_end(large)
        segment = self._new_segment(further)
        from_large = b.block
        b.branch(done)
        b.position_at_end(done)
        base, end = b.phi(WORDS), b.phi(WORDS)
        for phi, first, other in ((base, near, segment[0]), (end, near_end, segment[1])):
            phi.add_incoming(first, here)
            phi.add_incoming(other, from_large)
        return base, end

    def _finish(self, has_value):
        """The function that was spawned has returned."""
        self.end_task(self._returned() if has_value else None)

    def _returned(self):
        """What a function has returned that was at the bottom of its stack."""
        return self.values.load(self, self.registers.fp, "frame")

    def give_stack_back(self, task):
        self.free_segment(task)
        return self._further_words(task)

    # Control

    def go_on(self, registers):
        self.dispatch.next(self.b, registers, self.context, self.heap)

    def enter(self, task):
        self.go_on(self.resume(task))

    def resume(self, task):
        """The registers of a task that is going to run; its operands are all in memory."""
        return Registers(*(self.words_at(self.read(task, place)) for place in REGISTERS))

    def suspend(self, task, registers):
        """The running task stops; later it goes on with these registers."""
        self._save(task, registers)
        self.instructions.barrier.stack_left(self, task)

    def _save(self, task, registers):
        for place, register in zip(REGISTERS, registers, strict=True):
            self.write(task, place, self.address_of(register))

    # Waiting

    def place(self):
        return self.address_of(self.registers.pc)

    def leave(self, awaited=None, sent=None):
        sp = self._operand(self.height)
        for place, word in ((AWAITED, awaited), (SENT, sent)):
            if word is not None:
                self.store(word, self.word(sp, place), "frame")
        fp, rp = self.registers.fp, self.registers.rp
        self.suspend(self.pointer("current"), Registers(self.next_pc, sp, fp, rp))

    def sent_by(self, task):
        sp = self.words_at(self.read(task, SP))
        return self.load(self.word(sp, SENT), "frame")

    def push_to(self, task, *kept):
        """Onto its stack."""
        sp = self.words_at(self.read(task, SP))
        for value in kept:
            self.values.store(self, value, sp, "frame")
            sp = self.word(sp, self.values.words)
        self.write(task, SP, self.address_of(sp))
        self.instructions.barrier.stack_written(self, task)
