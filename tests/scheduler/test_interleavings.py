"""Every interleaving of the scheduler's lock-free parts, at small bounds; and that the explorer
finds bugs that are planted in them."""

from functools import partial

import pytest
from explore import Access, Cells, Memory, Model, Node, Steps, Violation, explore

from vmlab.kernels.scheduler import channels, guests, locks, memory, parking, runqueue, tasks
from vmlab.kernels.scheduler.layout import (
    DONE,
    Block,
    Channel,
    Record,
    Scheduler,
    Status,
    Task,
    Worker,
)


class World:
    """A scheduler with workers and tasks, and a ledger of which thread took which task, in order.
    Threads are functions, started anew for each way through the model."""

    def __init__(self, workers, tasks, ring=4):
        self.memory = Memory()
        self.scheduler = Node.of(Scheduler, self.memory, "scheduler")
        self.workers = [Node.of(Worker, self.memory, f"worker{n}") for n in range(workers)]
        self.tasks = [Node.of(Task, self.memory, f"task{n}") for n in range(tasks)]
        self.ledger = Node(self.memory, "ledger", {"taken": ()})
        self.scheduler.workers = workers
        for number, worker in enumerate(self.workers):
            worker.scheduler = self.scheduler
            worker.bit = 1 << number
            worker.ring = Cells(self.memory, f"ring{number}", [None] * ring)

    def note(self, thread, task):
        if task is not None:
            self.ledger.taken += ((thread, int(task._name[4:])),)

    def taken(self, thread=None):
        return [task for who, task in self.ledger.taken if thread in (who, None)]

    def all_taken(self, ended=frozenset()):
        """Each task once."""
        assert sorted(self.taken()) == list(range(len(self.tasks))), self.ledger.taken

    def steps(self, planted, **replaced):
        constants = {
            "RING_SLOTS": len(self.workers[0].ring),
            "SPINS": 0,
            "LINGER": 0,
            "ROUNDS": 1,
            "next_random": next_in_turn,
            "numbered": numbered(self),
            "sleep": sleep,
            "wake": wake,
        }
        return Steps({**constants, **replaced}, planted)


def next_in_turn(worker):
    return worker.bit


def numbered(world):
    return lambda scheduler, number: world.workers[number]


def sleep(worker):
    """futex.sleep, with the system call as a step."""
    while (yield Access("load", worker, "wake")) == 0:
        yield Access("futex_wait", worker, "wake")


def wake(worker):
    yield Access("futex_wake", worker, "wake")


# Ring


def ring(planted={}, puts=3, thieves=1, slots=2):  # noqa: B006
    """The owner puts tasks and takes until there are none; thieves steal once each. What overflows
    is in the global queue at the end."""
    world = World(1 + thieves, puts, slots)
    steps = world.steps(planted)
    put, take, steal = map(steps, (runqueue.put, runqueue.take_head, runqueue.steal))
    note = world.note

    def owner(worker):
        for task in world.tasks:
            task.value = 1
            yield from put(worker, task)
        while True:
            task = yield from take(worker)
            note(0, task)
            if task is None:
                return
            task.value += 1

    def thief(number, worker):
        task = yield from steal(worker, world.workers[0])
        note(number, task)
        if task is not None:
            task.value += 1

    def check(ended):
        assert len(ended) == 1 + thieves
        for number, worker in enumerate(world.workers):
            for place in range(worker.head, worker.tail):
                note(number, worker.ring[place % slots])
        overflown = world.scheduler.queue.first
        while overflown is not None:
            note(-1, overflown)
            overflown = overflown.next
        world.all_taken()
        assert world.scheduler.length == len(world.taken(-1))
        for order in (world.taken(0), world.taken(-1)):
            assert order == sorted(order)

    threads = [partial(owner, world.workers[0])]
    threads += [partial(thief, n, world.workers[n]) for n in range(1, 1 + thieves)]
    return Model(world.memory, threads, check)


# Next slot


def next_slot(planted={}):  # noqa: B006
    world = World(2, 2)
    steps = world.steps(planted)
    put_next, take, steal_next = map(steps, (runqueue.put_next, runqueue.take, runqueue.steal_next))

    def owner(worker):
        for task in world.tasks:
            task.value = 1
            yield from put_next(worker, task)
        while True:
            task = yield from take(worker)
            world.note(0, task)
            if task is None:
                return
            task.value += 1

    def thief(victim):
        task = yield from steal_next(victim)
        world.note(1, task)
        if task is not None:
            task.value += 1

    threads = [partial(owner, world.workers[0]), partial(thief, world.workers[0])]
    return Model(world.memory, threads, world.all_taken)


# Parking


def busy_producer(planted={}, workers=2):  # noqa: B006
    """A worker puts a task, tells, and is busy for ever; the others must not sleep over it."""
    world = World(workers, 1)
    steps = world.steps(planted)
    put, tell = steps(runqueue.put), steps(parking.tell)
    search, rest = steps(parking.search), steps(parking.rest)

    def producer(worker):
        yield from put(worker, world.tasks[0])
        yield from tell(world.scheduler)

    def consumer(number, worker):
        while not world.ledger.taken:
            task = yield from search(worker)
            world.note(number, task)
            if task is None:
                yield from rest(worker)

    threads = [partial(producer, world.workers[0])]
    threads += [partial(consumer, n, world.workers[n]) for n in range(1, workers)]
    return Model(world.memory, threads, world.all_taken)


def until_all_rest(planted={}, workers=2):  # noqa: B006
    """A task launches another, and two workers run them until all rest: then nothing is left, and
    both leave. The tasks are in the next slots alone: the rings have models of their own."""
    world = World(workers, 2)
    steps = world.steps(planted, steal=empty, take_global=empty, has_work=has_next)
    put_next, take_next = steps(runqueue.put_next), steps(runqueue.take_next)
    tell, find = steps(parking.tell), steps(tasks.find)
    first, second = world.tasks

    def work(number, worker):
        while not (yield Access("load", world.scheduler, "stop")):
            task = yield from take_next(worker)
            if task is None:
                task = yield from find(worker)
            world.note(number, task)
            if task is first:
                yield from put_next(worker, second)
                yield from tell(world.scheduler)

    world.workers[0].next = first

    def check(ended):
        world.all_taken()
        assert len(ended) == workers, "somebody sleeps for ever"

    threads = [partial(work, number, worker) for number, worker in enumerate(world.workers)]
    return Model(world.memory, threads, check)


def has_next(worker):
    """runqueue.has_work where nothing is in the rings."""
    task = yield Access("load", worker, "next")
    return task is not None


def empty(*_):
    """In the place of a queue that has nothing."""
    return
    yield


# Locks


def mutual_exclusion(planted={}):  # noqa: B006
    world = World(2, 0)
    steps = world.steps(planted)
    lock, unlock = steps(locks.lock), steps(locks.unlock)
    guard = world.scheduler.lock

    def thread():
        yield from lock(guard)
        world.scheduler.end += 1
        seen = yield Access("load", world.scheduler, "length")
        yield Access("store", world.scheduler, "length", None, (seen + 1,))
        yield from unlock(guard)

    def check(ended):
        assert world.scheduler.length == 2 and len(ended) == 2

    return Model(world.memory, [thread, thread], check)


# Join


def join_and_finish(planted={}):  # noqa: B006
    """One worker finishes a task while another lets one wait for it: that one is made ready once,
    unless it never waited."""
    world = World(2, 2)
    joined, joining = world.tasks
    joined.joinable = 1

    def finisher(worker):
        joined.result = 7
        yield from finish(worker, joined)

    def made_ready(worker, task):
        assert task is joining
        world.note(0, task)
        yield Access("fence")

    steps = world.steps(planted, ready=made_ready)
    join, wait_for, finish = map(steps, (tasks.join, tasks.wait_for, tasks.finish))

    def joiner(worker):
        done = yield from join(worker, joining, joined)
        if done:
            world.note(0, joining)
            assert joined.result == 7
        else:
            yield from wait_for(worker, joining)

    def check(ended):
        assert world.ledger.taken == ((0, 1),)
        assert joined.joiner == DONE and joined.status == Status.FINISHED

    threads = [partial(joiner, world.workers[0]), partial(finisher, world.workers[1])]
    return Model(world.memory, threads, check)


def joins_and_end(planted={}):  # noqa: B006
    """As `join_and_finish` for guests: two workers let a task wait each for the one that ends on a
    third. Either goes on once, with the result."""
    world = World(3, 3)
    ended, *joining = world.tasks
    record = Node.of(Record, world.memory, "record")
    record.waiting = ended

    def made_ready(worker, task):
        assert task.value == 7
        world.note(0, task)
        yield Access("fence")

    def nothing(*_):
        yield Access("fence")

    steps = world.steps(planted, ready=made_ready, go_on=nothing, give_back=nothing)
    joins, ends = steps(guests.joins), steps(guests.ends)

    def joiner(number, worker, task):
        if (yield from joins(worker, task, record)) is not None:
            assert task.value == 7
            world.note(number, task)

    def check(threads):
        assert sorted(world.taken()) == [1, 2]
        assert record.waiting is None

    threads = [partial(ends, world.workers[0], ended, record, 7)]
    threads += [partial(joiner, n, world.workers[n], joining[n - 1]) for n in (1, 2)]
    return Model(world.memory, threads, check)


# Channels


def close_and_send(planted={}):  # noqa: B006
    """Either comes first: the channel is closed to the one, or somebody waits when the other
    closes. The result is the same for both, and nobody is left waiting in a closed channel."""
    world = World(2, 1)
    [sender] = world.tasks
    channel = Node.of(Channel, world.memory, "channel")
    steps = world.steps(planted)
    send, close, unlock = map(steps, (channels.send, guests.close, locks.unlock))
    world.results = Node(world.memory, "results", {"closed": None, "way": None})

    def sending(worker):
        way = yield from send(worker, sender, channel, 5)
        if way == channels.SUSPEND:
            yield from unlock(worker.unlock.lock)
        world.results.way = way

    def closing(worker):
        world.results.closed = yield from close(worker, channel)

    def check(ended):
        way = channels.CLOSED if channel.closed else channels.SUSPEND
        assert (world.results.closed, world.results.way) == (channel.closed, way)

    threads = [partial(sending, world.workers[0]), partial(closing, world.workers[1])]
    return Model(world.memory, threads, check)


def hand_over(planted={}, capacity=0):  # noqa: B006
    """One task sends while another receives: the value arrives once, and who had to wait for the
    other is made ready once, after it has left its frame."""
    world = World(2, 2)
    sender, receiver = world.tasks
    channel = Node.of(Channel, world.memory, "channel")
    channel.capacity = capacity
    channel.slots = Cells(world.memory, "slots", [0] * capacity, plain=True)

    def made_ready(worker, task):
        assert task.status == Status.WAITING
        task.status = Status.READY
        world.note(0, task)
        yield Access("fence")

    steps = world.steps(planted, ready=made_ready)
    send, receive, unlock = map(steps, (channels.send, channels.receive, locks.unlock))

    def sending(worker):
        way = yield from send(worker, sender, channel, 5)
        if way == channels.SUSPEND:
            yield from unlock(worker.unlock.lock)  # as `tasks.run`
            world.waited.value += 1
        else:
            assert way == channels.PASSED

    def receiving(worker):
        way = yield from receive(worker, receiver, channel)
        if way == channels.SUSPEND:
            yield from unlock(worker.unlock.lock)
            world.waited.value += 1

    world.waited = Node(world.memory, "waited", {"value": 0})

    def check(ended):
        assert len(ended) == 2
        assert (receiver.value, receiver.ok) == (5, 1)
        assert len(world.taken()) == world.waited.value <= 1
        assert channel.length == 0

    threads = [partial(sending, world.workers[0]), partial(receiving, world.workers[1])]
    return Model(world.memory, threads, check)


# Memory


def depot(planted={}):  # noqa: B006
    """One worker gives blocks back, the other takes some: no block is with two owners."""
    world = World(2, 0)
    blocks = [Node.of(Block, world.memory, f"free{number}") for number in range(4)]
    giver, taker = world.workers

    def nothing_new(scheduler, size):
        yield Access("fence")

    steps = world.steps(planted, BATCH=1, cut=nothing_new)
    give_back, allocate = steps(memory.give_back), steps(memory.allocate)

    def give():
        for block in blocks:
            yield from give_back(giver, block, 64)

    def take():
        for _ in range(3):
            block = yield from allocate(taker, 64)
            world.note(1, block or None)

    def check(ended):
        for worker in world.workers:
            for first in (*worker.free, *worker.spare):
                note_all(first)
        batch = world.scheduler.depot[0]
        while batch:
            note_all(batch)
            batch = batch.next_batch
        assert sorted(world.taken()) == [0, 1, 2, 3]

    def note_all(block):
        while block:
            world.note(0, block)
            block = block.next

    return Model(world.memory, [give, take], check)


SOUND = [
    (ring, {}),
    (ring, {"thieves": 2, "puts": 1}),
    (ring, {"puts": 4, "slots": 4}),
    (next_slot, {}),
    (busy_producer, {}),
    (until_all_rest, {}),
    (mutual_exclusion, {}),
    (join_and_finish, {}),
    (joins_and_end, {}),
    (close_and_send, {}),
    (hand_over, {}),
    (hand_over, {"capacity": 1}),
    (depot, {}),
]


@pytest.mark.parametrize("make, size", SOUND, ids=[f"{m.__name__}{s or ''}" for m, s in SOUND])
def test_no_interleaving_breaks_it(make, size):
    """With stores that wait, which includes the cases in which they do not."""
    assert explore(make(**size), tso=True).ends > 0


@pytest.mark.parametrize("make, size", SOUND, ids=[f"{m.__name__}{s or ''}" for m, s in SOUND])
def test_the_orders_keep_plain_accesses_apart(make, size):
    assert explore(make(**size)).ends > 0


def mutated(make, function, old, new):
    return pytest.param(make, {function: (old, new)}, id=f"{function}: {new or 'without'} {old}")


# A bug each, and the model that must find it.
PLANTED = [
    # taken without a claim: owner and thief run the same task
    mutated(
        ring,
        "take_head",
        "if worker.head.compare_exchange(head, head + 1):",
        "worker.head.store(head + 1, release)\n        if True:",
    ),
    # the tail before the slot: a thief reads a slot that is not written yet
    mutated(
        ring,
        "put",
        "worker.ring[tail % RING_SLOTS].store(task, relaxed)\n"
        "            worker.tail.store(tail + 1, release)",
        "worker.tail.store(tail + 1, release)\n"
        "            worker.ring[tail % RING_SLOTS].store(task, relaxed)",
    ),
    # the slots after the claim: the owner may have written them anew
    mutated(
        ring,
        "overflow",
        "if not worker.head.compare_exchange(head, head + half):\n        return 0",
        "worker.head.store(head + half, release)",
    ),
    # no second look before sleeping
    mutated(busy_producer, "rest", "somebody_has_work(scheduler)", "False"),
    # seen and cleared in two steps: two take the same task
    mutated(
        next_slot,
        "take_next",
        "return worker.next.exchange(None)",
        "worker.next.store(None, relaxed)\n    return task",
    ),
    # a lock that two find free
    mutated(mutual_exclusion, "lock", "guard.held.exchange(1)", "guard.held.load(relaxed)"),
    # a task that finishes between the look and the wait is missed
    mutated(
        join_and_finish,
        "wait_for",
        "not Task(task.awaited).joiner.compare_exchange(0, Word(task))",
        "Task(task.awaited).joiner.exchange(Word(task)) == 5",
    ),
    # one that waits for the end forgets another, or comes when it is too late
    mutated(
        joins_and_end,
        "joins",
        "if record.waiting.compare_exchange(before, task):",
        "record.waiting.store(task, relaxed)\n        if True:",
    ),
    # a close does not see who waits to send
    mutated(
        close_and_send,
        "close",
        "channel.closed or channel.senders.first is not None",
        "channel.closed",
    ),
    # the last worker to sleep does not see that it is the last
    mutated(until_all_rest, "rest", "(1 << scheduler.workers) - 1", "0"),
    # who waits is put into the list without the lock
    mutated(
        hand_over,
        "send",
        "append(channel.senders, task)",
        "unlock(channel.lock)\n    append(channel.senders, task)",
    ),
    # a batch in two places
    mutated(depot, "put_aside", "worker.free[index] = None", "pass"),
]


# An order each that is too weak, although no x86 would ever show it.
TOO_WEAK = [
    mutated(ring, "put", "tail.store(tail + 1, release)", "tail.store(tail + 1, relaxed)"),
    mutated(ring, "steal", "victim.tail.load(acquire)", "victim.tail.load(relaxed)"),
    mutated(mutual_exclusion, "unlock", "held.store(0, release)", "held.store(0, relaxed)"),
    mutated(
        join_and_finish,
        "join",
        "other.joiner.load(acquire)",
        "other.joiner.load(relaxed)",
    ),
    mutated(joins_and_end, "joins", "record.waiting.load(acquire)", "record.waiting.load(relaxed)"),
]


@pytest.mark.parametrize("make, planted", TOO_WEAK)
def test_an_order_that_is_too_weak_is_found(make, planted):
    with pytest.raises(Violation, match="is in no order to"):
        explore(make(planted))
    explore(make(planted), tso=True)


@pytest.mark.parametrize("make, planted", PLANTED)
def test_a_planted_bug_is_found(make, planted):
    with pytest.raises(Violation):
        explore(make(planted))


def test_without_the_barrier_a_wake_up_is_lost_where_loads_pass_stores():
    planted = {"tell": ("fence()", "pass")}
    explore(busy_producer(planted))
    with pytest.raises(Violation):
        explore(busy_producer(planted), tso=True)
