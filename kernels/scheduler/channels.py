"""Channels, as in Go (src/runtime/chan.go): a lock, a ring of values, and who waits.

A value goes from hand to hand where somebody waits: a sender stores it into the waiting receiver's
descriptor, a receiver takes it out of the waiting sender's. So a task is woken only when all is
done for it, and has nothing to try again. Values are received in the order in which they were sent,
and those who wait are served in the order in which they came.

A task that has to wait keeps the lock until it has left its frame (`Worker.unlock`)."""

from vmlab.kernels.scheduler.language import size_of
from vmlab.kernels.scheduler.layout import Channel, Task, Worker
from vmlab.kernels.scheduler.lists import append, take_first
from vmlab.kernels.scheduler.locks import lock, unlock
from vmlab.kernels.scheduler.memory import fresh
from vmlab.kernels.scheduler.structures import LINE_BYTES, WORD_BYTES, Word
from vmlab.kernels.scheduler.tasks import block, ready

# What `send` and `receive` give.
SUSPEND, PASSED, CLOSED = 0, 1, 2


def make_channel(worker: Worker, capacity: Word) -> Channel:
    """None if there is no memory. Channels live as long as the scheduler."""
    size = size_of(Channel) + capacity * WORD_BYTES
    size = (size + LINE_BYTES - 1) // LINE_BYTES * LINE_BYTES
    channel = Channel(fresh(worker.scheduler, size))
    if channel is not None:
        channel.capacity = capacity
    return channel


def send(worker: Worker, task: Task, channel: Channel, value: Word) -> Word:
    """PASSED: done. CLOSED: the channel is closed, nothing was sent. SUSPEND: the calling task must
    suspend next; then it is done if `task.ok`, and else the channel was closed."""
    lock(channel.lock)
    if channel.closed:
        unlock(channel.lock)
        return CLOSED
    receiver = take_first(channel.receivers)
    if receiver is not None:
        unlock(channel.lock)
        receiver.value = value
        receiver.ok = 1
        ready(worker, receiver)
        return PASSED
    if channel.length < channel.capacity:
        put_value(channel, value)
        unlock(channel.lock)
        return PASSED
    task.value = value
    wait_in(worker, task, channel)
    append(channel.senders, task)
    return SUSPEND


def receive(worker: Worker, task: Task, channel: Channel) -> Word:
    """PASSED: `task.value` and `task.ok` are what was received. SUSPEND: the calling task must
    suspend next, and then they are."""
    lock(channel.lock)
    task.ok = 1
    if channel.length != 0:
        task.value = take_value(channel)
        sender = take_first(channel.senders)
        if sender is not None:
            put_value(channel, sender.value)
    else:
        sender = take_first(channel.senders)
        if sender is not None:
            task.value = sender.value
        elif channel.closed:
            task.value = 0
            task.ok = 0
        else:
            wait_in(worker, task, channel)
            append(channel.receivers, task)
            return SUSPEND
    unlock(channel.lock)
    if sender is not None:
        sender.ok = 1
        ready(worker, sender)
    return PASSED


def close(worker: Worker, channel: Channel):
    """All who wait go on, with nothing. To close a closed channel does nothing."""
    lock(channel.lock)
    channel.closed = 1
    receivers = channel.receivers.first
    senders = channel.senders.first
    channel.receivers.first = None
    channel.senders.first = None
    unlock(channel.lock)
    dismiss(worker, receivers)
    dismiss(worker, senders)


def dismiss(worker: Worker, task: Task):
    """A task and those linked behind it."""
    while task is not None:
        following = task.next
        task.value = 0
        task.ok = 0
        ready(worker, task)
        task = following


def wait_in(worker: Worker, task: Task, channel: Channel):
    worker.unlock = channel
    block(worker, task, Word(channel))


def put_value(channel: Channel, value: Word):
    slot = channel.first + channel.length
    if slot >= channel.capacity:
        slot = slot - channel.capacity
    channel.slots[slot] = value
    channel.length += 1


def take_value(channel: Channel) -> Word:
    value = channel.slots[channel.first]
    channel.first += 1
    if channel.first == channel.capacity:
        channel.first = 0
    channel.length -= 1
    return value
