"""The life of a task: launch, run, yield, finish, join; and the loop of a worker.

Nothing happens to a task while it is in its frame: what it asks for is done by its worker after it
has left (`After`). Else another worker could take it from a queue and run it while the first is
still storing what lives in the frame. Go changes to its system stack for the same reason."""

from vmlab.kernels.scheduler.language import (
    PARALLEL,
    acquire,
    outlined,
    relaxed,
    release,
    replicated,
    resume,
    size_of,
    start,
)
from vmlab.kernels.scheduler.layout import DONE, After, Status, Task, Worker
from vmlab.kernels.scheduler.lists import append, take_first
from vmlab.kernels.scheduler.locks import unlock
from vmlab.kernels.scheduler.memory import allocate, give_back
from vmlab.kernels.scheduler.parking import halt, rest, search, tell
from vmlab.kernels.scheduler.runqueue import put, put_next, take, take_global
from vmlab.kernels.scheduler.structures import Code, Word

# How often a worker looks at the global queue before its own: a prime, as in Go, so that it is in
# step with no pattern of the tasks.
FAIRNESS_TURNS = 61


def launch(worker: Worker, entry: Code, parent: Task) -> Task:
    """A new task, not yet to be run: the caller stores its arguments, then calls `begin`. None if
    there is no memory. Nobody may join it unless the caller sets `joinable`."""
    task = Task(allocate(worker, size_of(Task)))
    if task is not None:
        describe(task, entry, parent)
    return task


def describe(task: Task, entry: Code, parent: Task):
    task.status = Status.FREE
    task.frame = None
    task.entry = entry
    task.parent = parent
    task.joinable = 0
    task.joiner.store(0, relaxed)


def begin(worker: Worker, task: Task):
    """At the end of the worker's own queue. In one worker, that is the end of all."""
    worker.launched += 1
    task.status = Status.READY
    put_last(worker, task)
    if PARALLEL:
        tell(worker.scheduler)


def put_last(worker: Worker, task: Task):
    if PARALLEL:
        put(worker, task)
    else:
        append(worker.ready, task)


def ready(worker: Worker, task: Task):
    """A task that waited goes on. With several workers it is the next one here: what it was given
    is in this core's cache. With one worker the order of arrival is kept."""
    task.status = Status.READY
    if PARALLEL:
        put_next(worker, task)
        tell(worker.scheduler)
    else:
        append(worker.ready, task)


def yield_(worker: Worker):
    """The calling task must suspend next."""
    worker.after = After.YIELD


def block(worker: Worker, task: Task, awaited: Word):
    """The calling task must suspend next; somebody will call `ready` for it."""
    task.status = Status.WAITING
    task.awaited = awaited
    worker.after = After.BLOCK


def join(worker: Worker, task: Task, other: Task) -> Word:
    """1: the other task has finished, `collect` has its result. 0: the calling task must suspend
    next, and then it is so. A joinable task must be joined once."""
    if other.joiner.load(acquire) == DONE:
        return 1
    task.awaited = Word(other)
    worker.after = After.JOIN
    return 0


def collect(worker: Worker, other: Task) -> Word:
    """The result of a task that has finished. Its descriptor is gone afterwards."""
    result = other.result
    free(worker, other)
    return result


def free(worker: Worker, task: Task):
    task.status = Status.FREE
    give_back(worker, Word(task), size_of(Task))


def run(worker: Worker, task: Task):
    """Until it leaves its frame; then what it asked for."""
    enter(worker, task)
    settle(worker, task)


@replicated
def enter(worker: Worker, task: Task):
    """Its frame, until it leaves that."""
    task.status = Status.RUNNING
    task.worker = worker
    worker.after = After.FINISH
    if task.frame is None:
        start(task.entry, worker, task)
    else:
        resume(task.frame)


@replicated
def settle(worker: Worker, task: Task):
    """What a task has asked for that has left its frame."""
    after = worker.after
    if after == After.YIELD:
        task.status = Status.READY
        put_last(worker, task)
    elif after == After.FINISH:
        finish(worker, task)
    elif after == After.JOIN:
        wait_for(worker, task)
    elif PARALLEL:
        # From here on the other side of the channel may run it.
        unlock(worker.unlock.lock)


def finish(worker: Worker, task: Task):
    """The exchange of `joiner` decides a race: either the joining task finds DONE, or it is found
    here. It releases the result, and acquires what the joining task is."""
    worker.finished += 1
    task.status = Status.FINISHED
    if task.joinable:
        joiner = task.joiner.exchange(DONE)
        if joiner != 0:
            ready(worker, Task(joiner))
    else:
        free(worker, task)


def wait_for(worker: Worker, task: Task):
    task.status = Status.WAITING
    if not Task(task.awaited).joiner.compare_exchange(0, Word(task)):
        ready(worker, task)  # it has finished in the meantime


def work(worker: Worker):
    """What a worker's thread does until all workers rest or somebody halts them."""
    while turn(worker):
        pass


def turn(worker: Worker) -> Word:
    """Run a task; 0 if the worker should leave."""
    if worker.scheduler.stop.load(relaxed):
        return 0
    task = next_task(worker)
    if task is None:
        return PARALLEL
    run(worker, task)
    return 1


def next_task(worker: Worker) -> Task:
    if not PARALLEL:
        return take_first(worker.ready)
    worker.turns += 1
    if worker.turns % FAIRNESS_TURNS == 0:
        task = take_global(worker)
        if task is not None:
            return task
    task = take(worker)
    if task is None:
        task = find(worker)
    return task


@outlined
def find(worker: Worker) -> Task:
    task = search(worker)
    if task is None:
        rest(worker)
    return task


@outlined
def out_of_memory(worker: Worker):
    """A task could not have its frame: nothing can go on."""
    scheduler = worker.scheduler
    scheduler.exhausted.store(1, release)
    halt(scheduler)
