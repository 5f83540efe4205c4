"""Which workers sleep, which search for work, and who wakes whom.

The protocol is Go's (src/runtime/proc.go, "Worker thread parking/unparking"), with both counts in
one word as in tokio (runtime/scheduler/multi_thread/idle.rs): `Scheduler.idlers` has a bit for each
sleeping worker in its low half, and the number of searching ones in its high half.

- Who has put a task wakes a worker, if one sleeps and none searches: a searcher will find it.
- A searcher that finds a task, if it was the last one, wakes another: there may be more tasks.
- A searcher that finds nothing goes to sleep: its bit is set and the searchers counted down in one
  step. Then it looks at all queues once more.

No task is left alone while workers sleep. The one puts a task, then looks at `idlers`; the other
sets its bit there, then looks at the queues. Each writes first and reads then, with a full barrier
in between (Dekker's pattern): `fence` here, and the sequentially consistent `fetch_add` there. So
at least one of the two sees what the other wrote. On x86, too, a load may pass an earlier store
to another place; without the barrier both may miss each other.

All bits set and no searcher: nothing runs, and nothing is ready. For a worker sets its bit only
after it saw its own ring and the global queue empty, and only running workers put tasks; so the
last one to put any has taken it out again before its bit was set. What waits then waits forever."""

from vmlab.kernels.scheduler.futex import rouse, sleep
from vmlab.kernels.scheduler.language import (
    fence,
    outlined,
    pause,
    relaxed,
    release,
    size_of,
    trailing_zeros,
)
from vmlab.kernels.scheduler.layout import Scheduler, Task, Worker
from vmlab.kernels.scheduler.runqueue import has_work, steal, steal_next, take_global
from vmlab.kernels.scheduler.structures import Word

SEARCHER = 1 << 32

# Rounds through all workers before a searcher gives up.
ROUNDS = 4


def numbered(scheduler: Scheduler, number: Word) -> Worker:
    return Worker(Word(scheduler.first_worker) + number * size_of(Worker))


def tell(scheduler: Scheduler):
    """A task was put: wake a worker for it, unless somebody searches anyhow."""
    fence()
    idlers = scheduler.idlers.load(relaxed)
    if idlers != 0 and idlers < SEARCHER:
        wake_one(scheduler)


@outlined
def wake_one(scheduler: Scheduler):
    while True:
        idlers = scheduler.idlers.load(relaxed)
        if idlers == 0 or idlers >= SEARCHER:
            return
        bit = idlers & -idlers
        # The one that is woken searches: it is counted here, so that nobody else wakes another.
        if scheduler.idlers.compare_exchange(idlers, idlers - bit + SEARCHER):
            rouse(numbered(scheduler, trailing_zeros(bit)))
            return


def search(worker: Worker) -> Task:
    """A task from the global queue or from another worker; None if there was none. At most half of
    those awake search at a time, else they are in each other's way."""
    scheduler = worker.scheduler
    task = take_global(worker)
    if task is not None:
        stop_searching(worker)
        return task
    if worker.searching == 0:
        idlers = scheduler.idlers.load(relaxed)
        if 2 * (idlers >> 32) >= scheduler.workers:
            return None
        scheduler.idlers.fetch_add(SEARCHER)
        worker.searching = 1
    for tries in range(ROUNDS):
        number = next_random(worker) % scheduler.workers
        for _ in range(scheduler.workers):
            victim = numbered(scheduler, number)
            if victim != worker:
                task = steal(worker, victim)
                if task is None and tries == ROUNDS - 1:
                    task = steal_next(victim)
                if task is not None:
                    stop_searching(worker)
                    return task
            number = (number + 1) % scheduler.workers
        pause()
    return None


def stop_searching(worker: Worker):
    """It has found something. The last searcher passes the search on."""
    if worker.searching:
        worker.searching = 0
        scheduler = worker.scheduler
        before = scheduler.idlers.fetch_add(-SEARCHER)
        if before >> 32 == 1:
            wake_one(scheduler)


def next_random(worker: Worker) -> Word:
    """Marsaglia, "Xorshift RNGs", 2003."""
    state = worker.random
    state = state ^ (state << 13)
    state = state ^ (state >> 7)
    state = state ^ (state << 17)
    worker.random = state
    return state


@outlined
def rest(worker: Worker):
    """There was nothing to find: sleep until somebody puts a task, or all is over. Afterwards the
    worker searches."""
    scheduler = worker.scheduler
    change = worker.bit
    if worker.searching:
        change = change - SEARCHER
    worker.searching = 0
    before = scheduler.idlers.fetch_add(change)
    if before + change == (1 << scheduler.workers) - 1:
        halt(scheduler)
        return
    if somebody_has_work(scheduler):
        while True:
            idlers = scheduler.idlers.load(relaxed)
            if idlers & worker.bit == 0:
                break  # somebody wakes it at this moment: that must be awaited
            if scheduler.idlers.compare_exchange(idlers, idlers - worker.bit + SEARCHER):
                worker.searching = 1
                return
    worker.parked += 1
    sleep(worker)
    worker.wake.store(0, relaxed)
    worker.searching = 1


def somebody_has_work(scheduler: Scheduler) -> Word:
    if scheduler.length.load(relaxed) != 0:
        return 1
    for number in range(scheduler.workers):
        if has_work(numbered(scheduler, number)):
            return 1
    return 0


@outlined
def halt(scheduler: Scheduler):
    """Have all workers leave."""
    scheduler.stop.store(1, release)
    for number in range(scheduler.workers):
        rouse(numbered(scheduler, number))
