"""Sleeping until another thread says so: the futex of Linux (Drepper, "Futexes Are Tricky"); on
other systems, looking at the word every 50 microseconds."""

import platform
import sys

from vmlab.kernels.scheduler.language import External, acquire, address_of, release
from vmlab.kernels.scheduler.layout import Worker

# The number of the system call, by architecture.
_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221}
FUTEX = _NUMBERS.get(platform.machine(), 0) if sys.platform == "linux" else 0
WAIT_PRIVATE, WAKE_PRIVATE = 128, 129

POLL_MICROSECONDS = 50

syscall = External("syscall", variadic=True)
usleep = External("usleep")


def sleep(worker: Worker):
    """Until `worker.wake` is 1. The system compares the word again after it has queued the thread,
    so a wake in between is not lost; it may return for no reason, hence the loop."""
    while worker.wake.load(acquire) == 0:
        wait(worker)


def rouse(worker: Worker):
    """The store comes first: a worker that goes to sleep after it finds a 1."""
    worker.wake.store(1, release)
    wake(worker)


def wait(worker: Worker):
    if FUTEX:
        syscall(FUTEX, address_of(worker.wake), WAIT_PRIVATE, 0, 0, 0, 0)
    else:
        usleep(POLL_MICROSECONDS)


def wake(worker: Worker):
    if FUTEX:
        syscall(FUTEX, address_of(worker.wake), WAKE_PRIVATE, 1, 0, 0, 0)
