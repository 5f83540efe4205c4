"""What compiled VM programs call of the scheduler.

Their tasks keep their frames themselves: a function of a program stores what it needs to go on,
then asks for the task to run next, and jumps into that one. So a task has left its frame already
when these functions are called, and nothing is done afterwards (`tasks.After`). Of a Task, only the
first line is there, in which the program keeps words of its own where the bench's tasks have
`entry` and `worker`.

Results can be taken by any number of tasks, at any time: what is needed for that stays as a Record
when the task has ended."""

from vmlab.kernels.scheduler.channels import dismiss
from vmlab.kernels.scheduler.language import acquire, outlined, relaxed
from vmlab.kernels.scheduler.layout import Block, Channel, Record, Stock, Task, Worker
from vmlab.kernels.scheduler.locks import lock, unlock
from vmlab.kernels.scheduler.memory import fresh, give_back
from vmlab.kernels.scheduler.runqueue import has_work
from vmlab.kernels.scheduler.structures import LINE_BYTES, Word
from vmlab.kernels.scheduler.tasks import next_task, put_last, ready


def go_on(worker: Worker) -> Task:
    """The task to run next; None if the worker should leave."""
    while worker.scheduler.stop.load(relaxed) == 0:
        task = next_task(worker)
        if task is not None:
            return task
    return None


def has_others(worker: Worker) -> Word:
    """Whether a task is ready here that could go first. What other workers have is their business,
    or that of those who have none."""
    return has_work(worker) or worker.scheduler.length.load(relaxed) != 0


def yields(worker: Worker, task: Task) -> Task:
    """The task can go on, after others."""
    put_last(worker, task)
    return go_on(worker)


def waits(worker: Worker) -> Task:
    """The task waits in a channel, which it has locked."""
    unlock(worker.unlock.lock)
    return go_on(worker)


def has_ended(record: Record) -> Word:
    return record.waiting.load(acquire) is None


def joins(worker: Worker, task: Task, record: Record) -> Task:
    """The task waits for the end of another. Tasks are only added to the list, or all taken out, so
    a list that begins as before is as before."""
    while True:
        before = record.waiting.load(acquire)
        if before is None:
            task.value = record.outcome  # it has ended in the meantime
            return task
        task.next = before
        if record.waiting.compare_exchange(before, task):
            return go_on(worker)


def ends(worker: Worker, task: Task, record: Record, outcome: Word) -> Task:
    """The task has ended; its descriptor is free. The exchange releases the outcome to those who
    see that."""
    record.outcome = outcome
    joining = record.waiting.exchange(None)
    while joining != task:
        before = joining.next
        joining.value = outcome
        ready(worker, joining)
        joining = before
    give_back(worker, Word(task), LINE_BYTES)
    return go_on(worker)


def open_channel(channel: Channel, capacity: Word):
    """In memory that may have been something else before."""
    channel.lock.held.store(0, relaxed)
    channel.capacity = capacity
    channel.length = 0
    channel.first = 0
    channel.closed = 0
    channel.receivers.first = None
    channel.senders.first = None


def close(worker: Worker, channel: Channel) -> Word:
    """1 if that was possible: the channel was open, and nobody waited to send."""
    lock(channel.lock)
    if channel.closed or channel.senders.first is not None:
        unlock(channel.lock)
        return 0
    channel.closed = 1
    receivers = channel.receivers.first
    channel.receivers.first = None
    unlock(channel.lock)
    dismiss(worker, receivers)
    return 1


@outlined
def take_large(worker: Worker, stock: Stock, size: Word) -> Word:
    """The address of a block of so many bytes, the stock's; 0 if there is no memory."""
    lock(stock.lock)
    block = stock.first
    if block is not None:
        stock.first = block.next
    unlock(stock.lock)
    if block is None:
        return fresh(worker.scheduler, size)
    return Word(block)


@outlined
def put_large(stock: Stock, address: Word):
    block = Block(address)
    lock(stock.lock)
    block.next = stock.first
    stock.first = block
    unlock(stock.lock)
