"""What the system's threads are measured with, in the scheduler's language: `pthread_create`, and
two threads that wake each other. Samples go to tables as in `bench`."""

from vmlab.kernels.scheduler.bench import BATCH, note
from vmlab.kernels.scheduler.futex import rouse, sleep
from vmlab.kernels.scheduler.language import External, cycles, put_at, relaxed, word_at
from vmlab.kernels.scheduler.layout import Worker
from vmlab.kernels.scheduler.structures import WORD_BYTES, Word

pthread_create = External("pthread_create")
pthread_join = External("pthread_join")

# What these functions of C return is an int, the low half of a word.
INT = 0xFFFFFFFF


def idle(argument: Word) -> Word:
    """A thread that ends at once."""
    return 0


def stamping(argument: Word) -> Word:
    """A thread whose argument points at (table, sample, since)."""
    note(word_at(argument), word_at(argument + WORD_BYTES), word_at(argument + 2 * WORD_BYTES))
    return 0


def create_and_join(table: Word, room: Word) -> Word:
    """Batches of threads that are created, run and end; `room` are `BATCH` words. 0 if the system
    refused one."""
    for sample in range(word_at(table)):
        since = cycles()
        for number in range(BATCH):
            identity = room + number * WORD_BYTES
            if pthread_create(identity, 0, idle, 0) & INT != 0:
                for created in range(number):
                    pthread_join(word_at(room + created * WORD_BYTES), 0)
                return 0
        for number in range(BATCH):
            pthread_join(word_at(room + number * WORD_BYTES), 0)
        note(table, sample, since)
    return 1


def create_stamping(table: Word, room: Word) -> Word:
    """One thread after the other, a sample each: the time from before `pthread_create` to its first
    instruction. `room` are four words. 0 if the system refused one."""
    argument = room + WORD_BYTES
    put_at(argument, table)
    for sample in range(word_at(table)):
        put_at(argument + WORD_BYTES, sample)
        put_at(argument + 2 * WORD_BYTES, cycles())
        if pthread_create(room, 0, stamping, argument) & INT != 0:
            return 0
        pthread_join(word_at(room), 0)
    return 1


def hand_off(worker: Worker, other: Worker, table: Word):
    """Two threads wake each other and sleep in turn; a sample is one round trip."""
    for sample in range(word_at(table)):
        since = cycles()
        rouse(other)
        sleep(worker)
        worker.wake.store(0, relaxed)
        note(table, sample, since)


def answer(worker: Worker, other: Worker, table: Word):
    """The other side of `hand_off`."""
    for _ in range(word_at(table)):
        sleep(worker)
        worker.wake.store(0, relaxed)
        rouse(other)
