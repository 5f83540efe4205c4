"""Blocks of one to `BLOCK_SIZES` cache lines, for descriptors and frames, from free lists of each
worker.

Blocks wander: one worker launches, another finishes. So there are magazines as in Bonwick and
Adams, "Magazines and Vmem" (USENIX 2001): a worker whose list is full keeps it as a spare, and
gives the spare before it to a depot that all share; one whose lists are empty takes a batch from
there. So the depot's lock is taken once in `BATCH` blocks at most, and no memory is lost to the
worker that finishes most. New blocks are cut, a batch at a time, from memory never used before.

Blocks begin at cache lines: no two share one."""

from vmlab.kernels.scheduler.language import PARALLEL, outlined
from vmlab.kernels.scheduler.layout import BLOCK_SIZES, Block, Scheduler, Worker
from vmlab.kernels.scheduler.locks import lock, unlock
from vmlab.kernels.scheduler.structures import LINE_BYTES, Word

# Three quarters of a page of descriptors: then a task and its frame, which are each the first, or
# each the second ... of their batches, are not in the same set of the cache, nor, for a core that
# compares the low 12 bits of addresses first, does the one look like the other.
BATCH = 24


def allocate(worker: Worker, size: Word) -> Word:
    """The address of a block of so many bytes; 0 if there is no memory, or none of this size."""
    lines = (size + LINE_BYTES - 1) // LINE_BYTES
    if lines > BLOCK_SIZES:
        return 0
    index = lines - 1
    block = worker.free[index]
    if block is None:
        block = refill(worker, index)
        if block is None:
            return 0
    worker.free[index] = block.next
    if PARALLEL:
        worker.free_count[index] -= 1
    return Word(block)


def give_back(worker: Worker, address: Word, size: Word):
    """A block that `allocate` gave, to whichever worker."""
    index = (size + LINE_BYTES - 1) // LINE_BYTES - 1
    block = Block(address)
    block.next = worker.free[index]
    worker.free[index] = block
    if PARALLEL:
        worker.free_count[index] += 1
        if worker.free_count[index] == BATCH:
            put_aside(worker, index)


@outlined
def put_aside(worker: Worker, index: Word):
    """A full list becomes the spare, and the spare before it goes to the depot."""
    spare = worker.spare[index]
    worker.spare[index] = worker.free[index]
    worker.free[index] = None
    worker.free_count[index] = 0
    if spare is not None:
        scheduler = worker.scheduler
        lock(scheduler.depot_lock)
        spare.next_batch = scheduler.depot[index]
        scheduler.depot[index] = spare
        unlock(scheduler.depot_lock)


@outlined
def refill(worker: Worker, index: Word) -> Block:
    """A batch for an empty list: the spare, one from the depot, or a new one; None if there is no
    memory left."""
    batch = worker.spare[index]
    worker.spare[index] = None
    if PARALLEL and batch is None:
        batch = from_depot(worker.scheduler, index)
    if batch is None:
        batch = cut(worker.scheduler, (index + 1) * LINE_BYTES)
    if PARALLEL:
        worker.free_count[index] = BATCH
    return batch


def from_depot(scheduler: Scheduler, index: Word) -> Block:
    lock(scheduler.depot_lock)
    batch = scheduler.depot[index]
    if batch is not None:
        scheduler.depot[index] = batch.next_batch
    unlock(scheduler.depot_lock)
    return batch


def cut(scheduler: Scheduler, size: Word) -> Block:
    """A batch of blocks out of new memory."""
    address = fresh(scheduler, BATCH * size)
    if address == 0:
        return None
    for number in range(BATCH - 1):
        Block(address + number * size).next = Block(address + (number + 1) * size)
    Block(address + (BATCH - 1) * size).next = None
    return Block(address)


def fresh(scheduler: Scheduler, size: Word) -> Word:
    """Memory never used before, all zeros; 0 if there is not so much. It is not given back."""
    address = scheduler.fresh.fetch_add(size)
    if address + size > scheduler.end:
        scheduler.fresh.fetch_add(-size)
        return 0
    return address
