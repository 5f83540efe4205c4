"""Tasks that do little but use the scheduler: what it is measured with.

They time themselves: a sample is what a batch of `BATCH` operations took, in ticks of the time
stamp counter. It goes to a table of words in the memory of whoever asks, of which the first is the
number of samples. So neither the start of a thread nor Python is in a sample."""

from vmlab.kernels.scheduler.channels import receive, send
from vmlab.kernels.scheduler.language import (
    cycles,
    pause,
    put_at,
    relaxed,
    size_of,
    suspend,
    word_at,
)
from vmlab.kernels.scheduler.layout import Channel, Task, Worker
from vmlab.kernels.scheduler.memory import allocate
from vmlab.kernels.scheduler.structures import WORD_BYTES, Code, Word
from vmlab.kernels.scheduler.tasks import begin, describe, free, launch, next_task, yield_

# Operations in a sample. A ring has room for them and for the task that launches them.
BATCH = 128

# Slots of the buffered channel.
CAPACITY = 128


def note(table: Word, sample: Word, since: Word):
    put_at(table + (sample + 1) * WORD_BYTES, cycles() - since)


def now() -> Word:
    return cycles()


def clock(table: Word):
    """What the clock itself takes: two readings with nothing in between."""
    for sample in range(word_at(table)):
        since = cycles()
        note(table, sample, since)


# Entries, with what they expect as arguments


def nothing(worker: Worker, task: Task):
    """Ends at once."""


def launcher(worker: Worker, task: Task):
    """(table, entry): launches batches, and lets each run and finish by a yield."""
    table = task.arguments[0]
    entry = Code(task.arguments[1])
    for sample in range(word_at(table)):
        since = cycles()
        for _ in range(BATCH):
            begin(task.worker, launch(task.worker, entry, task))
        yield_(task.worker)
        suspend()
        note(table, sample, since)


def yielder(worker: Worker, task: Task):
    """(table): yields, in batches."""
    table = task.arguments[0]
    for sample in range(word_at(table)):
        since = cycles()
        for _ in range(BATCH):
            yield_(task.worker)
            suspend()
        note(table, sample, since)


def pinger(worker: Worker, task: Task):
    """(table, there, back): round trips over two channels; `ponger` is the other side."""
    table = task.arguments[0]
    there = Channel(task.arguments[1])
    back = Channel(task.arguments[2])
    for sample in range(word_at(table)):
        since = cycles()
        for number in range(BATCH):
            if send(task.worker, task, there, number) == 0:
                suspend()
            if receive(task.worker, task, back) == 0:
                suspend()
        note(table, sample, since)


def ponger(worker: Worker, task: Task):
    """(table, there, back)"""
    there = Channel(task.arguments[1])
    back = Channel(task.arguments[2])
    for _ in range(word_at(task.arguments[0]) * BATCH):
        if receive(task.worker, task, there) == 0:
            suspend()
        if send(task.worker, task, back, task.value) == 0:
            suspend()


def producer(worker: Worker, task: Task):
    """(table, channel): sends, in batches."""
    table = task.arguments[0]
    channel = Channel(task.arguments[1])
    for sample in range(word_at(table)):
        since = cycles()
        for number in range(BATCH):
            if send(task.worker, task, channel, number) == 0:
                suspend()
        note(table, sample, since)


def consumer(worker: Worker, task: Task):
    """(table, channel)"""
    channel = Channel(task.arguments[1])
    for _ in range(word_at(task.arguments[0]) * BATCH):
        if receive(task.worker, task, channel) == 0:
            suspend()


def stamping_launcher(worker: Worker, task: Task):
    """(table, entry): launches `stamped`, one at a time and a sample each: the time from before the
    launch to its first instruction."""
    table = task.arguments[0]
    entry = Code(task.arguments[1])
    for sample in range(word_at(table)):
        since = cycles()
        child = launch(task.worker, entry, task)
        child.arguments[0] = table
        child.arguments[1] = sample
        child.arguments[2] = since
        begin(task.worker, child)
        yield_(task.worker)
        suspend()


def stamped(worker: Worker, task: Task):
    """(table, sample, since)"""
    note(task.arguments[0], task.arguments[1], task.arguments[2])


def compute(rounds: Word) -> Word:
    """Work that uses nothing but a core."""
    state = 1
    for _ in range(rounds):
        state = state ^ (state << 13)
        state = state ^ (state >> 7)
        state = state ^ (state << 17)
    return state


def computing(worker: Worker, task: Task):
    """(rounds): computes, alone."""
    task.result = compute(task.arguments[0])


def work_launcher(worker: Worker, task: Task):
    """(tasks, entry, rounds): launches that many, to compute so many rounds each."""
    entry = Code(task.arguments[1])
    for number in range(task.arguments[0]):
        child = launch(task.worker, entry, task)
        child.arguments[0] = task.arguments[2]
        begin(task.worker, child)
        if number % BATCH == BATCH - 1:
            yield_(task.worker)
            suspend()


def parked(worker: Worker, task: Task):
    """(channel): waits for a value."""
    if receive(task.worker, task, Channel(task.arguments[0])) == 0:
        suspend()


def woken(worker: Worker, task: Task):
    """(table, channel): a sample is the time from before the send of `waker` to the first
    instruction after the wait."""
    table = task.arguments[0]
    channel = Channel(task.arguments[1])
    for sample in range(word_at(table)):
        if receive(task.worker, task, channel) == 0:
            suspend()
        note(table, sample, task.value)


def waker(worker: Worker, task: Task):
    """(table, channel, ticks): wakes `woken` again and again, and keeps its own worker, so that
    another must run it. Before each time it waits so many ticks, till that one sleeps."""
    table = task.arguments[0]
    channel = Channel(task.arguments[1])
    for sample in range(word_at(table)):
        until = cycles() + task.arguments[2]
        while cycles() < until:
            pause()
        if send(task.worker, task, channel, cycles()) == 0:
            suspend()
        taken = table + (sample + 1) * WORD_BYTES
        while word_at(taken) == 0 and task.worker.scheduler.stop.load(relaxed) == 0:
            pause()


# Functions for Python


def stages(worker: Worker, table: Word, entry: Code, last: Word):
    """Launches without running, up to a stage: 1 takes a descriptor, 2 stores the arguments, 3 the
    other fields with the status, 4 puts it into the queue. They are taken back untimed."""
    for sample in range(word_at(table)):
        chain = 0
        since = cycles()
        for number in range(BATCH):
            task = Task(allocate(worker, size_of(Task)))
            if last > 1:
                task.arguments[0] = number
                task.arguments[1] = table
                task.arguments[2] = number
                task.arguments[3] = table
            if last > 2:
                describe(task, entry, task)
            if last > 3:
                begin(worker, task)
            else:
                task.awaited = chain
                chain = Word(task)
        note(table, sample, since)
        if last > 3:
            for _ in range(BATCH):
                free(worker, next_task(worker))
        else:
            for _ in range(BATCH):
                task = Task(chain)
                chain = task.awaited
                free(worker, task)


def park_many(worker: Worker, entry: Code, channel: Word, count: Word) -> Word:
    """Launches tasks of one argument; how many found memory."""
    for number in range(count):
        task = launch(worker, entry, Task(0))
        if task is None:
            return number
        task.arguments[0] = channel
        begin(worker, task)
    return count
