"""A process in which tasks wait, to see how much it grows by them.

`python -m vmlab.measure.sched_parked SYSTEM TASKS` prints the bytes a task. What the operating
system's kernel keeps for a thread is not in it. It imports what it measures and no more."""

from __future__ import annotations

import asyncio
import importlib
import mmap
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

Look = Callable[[], None]


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def _greenlets(tasks: int, look: Look) -> None:
    greenlet = importlib.import_module("greenlet").greenlet
    main = greenlet.getcurrent()
    waiting = [greenlet(main.switch) for _ in range(tasks)]
    for each in waiting:
        each.switch()
    look()


def _coroutines(tasks: int, look: Look) -> None:
    make = """
        local tasks = ...
        waiting = {}
        for i = 1, tasks do
            waiting[i] = coroutine.create(function() coroutine.yield() end)
            coroutine.resume(waiting[i])
        end"""
    runtime = importlib.import_module("lupa").LuaRuntime()
    runtime.execute(make, tasks)
    look()


def _asyncio(tasks: int, look: Look) -> None:
    async def main() -> None:
        never = asyncio.Event()
        waiting = [asyncio.create_task(never.wait()) for _ in range(tasks)]
        await asyncio.sleep(0)
        look()
        for task in waiting:
            task.cancel()

    asyncio.run(main())


def _threads(tasks: int, look: Look) -> None:
    end = threading.Event()
    waiting = [threading.Thread(target=end.wait) for _ in range(tasks)]
    for thread in waiting:
        thread.start()
    look()
    end.set()


def _vm(tasks: int, look: Look) -> None:
    from vmlab.measure.sched_vm import parked

    parked(tasks)
    look()


_SYSTEMS = {
    "greenlet": _greenlets,
    "lua": _coroutines,
    "asyncio": _asyncio,
    "threads": _threads,
    "vm": _vm,
}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once, whatever waits
    system, tasks = _SYSTEMS[sys.argv[1]], int(sys.argv[2])
    system(1, lambda: None)  # what the system itself takes is there by now
    before = _resident()
    system(tasks, lambda: print((_resident() - before) / tasks))


if __name__ == "__main__":
    main()
