"""Tasks and what they wait in: the same in interpreters and in straight code.

One worker, one queue of tasks that are ready: nothing here is atomic. A task is a descriptor, a
record, which stays when the task has finished, and its frames, which the engines keep each in
their way.

A queue is a list through the descriptors. Those in a record or a channel are circular and known by
their last, so that one word is enough (and zero for an empty one).
"""

from abc import abstractmethod
from contextlib import contextmanager

from llvmlite import ir

from vmlab.isa import (
    CHANNEL_HEADER_WORDS,
    LIVE_TASK_WORDS,
    NEW_TASK_WORDS,
    TASK_RECORD_WORDS,
    Trap,
)
from vmlab.kernels.machine import Machine
from vmlab.kernels.values import I1, I64, WORDS, from_word, i64

# Of a descriptor, one cache line: the next in the same queue, its record. The other words are the
# engine's.
NEXT, RECORD = 0, 4

# A record, which stays: the descriptor, or 0 when the task has finished; those who wait for that,
# later the result; the place of the `spawn`; the record of the task that executed it. Record 0 is
# main's, whose end nobody sees: for others it is a task that has finished with 0.
DESCRIPTOR, OUTCOME, LAUNCH, LAUNCHER = range(TASK_RECORD_WORDS)


class Account(Machine):
    """What tasks and channels cost, and what arrays do, is one account. For what has `trap_if`, as
    an `Emitter` does."""

    def charge(self, words, header=0):
        """So many words, from 0 to all that there are, and those of a header."""
        room = self.heap_room(self.get("heap_used"))
        if header:
            room = self.b.sub(room, i64(header))
        self.trap_if(self.b.icmp_signed(">", words, room), Trap.OUT_OF_MEMORY)
        self.add_to("task_words", self.b.add(words, i64(header)) if header else words)

    def add_to(self, name, number):
        self.put(name, self.b.add(self.get(name), number))

    def heap_room(self, used):
        """The words that may still be taken, beside those that arrays have used."""
        return self.b.sub(self.b.sub(self.get("heap_limit"), used), self.get("task_words"))


class Queues(Account):
    """What is emitted for tasks, beside what an engine adds: where frames are, and how control
    gets from one to another. For what has `values` and `trap_if`, as an `Emitter` does."""

    # What an engine adds

    @abstractmethod
    def place(self) -> ir.Value:
        """A word that tells which instruction is being executed."""

    def leave(self, awaited: ir.Value | None = None, sent: ir.Value | None = None) -> None:
        """Keep what the running task needs to go on behind the instruction that is being executed;
        what it waits for, and what it would send."""
        raise NotImplementedError("only what can suspend leaves a task")

    @abstractmethod
    def push_to(self, task: ir.Value, *kept) -> None:
        """Values for a task that waits: its instruction pushes them."""

    @abstractmethod
    def enter(self, task: ir.Value) -> None:
        """Go on with a task, which has become the running one. The block ends here."""

    @abstractmethod
    def give_stack_back(self, task: ir.Value) -> ir.Value:
        """What the stack of a task that has finished has cost beside its first words."""

    # Words

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

    # Launch and end

    def new_task(self, block_words, further):
        """A descriptor and a record for a task whose stack costs so many words beside its first."""
        self.charge(self.b.add(further, i64(NEW_TASK_WORDS)))
        task = self._new_block(block_words)
        record = self._new_record()
        launcher = self.read(self.pointer("current"), RECORD)
        self.write(record, DESCRIPTOR, self.address_of(task))
        self.write(record, OUTCOME, i64(0))
        self.write(record, LAUNCH, self.place())
        self.write(record, LAUNCHER, launcher)
        self.write(task, RECORD, self.address_of(record))
        return task, record

    def _new_record(self):
        record = self.pointer("fresh_record")
        self.put("fresh_record", self.address_of(self.word(record, TASK_RECORD_WORDS)))
        return record

    def number(self, record):
        """What the program knows a task by."""
        distance = self.b.sub(self.address_of(record), self.get("records"))
        return self.b.lshr(distance, i64(3))

    def end_task(self, kept):
        """The running task has finished with this result, or None. Another goes on."""
        b = self.b
        task = self.pointer("current")
        record = self.words_at(self.read(task, RECORD))
        last = self.read(record, OUTCOME)
        word = i64(0) if kept is None else self.values.unwrap(self, kept, "int")
        self.write(record, DESCRIPTOR, i64(0))
        self.write(record, OUTCOME, word)
        cost = b.add(self.give_stack_back(task), i64(LIVE_TASK_WORDS))
        self.add_to("task_words", b.neg(cost))
        self.write(task, NEXT, self.get("free_block"))
        self.put("free_block", self.address_of(task))
        with self.each_waiting(last) as joining:
            if kept is not None:
                self.values.retain(self, kept)
                self.push_to(joining, kept)
            self.get_ready(joining)
        if kept is not None:
            self.values.release(self, kept)
        self._run_next()

    def _new_block(self, words):
        def reuse(block):
            self.put("free_block", self.read(block, NEXT))

        def make():
            block = self.pointer("fresh_block")
            self.put("fresh_block", self.address_of(self.word(block, words)))
            return block

        return self.block_from(self.get("free_block"), reuse, make)

    def power_of_two(self, words):
        """The least that is not less: what a stack is grown to."""
        zeros = self.intrinsic("llvm.ctlz", self.b.sub(words, i64(1)), ir.Constant(I1, 0))
        return self.b.shl(i64(1), self.b.sub(i64(64), zeros))

    # Queues

    def get_ready(self, task):
        """To the end of those that are ready."""
        address = self.address_of(task)
        self.write(task, NEXT, i64(0))
        # The word is one of a descriptor, or of the context.
        self.b.store(address, self.pointer("ready_end"))
        self.put("ready_end", self.address_of(self.word(task, NEXT)))

    def _run_next(self):
        """The first that is ready goes on; without one, it is a deadlock."""
        first = self.first_to_run()
        following = self.b.load(self.word(self.words_at(first), NEXT))
        with self.b.if_then(self.b.icmp_unsigned("==", following, i64(0))):
            self.put("ready_end", self.address_of(self.field("ready")))
        self._switch_to(first, following)

    def first_to_run(self):
        first = self.first_ready()
        self.trap_if(self.b.icmp_unsigned("==", first, i64(0)), Trap.DEADLOCK)
        return first

    def first_ready(self):
        # A plain load: `get_ready` may have written the word as one of a descriptor.
        return self.b.load(self.field("ready"))

    def _switch_to(self, first, following):
        """From the first that is ready to the one behind it."""
        self.b.store(following, self.field("ready"))
        self.put("current", first)
        self.enter(self.words_at(first))

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

    def wait(self, last_place, kind, awaited, sent=None):
        """The running task goes to a queue, another goes on."""
        self.leave(awaited, sent)
        self.enqueue(self.pointer("current"), last_place, kind)
        self._run_next()

    # What semantics functions ask for

    def yield_turn(self):
        b = self.b
        first = self.first_ready()
        others = b.append_basic_block("others")
        alone = b.append_basic_block("alone")
        b.cbranch(b.icmp_unsigned("!=", first, i64(0)), others, alone)
        b.position_at_end(others)
        self.leave()
        self.get_ready(self.pointer("current"))
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


def begin_tasks(m: Machine, block_words: int) -> None:
    """All that belongs to tasks begins anew, and main has the first descriptor; so many words are
    for one, with what stands behind it."""
    main = m.pointer("blocks")
    m.store(m.get("records"), m.word(main, RECORD), "task")
    beginnings = {
        "current": main,
        "ready_end": m.field("ready"),
        "fresh_record": m.word(m.pointer("records"), TASK_RECORD_WORDS),
        "fresh_block": m.word(main, block_words),
        "fresh_channel": m.word(m.pointer("channels"), CHANNEL_HEADER_WORDS),
    }
    for name, address in beginnings.items():
        m.put(name, m.b.ptrtoint(address, I64))
    for name in ("ready", "task_words", "free_block", "channels_made"):
        m.put(name, i64(0))


def begin_lists(m: Machine, count: int) -> None:
    """So many lists of free segments are empty; their heads stand before the segments."""
    lists = m.pointer("segments")
    first = m.word(lists, count)
    m.put("fresh_segment", m.b.ptrtoint(first, I64))
    with m.each_word(lists, first) as head:
        m.b.store(i64(0), head)
