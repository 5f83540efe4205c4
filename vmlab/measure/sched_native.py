"""The scheduler kernel as one of the systems that `sched` measures."""

from __future__ import annotations

import ctypes
import functools
import statistics
import threading
import time
from collections.abc import Callable, Sequence

from vmlab.kernels.scheduler import bench, bench_stack_maps
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.machine import FUNCTIONS, Machine
from vmlab.measure.sched_stack_maps import stack_maps
from vmlab.measure.sched_systems import (
    SETTLE_NANOSECONDS,
    STAGES,
    Clock,
    Operation,
    Spent,
    System,
)

_FUNCTIONS = (
    *FUNCTIONS,
    bench.clock,
    bench.now,
    bench.stages,
    bench.park_many,
    bench.compute,
    bench_stack_maps.time_table,
    bench_stack_maps.time_computed,
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
    bench.woken,
    bench.waker,
    bench.work_launcher,
    bench.computing,
    bench.parked,
)

_MEMORY = 64 << 20

_CLOCK_SECONDS = 0.05
_CLOCK_READINGS = 10_000

# As many tasks wait at once, and more than any of them takes, which is reserved for each.
_PARKED_TASKS, _PARKED_ROOM = 1_000_000, 512


@functools.cache
def kernel(parallel: bool) -> Kernel:
    name = "scheduler-bench-" + ("several" if parallel else "one")
    return Kernel(name, parallel, _FUNCTIONS, _ENTRIES)


class Table:
    """Samples in ticks: the words that the bench writes."""

    def __init__(self, samples: int):
        self.words = (ctypes.c_uint64 * (samples + 1))(samples)
        self.address = ctypes.addressof(self.words)

    def ticks(self) -> list[int]:
        return list(self.words[1:])


def clock_ticks(samples: int) -> list[int]:
    """What two readings of the time stamp counter, one after the other, are apart."""
    table = Table(samples)
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
                if self.workers == 1:
                    return None
            case Operation.PARKED:
                return [self.bytes_parked(_PARKED_TASKS)]
            case Operation.GROWTH:
                return None  # frames have the size that they need
            case Operation.MAP_TABLE | Operation.MAP_COMPUTED:
                return None if self.kernel.parallel else self._map(operation, samples)
        if operation in STAGES:
            return None if self.workers > 1 else self._stage(STAGES.index(operation) + 1, samples)
        machine, table = Machine(self.kernel, self.workers, _MEMORY), Table(samples)
        other = Table(samples)
        parts = self._launch(operation, machine, table.address, other.address)
        machine.run()
        assert not machine.waiting
        single = operation in (Operation.LATENCY, Operation.WAKE)
        once = 1 if single else bench.BATCH * parts
        return self.clock.nanoseconds(table.ticks(), once)

    def _launch(self, operation: Operation, machine: Machine, out: int, other: int) -> int:
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
            case Operation.WAKE:
                channel = machine.channel(0)
                ticks = round(SETTLE_NANOSECONDS / self.clock.nanoseconds_a_tick)
                machine.launch("woken", [out, channel])
                machine.launch("waker", [out, channel, ticks])
        return 1

    def _stage(self, last: int, samples: int) -> Sequence[float]:
        """What a launch takes up to the end of a stage."""
        machine, table = Machine(self.kernel, self.workers, _MEMORY), Table(samples)
        entry = self.kernel.entry["nothing"]
        self.kernel.call["stages"](machine.workers[0], table.address, entry, last)
        return self.clock.nanoseconds(table.ticks(), bench.BATCH)

    def _map(self, operation: Operation, samples: int) -> Sequence[float]:
        table, maps = Table(samples), stack_maps()
        call = self.kernel.call
        if operation is Operation.MAP_TABLE:
            call["time_table"](table.address, maps.table, maps.order, bench.BATCH)
            return self.clock.nanoseconds(table.ticks(), bench.BATCH)
        call["time_computed"](table.address, maps.steps, maps.count, maps.states)
        return self.clock.nanoseconds(table.ticks(), maps.count)

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

    def bare_work(self, tasks: int, rounds: int) -> Spent:
        """The same work on as many threads that share nothing: what the machine gives."""
        each = tasks * rounds // self.workers
        threads = [
            threading.Thread(target=self.kernel.call["compute"], args=(each,))
            for _ in range(self.workers)
        ]

        def run() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return _spent(run)

    def work(self, tasks: int, rounds: int) -> Spent:
        """So many tasks that compute and nothing else."""
        machine = Machine(self.kernel, self.workers, _MEMORY)
        machine.launch("work_launcher", [tasks, self.kernel.entry["computing"], rounds])
        spent = _spent(machine.run)
        assert not machine.waiting
        return spent


def _spent(work: Callable[[], None]) -> Spent:
    start, before = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - start, time.process_time() - before)


def calibrate() -> Clock:
    """Takes some `_CLOCK_SECONDS`."""
    costs = clock_ticks(_CLOCK_READINGS)
    start, first = time.perf_counter_ns(), now_ticks()
    while time.perf_counter_ns() - start < _CLOCK_SECONDS * 1e9:
        pass
    end, last = time.perf_counter_ns(), now_ticks()
    steps = sorted(step for step in costs if step > 0)
    resolution = steps[len(steps) // 10] if steps else 1
    return Clock((end - start) / (last - first), statistics.median(costs), resolution)
