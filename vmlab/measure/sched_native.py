"""The scheduler kernel as one of the systems that `sched` measures."""

from __future__ import annotations

import ctypes
import functools
import threading
import time
from collections.abc import Sequence

from vmlab.kernels.scheduler import bench
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.machine import FUNCTIONS, Machine
from vmlab.measure.scheduling import Clock, Operation, System

_FUNCTIONS = (
    *FUNCTIONS,
    bench.clock,
    bench.now,
    bench.hand_off,
    bench.answer,
    bench.stages,
    bench.park_many,
    bench.compute,
)
_ENTRIES = (
    bench.nothing,
    bench.launcher,
    bench.yielder,
    bench.pinger,
    bench.ponger,
    bench.producer,
    bench.consumer,
    bench.stamping_launcher,
    bench.stamped,
    bench.work_launcher,
    bench.computing,
    bench.parked,
)

_MEMORY = 64 << 20

# As many tasks wait at once, and more than any of them takes, which is reserved for each.
_PARKED_TASKS, _PARKED_ROOM = 1_000_000, 512


@functools.cache
def kernel(parallel: bool) -> Kernel:
    name = "scheduler-bench-" + ("several" if parallel else "one")
    return Kernel(name, parallel, _FUNCTIONS, _ENTRIES)


class _Table:
    """Samples in ticks: the words that the bench writes."""

    def __init__(self, samples: int):
        self.words = (ctypes.c_uint64 * (samples + 1))(samples)
        self.address = ctypes.addressof(self.words)

    def ticks(self) -> list[int]:
        return list(self.words[1:])


def clock_ticks(samples: int) -> list[int]:
    """What two readings of the time stamp counter, one after the other, are apart."""
    table = _Table(samples)
    kernel(False).call["clock"](table.address)
    return table.ticks()


def now_ticks() -> int:
    return int(kernel(False).call["now"]())


class NativeScheduler(System):
    """The kernel with so many workers; `parallel`: in the composition for several."""

    def __init__(self, workers: int, parallel: bool, clock: Clock):
        count = f"{workers} worker{'s' if workers > 1 else ''}"
        self.name = f"vmlab, M:N, {count}" if parallel else "vmlab, single-worker"
        self.workers, self.kernel, self.clock = workers, kernel(parallel), clock

    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        match operation:
            case Operation.WAKE:
                return self._wake(samples) if self.kernel.parallel and self.workers > 1 else None
            case Operation.PARKED:
                return [self.bytes_parked(_PARKED_TASKS)]
        machine, table = Machine(self.kernel, self.workers, _MEMORY), _Table(samples)
        other = _Table(samples)
        parts = self._launch(operation, machine, table.address, other.address)
        machine.run()
        assert not machine.waiting
        once = 1 if operation is Operation.LATENCY else bench.BATCH * parts
        return self.clock.nanoseconds(table.ticks(), once)

    @staticmethod
    def _launch(operation: Operation, machine: Machine, out: int, other: int) -> int:
        """The tasks of an operation, with tables for what they time; how often it is done in one
        turn of the timed loop."""
        entry = machine.kernel.entry
        match operation:
            case Operation.LAUNCH:
                machine.launch("launcher", [out, entry["nothing"]])
            case Operation.LATENCY:
                machine.launch("stamping_launcher", [out, entry["stamped"]])
            case Operation.YIELD:
                # One is timed; between two of its yields the other has yielded, too.
                machine.launch("yielder", [out])
                machine.launch("yielder", [other])
                return 2
            case Operation.UNBUFFERED:
                channels = [machine.channel(0), machine.channel(0)]
                machine.launch("ponger", [out, *channels])
                machine.launch("pinger", [out, *channels])
            case Operation.BUFFERED:
                channel = machine.channel(bench.CAPACITY)
                machine.launch("producer", [out, channel])
                machine.launch("consumer", [out, channel])
        return 1

    def _wake(self, samples: int) -> Sequence[float]:
        machine, table = Machine(self.kernel, 2, 0), _Table(samples)
        first, second = machine.workers
        call = self.kernel.call
        thread = threading.Thread(target=call["answer"], args=(second, first, table.address))
        thread.start()
        call["hand_off"](first, second, table.address)
        thread.join()
        return self.clock.nanoseconds(table.ticks(), 2)  # there and back

    def bytes_parked(self, tasks: int) -> float:
        """What a task takes that waits for a value, all told: descriptor, frame, and what is lost
        around them."""
        machine = Machine(self.kernel, self.workers, tasks * _PARKED_ROOM)
        entry = self.kernel.entry["parked"]
        channel = machine.channel(0)
        before = machine.memory_used
        launched = self.kernel.call["park_many"](machine.workers[0], entry, channel, tasks)
        machine.run()
        assert launched == machine.waiting == tasks
        return float(machine.memory_used - before) / tasks

    def stages(self, samples: int) -> dict[str, list[float]]:
        """What a launch takes up to the end of each of its stages, in nanoseconds."""
        taken = {}
        for number, name in enumerate(("descriptor", "argument block", "status", "queue"), 1):
            machine, table = Machine(self.kernel, self.workers, _MEMORY), _Table(samples)
            entry = self.kernel.entry["nothing"]
            self.kernel.call["stages"](machine.workers[0], table.address, entry, number)
            taken[name] = self.clock.nanoseconds(table.ticks(), bench.BATCH)
        return taken

    def seconds_of_bare_work(self, tasks: int, rounds: int) -> float:
        """The same work on as many threads that share nothing: what the machine gives."""
        each = tasks * rounds // self.workers
        threads = [
            threading.Thread(target=self.kernel.call["compute"], args=(each,))
            for _ in range(self.workers)
        ]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start

    def seconds_of_work(self, tasks: int, rounds: int) -> float:
        """How long so many tasks take that compute and nothing else."""
        machine = Machine(self.kernel, self.workers, _MEMORY)
        machine.launch("work_launcher", [tasks, self.kernel.entry["computing"], rounds])
        start = time.perf_counter()
        machine.run()
        assert not machine.waiting
        return time.perf_counter() - start
