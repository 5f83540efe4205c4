"""A scheduler in memory of its own, and the threads that run it."""

import ctypes
import mmap
import threading
import time
from collections.abc import Sequence

from vmlab.kernels.scheduler import channels, parking, tasks
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.layout import MAX_WORKERS, Scheduler, Task, Worker
from vmlab.kernels.scheduler.structures import WORD_BYTES, Structure

# The memory begins at a multiple of this: a large page. Cores of AMD tell lines of one set apart by
# a hash of address bits 12 to 27, the way predictor (Lipp et al., "Take A Way", AsiaCCS 2020), and
# of two lines with the same hash each access to the one turns out the other. Within an aligned
# megabyte no two lines of a set have the same. Across a multiple of 128 MiB a descriptor and its
# frame may, 4 KiB apart: a round trip over a channel then took five times as long.
ALIGNMENT = 2 << 20


class OutOfMemory(Exception):
    """The memory given to the scheduler is used up."""


class Machine:
    """A scheduler with its workers.

    `memory` are the bytes for tasks, frames and channels; the system gives them as they are first
    touched. Tasks are launched, then `run` runs them all until none can go on."""

    def __init__(self, kernel: Kernel, workers: int, memory: int):
        limit = MAX_WORKERS if kernel.parallel else 1
        if not 1 <= workers <= limit:
            raise ValueError(f"{workers} workers: this composition has 1, or at most {limit}")
        self.kernel = kernel
        self._begun: set[int] | None = None  # of the workers in the present run
        own = Scheduler.bytes + workers * Worker.bytes
        self._memory = mmap.mmap(-1, own + memory + ALIGNMENT)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self.scheduler = -(-start // ALIGNMENT) * ALIGNMENT
        self._first_fresh = self.scheduler + own
        end = self._first_fresh + memory
        self.workers = lay_out(self.scheduler, workers, self._first_fresh, end)

    # Words

    @staticmethod
    def put(structure: Structure, address: int, name: str, value: int, index: int = 0) -> None:
        place = address + structure.offset(name) + index * WORD_BYTES
        ctypes.c_uint64.from_address(place).value = value

    @staticmethod
    def get(structure: Structure, address: int, name: str, index: int = 0) -> int:
        place = address + structure.offset(name) + index * WORD_BYTES
        return ctypes.c_uint64.from_address(place).value

    def total(self, name: str) -> int:
        """A counter of the workers, summed up."""
        return sum(self.get(Worker, worker, name) for worker in self.workers)

    @property
    def waiting(self) -> int:
        """Tasks that have been launched and not finished."""
        return self.total("launched") - self.total("finished")

    @property
    def memory_used(self) -> int:
        """Bytes of tasks, frames and channels, free ones included."""
        return self.get(Scheduler, self.scheduler, "fresh") - self._first_fresh

    # Tasks

    def channel(self, capacity: int) -> int:
        return self._given(self.kernel.call["make_channel"](self.workers[0], capacity))

    def launch(self, entry: str, arguments: Sequence[int] = (), joinable: bool = False) -> int:
        """A task on the first worker. Only while nothing runs."""
        call = self.kernel.call
        task = self._given(call["launch"](self.workers[0], self.kernel.entry[entry], 0))
        for index, argument in enumerate(arguments):
            self.put(Task, task, "arguments", argument, index)
        self.put(Task, task, "joinable", joinable)
        call["begin"](self.workers[0], task)
        return task

    def _given(self, address: int) -> int:
        if not address:
            raise OutOfMemory(f"{self.memory_used:,} bytes are in use")
        return address

    # Running

    def run(self) -> None:
        """Until no task can go on, or `halt`. Raises OutOfMemory if a task found no memory for its
        frame. Ctrl-C halts the workers, and passes on."""
        self.put(Scheduler, self.scheduler, "stop", 0)
        self.put(Scheduler, self.scheduler, "idlers", 0)
        for worker in self.workers:
            self.put(Worker, worker, "wake", 0)
            self.put(Worker, worker, "searching", 0)
        begun = self._begun = set()
        threads = [threading.Thread(target=self._work, args=(begun, w)) for w in self.workers]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            # Ctrl-C may come between a thread's start and the moment that Python knows of it.
            self._begun = None
            self.halt()
            while begun:
                time.sleep(0.001)
            raise
        if self.get(Scheduler, self.scheduler, "exhausted"):
            raise OutOfMemory(f"{self.memory_used:,} bytes are in use")

    def _work(self, begun: set[int], worker: int) -> None:
        begun.add(worker)
        if self._begun is begun:  # else the run is over already
            self.kernel.call["work"](worker)
        begun.remove(worker)

    def halt(self) -> None:
        """Have the workers leave as soon as their tasks suspend. From any thread."""
        self.kernel.call["halt"](self.scheduler)


def lay_out(scheduler: int, workers: int, fresh: int, end: int) -> list[int]:
    """A scheduler at this address, in memory of zeros, with its workers behind it, and memory for
    blocks; the addresses of the workers."""
    first = scheduler + Scheduler.bytes
    addresses = [first + number * Worker.bytes for number in range(workers)]
    fields = {"workers": workers, "first_worker": first, "fresh": fresh, "end": end}
    for name, value in fields.items():
        Machine.put(Scheduler, scheduler, name, value)
    for number, worker in enumerate(addresses):
        Machine.put(Worker, worker, "scheduler", scheduler)
        Machine.put(Worker, worker, "bit", 1 << number)
        Machine.put(Worker, worker, "random", number + 1)
    return addresses


# What a Machine calls in its kernel.
FUNCTIONS = (tasks.work, tasks.launch, tasks.begin, parking.halt, channels.make_channel)
