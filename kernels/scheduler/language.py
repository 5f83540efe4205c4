"""The words of the scheduler's language: a few of Python's statements over structures of words.

The pieces (`runqueue`, `parking`, `channels` ...) are written once, as plain functions, and read in
two ways: `translate` makes LLVM IR of their source, and the tests make steps of it, to explore all
orders in which workers may interleave. So what is checked is what runs.

A function's parameters and result are annotated: Word, Code, Frame or a structure, which stands for
its address. Numbers are 64 bits wide, unsigned, and wrap. A field that several workers access is
never read or written plainly, but by the operations of C11, with an order:

    worker.tail.store(tail + 1, release)          head = worker.head.load(acquire)
    worker.head.compare_exchange(head, head + 1)  old = worker.next.exchange(task)
    scheduler.idlers.fetch_add(number)

The last three are sequentially consistent, and give what was there before; compare_exchange gives
whether it took place. Where there is a single worker, the fields that only workers share become
plain ones, and these operations with them.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass

# There are several workers. `translate` replaces it: what stands under `if PARALLEL` is gone where
# there is one.
PARALLEL = True


class Order(enum.Enum):
    relaxed = "monotonic"
    acquire = "acquire"
    release = "release"


relaxed, acquire, release = Order


@dataclass(frozen=True)
class Intrinsic:
    """A word of the language that is no function: what it does is in `translate`."""

    name: str
    meaning: str


fence = Intrinsic("fence", "no access moves over it, in no direction (sequentially consistent)")
pause = Intrinsic("pause", "tells the core that this is a loop that waits")
cycles = Intrinsic("cycles", "the time stamp counter")
instant = Intrinsic("instant", "the same, read when all that stands before it has been done")
suspend = Intrinsic("suspend", "leaves the frame; the task goes on here when it is run again")
resume = Intrinsic("resume", "runs the task of a frame until it leaves it again")
start = Intrinsic("start", "start(code, worker, task): runs a task from its beginning")
word_at = Intrinsic("word_at", "word_at(address): the word there, accessed plainly")
put_at = Intrinsic("put_at", "put_at(address, word): writes it there")
trailing_zeros = Intrinsic("trailing_zeros", "the number of the lowest bit set; there is one")
size_of = Intrinsic("size_of", "the bytes of a structure")
address_of = Intrinsic("address_of", "the address of an embedded structure or of an array")


@dataclass(frozen=True)
class External:
    """A function of the C library, of words, variadic or not."""

    name: str
    variadic: bool = False


def outlined(function: Callable) -> Callable:
    """Keeps a function that is rarely called out of the code of its callers."""
    function.__dict__["outlined"] = True
    return function


def replicated(function: Callable) -> Callable:
    """Puts a copy of a function into each place that calls it."""
    function.__dict__["replicated"] = True
    return function
