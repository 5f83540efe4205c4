"""Tasks of the interpreters: their layout in memory, and how handlers launch, switch and end them.

One worker, one queue of tasks that are ready: nothing here is atomic. A task is a descriptor, which
holds its registers while another runs, and a stack. Stacks have no pointers into themselves: a
frame record holds the distance to the caller's frame, so a stack can be copied as it is. Operands
grow upwards from its start, frame records downwards from its end, and a call looks whether there
is room between them. So both are memory of one kind, "frame".

A queue is a list through the descriptors. Those in a record or a channel are circular and known by
their last, so that one word is enough (and zero for an empty one).

While a task waits, the places of the operands that its instruction popped hold what it waits for,
and what it would send.
"""

from contextlib import contextmanager

from llvmlite import ir

from vmlab.isa import (
    CHANNEL_HEADER_WORDS,
    FIRST_STACK_WORDS,
    FRAME_RECORD_WORDS,
    TASK_DESCRIPTOR_WORDS,
    TASK_RECORD_WORDS,
    WORD_BYTES,
    Flow,
    Trap,
)
from vmlab.kernels.context import FRAGMENTED
from vmlab.kernels.dispatch import Registers
from vmlab.kernels.encoding import FINISH, FINISH_VALUE, GROW
from vmlab.kernels.entry import copy_words
from vmlab.kernels.interpreter import HandlerEmitter
from vmlab.kernels.values import I1, I64, WORDS, from_word, i64

# A descriptor, one cache line: the registers, the next in the same queue, its record, its stack.
PC, SP, FP, RP, NEXT, RECORD, BASE, END = range(TASK_DESCRIPTOR_WORDS)
REGISTERS = (PC, SP, FP, RP)

# A record, which stays: the descriptor, or 0 when the task has finished; those who wait for that,
# later the result; the address of the `spawn`; the record of the task that executed it. Record 0
# is main's, whose end nobody sees: for others it is a task that has finished with 0.
DESCRIPTOR, OUTCOME, LAUNCH, LAUNCHER = range(TASK_RECORD_WORDS)

# Where a waiting task keeps them, above its stack pointer.
AWAITED, SENT = range(2)

# What a task costs as long as it runs, beside a larger stack.
_WHILE_IT_LIVES = TASK_DESCRIPTOR_WORDS + FIRST_STACK_WORDS

# Larger stacks are segments of 2^n words; as many lists of free ones.
SEGMENT_LISTS = 64


def block_words(values) -> int:
    """A descriptor and the first words of its stack."""
    return TASK_DESCRIPTOR_WORDS + values.words * FIRST_STACK_WORDS


def record_stride(values) -> int:
    """The words of a frame record: as if they were values, since both share the stack."""
    return values.words * FRAME_RECORD_WORDS


class TaskEmitter(HandlerEmitter):
    """What `HandlerEmitter` lacks for tasks, each of which has a stack of its own."""

    COPIES = False  # whether tasks share one stack

    @staticmethod
    def first_record(m, values):
        """Besides, all that belongs to tasks begins anew; main has the first descriptor."""
        b = m.b
        main = m.pointer("blocks")
        end = m.pointer("stack_end")
        for place, name in ((RECORD, "records"), (BASE, "stack"), (END, "stack_end")):
            m.store(m.get(name), m.word(main, place), "task")
        beginnings = {
            "current": main,
            "ready_end": m.field("ready"),
            "fresh_record": m.word(m.pointer("records"), TASK_RECORD_WORDS),
            "fresh_block": m.word(main, block_words(values)),
            "fresh_segment": m.word(m.pointer("segments"), SEGMENT_LISTS),
            "fresh_channel": m.word(m.pointer("channels"), CHANNEL_HEADER_WORDS),
        }
        for name, address in beginnings.items():
            m.put(name, b.ptrtoint(address, I64))
        for name in ("ready", "task_words", "free_block", "channels_made"):
            m.put(name, i64(0))
        lists = m.pointer("segments")
        with m.each_word(lists, m.word(lists, SEGMENT_LISTS)) as head:
            b.store(i64(0), head)
        first = m.word(end, -record_stride(values))
        m.store(m.get("code"), first, "frame")
        m.store(i64(0), m.word(first, 1), "frame")
        return first

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

    def charge(self, words):
        room = self.heap_room(self.get("heap_used"))
        self.trap_if(self.b.icmp_signed(">", words, room), Trap.OUT_OF_MEMORY)
        self.add_to("task_words", words)

    def add_to(self, name, number):
        self.put(name, self.b.add(self.get(name), number))

    def heap_room(self, used):
        return self.b.sub(super().heap_room(used), self.get("task_words"))

    def address_of(self, pointer):
        return self.b.ptrtoint(pointer, I64)

    def words_at(self, address):
        return self.b.inttoptr(address, WORDS)

    def within(self, region, index):
        return self.b.gep(self.pointer(region), [index], inbounds=True)

    def read(self, words, index, kind="task"):
        return self.load(self.word(words, index), kind)

    def write(self, words, index, value, kind="task"):
        self.store(value, self.word(words, index), kind)

    # Calls

    def _call(self):
        b = self.b
        pc, sp, fp, rp = self.registers
        self.safepoint()
        record = self.word(rp, -record_stride(self.values))
        end = self.read(self.pointer("current"), END)
        deep = b.icmp_signed(">", b.sub(end, self.address_of(record)), self.get("depth_bytes"))
        self.trap_if(deep, Trap.CALL_DEPTH_EXCEEDED)
        callee, args, fresh, operands = (self._word(index) for index in range(1, 5))
        top = b.gep(sp, [fresh], inbounds=True)
        full = b.icmp_unsigned(">", b.gep(top, [operands], inbounds=True), record)
        with self.unlikely(full):
            self.put("pc", self.address_of(pc))
            grow = self.word(self.pointer("code"), self.instructions.codes[GROW])
            self.go_on(self.registers._replace(pc=grow))
        frame = b.gep(sp, [b.neg(args)], inbounds=True)
        self.store(self.address_of(self.next_pc), record, "frame")
        distance = b.sub(self.address_of(frame), self.address_of(fp))
        self.store(distance, self.word(record, 1), "frame")
        target = self._callee(callee)
        self._start_locals(target, sp, top)
        return Registers(target, top, frame, record)

    def _caller(self):
        fp, rp = self.registers.fp, self.registers.rp
        return_pc, distance = self.load(rp, "frame"), self.load(self.word(rp, 1), "frame")
        return {
            "pc": self.words_at(return_pc),
            "fp": self.words_at(self.b.sub(self.address_of(fp), distance)),
            "rp": self.word(rp, record_stride(self.values)),
        }

    def _grow(self, counting):
        """The stack gets as large as the call at the context's pc needs it. Then that is executed
        anew, so it must not count twice."""
        b, size = self.b, i64(WORD_BYTES * self.values.words)
        _, sp, _, rp = self.registers
        call = self.pointer("pc")
        self.registers = self.registers._replace(pc=call)
        current = self.pointer("current")
        base, end = self.read(current, BASE), self.read(current, END)
        fresh, operands = self._word(3), self._word(4)
        top = b.gep(b.gep(sp, [fresh], inbounds=True), [operands], inbounds=True)
        below = b.sub(self.address_of(top), base)
        records = b.sub(end, self.address_of(self.word(rp, -record_stride(self.values))))
        needed = b.udiv(b.add(below, records), size)
        zeros = self.intrinsic("llvm.ctlz", b.sub(needed, i64(1)), ir.Constant(I1, 0))
        words = b.shl(i64(1), b.sub(i64(64), zeros))
        self.charge(b.sub(words, self._further_words(current)))
        registers = self.move_stack(current, base, end, self._new_segment(words))
        if counting:
            self.add_to("fuel", i64(1))
        self.go_on(registers)

    def move_stack(self, current, base, end, segment):
        """The registers of the running task when its stack, from `base` to `end`, has come to be
        this segment, which is larger. `segment` is its start and its end."""
        b = self.b
        _, sp, fp, rp = self.registers
        new_base, new_end = (self.address_of(address) for address in segment)
        kept = b.sub(self.address_of(sp), base)
        copy_words(b, segment[0], self.words_at(base), b.lshr(kept, i64(3)))
        records = b.sub(end, self.address_of(rp))
        new_rp = self.words_at(b.sub(new_end, records))
        copy_words(b, new_rp, rp, b.lshr(records, i64(3)))
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
        reused, fresh, done = (b.append_basic_block(n) for n in ("reused", "fresh", "allocated"))
        free = b.load(free_list)
        b.cbranch(b.icmp_unsigned("!=", free, i64(0)), reused, fresh)
        b.position_at_end(reused)
        old = self.words_at(free)
        b.store(b.load(old), free_list)
        b.branch(done)
        b.position_at_end(fresh)
        start = self.get("fresh_segment")
        end = b.add(start, bytes_)
        too_much = b.icmp_unsigned(">", end, self.get("segments_end"))
        self.leave_if(too_much, self.stop_block(FRAGMENTED))
        self.put("fresh_segment", end)
        new, here = self.words_at(start), b.block
        b.branch(done)
        b.position_at_end(done)
        segment = b.phi(WORDS)
        segment.add_incoming(old, reused)
        segment.add_incoming(new, here)
        return segment, self.words_at(b.add(self.address_of(segment), bytes_))

    def free_segment(self, task):
        """If its stack is one, put it to the free ones."""
        b = self.b
        words = self._further_words(task)
        with b.if_then(b.icmp_unsigned("!=", words, i64(0)), likely=False):
            base, free_list = self.segment_of(task)[0], self._free_list(words)
            b.store(b.load(free_list), self.words_at(base))
            b.store(base, free_list)

    def _new_block(self):
        b = self.b
        free = self.get("free_block")
        reused, fresh, done = (b.append_basic_block(n) for n in ("reused", "fresh", "allocated"))
        b.cbranch(b.icmp_unsigned("!=", free, i64(0)), reused, fresh)
        b.position_at_end(reused)
        old = self.words_at(free)
        self.put("free_block", self.read(old, NEXT))
        b.branch(done)
        b.position_at_end(fresh)
        new = self.pointer("fresh_block")
        self.put("fresh_block", self.address_of(self.word(new, block_words(self.values))))
        b.branch(done)
        b.position_at_end(done)
        block = b.phi(WORDS)
        block.add_incoming(old, reused)
        block.add_incoming(new, fresh)
        return block

    # Launch and end

    def _spawn(self):
        b = self.b
        self.safepoint()
        callee, args, fresh, further, finish = (self._word(index) for index in range(1, 6))
        self.charge(b.add(further, i64(TASK_RECORD_WORDS + _WHILE_IT_LIVES)))
        task = self._new_block()
        base, end = self._first_stack(task, further)
        record = self.pointer("fresh_record")
        self.put("fresh_record", self.address_of(self.word(record, TASK_RECORD_WORDS)))
        launcher = self.read(self.pointer("current"), RECORD)
        self.write(record, DESCRIPTOR, self.address_of(task))
        self.write(record, OUTCOME, i64(0))
        self.write(record, LAUNCH, self.address_of(self.registers.pc))
        self.write(record, LAUNCHER, launcher)

        sp = self.registers.sp
        first = b.gep(sp, [b.neg(args)], inbounds=True)
        passed = b.gep(base, [args], inbounds=True)
        moved = b.sub(self.address_of(first), self.address_of(base))
        with self.each_word(base, passed) as slot:
            source = self.words_at(b.add(self.address_of(slot), moved))
            self.store(self.load(source, "frame"), slot, "frame")
        top = b.gep(passed, [fresh], inbounds=True)
        target = self._callee(callee)
        self._start_locals(target, passed, top)
        frame_record = self.word(end, -record_stride(self.values))
        back = self.within("code", finish)
        self.store(self.address_of(back), frame_record, "frame")
        self.store(i64(0), self.word(frame_record, 1), "frame")
        self._save(task, Registers(target, top, base, frame_record))
        for place, address in ((RECORD, record), (BASE, base), (END, end)):
            self.write(task, place, self.address_of(address))
        self.get_ready(task)

        number = b.sub(self.address_of(record), self.get("records"))
        handle = self.values.wrap(self, b.lshr(number, i64(3)), self._tag_word(6))
        self.values.store(self, handle, first, "frame")
        return self.registers._replace(pc=self.next_pc, sp=self.word(first, self.values.words))

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
        b = self.b
        task = self.pointer("current")
        record = self.words_at(self.read(task, RECORD))
        last = self.read(record, OUTCOME)
        kept = self.values.load(self, self.registers.fp, "frame") if has_value else None
        word = self.values.unwrap(self, kept, "int") if has_value else i64(0)
        self.write(record, DESCRIPTOR, i64(0))
        self.write(record, OUTCOME, word)
        self.free_segment(task)
        cost = b.add(self._further_words(task), i64(_WHILE_IT_LIVES))
        self.add_to("task_words", b.neg(cost))
        self.write(task, NEXT, self.get("free_block"))
        self.put("free_block", self.address_of(task))
        with self.each_waiting(last) as joining:
            if has_value:
                self.values.retain(self, kept)
                self.push_to(joining, kept)
            self.get_ready(joining)
        if has_value:
            self.values.release(self, kept)
        self._run_next()

    # Queues

    def go_on(self, registers):
        self.dispatch.next(self.b, registers, self.context, self.heap)

    def get_ready(self, task):
        """To the end of those that are ready."""
        address = self.address_of(task)
        self.write(task, NEXT, i64(0))
        # The word is one of a descriptor, or of the context.
        self.b.store(address, self.pointer("ready_end"))
        self.put("ready_end", self.address_of(self.word(task, NEXT)))

    def _run_next(self):
        """The first that is ready goes on; without one, it is a deadlock."""
        first = self._first_ready()
        self.trap_if(self.b.icmp_unsigned("==", first, i64(0)), Trap.DEADLOCK)
        following = self.b.load(self.word(self.words_at(first), NEXT))
        with self.b.if_then(self.b.icmp_unsigned("==", following, i64(0))):
            self.put("ready_end", self.address_of(self.field("ready")))
        self._switch_to(first, following)

    def _first_ready(self):
        # A plain load: `get_ready` may have written the word as one of a descriptor.
        return self.b.load(self.field("ready"))

    def _switch_to(self, first, following):
        """From the first that is ready to the one behind it."""
        self.b.store(following, self.field("ready"))
        self.put("current", first)
        self.go_on(self.resume(self.words_at(first)))

    def resume(self, task):
        """The registers of a task that is going to run."""
        return Registers(*(self.words_at(self.read(task, place)) for place in REGISTERS))

    def suspend(self, task, registers):
        """The running task stops; later it goes on with these registers."""
        self._save(task, registers)
        self.instructions.barrier.stack_left(self, task)

    def _save(self, task, registers):
        for place, register in zip(REGISTERS, registers, strict=True):
            self.write(task, place, self.address_of(register))

    def enqueue(self, task, last_place, kind):
        """To the end of a circular list, whose last stands in this word."""
        b = self.b
        last = self.load(last_place, kind)
        alone, others, done = (b.append_basic_block(n) for n in ("alone", "others", "enqueued"))
        b.cbranch(b.icmp_unsigned("==", last, i64(0)), alone, others)
        b.position_at_end(alone)
        self.write(task, NEXT, self.address_of(task))
        b.branch(done)
        b.position_at_end(others)
        before = self.words_at(last)
        self.write(task, NEXT, self.read(before, NEXT))
        self.write(before, NEXT, self.address_of(task))
        b.branch(done)
        b.position_at_end(done)
        self.store(self.address_of(task), last_place, kind)

    def dequeue(self, last, last_place, kind):
        """The first of a circular list that is not empty; `last` stands in the word."""
        b = self.b
        before = self.words_at(last)
        first = self.read(before, NEXT)
        following = self.read(self.words_at(first), NEXT)
        alone = b.icmp_unsigned("==", first, last)
        self.write(before, NEXT, following)
        self.store(b.select(alone, i64(0), last), last_place, kind)
        return self.words_at(first)

    @contextmanager
    def each_waiting(self, last):
        """Emit what follows for each of a circular list, the first first."""
        b = self.b
        some, again, done = (b.append_basic_block(n) for n in ("some", "waiting", "all"))
        b.cbranch(b.icmp_unsigned("!=", last, i64(0)), some, done)
        b.position_at_end(some)
        first = self.read(self.words_at(last), NEXT)
        b.branch(again)
        b.position_at_end(again)
        address = b.phi(I64)
        address.add_incoming(first, some)
        task = self.words_at(address)
        following = self.read(task, NEXT)
        yield task
        address.add_incoming(following, b.block)
        b.cbranch(b.icmp_unsigned("!=", address, last), again, done)
        b.position_at_end(done)

    # Waiting

    def wait(self, last_place, kind, awaited, sent=None):
        """The running task goes to a queue, another goes on."""
        task, sp = self.pointer("current"), self._operand(self.height)
        self.store(awaited, self.word(sp, AWAITED), "frame")
        if sent is not None:
            self.store(sent, self.word(sp, SENT), "frame")
        self.suspend(task, self.registers._replace(pc=self.next_pc, sp=sp))
        self.enqueue(task, last_place, kind)
        self._run_next()

    def push_to(self, task, *kept):
        """Values on the stack of a task that waits."""
        sp = self.words_at(self.read(task, SP))
        for value in kept:
            self.values.store(self, value, sp, "frame")
            sp = self.word(sp, self.values.words)
        self.write(task, SP, self.address_of(sp))
        self.instructions.barrier.stack_written(self, task)

    # What semantics functions ask for

    def yield_turn(self):
        b = self.b
        first = self._first_ready()
        others = b.append_basic_block("others")
        alone = b.append_basic_block("alone")
        b.cbranch(b.icmp_unsigned("!=", first, i64(0)), others, alone)
        b.position_at_end(others)
        task = self.pointer("current")
        sp = self._operand(self.height)
        self.suspend(task, self.registers._replace(pc=self.next_pc, sp=sp))
        self.get_ready(task)
        # There is one behind it now.
        self._switch_to(first, b.load(self.word(self.words_at(first), NEXT)))
        b.position_at_end(alone)

    def join(self, handle, type_):
        b = self.b
        record = self.within("records", handle)
        alive, finished = b.append_basic_block("alive"), b.append_basic_block("finished")
        descriptor = self.read(record, DESCRIPTOR)
        b.cbranch(b.icmp_unsigned("!=", descriptor, i64(0)), alive, finished)
        b.position_at_end(alive)
        self.wait(self.word(record, OUTCOME), "task", handle)
        b.position_at_end(finished)
        return from_word(b, self.read(record, OUTCOME), type_) if type_ else None
