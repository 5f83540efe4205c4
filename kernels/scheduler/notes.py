"""What happens on a worker, written down by it: for builds that record, and for them only.

Each worker has a log, and nobody else writes there. What the functions of the scheduler do not know
is noted where a program calls them (`kernels.recording`); in place of some others stand those here
(`REPLACED`), which note something and call them.

A turn begins after whatever it follows from, on whichever worker, as far as the counters of all
cores are in step. For nobody sees what stands behind a reading of the counter before that has been
done; and where a turn begins the counter is read when all before has been done. That takes long on
several workers, since it waits for what comes from other cores. So elsewhere the core may read it
some instructions earlier."""

from enum import IntEnum

from vmlab.kernels.scheduler.futex import sleep
from vmlab.kernels.scheduler.guests import go_on
from vmlab.kernels.scheduler.language import cycles, instant, size_of
from vmlab.kernels.scheduler.layout import Note, Task, Worker
from vmlab.kernels.scheduler.structures import Word
from vmlab.kernels.scheduler.tasks import ready


class Kind(IntEnum):
    """What is noted, with its subject and its detail. A task is the address of its record."""

    BEGINS = 1  # a turn of a task
    LEAVES = 2  # the turn ends in an instruction, its place; what the task waits for, or 0
    FINISHES = 3  # the turn ends, and the task with it
    READY = 4  # a task can go on, since it was launched or its wait is over; its `ok`
    SLEEPS = 5
    WAKES = 6
    LOST = 7  # there was no room: from here on something is missing
    STOPS = 8  # the worker has no part in the run any more


# Of notes for which there is always room: each is made once at most.
RESERVED = (Kind.LOST, Kind.STOPS)


def note(worker: Worker, time: Word, kind: Word, subject: Word, detail: Word):
    log = worker.log
    if log.next < log.end:
        write(worker, time, kind, subject, detail)
    elif log.end != 0:
        log.end = 0
        write(worker, time, Kind.LOST, 0, 0)


def write(worker: Worker, time: Word, kind: Word, subject: Word, detail: Word):
    log = worker.log
    here = Note(log.next)
    here.time = time
    here.kind = kind
    here.subject = subject
    here.detail = detail
    log.next = log.next + size_of(Note)


def begins(worker: Worker, record: Word):
    worker.log.running = 1
    note(worker, instant(), Kind.BEGINS, record, 0)


def leaves(worker: Worker, place: Word, awaited: Word):
    """Before anybody else can take the task."""
    worker.log.running = 0
    note(worker, cycles(), Kind.LEAVES, place, awaited)


def gets_ready(worker: Worker, task: Task):
    note(worker, cycles(), Kind.READY, Word(task.worker), task.ok)


def looks_for_work(worker: Worker):
    """A task that has not left its turn has finished."""
    if worker.log.running:
        worker.log.running = 0
        note(worker, cycles(), Kind.FINISHES, 0, 0)


def stops(worker: Worker):
    write(worker, cycles(), Kind.STOPS, 0, 0)


def now() -> Word:
    return instant()


# In place of others


def noting_go_on(worker: Worker) -> Task:
    looks_for_work(worker)
    return go_on(worker)


def noting_ready(worker: Worker, task: Task):
    gets_ready(worker, task)
    ready(worker, task)


def noting_sleep(worker: Worker):
    note(worker, cycles(), Kind.SLEEPS, 0, 0)
    sleep(worker)
    note(worker, cycles(), Kind.WAKES, 0, 0)


REPLACED = {go_on: noting_go_on, ready: noting_ready, sleep: noting_sleep}
