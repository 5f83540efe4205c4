"""The scheduler as a whole: order, ends, memory."""

import ctypes
import functools
import gc
import itertools
import signal
import threading
import time
import weakref

import pytest

from vmlab.kernels.scheduler import bench, futex, memory
from vmlab.kernels.scheduler.channels import receive, send
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.language import put_at, suspend, word_at
from vmlab.kernels.scheduler.layout import Channel, Status, Task, Worker
from vmlab.kernels.scheduler.machine import ALIGNMENT, FUNCTIONS, Machine, OutOfMemory
from vmlab.kernels.scheduler.structures import LINE_BYTES, WORD_BYTES
from vmlab.kernels.scheduler.tasks import yield_

COMPOSITIONS = pytest.mark.parametrize("parallel", [False, True], ids=["one", "several"])


def noting(worker: Worker, task: Task):
    """(log, number, yields): appends its number to the log, and again after each yield. The first
    word of a log is how many follow."""
    log = task.arguments[0]
    for turn in range(task.arguments[2] + 1):
        length = word_at(log) + 1
        put_at(log, length)
        put_at(log + length * WORD_BYTES, task.arguments[1])
        if turn < task.arguments[2]:
            yield_(task.worker)
            suspend()


def forever(worker: Worker, task: Task):
    while True:
        yield_(task.worker)
        suspend()


def doubling(worker: Worker, task: Task):
    """(from, to, values)"""
    source = Channel(task.arguments[0])
    for _ in range(task.arguments[2]):
        if receive(task.worker, task, source) == 0:
            suspend()
        if send(task.worker, task, Channel(task.arguments[1]), task.value * 2) == 0:
            suspend()


ENTRIES = (
    noting, forever, doubling, bench.parked, bench.launcher, bench.nothing, bench.producer,
    bench.consumer, bench.work_launcher, bench.computing,
)  # fmt: skip


@functools.cache
def kernel(parallel):
    return Kernel(f"test-machine-{parallel}", parallel, (*FUNCTIONS, bench.park_many), ENTRIES)


def machine(parallel=True, workers=1, memory=1 << 20):
    return Machine(kernel(parallel), workers, memory)


class Log:
    def __init__(self):
        self.words = (ctypes.c_uint64 * 1000)()
        self.address = ctypes.addressof(self.words)

    def __iter__(self):
        return iter(self.words[1 : 1 + self.words[0]])


class Table:
    """What the tasks of the bench write samples to."""

    def __init__(self, samples):
        self.words = (ctypes.c_uint64 * (samples + 1))(samples)
        self.address = ctypes.addressof(self.words)


@COMPOSITIONS
def test_one_worker_runs_tasks_in_turn(parallel):
    here, log = machine(parallel), Log()
    for number, yields in enumerate((2, 0, 1)):
        here.launch("noting", [log.address, number, yields])
    here.run()
    assert list(log) == [0, 1, 2, 0, 2, 0]


def test_what_does_not_fit_into_the_ring_is_run_too():
    here, log = machine(workers=1), Log()
    for number in range(900):
        here.launch("noting", [log.address, number, 0])
    here.run()
    assert sorted(log) == list(range(900))


@COMPOSITIONS
def test_tasks_that_wait_for_ever_are_left_over(parallel):
    here = machine(parallel)
    for _ in range(3):
        here.launch("parked", [here.channel(0)])
    log = Log()
    here.launch("noting", [log.address, 7, 0])
    here.run()
    assert here.waiting == 3
    assert list(log) == [7]


def test_all_workers_leave_when_nothing_can_go_on():
    here = machine(workers=4)
    here.launch("parked", [here.channel(0)])
    here.run()
    assert here.waiting == 1
    assert here.total("parked") <= 3  # the last one finds that all rest


def test_without_a_futex_workers_look_now_and_then(monkeypatch):
    monkeypatch.setattr(futex, "FUTEX", 0)
    polling = Kernel("test-polling", True, FUNCTIONS, ENTRIES)
    assert "usleep" in polling.assembly
    assert "syscall" not in polling.assembly
    here = Machine(polling, 3, 1 << 20)
    here.launch("work_launcher", [1_000, polling.entry["computing"], 1_000])
    here.launch("parked", [here.channel(0)])
    here.run()
    assert here.waiting == 1


@COMPOSITIONS
def test_a_machine_can_run_again(parallel):
    here = machine(parallel)
    channel = here.channel(1)
    table = Table(1)
    here.launch("consumer", [table.address, channel])
    here.run()
    assert here.waiting == 1
    here.launch("producer", [table.address, channel])
    here.run()
    assert here.waiting == 0


@COMPOSITIONS
def test_values_pass_through_tasks(parallel):
    here = machine(parallel)
    channels = [here.channel(n) for n in (0, 2, 0, 1)]
    table = Table(1)
    for first, second in itertools.pairwise(channels):
        here.launch("doubling", [first, second, bench.BATCH])
    here.launch("producer", [table.address, channels[0]])
    here.launch("consumer", [table.address, channels[-1]])
    here.run()
    assert here.waiting == 0


def run_halted(here):
    """Run, and halt again and again: on a busy machine the first time may be before the run."""
    ended = threading.Event()

    def halting():
        while not ended.wait(0.05):
            here.halt()

    thread = threading.Thread(target=halting)
    thread.start()
    here.run()
    ended.set()
    thread.join()


@pytest.mark.parametrize("parallel, workers", [(False, 1), (True, 1), (True, 3)])
def test_halt_ends_tasks_that_do_not(parallel, workers):
    here = machine(parallel, workers)
    for _ in range(5):
        here.launch("forever")
    run_halted(here)
    assert here.waiting == 5


@pytest.fixture
def ctrl_c():
    """The signal. A shell lets what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.SIGINT
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_run(ctrl_c):
    here = machine(workers=2)
    for _ in range(5):
        here.launch("forever")
    timer = threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, ctrl_c))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        here.run()
    here.launch("forever")  # nobody runs any more: the workers are free
    run_halted(here)
    assert here.waiting == 6


@COMPOSITIONS
def test_no_task_of_a_few_shares_a_set_of_the_cache_with_its_frame(parallel):
    here = machine(parallel)
    channel = here.channel(0)
    tasks = [here.launch("parked", [channel]) for _ in range(memory.BATCH)]
    here.run()
    for task in tasks:
        frame = here.get(Task, task, "frame")
        lines = [task // LINE_BYTES % 64, task // LINE_BYTES % 64 + 1]
        assert frame // LINE_BYTES % 64 not in lines


def test_a_machine_begins_where_no_two_lines_of_a_set_look_alike():
    for size in (0, 1, 1 << 20):
        assert machine(memory=size).scheduler % ALIGNMENT == 0


@COMPOSITIONS
def test_memory_is_used_again(parallel):
    here = machine(parallel)
    table = Table(1_000)
    here.launch("launcher", [table.address, kernel(parallel).entry["nothing"]])
    here.run()
    assert here.total("launched") == 1 + 1_000 * bench.BATCH
    assert here.memory_used < 3 * bench.BATCH * Task.bytes


def test_memory_comes_back_from_workers_that_finish_what_others_launch():
    here = machine(workers=4)
    entry = kernel(True).entry["computing"]
    here.launch("work_launcher", [50_000, entry, 100])
    here.run()
    assert here.waiting == 0
    assert here.memory_used < 1 << 20  # of 6.4 MB for all the descriptors


def test_a_million_tasks_wait_in_256_bytes_each():
    tasks = 1_000_000
    here = machine(memory=tasks * 256)
    before = here.memory_used
    channel = here.channel(0)
    entry = kernel(True).entry["parked"]
    launched = kernel(True).call["park_many"](here.workers[0], entry, channel, tasks)
    here.run()
    assert launched == here.waiting == tasks
    assert (here.memory_used - before) / tasks <= 256


@pytest.mark.parametrize("parallel, workers", [(False, 1), (True, 2)])
def test_with_a_million_tasks_ctrl_c_is_answered_and_memory_comes_back(parallel, workers, ctrl_c):
    tasks = 1_000_000
    here = machine(parallel, workers, memory=tasks * 256)
    call, entry = kernel(parallel).call, kernel(parallel).entry
    call["park_many"](here.workers[0], entry["parked"], here.channel(0), tasks)
    here.launch("forever")
    last = here.launch("parked", [here.channel(0)])
    sent = []

    def interrupt(get=here.get):
        while get(Task, last, "status") != Status.WAITING:
            time.sleep(0.001)
        sent.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, ctrl_c)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        here.run()
    assert time.monotonic() - sent[0] < 5.0  # users are promised 0.2, on a machine that is quiet
    assert here.waiting == tasks + 2
    interrupting.join()
    memory = weakref.ref(here._memory)  # unmapped with its object; what else the process does, not
    del here, interrupt
    deadline = time.monotonic() + 5
    while memory() is not None and time.monotonic() < deadline:
        gc.collect()  # the traceback refers to it in a circle, a thread till it has ended
    assert memory() is None


@COMPOSITIONS
def test_a_launch_without_memory_is_refused(parallel):
    here = machine(parallel, memory=10_000)
    with pytest.raises(OutOfMemory, match=r"bytes are in use"):
        for _ in range(1_000):
            here.launch("parked", [0])


@COMPOSITIONS
def test_a_task_without_memory_for_its_frame_ends_the_run(parallel):
    here = machine(parallel, memory=10_000)
    channel = here.channel(0)
    with pytest.raises(OutOfMemory):
        while True:
            here.launch("parked", [channel])
    start = time.monotonic()
    with pytest.raises(OutOfMemory):
        here.run()
    assert time.monotonic() - start < 5


def test_workers_are_limited():
    with pytest.raises(ValueError, match="2 workers"):
        machine(parallel=False, workers=2)
    with pytest.raises(ValueError, match="33 workers"):
        machine(workers=33)
