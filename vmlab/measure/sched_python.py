"""What Python programs switch between tasks with, as systems that `sched` measures.

They do the same operations in Python, so what is measured holds the interpreter's own time: that is
what a Python program pays. An operation that a system does not have is None."""

from __future__ import annotations

import asyncio
import importlib
import platform
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import metadata

from vmlab.measure.sched_memory import bytes_parked
from vmlab.measure.sched_systems import BATCH, CAPACITY, Operation, System, Unavailable

_PARKED_TASKS, _PARKED_THREADS = 100_000, 1_000


class _Samples:
    """Times batches in Python."""

    def __init__(self, samples: int, operations: int = BATCH):
        self.samples, self.operations = samples, operations
        self.taken: list[float] = []

    def __iter__(self) -> Iterator[None]:
        for _ in range(self.samples):
            since = time.perf_counter_ns()
            yield
            self.taken.append((time.perf_counter_ns() - since) / self.operations)


class Greenlet(System):
    name = "greenlet"

    def version(self) -> str:
        return metadata.version("greenlet")

    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        try:
            greenlet = importlib.import_module("greenlet").greenlet
        except ImportError:
            raise Unavailable("greenlet is not installed: pip install 'vmlab[peers]'") from None
        timed = _Samples(samples)
        match operation:
            case Operation.LAUNCH:
                for _ in timed:
                    for _ in range(BATCH):
                        greenlet(_nothing).switch()
            case Operation.YIELD:

                def other() -> None:
                    while True:
                        main.switch()

                timed.operations *= 2
                main, partner = greenlet.getcurrent(), greenlet(other)
                for _ in timed:
                    for _ in range(BATCH):
                        partner.switch()
                partner.throw()
            case Operation.PARKED:
                return [bytes_parked("greenlet", _PARKED_TASKS)]
            case _:
                return None
        return timed.taken


def _nothing() -> None:
    pass


class Threads(System):
    name = "Python threads"
    share = 0.05

    def version(self) -> str:
        return f"Python {platform.python_version()}"

    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        timed = _Samples(samples)
        match operation:
            case Operation.LAUNCH:
                for _ in timed:
                    threads = [threading.Thread(target=_nothing) for _ in range(BATCH)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
            case Operation.YIELD:
                stop = False

                def other() -> None:
                    while not stop:
                        time.sleep(0)

                thread = threading.Thread(target=other)
                thread.start()
                for _ in timed:
                    for _ in range(BATCH):
                        time.sleep(0)
                stop = True
                thread.join()
            case Operation.UNBUFFERED:
                there: queue.SimpleQueue[int | None] = queue.SimpleQueue()
                back: queue.SimpleQueue[int | None] = queue.SimpleQueue()

                def answer() -> None:
                    while (value := there.get()) is not None:
                        back.put(value)

                thread = threading.Thread(target=answer)
                thread.start()
                for _ in timed:
                    for value in range(BATCH):
                        there.put(value)
                        back.get()
                there.put(None)
                thread.join()
            case Operation.BUFFERED:
                values: queue.Queue[int | None] = queue.Queue(CAPACITY)

                def drain() -> None:
                    while values.get() is not None:
                        pass

                thread = threading.Thread(target=drain)
                thread.start()
                for _ in timed:
                    for value in range(BATCH):
                        values.put(value)
                values.put(None)
                thread.join()
            case Operation.PARKED:
                return [bytes_parked("threads", _PARKED_THREADS)]
            case _:
                return None
        return timed.taken


class Asyncio(System):
    name = "asyncio"
    share = 0.2

    def version(self) -> str:
        return f"Python {platform.python_version()}"

    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        timed = _Samples(samples)
        match operation:
            case Operation.LAUNCH:
                body = self._launch
            case Operation.YIELD:
                body = self._yield
            case Operation.UNBUFFERED:
                body = self._unbuffered
            case Operation.BUFFERED:
                body = self._buffered
            case Operation.PARKED:
                return [bytes_parked("asyncio", _PARKED_TASKS)]
            case _:
                return None
        asyncio.run(body(timed))
        return timed.taken

    @staticmethod
    async def _launch(timed: _Samples) -> None:
        async def nothing() -> None:
            pass

        for _ in timed:
            await asyncio.gather(*[asyncio.create_task(nothing()) for _ in range(BATCH)])

    @staticmethod
    async def _yield(timed: _Samples) -> None:
        async def other() -> None:
            while True:
                await asyncio.sleep(0)

        timed.operations *= 2
        task = asyncio.create_task(other())
        for _ in timed:
            for _ in range(BATCH):
                await asyncio.sleep(0)
        task.cancel()

    @staticmethod
    async def _unbuffered(timed: _Samples) -> None:
        there: asyncio.Queue[int] = asyncio.Queue(1)
        back: asyncio.Queue[int] = asyncio.Queue(1)

        async def answer() -> None:
            while True:
                await back.put(await there.get())

        task = asyncio.create_task(answer())
        for _ in timed:
            for value in range(BATCH):
                await there.put(value)
                await back.get()
        task.cancel()

    @staticmethod
    async def _buffered(timed: _Samples) -> None:
        values: asyncio.Queue[int] = asyncio.Queue(CAPACITY)

        async def drain() -> None:
            while True:
                await values.get()

        task = asyncio.create_task(drain())
        for _ in timed:
            for value in range(BATCH):
                await values.put(value)
        task.cancel()


_LUA = """
local batch = ...
return {
  launch = function() for _ = 1, batch do coroutine.wrap(function() end)() end end,
  yield = (function()
    local other = coroutine.wrap(function() while true do coroutine.yield() end end)
    return function() for _ = 1, batch do other() end end
  end)(),
}
"""


class Lua(System):
    """Its coroutines, from Lua itself: one call from Python a sample."""

    name = "Lua coroutines"

    def version(self) -> str:
        return f"lupa {metadata.version('lupa')}"

    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        if operation not in (Operation.LAUNCH, Operation.YIELD, Operation.PARKED):
            return None
        try:
            runtime = importlib.import_module("lupa").LuaRuntime()
        except ImportError:
            raise Unavailable("lupa is not installed: pip install 'vmlab[peers]'") from None
        if operation is Operation.PARKED:
            return [bytes_parked("lua", _PARKED_TASKS)]
        body = runtime.execute(_LUA, BATCH)[operation.name.lower()]
        # A resume and a yield are two switches.
        timed = _Samples(samples, BATCH * (2 if operation is Operation.YIELD else 1))
        for _ in timed:
            body()
        return timed.taken


SYSTEMS = (Greenlet, Lua, Asyncio, Threads)
