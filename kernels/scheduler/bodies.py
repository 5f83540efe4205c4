"""Tasks that do little but use the scheduler: what it is measured and stressed with."""

from vmlab.kernels.scheduler.channels import receive, send
from vmlab.kernels.scheduler.language import suspend
from vmlab.kernels.scheduler.layout import Channel, Task, Worker
from vmlab.kernels.scheduler.structures import Code
from vmlab.kernels.scheduler.tasks import begin, launch, yield_


def nothing(worker: Worker, task: Task):
    """Ends at once."""


def yielder(worker: Worker, task: Task):
    """Yields so many times."""
    for _ in range(task.arguments[0]):
        yield_(task.worker)
        suspend()


def launcher(worker: Worker, task: Task):
    """Launches so many tasks of an entry, and yields after each batch of so many, which lets them
    run."""
    count = task.arguments[0]
    entry = Code(task.arguments[1])
    batch = task.arguments[2]
    for number in range(count):
        child = launch(task.worker, entry, task)
        begin(task.worker, child)
        if (number + 1) % batch == 0:
            yield_(task.worker)
            suspend()


def sender(worker: Worker, task: Task):
    """Sends the numbers below its second argument into the channel of the first."""
    channel = Channel(task.arguments[0])
    for number in range(task.arguments[1]):
        if send(task.worker, task, channel, number) == 0:
            suspend()


def receiver(worker: Worker, task: Task):
    """Receives so many values; their sum is its result."""
    channel = Channel(task.arguments[0])
    total = 0
    for _ in range(task.arguments[1]):
        if receive(task.worker, task, channel) == 0:
            suspend()
        total += task.value
    task.result = total


def ponger(worker: Worker, task: Task):
    """Sends back in the second channel what it receives in the first, so many times."""
    there = Channel(task.arguments[0])
    back = Channel(task.arguments[1])
    for _ in range(task.arguments[2]):
        if receive(task.worker, task, there) == 0:
            suspend()
        if send(task.worker, task, back, task.value) == 0:
            suspend()
