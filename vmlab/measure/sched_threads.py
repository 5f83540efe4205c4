"""The system's threads, from machine code, as one of the systems that `sched` measures."""

from __future__ import annotations

import ctypes
import functools
import platform
import threading
from collections.abc import Sequence

from vmlab.kernels.scheduler import bench_threads
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.machine import FUNCTIONS, Machine
from vmlab.measure.sched_native import Table
from vmlab.measure.sched_systems import BATCH, Clock, Operation, System, Unavailable


@functools.cache
def _kernel() -> Kernel:
    functions = (
        *FUNCTIONS,
        bench_threads.create_and_join,
        bench_threads.create_stamping,
        bench_threads.hand_off,
        bench_threads.answer,
    )
    return Kernel("scheduler-bench-threads", True, functions, ())


class PosixThreads(System):
    """`pthread_create`, and the same wait and wake that the scheduler's workers use."""

    name = "pthread_create"
    share = 0.05

    def __init__(self, clock: Clock):
        self.clock = clock

    def version(self) -> str | None:
        return " ".join(platform.libc_ver()).strip() or None

    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        match operation:
            case Operation.LAUNCH:
                return self._created("create_and_join", samples, BATCH)
            case Operation.LATENCY:
                return self._created("create_stamping", samples, 1)
            case Operation.WAKE:
                return self._wake(samples)
        return None

    def _created(self, function: str, samples: int, operations: int) -> Sequence[float]:
        table, room = Table(samples), (ctypes.c_uint64 * BATCH)()
        if not _kernel().call[function](table.address, ctypes.addressof(room)):
            raise Unavailable(f"the system refuses {BATCH} threads more: raise `ulimit -u`")
        return self.clock.nanoseconds(table.ticks(), operations)

    def _wake(self, samples: int) -> Sequence[float]:
        machine, table = Machine(_kernel(), 2, 0), Table(samples)
        first, second = machine.workers
        call = _kernel().call
        thread = threading.Thread(target=call["answer"], args=(second, first, table.address))
        thread.start()
        call["hand_off"](first, second, table.address)
        thread.join()
        return self.clock.nanoseconds(table.ticks(), 2)  # there and back
