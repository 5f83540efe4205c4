"""Where things lie in memory: drawn at random. The system gives the pages next to those that it
gave last, so without this whatever is made in the same order lies at the same distances, and what a
CPU's caches and predictors then confuse looks like a property of the code."""

import contextlib
import mmap
import random
from collections.abc import Iterator

# Pages among which a place is drawn: more than predictors tell apart by the low bits of an address.
_PLACES = 1 << 12


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """What is mapped meanwhile lies at a distance from what was mapped before."""
    size = mmap.PAGESIZE * random.randrange(1, _PLACES)
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ):
        yield
