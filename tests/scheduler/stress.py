"""The scheduler under stress: many operations on several threads, and every item accounted for.

    python tests/scheduler/stress.py 100_000_000 7

does so many operations, with the seed 7. There are three kinds of runs, on 2 to 8 workers: trees of
tasks that launch each other (queues, overflow, stealing), producers and consumers on one channel
(hand-over, closing, parking), and parents that join their children."""

from __future__ import annotations

import ctypes
import functools
import random
import threading
import time
from dataclasses import dataclass

import click

from vmlab.kernels.scheduler.channels import CLOSED, SUSPEND, close, receive, send
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.language import put_at, suspend, word_at
from vmlab.kernels.scheduler.layout import Channel, Task, Worker
from vmlab.kernels.scheduler.machine import FUNCTIONS, Machine
from vmlab.kernels.scheduler.structures import WORD_BYTES, Code, Word
from vmlab.kernels.scheduler.tasks import (
    begin,
    collect,
    join,
    launch,
    out_of_memory,
    yield_,
)

SECONDS = 300  # a run that takes longer hangs

# Tasks


def count(table: Word, index: Word):
    address = table + index * WORD_BYTES
    put_at(address, word_at(address) + 1)


def tree(worker: Worker, task: Task):
    """(table, first, size, code of this function): counts in its own word, and launches two trees
    that share the words after it; yields in between."""
    table = task.arguments[0]
    first = task.arguments[1]
    size = task.arguments[2]
    code = Code(task.arguments[3])
    count(table, first)
    first += 1
    size -= 1
    half = size // 2
    if half != 0:
        grow(task, table, first, half, code)
    yield_(task.worker)
    suspend()
    if size != half:
        grow(task, table, first + half, size - half, code)


def grow(task: Task, table: Word, first: Word, size: Word, code: Code):
    child = launch(task.worker, code, task)
    if child is None:
        out_of_memory(task.worker)
        return
    child.arguments[0] = table
    child.arguments[1] = first
    child.arguments[2] = size
    child.arguments[3] = Word(code)
    begin(task.worker, child)


def produce(worker: Worker, task: Task):
    """(channel, first, end): sends these numbers. Its result is how many."""
    channel = Channel(task.arguments[0])
    value = task.arguments[1]
    end = task.arguments[2]
    sent = 0
    while value < end:
        way = send(task.worker, task, channel, value)
        if way == SUSPEND:
            suspend()
            sent += task.ok
        elif way != CLOSED:
            sent += 1
        value += 1
    task.result = sent


def consume(worker: Worker, task: Task):
    """(channel, table, lasts, share): counts what it receives until the channel is closed. The
    values of each producer, who each have a share of them, must come in their order: `lasts` has
    the least that may come next, by producer; behind the table is a word to count errors in."""
    channel = Channel(task.arguments[0])
    table = task.arguments[1]
    lasts = task.arguments[2]
    share = task.arguments[3]
    while True:
        if receive(task.worker, task, channel) == SUSPEND:
            suspend()
        if task.ok == 0:
            return
        value = task.value
        count(table, value)
        place = lasts + value // share * WORD_BYTES
        if value < word_at(place):
            put_at(lasts - WORD_BYTES, 1)
        put_at(place, value + 1)


def closer(worker: Worker, task: Task):
    """(channel, tasks, how many, sum): joins the producers, then closes the channel."""
    total = 0
    for number in range(task.arguments[2]):
        other = Task(word_at(task.arguments[1] + number * WORD_BYTES))
        if join(task.worker, task, other) == 0:
            suspend()
        total += collect(task.worker, other)
    put_at(task.arguments[3], total)
    close(task.worker, Channel(task.arguments[0]))


def square(worker: Worker, task: Task):
    """(number): its square is the result. Some yield first."""
    if task.arguments[0] % 3 == 0:
        yield_(task.worker)
        suspend()
    task.result = task.arguments[0] * task.arguments[0]


def parent(worker: Worker, task: Task):
    """(table, index, rounds, code of square): sums up squares of four children at a time."""
    total = 0
    for turn in range(task.arguments[2]):
        first = child_of(task, turn * 4)
        second = child_of(task, turn * 4 + 1)
        third = child_of(task, turn * 4 + 2)
        fourth = child_of(task, turn * 4 + 3)
        if join(task.worker, task, fourth) == 0:
            suspend()
        total += collect(task.worker, fourth)
        if join(task.worker, task, first) == 0:
            suspend()
        total += collect(task.worker, first)
        if join(task.worker, task, third) == 0:
            suspend()
        total += collect(task.worker, third)
        if join(task.worker, task, second) == 0:
            suspend()
        total += collect(task.worker, second)
    put_at(task.arguments[0] + task.arguments[1] * WORD_BYTES, total)


def child_of(task: Task, number: Word) -> Task:
    child = launch(task.worker, Code(task.arguments[3]), task)
    child.joinable = 1
    child.arguments[0] = number
    begin(task.worker, child)
    return child


ENTRIES = (tree, produce, consume, closer, square, parent)


# Runs


@functools.cache
def kernel(parallel: bool) -> Kernel:
    return Kernel(
        f"scheduler-stress-{'several' if parallel else 'one'}", parallel, FUNCTIONS, ENTRIES
    )


class Words:
    """Words in memory that tasks write."""

    def __init__(self, values):
        self.words = (ctypes.c_uint64 * len(values))(*values)
        self.address = ctypes.addressof(self.words)


def run(machine: Machine) -> None:
    """Until all is done. A run that hangs is halted: then tasks are left over."""
    timer = threading.Timer(SECONDS, machine.halt)
    timer.start()
    try:
        machine.run()
    finally:
        timer.cancel()
    assert machine.waiting == 0, f"{machine.waiting} tasks are left over"


@dataclass
class Report:
    operations: int = 0
    stolen: int = 0
    parked: int = 0

    def add(self, operations: int, machine: Machine) -> None:
        self.operations += operations
        self.stolen += machine.total("stolen")
        self.parked += machine.total("parked")


def trees(report: Report, workers: int, size: int, parallel: bool = True) -> None:
    machine = Machine(kernel(parallel), workers, size * 256 + (1 << 20))
    table = Words([0] * size)
    machine.launch("tree", [table.address, 0, size, machine.kernel.entry["tree"]])
    run(machine)
    assert set(table.words) == {1}
    assert machine.total("launched") == size
    report.add(3 * size, machine)  # launch, yield, finish


def channel(
    report: Report, workers: int, producers: int, consumers: int, capacity: int, share: int,
    parallel: bool = True,
) -> None:  # fmt: skip
    machine = Machine(kernel(parallel), workers, 1 << 20)
    pipe = machine.channel(capacity)
    # A row a consumer: its errors, then what may come next by producer.
    row = 1 + producers
    table, lasts = Words([0] * producers * share), Words([0] * row * consumers)
    senders = [
        machine.launch("produce", [pipe, n * share, (n + 1) * share], joinable=True)
        for n in range(producers)
    ]
    for number in range(consumers):
        own = lasts.address + (number * row + 1) * WORD_BYTES
        machine.launch("consume", [pipe, table.address, own, share])
    joined, total = Words(senders), Words([0])
    machine.launch("closer", [pipe, joined.address, producers, total.address])
    run(machine)
    assert set(table.words) == {1}
    assert list(lasts.words)[::row] == [0] * consumers, "values came out of order"
    assert total.words[0] == producers * share
    report.add(2 * producers * share, machine)  # send, receive


def families(report: Report, workers: int, parents: int, rounds: int, parallel=True) -> None:
    machine = Machine(kernel(parallel), workers, parents * 2048 + (1 << 20))
    table = Words([0] * parents)
    square_code = machine.kernel.entry["square"]
    for number in range(parents):
        machine.launch("parent", [table.address, number, rounds, square_code])
    run(machine)
    assert set(table.words) == {sum(n * n for n in range(4 * rounds))}
    report.add(3 * parents * rounds * 4, machine)  # launch, finish, join


def stress(operations: int, seed: int) -> Report:
    """Runs of random sizes until there were so many operations."""
    chance = random.Random(seed)
    report = Report()
    while report.operations < operations:
        workers = chance.randint(2, 8)
        size = max(100, min(300_000, (operations - report.operations) // 4))
        match chance.randrange(3):
            case 0:
                trees(report, workers, chance.randint(size // 4, size))
            case 1:
                producers = chance.randint(1, 8)
                channel(
                    report,
                    workers,
                    producers,
                    chance.randint(1, 8),
                    chance.choice([0, 0, 1, 2, 100]),
                    size // producers,
                )
            case 2:
                parents = chance.randint(1, 100)
                families(report, workers, parents, size // parents // 4 + 1)
    return report


@click.command(help=__doc__)
@click.argument("operations", type=click.IntRange(min=1))
@click.argument("seed", type=int)
def main(operations: int, seed: int) -> None:
    start = time.monotonic()
    done = stress(operations, seed)
    print(
        f"{done.operations:,} operations in {time.monotonic() - start:.0f} s, every item accounted"
        f" for; {done.stolen:,} tasks were stolen, workers slept {done.parked:,} times"
    )


if __name__ == "__main__":
    main()
