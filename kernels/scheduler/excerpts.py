"""What the scheduler does to launch a task, to go from one to the next and to go on in one, as
functions of their own, to be looked at. The kernel has the same pieces in other surroundings."""

from vmlab.kernels.scheduler.language import PARALLEL, relaxed, suspend
from vmlab.kernels.scheduler.layout import Task, Worker
from vmlab.kernels.scheduler.structures import Code, Word
from vmlab.kernels.scheduler.tasks import begin, enter, launch, next_task, settle, yield_


def spawn(worker: Worker, entry: Code, parent: Task, first: Word, second: Word) -> Word:
    """Launches a task with two arguments: until it stands in the queue. 0 if there is no memory."""
    task = launch(worker, entry, parent)
    if task is None:
        return 0
    task.arguments[0] = first
    task.arguments[1] = second
    begin(worker, task)
    return 1


def switch(worker: Worker, task: Task) -> Word:
    """A task has left its frame to yield: until the next one has been entered, and left again. 0 if
    the worker should leave."""
    yield_(worker)
    settle(worker, task)
    if worker.scheduler.stop.load(relaxed):
        return 0
    following = next_task(worker)
    if following is None:
        return PARALLEL
    enter(worker, following)
    return 1


def counting(worker: Worker, task: Task):
    """Counts how often it is resumed, and yields."""
    number = task.arguments[0]
    while True:
        number += 1
        task.result = number
        yield_(task.worker)
        suspend()
