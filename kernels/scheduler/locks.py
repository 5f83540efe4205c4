"""A lock for a few instructions: test and test-and-set (Rudolph and Segall, ISCA 1984).

Taking it acquires, and giving it back releases, all that it guards. There may be more workers than
cores: who holds it may have lost its core, so after a while the waiting ones offer theirs."""

from vmlab.kernels.scheduler.language import (
    PARALLEL,
    External,
    outlined,
    pause,
    relaxed,
    release,
)
from vmlab.kernels.scheduler.layout import Lock

# Looks at the lock before the core is offered to others.
SPINS = 64

sched_yield = External("sched_yield")


def lock(guard: Lock):
    if PARALLEL:
        while guard.held.exchange(1):
            wait(guard)


def unlock(guard: Lock):
    if PARALLEL:
        guard.held.store(0, release)


@outlined
def wait(guard: Lock):
    """Until it was seen free. The loads keep the line shared, so that they cost nobody anything."""
    spins = 0
    while guard.held.load(relaxed):
        if spins < SPINS:
            spins += 1
            pause()
        else:
            sched_yield()
