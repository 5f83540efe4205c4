"""Straight code for programs with tasks on several workers: `coroutines` on the native scheduler.

Each worker is a thread with a context of its own. Instructions that can suspend ask the scheduler
(`scheduler.guests`), whose functions are translated into the program's module; a descriptor is a
Task, a channel a Channel. What a task leaves is in its frame before anybody else can take it, so it
may go on on any worker. `work` is where a worker's tasks are entered, and where they return to when
the run ends; all changes from task to task in between are jumps, as with one worker.

Accounts and counters that the workers share are in one more context, and atomic: what is asked for
is added first, then compared with the limit, so that the sum never exceeds it unnoticed.

Programs may have data races, but must not bring the process down. What can be reached by a racing
reference is therefore written before the reference is (`publish`), the length of an array never
changes, and globals are read and written as whole words, each load once. An element of an array is
a number, and checked after it is loaded, like all indices.
"""

from types import MappingProxyType

from llvmlite import ir
from llvmlite.ir.instructions import CastInstr, StoreAtomicInstr

from vmlab.isa import (
    ARRAY_HEADER_WORDS,
    CHANNEL_HEADER_WORDS,
    LIVE_TASK_WORDS,
    TASK_RECORD_WORDS,
    WORD_BYTES,
    Trap,
)
from vmlab.kernels import entry, native
from vmlab.kernels.coroutines import (
    AWAITED,
    CONVENTION,
    FRAME,
    RESUMED,
    CoroutineEmitter,
    CoroutineProgramEmitter,
    CoroutineRoutine,
    Coroutines,
    EntryEmitter,
    PlainEmitter,
)
from vmlab.kernels.frames import LINE_WORDS, RESUME
from vmlab.kernels.queues import NEXT, RECORD
from vmlab.kernels.scheduler import channels, guests, memory, parking, tasks
from vmlab.kernels.scheduler.layout import BLOCK_SIZES, Channel, Record, Task
from vmlab.kernels.scheduler.locks import lock, unlock
from vmlab.kernels.scheduler.structures import LINE_BYTES
from vmlab.kernels.scheduler.translate import POINTER, Translator
from vmlab.kernels.task_functions import GIVEN, Growth
from vmlab.kernels.values import F64, I64, WORDS, from_word, i64, to_word

# The fields of the context that stand for all workers: those that begin at 0, and the others. What
# `heap_used` counts, `task_words` has too.
COUNTERS = ("heap_used", "task_words", "channels_made", "output_used", "output_lock")
SHARED = {*COUNTERS, "fresh_record", "fresh_channel"}

# The code with which `work` returns where main has ended.
MAIN_ENDED = 256

# The functions that Python calls, by their place in a table.
BEGIN, WORK, HALT = range(3)


def task_word(field: str) -> int:
    return Task.offset(field) // WORD_BYTES


def channel_word(field: str) -> int:
    return Channel.offset(field) // WORD_BYTES


assert tuple(map(task_word, ("next", "frame", "value", "ok", "awaited"))) == (
    NEXT,
    FRAME,
    GIVEN,
    GIVEN + 1,
    AWAITED,
)
assert task_word("worker") == RECORD


def in_stock(lines: int) -> bool:
    """Whether frames of so many cache lines are too large for the scheduler's own lists."""
    return lines > BLOCK_SIZES


class Parallel(Coroutines):
    """What is emitted in another way than for one worker; goes before one of the emitters."""

    def call(self, function, *args):
        """Call a function of the scheduler."""
        result = self.b.call(self.unit.translator.function(function), args)
        if result.type != POINTER:
            return result
        # The builder finds that no pointer differs from another, but wants to know what is there.
        words = CastInstr(self.b.block, "bitcast", result, WORDS)
        self.b._insert(words)
        return words

    @property
    def worker(self):
        return self.pointer("worker")

    @property
    def task(self):
        return self.pointer("current")

    # Memory. Descriptors and frames come from the same lists, so they are of one kind.

    def read(self, words, index, kind="frame"):
        return super().read(words, index, kind)

    def write(self, words, index, value, kind="frame"):
        super().write(words, index, value, kind)

    def load(self, pointer, kind):
        if kind != "global":
            return super().load(pointer, kind)
        return self.b.load_atomic(pointer, "unordered", WORD_BYTES)

    def store(self, value, pointer, kind):
        if kind != "global":
            super().store(value, pointer, kind)
            return
        self.b._insert(StoreAtomicInstr(self.b.block, value, pointer, "unordered", WORD_BYTES))

    def publish(self):
        """What has been written is seen by whoever sees what is written from here on."""
        self.b.fence("release")

    def field(self, name):
        if name not in SHARED:
            return super().field(name)
        return entry.field(self.b, self.pointer("shared"), name)

    def add_to(self, name, number):
        """The number before."""
        if name not in SHARED:
            return super().add_to(name, number)
        return self.b.atomic_rmw("add", self.field(name), number, "seq_cst")

    def charge(self, words, header=0):
        b, limit = self.b, self.get("heap_limit")
        if header:
            # Else the sum might wrap around.
            self.trap_if(b.icmp_signed(">", words, limit), Trap.OUT_OF_MEMORY)
            words = b.add(words, i64(header))
        before = self.add_to("task_words", words)
        self.trap_if(b.icmp_signed(">", b.add(before, words), limit), Trap.OUT_OF_MEMORY)

    def take_heap(self, length):
        self.charge(length, ARRAY_HEADER_WORDS)
        return self.add_to("heap_used", self.b.add(length, i64(ARRAY_HEADER_WORDS)))

    def array_new(self, length):
        array = super().array_new(length)
        self.publish()
        return array

    def put_out(self, value):
        b = self.b
        guard = self.field("output_lock")
        self.call(lock, guard)
        used = self.get("output_used")
        full = b.icmp_unsigned(">=", used, self.get("output_limit"))
        with b.if_then(b.not_(full)):
            pair = b.gep(self.pointer("output"), [b.shl(used, i64(1))], inbounds=True)
            b.store(i64(int(value.type == F64)), pair)
            b.store(to_word(b, value), b.gep(pair, [i64(1)], inbounds=True))
            b.store_atomic(b.add(used, i64(1)), self.field("output_used"), "release", 8)
        self.call(unlock, guard)
        self.trap_if(full, Trap.OUTPUT_LIMIT_EXCEEDED)

    # Frames and descriptors. There is always memory: see `WorkersExecutable.segment_words`.

    def _free_or_fresh(self, function):
        lines = self.unit.layout.lines[function]
        size = i64(LINE_BYTES * lines)
        if in_stock(lines):
            address = self.call(guests.take_large, self.worker, self._stock(lines), size)
        else:
            address = self.call(memory.allocate, self.worker, size)
        return self.words_at(address)

    def free_frame(self, function, frame):
        lines = self.unit.layout.lines[function]
        address = self.address_of(frame)
        if in_stock(lines):
            self.call(guests.put_large, self._stock(lines), address)
        else:
            self.call(memory.give_back, self.worker, address, i64(LINE_BYTES * lines))

    def _stock(self, lines):
        return self.word(self.pointer("segments"), LINE_WORDS * self.unit.layout.sizes.index(lines))

    def _new_block(self, words):
        return self.words_at(self.call(memory.allocate, self.worker, i64(LINE_BYTES)))

    def _new_record(self):
        return self.words_at(self.add_to("fresh_record", i64(WORD_BYTES * TASK_RECORD_WORDS)))

    # Tasks

    def get_ready(self, task):
        self.publish()
        self.call(tasks.begin, self.worker, task)

    def _go_on_with(self, task):
        """Enter what the scheduler gave. The block ends here."""
        b = self.b
        with b.if_then(b.icmp_unsigned("==", task, ir.Constant(WORDS, None)), likely=False):
            b.ret(i64(0))
        self.begin_turn(task)
        self.enter(task)

    def begin_turn(self, task):
        self.put("current", self.address_of(task))

    def end_task(self, kept):
        task = self.task
        record = self.words_at(self.read(task, RECORD))
        outcome = i64(0) if kept is None else self.values.unwrap(self, kept, "int")
        cost = self.b.add(self.give_stack_back(task), i64(LIVE_TASK_WORDS))
        self.add_to("task_words", self.b.neg(cost))
        self._go_on_with(self.call(guests.ends, self.worker, task, record, outcome))

    def yield_turn(self):
        b = self.b
        others, alone = b.append_basic_block("others"), b.append_basic_block("alone")
        some = b.icmp_unsigned("!=", self.call(guests.has_others, self.worker), i64(0))
        b.cbranch(some, others, alone)
        b.position_at_end(others)
        self.leave()
        self._go_on_with(self.call(guests.yields, self.worker, self.task))
        b.position_at_end(alone)

    def join(self, handle, type_):
        b = self.b
        record = self.within("records", handle)
        alive, ended = b.append_basic_block("alive"), b.append_basic_block("ended")
        has_ended = b.icmp_unsigned("!=", self.call(guests.has_ended, record), i64(0))
        b.cbranch(has_ended, ended, alive)
        b.position_at_end(alive)
        self.leave(handle)
        self._go_on_with(self.call(guests.joins, self.worker, self.task, record))
        b.position_at_end(ended)
        outcome = self.read(record, Record.offset("outcome") // WORD_BYTES)
        return from_word(b, outcome, type_) if type_ else None

    # Channels

    def channel_new(self, capacity):
        b = self.b
        self.trap_if(b.icmp_signed("<", capacity, i64(0)), Trap.NEGATIVE_LENGTH)
        self.charge(capacity, CHANNEL_HEADER_WORDS)
        words = b.and_(b.add(capacity, i64(Channel.words + LINE_WORDS - 1)), i64(-LINE_WORDS))
        channel = self.words_at(self.add_to("fresh_channel", b.shl(words, i64(3))))
        self.call(guests.open_channel, channel, capacity)
        number = b.add(self.add_to("channels_made", i64(1)), i64(1))
        self.write(channel, channel_word("made"), self.place(), "channel")
        self.write(channel, channel_word("number"), number, "channel")
        self.publish()
        return b.lshr(b.sub(self.address_of(channel), self.get("channels")), i64(3))

    def _suspend_if_asked(self, way, handle):
        b = self.b
        suspends = b.icmp_unsigned("==", way, i64(channels.SUSPEND))
        waits, done = b.append_basic_block("waits"), b.append_basic_block("passed")
        b.cbranch(suspends, waits, done)
        b.position_at_end(waits)
        self.leave(handle)
        self._go_on_with(self.call(guests.waits, self.worker))
        b.position_at_end(done)

    def channel_send(self, handle, value, type_):
        channel, word = self.within("channels", handle), to_word(self.b, value)
        way = self.call(channels.send, self.worker, self.task, channel, word)
        closed = self.b.icmp_unsigned("==", way, i64(channels.CLOSED))
        self.trap_if(closed, Trap.SEND_ON_CLOSED)
        self._suspend_if_asked(way, handle)

    def channel_receive(self, handle, type_):
        channel = self.within("channels", handle)
        way = self.call(channels.receive, self.worker, self.task, channel)
        self._suspend_if_asked(way, handle)
        word, received = (self.load(self.given(self.task, i), "frame") for i in range(2))
        return from_word(self.b, word, type_), received

    def channel_close(self, handle, type_):
        closed = self.call(guests.close, self.worker, self.within("channels", handle))
        self.trap_if(self.b.icmp_unsigned("==", closed, i64(0)), Trap.SEND_ON_CLOSED)


class ParallelRoutine(Parallel, CoroutineRoutine):
    pass


class ParallelGrowth(Parallel, Growth):
    pass


class ParallelFunctionEmitter(Parallel, PlainEmitter):
    pass


class ParallelCoroutineEmitter(Parallel, CoroutineEmitter):
    pass


class ParallelEntryEmitter(Parallel, EntryEmitter):
    pass


_EMITTERS = {kind.__bases__[1]: kind for kind in Parallel.__subclasses__()}


class ParallelProgramEmitter(CoroutineProgramEmitter):
    """Emits a module for a program with tasks that several workers run."""

    PARALLEL = True
    MAIN_ENDED = MAIN_ENDED
    REPLACED = MappingProxyType({})  # functions of the scheduler, and what stands in their place

    def emitter(self, kind):
        return _EMITTERS[kind]

    def _begin(self):
        self.module.triple = native.target_machine().triple
        self.translator = Translator(self.module, {"PARALLEL": True}, None, self.REPLACED)
        super()._begin()

    def _emit_entry(self):
        begin = self._entry_function("begin", self._emit_begin)
        work = self._entry_function("work", self._emit_work)
        functions = begin, work, self.translator.function(parking.halt)
        table = ir.Constant(ir.ArrayType(I64, len(functions)), [f.ptrtoint(I64) for f in functions])
        place = ir.GlobalVariable(self.module, table.type, "enter")
        place.initializer = table
        place.global_constant = True

    def _entry_function(self, name, emit):
        function = ir.Function(self.module, ir.FunctionType(I64, [WORDS]), name=name)
        function.linkage = "internal"
        b = ir.IRBuilder(function.append_basic_block())
        b.ret(emit(self.emitter(CoroutineRoutine)(self, b, function.args[0])))
        return function

    def _emit_begin(self, routine):
        """`i64 begin(context)`: main is a task that a worker has ready."""
        main = routine.pointer("blocks")
        routine.write(main, RECORD, routine.get("records"))
        routine.write(main, FRAME, routine.address_of(self._launch_main(routine, main)))
        routine.get_ready(main)
        return i64(0)

    def _emit_work(self, routine):
        """`i64 work(context)`: what a worker's thread does. The code of a trap, `MAIN_ENDED`, or 0
        where the run ends for a reason that another one knows."""
        b = routine.b
        task = routine.call(guests.go_on, routine.worker)
        with b.if_then(b.icmp_unsigned("==", task, ir.Constant(WORDS, None))):
            b.ret(i64(0))
        routine.begin_turn(task)
        frame = routine.words_at(routine.read(task, FRAME))
        function = b.inttoptr(routine.read(frame, RESUME), RESUMED.as_pointer())
        return b.call(function, [routine.context, frame], cconv=CONVENTION)
