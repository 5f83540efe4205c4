"""Tasks and channels of the interpreters: their layout in memory, and handlers for them.

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
from vmlab.kernels.values import I1, I64, WORDS, from_word, i64, to_word

# A descriptor, one cache line: the registers, the next in the same queue, its record, its stack.
PC, SP, FP, RP, NEXT, RECORD, BASE, END = range(TASK_DESCRIPTOR_WORDS)

# A record, which stays: the descriptor, or 0 when the task has finished; those who wait for that,
# later the result; the address of the `spawn`; the record of the task that executed it. Record 0
# is main's, whose end nobody sees: for others it is a task that has finished with 0.
DESCRIPTOR, OUTCOME, LAUNCH, LAUNCHER = range(TASK_RECORD_WORDS)

# A channel, before the values that it can hold. Channel 0 is all zeros, a closed one.
(
    OPEN,
    CAPACITY,
    COUNT,  # of the values that it holds
    FIRST,  # the place of the oldest
    RECEIVERS,  # who waits
    SENDERS,
    MADE,  # the address of the `chan`
    NUMBER,
) = range(CHANNEL_HEADER_WORDS)

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


class TaskHandlerEmitter(HandlerEmitter):
    """Emits one handler of an interpreter for programs with tasks."""

    @staticmethod
    def first_record(m, values):
        """Besides, all that belongs to tasks begins anew; main has the first descriptor."""
        b = m.b
        main, records, channels = m.pointer("blocks"), m.pointer("records"), m.pointer("channels")
        end = m.pointer("stack_end")
        for place, name in ((RECORD, "records"), (BASE, "stack"), (END, "stack_end")):
            m.store(m.get(name), m.word(main, place), "task")
        beginnings = {
            "current": main,
            "ready_end": m.field("ready"),
            "fresh_record": m.word(records, TASK_RECORD_WORDS),
            "fresh_block": m.word(main, block_words(values)),
            "fresh_segment": m.word(m.pointer("segments"), SEGMENT_LISTS),
            "fresh_channel": m.word(channels, CHANNEL_HEADER_WORDS),
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
        match self.handler.name:
            case name if name in (FINISH, FINISH_VALUE):
                self._finish(has_value=name == FINISH_VALUE)
            case name if name == GROW:
                self._grow(counting)
            case _:
                super().emit(counting)

    def execute(self, flow):
        return self._spawn() if flow is Flow.SPAWN else super().execute(flow)

    def _stack_bytes(self, words):
        """Of the VM's words, what they take as they are kept here."""
        return self.b.mul(words, i64(WORD_BYTES * self.values.words))

    def _charge(self, words):
        room = self.heap_room(self.get("heap_used"))
        self.trap_if(self.b.icmp_signed(">", words, room), Trap.OUT_OF_MEMORY)
        self._add_to("task_words", words)

    def _add_to(self, name, number):
        self.put(name, self.b.add(self.get(name), number))

    def heap_room(self, used):
        return self.b.sub(super().heap_room(used), self.get("task_words"))

    def _address(self, pointer):
        return self.b.ptrtoint(pointer, I64)

    def _pointer(self, address):
        return self.b.inttoptr(address, WORDS)

    def _at(self, region, index):
        return self.b.gep(self.pointer(region), [index], inbounds=True)

    def _get(self, words, index, kind="task"):
        return self.load(self.word(words, index), kind)

    def _set(self, words, index, value, kind="task"):
        self.store(value, self.word(words, index), kind)

    # Calls

    def _call(self):
        b = self.b
        pc, sp, fp, rp = self.registers
        self.safepoint()
        record = self.word(rp, -record_stride(self.values))
        end = self._get(self.pointer("current"), END)
        deep = b.icmp_signed(">", b.sub(end, self._address(record)), self.get("depth_bytes"))
        self.trap_if(deep, Trap.CALL_DEPTH_EXCEEDED)
        callee, args, fresh, operands = (self._word(index) for index in range(1, 5))
        top = b.gep(sp, [fresh], inbounds=True)
        full = b.icmp_unsigned(">", b.gep(top, [operands], inbounds=True), record)
        with self.unlikely(full):
            self.put("pc", self._address(pc))
            grow = self.word(self.pointer("code"), self.instructions.codes[GROW])
            self.go_on(self.registers._replace(pc=grow))
        frame = b.gep(sp, [b.neg(args)], inbounds=True)
        self.store(self._address(self.next_pc), record, "frame")
        distance = b.sub(self._address(frame), self._address(fp))
        self.store(distance, self.word(record, 1), "frame")
        target = self._callee(callee)
        self._start_locals(target, sp, top)
        return Registers(target, top, frame, record)

    def _leave_frame(self, sp):
        b = self.b
        _, _, fp, rp = self.registers
        return_pc, distance = self.load(rp, "frame"), self.load(self.word(rp, 1), "frame")
        caller = self._pointer(b.sub(self._address(fp), distance))
        after = self.word(rp, record_stride(self.values))
        return Registers(self._pointer(return_pc), sp, caller, after)

    def _grow(self, counting):
        """The stack gets as large as the call at the context's pc needs it. Then that is executed
        anew, so it must not count twice."""
        b, size = self.b, i64(WORD_BYTES * self.values.words)
        _, sp, fp, rp = self.registers
        call = self.pointer("pc")
        self.registers = self.registers._replace(pc=call)
        current = self.pointer("current")
        base, end = self._get(current, BASE), self._get(current, END)
        fresh, operands = self._word(3), self._word(4)
        top = b.gep(b.gep(sp, [fresh], inbounds=True), [operands], inbounds=True)
        below = b.sub(self._address(top), base)
        records = b.sub(end, self._address(self.word(rp, -record_stride(self.values))))
        needed = b.udiv(b.add(below, records), size)
        zeros = self.intrinsic("llvm.ctlz", b.sub(needed, i64(1)), ir.Constant(I1, 0))
        words = b.shl(i64(1), b.sub(i64(64), zeros))
        self._charge(b.sub(words, self._further_words(current)))
        new = self._new_segment(words)
        new_base, new_end = (self._address(address) for address in (new[0], new[1]))
        kept = b.sub(self._address(sp), base)
        copy_words(b, new[0], self._pointer(base), b.lshr(kept, i64(3)))
        records = b.sub(end, self._address(rp))
        new_rp = self._pointer(b.sub(new_end, records))
        copy_words(b, new_rp, rp, b.lshr(records, i64(3)))
        self._free_segment(current)
        self._set(current, BASE, new_base)
        self._set(current, END, new_end)
        if counting:
            self._add_to("fuel", i64(1))
        moved = b.sub(new_base, base)
        sp, fp = (self._pointer(b.add(self._address(address), moved)) for address in (sp, fp))
        self.go_on(Registers(call, sp, fp, new_rp))

    # Memory of stacks. What was a list of free memory becomes values and records: plain loads and
    # stores, of no kind, so that LLVM keeps them in order.

    def _further_words(self, task):
        """What its stack costs beside the first words."""
        b = self.b
        base, end = self._get(task, BASE), self._get(task, END)
        words = b.udiv(b.sub(end, base), i64(WORD_BYTES * self.values.words))
        first = self._address(self.word(task, TASK_DESCRIPTOR_WORDS))
        return b.select(b.icmp_unsigned("==", base, first), i64(0), words)

    def _free_list(self, words):
        zeros = self.intrinsic("llvm.cttz", words, ir.Constant(I1, 1))
        return self._at("segments", zeros)

    def _new_segment(self, words):
        """The start and the end of a segment of so many of the VM's words."""
        b = self.b
        free_list, bytes_ = self._free_list(words), self._stack_bytes(words)
        reused, fresh, done = (b.append_basic_block(n) for n in ("reused", "fresh", "allocated"))
        free = b.load(free_list)
        b.cbranch(b.icmp_unsigned("!=", free, i64(0)), reused, fresh)
        b.position_at_end(reused)
        old = self._pointer(free)
        b.store(b.load(old), free_list)
        b.branch(done)
        b.position_at_end(fresh)
        start = self.get("fresh_segment")
        end = b.add(start, bytes_)
        too_much = b.icmp_unsigned(">", end, self.get("segments_end"))
        self.leave_if(too_much, self.stop_block(FRAGMENTED))
        self.put("fresh_segment", end)
        new, here = self._pointer(start), b.block
        b.branch(done)
        b.position_at_end(done)
        segment = b.phi(WORDS)
        segment.add_incoming(old, reused)
        segment.add_incoming(new, here)
        return segment, self._pointer(b.add(self._address(segment), bytes_))

    def _free_segment(self, task):
        """If its stack is one, put it to the free ones."""
        b = self.b
        words = self._further_words(task)
        with b.if_then(b.icmp_unsigned("!=", words, i64(0)), likely=False):
            base, free_list = self._get(task, BASE), self._free_list(words)
            b.store(b.load(free_list), self._pointer(base))
            b.store(base, free_list)

    def _new_block(self):
        b = self.b
        free = self.get("free_block")
        reused, fresh, done = (b.append_basic_block(n) for n in ("reused", "fresh", "allocated"))
        b.cbranch(b.icmp_unsigned("!=", free, i64(0)), reused, fresh)
        b.position_at_end(reused)
        old = self._pointer(free)
        self.put("free_block", self._get(old, NEXT))
        b.branch(done)
        b.position_at_end(fresh)
        new = self.pointer("fresh_block")
        self.put("fresh_block", self._address(self.word(new, block_words(self.values))))
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
        self._charge(b.add(further, i64(TASK_RECORD_WORDS + _WHILE_IT_LIVES)))
        task = self._new_block()
        base, end = self._first_stack(task, further)
        record = self.pointer("fresh_record")
        self.put("fresh_record", self._address(self.word(record, TASK_RECORD_WORDS)))
        launcher = self._get(self.pointer("current"), RECORD)
        self._set(record, DESCRIPTOR, self._address(task))
        self._set(record, OUTCOME, i64(0))
        self._set(record, LAUNCH, self._address(self.registers.pc))
        self._set(record, LAUNCHER, launcher)

        sp = self.registers.sp
        first = b.gep(sp, [b.neg(args)], inbounds=True)
        passed = b.gep(base, [args], inbounds=True)
        moved = b.sub(self._address(first), self._address(base))
        with self.each_word(base, passed) as slot:
            source = self._pointer(b.add(self._address(slot), moved))
            self.store(self.load(source, "frame"), slot, "frame")
        top = b.gep(passed, [fresh], inbounds=True)
        target = self._callee(callee)
        self._start_locals(target, passed, top)
        frame_record = self.word(end, -record_stride(self.values))
        back = self._at("code", finish)
        self.store(self._address(back), frame_record, "frame")
        self.store(i64(0), self.word(frame_record, 1), "frame")
        self._save(task, Registers(target, top, base, frame_record))
        for place, address in ((RECORD, record), (BASE, base), (END, end)):
            self._set(task, place, self._address(address))
        self._get_ready(task)

        number = b.sub(self._address(record), self.get("records"))
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
        record = self._pointer(self._get(task, RECORD))
        last = self._get(record, OUTCOME)
        kept = self.values.load(self, self.registers.fp, "frame") if has_value else None
        word = self.values.unwrap(self, kept, "int") if has_value else i64(0)
        self._set(record, DESCRIPTOR, i64(0))
        self._set(record, OUTCOME, word)
        self._free_segment(task)
        cost = b.add(self._further_words(task), i64(_WHILE_IT_LIVES))
        self._add_to("task_words", b.neg(cost))
        self._set(task, NEXT, self.get("free_block"))
        self.put("free_block", self._address(task))
        with self._each_waiting(last) as joining:
            if has_value:
                self.values.retain(self, kept)
                self._push_to(joining, kept)
            self._get_ready(joining)
        if has_value:
            self.values.release(self, kept)
        self._run_next()

    # Queues

    def _get_ready(self, task):
        """To the end of those that are ready."""
        address = self._address(task)
        self._set(task, NEXT, i64(0))
        # The word is one of a descriptor, or of the context.
        self.b.store(address, self.pointer("ready_end"))
        self.put("ready_end", self._address(self.word(task, NEXT)))

    def _run_next(self):
        """The first that is ready goes on."""
        b = self.b
        task = self._first_ready()
        self.leave_if(b.icmp_unsigned("==", task, i64(0)), self.stop_block(Trap.DEADLOCK.code))
        task = self._pointer(task)
        following = b.load(self.word(task, NEXT))
        b.store(following, self.field("ready"))
        with b.if_then(b.icmp_unsigned("==", following, i64(0))):
            self.put("ready_end", self._address(self.field("ready")))
        self._switch_to(task)

    def _first_ready(self):
        # As a word that `_get_ready` may have written.
        return self.b.load(self.field("ready"))

    def _switch_to(self, task):
        self.put("current", self._address(task))
        self.go_on(Registers(*(self._pointer(self._get(task, place)) for place in range(4))))

    def _save(self, task, registers):
        for place, register in enumerate(registers):
            self._set(task, place, self._address(register))

    def _enqueue(self, task, last_place, kind):
        """To the end of a circular list, whose last stands in this word."""
        b = self.b
        last = self.load(last_place, kind)
        alone, others, done = (b.append_basic_block(n) for n in ("alone", "others", "enqueued"))
        b.cbranch(b.icmp_unsigned("==", last, i64(0)), alone, others)
        b.position_at_end(alone)
        self._set(task, NEXT, self._address(task))
        b.branch(done)
        b.position_at_end(others)
        before = self._pointer(last)
        self._set(task, NEXT, self._get(before, NEXT))
        self._set(before, NEXT, self._address(task))
        b.branch(done)
        b.position_at_end(done)
        self.store(self._address(task), last_place, kind)

    def _dequeue(self, last, last_place, kind):
        """The first of a circular list that is not empty; `last` stands in the word."""
        b = self.b
        before = self._pointer(last)
        first = self._get(before, NEXT)
        following = self._get(self._pointer(first), NEXT)
        alone = b.icmp_unsigned("==", first, last)
        self._set(before, NEXT, following)
        self.store(b.select(alone, i64(0), last), last_place, kind)
        return self._pointer(first)

    @contextmanager
    def _each_waiting(self, last):
        """Emit what follows for each of a circular list, the first first."""
        b = self.b
        some, again, done = (b.append_basic_block(n) for n in ("some", "waiting", "all"))
        b.cbranch(b.icmp_unsigned("!=", last, i64(0)), some, done)
        b.position_at_end(some)
        first = self._get(self._pointer(last), NEXT)
        b.branch(again)
        b.position_at_end(again)
        address = b.phi(I64)
        address.add_incoming(first, some)
        task = self._pointer(address)
        following = self._get(task, NEXT)
        yield task
        address.add_incoming(following, b.block)
        b.cbranch(b.icmp_unsigned("!=", address, last), again, done)
        b.position_at_end(done)

    # Waiting

    def _wait(self, last_place, kind, awaited, sent=None):
        """The running task goes to a queue, another goes on."""
        task, sp = self.pointer("current"), self._operand(self.height)
        self.store(awaited, self.word(sp, AWAITED), "frame")
        if sent is not None:
            self.store(sent, self.word(sp, SENT), "frame")
        self._save(task, self.registers._replace(pc=self.next_pc, sp=sp))
        self._enqueue(task, last_place, kind)
        self._run_next()

    def _push_to(self, task, *kept):
        """Values on the stack of a task that waits."""
        sp = self._pointer(self._get(task, SP))
        for value in kept:
            self.values.store(self, value, sp, "frame")
            sp = self.word(sp, self.values.words)
        self._set(task, SP, self._address(sp))

    def _hand_to(self, task, word, received, type_):
        """A task that waits to receive gets these, and goes on."""
        value = self.values.wrap(self, from_word(self.b, word, type_), type_)
        self._push_to(task, value, self.values.wrap(self, i64(received), "int"))
        self._get_ready(task)

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
        self._save(task, self.registers._replace(pc=self.next_pc, sp=sp))
        self._get_ready(task)
        self._run_next()
        b.position_at_end(alone)

    def join(self, handle, type_):
        b = self.b
        record = self._at("records", handle)
        alive, finished = b.append_basic_block("alive"), b.append_basic_block("finished")
        descriptor = self._get(record, DESCRIPTOR)
        b.cbranch(b.icmp_unsigned("!=", descriptor, i64(0)), alive, finished)
        b.position_at_end(alive)
        self._wait(self.word(record, OUTCOME), "task", handle)
        b.position_at_end(finished)
        return from_word(b, self._get(record, OUTCOME), type_) if type_ else None

    def channel_new(self, capacity):
        b = self.b
        self.trap_if(b.icmp_signed("<", capacity, i64(0)), Trap.NEGATIVE_LENGTH)
        room = b.sub(self.heap_room(self.get("heap_used")), i64(CHANNEL_HEADER_WORDS))
        self.trap_if(b.icmp_signed(">", capacity, room), Trap.OUT_OF_MEMORY)
        words = b.add(capacity, i64(CHANNEL_HEADER_WORDS))
        self._add_to("task_words", words)
        channel = self.pointer("fresh_channel")
        self.put("fresh_channel", self._address(b.gep(channel, [words], inbounds=True)))
        self._add_to("channels_made", i64(1))
        header = {
            OPEN: i64(1),
            CAPACITY: capacity,
            COUNT: i64(0),
            FIRST: i64(0),
            RECEIVERS: i64(0),
            SENDERS: i64(0),
            MADE: self._address(self.registers.pc),
            NUMBER: self.get("channels_made"),
        }
        for place, word in header.items():
            self._set(channel, place, word, "channel")
        return b.lshr(b.sub(self._address(channel), self.get("channels")), i64(3))

    def _value_place(self, channel, index):
        """Where a channel keeps a value; `index` goes around once at most."""
        b = self.b
        capacity = self._get(channel, CAPACITY, "channel")
        around = b.select(b.icmp_unsigned(">=", index, capacity), capacity, i64(0))
        values = self.word(channel, CHANNEL_HEADER_WORDS)
        return b.gep(values, [b.sub(index, around)], inbounds=True)

    def channel_send(self, handle, value, type_):
        b = self.b
        channel, word = self._at("channels", handle), to_word(b, value)
        closed = b.icmp_unsigned("==", self._get(channel, OPEN, "channel"), i64(0))
        self.trap_if(closed, Trap.SEND_ON_CLOSED)
        receivers = self.word(channel, RECEIVERS)
        last = self.load(receivers, "channel")
        deliver, keep, room, full, done = (
            b.append_basic_block(name) for name in ("deliver", "keep", "room", "full", "sent")
        )
        b.cbranch(b.icmp_unsigned("!=", last, i64(0)), deliver, keep)
        b.position_at_end(deliver)
        self._hand_to(self._dequeue(last, receivers, "channel"), word, 1, type_)
        b.branch(done)
        b.position_at_end(keep)
        count, capacity = (self._get(channel, place, "channel") for place in (COUNT, CAPACITY))
        b.cbranch(b.icmp_unsigned("<", count, capacity), room, full)
        b.position_at_end(room)
        first = self._get(channel, FIRST, "channel")
        self.store(word, self._value_place(channel, b.add(first, count)), "channel")
        self._set(channel, COUNT, b.add(count, i64(1)), "channel")
        b.branch(done)
        b.position_at_end(full)
        self._wait(self.word(channel, SENDERS), "channel", handle, word)
        b.position_at_end(done)

    def channel_receive(self, handle, type_):
        b = self.b
        channel = self._at("channels", handle)
        take, none, refill, less, hand, over, closed, wait, done = (
            b.append_basic_block(name)
            for name in (
                *("take", "none", "refill", "less", "hand", "over", "closed", "wait", "received"),
            )
        )
        count = self._get(channel, COUNT, "channel")
        senders = self.word(channel, SENDERS)
        last = self.load(senders, "channel")
        waiting = b.icmp_unsigned("!=", last, i64(0))
        b.cbranch(b.icmp_unsigned("!=", count, i64(0)), take, none)

        b.position_at_end(take)
        first = self._get(channel, FIRST, "channel")
        place = self.b.gep(channel, [b.add(first, i64(CHANNEL_HEADER_WORDS))], inbounds=True)
        oldest = self.load(place, "channel")
        following = b.add(first, i64(1))
        at_end = b.icmp_unsigned("==", following, self._get(channel, CAPACITY, "channel"))
        self._set(channel, FIRST, b.select(at_end, i64(0), following), "channel")
        b.cbranch(waiting, refill, less)
        b.position_at_end(refill)
        # It was full: the place that is free now is the one behind the youngest.
        self.store(self._sent(last, senders), place, "channel")
        from_refill = b.block
        b.branch(done)
        b.position_at_end(less)
        self._set(channel, COUNT, b.sub(count, i64(1)), "channel")
        b.branch(done)

        b.position_at_end(none)
        b.cbranch(waiting, hand, over)
        b.position_at_end(hand)
        handed = self._sent(last, senders)
        from_hand = b.block
        b.branch(done)
        b.position_at_end(over)
        is_open = b.icmp_unsigned("!=", self._get(channel, OPEN, "channel"), i64(0))
        b.cbranch(is_open, wait, closed)
        b.position_at_end(wait)
        self._wait(self.word(channel, RECEIVERS), "channel", handle)
        b.position_at_end(closed)
        b.branch(done)

        b.position_at_end(done)
        word, received = b.phi(I64), b.phi(I64)
        ways = [(from_refill, oldest, 1), (less, oldest, 1), (from_hand, handed, 1)]
        for block, value, flag in [*ways, (closed, i64(0), 0)]:
            word.add_incoming(value, block)
            received.add_incoming(i64(flag), block)
        return from_word(b, word, type_), received

    def _sent(self, last, senders):
        """What the first that waits to send has sent; it goes on."""
        task = self._dequeue(last, senders, "channel")
        sp = self._pointer(self._get(task, SP))
        word = self.load(self.word(sp, SENT), "frame")
        self._get_ready(task)
        return word

    def channel_close(self, handle, type_):
        b = self.b
        channel = self._at("channels", handle)
        closed = b.icmp_unsigned("==", self._get(channel, OPEN, "channel"), i64(0))
        waiting = b.icmp_unsigned("!=", self._get(channel, SENDERS, "channel"), i64(0))
        self.trap_if(b.or_(closed, waiting), Trap.SEND_ON_CLOSED)
        self._set(channel, OPEN, i64(0), "channel")
        last = self._get(channel, RECEIVERS, "channel")
        self._set(channel, RECEIVERS, i64(0), "channel")
        with self._each_waiting(last) as task:
            self._hand_to(task, i64(0), 0, type_)
