"""Tasks in the order of arrival, linked through their descriptors: no memory, no bound. Whoever
uses a list owns it, or holds the lock that guards it."""

from vmlab.kernels.scheduler.layout import List, Task


def append(tasks: List, task: Task):
    task.next = None
    if tasks.first is None:
        tasks.first = task
    else:
        tasks.last.next = task
    tasks.last = task


def take_first(tasks: List) -> Task:
    task = tasks.first
    if task is not None:
        tasks.first = task.next
    return task
