"""The queues of tasks that are ready: a bounded ring a worker, with a slot for the task that runs
next, and one global queue.

The ring is that of Go (src/runtime/proc.go: runqput, runqget, runqgrab) and of tokio
(runtime/scheduler/multi_thread/queue.rs). `head` and `tail` only grow; the ring holds the tasks
from head up to tail.

- Only the owner writes `tail`. It stores the slot first and releases the tail, which thieves
  acquire: who sees the tail sees the slot, and all that was written to the task before.
- Whoever takes, owner or thief, reads slots first and claims them by compare-and-swap of the head.
  If somebody else was faster, what was read is thrown away. A slot cannot have been written anew
  in between unnoticed: for that the owner must have seen a larger head, and heads never return.
- The owner acquires the head: it writes a slot again only after whoever took it has read it.
"""

from vmlab.kernels.scheduler.language import acquire, outlined, pause, relaxed, release
from vmlab.kernels.scheduler.layout import RING_SLOTS, Task, Worker
from vmlab.kernels.scheduler.lists import append, take_first
from vmlab.kernels.scheduler.locks import lock, unlock
from vmlab.kernels.scheduler.structures import Word

# Runs out of the next slot in a row; then the ring has its turn, else two tasks that wake each
# other would keep all others waiting. As in tokio.
NEXT_STREAK = 3

# How long a task must have been in another worker's next slot to be stolen, in pauses: some
# microseconds.
LINGER = 100


def put(worker: Worker, task: Task):
    """At the tail of the worker's own ring."""
    while True:
        head = worker.head.load(acquire)
        tail = worker.tail.load(relaxed)
        if tail - head < RING_SLOTS:
            worker.ring[tail % RING_SLOTS].store(task, relaxed)
            worker.tail.store(tail + 1, release)
            return
        if overflow(worker, task, head):
            return


def put_next(worker: Worker, task: Task):
    """Into the next slot; what was there goes to the tail. Thieves may take it from there."""
    before = worker.next.exchange(task)
    if before is not None:
        put(worker, before)


@outlined
def overflow(worker: Worker, task: Task, head: Word) -> Word:
    """The older half of a full ring, and the task, to the global queue; 0 if a thief was faster,
    so that there is room now."""
    half = RING_SLOTS // 2
    if not worker.head.compare_exchange(head, head + half):
        return 0
    # The slots are this worker's alone now: it writes them itself, and that only later.
    scheduler = worker.scheduler
    lock(scheduler.lock)
    for number in range(half):
        older = worker.ring[(head + number) % RING_SLOTS].load(relaxed)
        append(scheduler.queue, older)
    append(scheduler.queue, task)
    length = scheduler.length.load(relaxed)
    scheduler.length.store(length + half + 1, relaxed)
    unlock(scheduler.lock)
    return 1


def take_next(worker: Worker) -> Task:
    """What is in the next slot. Only the owner fills it, so if it is seen empty, it is."""
    task = worker.next.load(relaxed)
    if task is None:
        return None
    return worker.next.exchange(None)


def take_head(worker: Worker) -> Task:
    """The oldest of the worker's own ring."""
    while True:
        head = worker.head.load(acquire)
        tail = worker.tail.load(relaxed)
        if tail == head:
            return None
        task = worker.ring[head % RING_SLOTS].load(relaxed)
        if worker.head.compare_exchange(head, head + 1):
            return task


def take(worker: Worker) -> Task:
    """The next slot first, as long as its streak lasts; then the ring."""
    if worker.streak < NEXT_STREAK:
        task = take_next(worker)
        if task is not None:
            worker.streak += 1
            return task
    worker.streak = 0
    task = take_head(worker)
    if task is None:
        task = take_next(worker)
    return task


def steal(thief: Worker, victim: Worker) -> Task:
    """Half of another worker's ring (rounded up): one is given back to be run, the others are put
    into the thief's ring, which must be empty. None if there is nothing."""
    tail = thief.tail.load(relaxed)
    while True:
        head = victim.head.load(acquire)
        end = victim.tail.load(acquire)
        number = end - head
        number = number - number // 2
        if number == 0:
            return None
        if number > RING_SLOTS // 2:
            continue  # the two were not read at one moment
        for offset in range(number):
            task = victim.ring[(head + offset) % RING_SLOTS].load(relaxed)
            thief.ring[(tail + offset) % RING_SLOTS].store(task, relaxed)
        if victim.head.compare_exchange(head, head + number):
            break
    thief.stolen += number
    task = thief.ring[(tail + number - 1) % RING_SLOTS].load(relaxed)
    if number > 1:
        thief.tail.store(tail + number - 1, release)
    return task


def steal_next(victim: Worker) -> Task:
    """What is in another worker's next slot, if it stays there for a while: else the owner is just
    about to run it, and two tasks that wake each other would be torn apart. As in Go. None if there
    is nothing."""
    task = victim.next.load(acquire)
    if task is None:
        return None
    for _ in range(LINGER):
        pause()
    if not victim.next.compare_exchange(task, None):
        return None
    return task


def has_work(worker: Worker) -> Word:
    """Whether the worker had a task waiting at some moment during the call."""
    if worker.next.load(relaxed) is not None:
        return 1
    head = worker.head.load(acquire)
    tail = worker.tail.load(acquire)
    return tail != head


def take_global(worker: Worker) -> Task:
    """The oldest of the global queue, and the worker's share of the others into its ring, as far
    as a quarter of it. None if there is nothing."""
    scheduler = worker.scheduler
    if scheduler.length.load(relaxed) == 0:
        return None
    return take_share(worker)


@outlined
def take_share(worker: Worker) -> Task:
    scheduler = worker.scheduler
    lock(scheduler.lock)
    length = scheduler.length.load(relaxed)
    if length == 0:
        unlock(scheduler.lock)
        return None
    share = length // scheduler.workers + 1
    if share > RING_SLOTS // 4:
        share = RING_SLOTS // 4
    if share > length:
        share = length
    task = take_first(scheduler.queue)
    rest = scheduler.queue.first
    for _ in range(share - 1):
        take_first(scheduler.queue)
    scheduler.length.store(length - share, relaxed)
    unlock(scheduler.lock)
    # What was taken out is still linked, and this worker's until it puts it.
    for _ in range(share - 1):
        following = rest.next
        put(worker, rest)
        rest = following
    return task
