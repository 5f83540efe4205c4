"""What running code shares with Python: one block of 64-bit words, and the memory it points to."""

import ctypes
import mmap
import random
import sys

from vmlab.engines import EngineUnavailable
from vmlab.isa import WORD_BYTES, Type
from vmlab.kernels.placement import apart
from vmlab.kernels.scheduler.structures import LINE_BYTES

FIELDS = (
    # Written by any thread while the program runs, to stop it; read at safepoints.
    "stop",  # not 0: trap at the next safepoint
    "depth_limit",  # frames that may live at once, for code that counts them; 0 while stopping
    "frame_limit",  # where frame records end, for code that keeps them; 0 while stopping
    # Fixed during a call.
    "native_limit",  # lowest address that compiled recursion may bring the machine stack to
    "heap",  # address of the array words
    "heap_limit",  # their number
    "output",  # address of the printed values: (0, int) or (1, float bits) pairs
    "output_limit",  # the number of pairs
    "stack",  # address of locals and operands
    "frames",  # address of frame records: (return pc, caller's fp) pairs
    "trace",  # address of the sites of a call chain
    "globals",  # address of the globals
    "globals_initial",  # address of their first values
    "globals_words",  # the words that they take
    "args",  # address of main's slots: its arguments, then its locals as they start
    "main_words",  # the words that they take
    "has_result",  # whether main has one
    "cells",  # address of the cells of boxed values
    "names",  # address of the table of names
    "last_name",  # the number of its last entry
    "code",  # address of the encoded program, whose first instruction is `halt`
    "entry",  # address of the first instruction of main
    "fuel_given",  # instructions that each run may execute
    # The same for programs with tasks; see tasks.py.
    "records",  # address of the records of tasks
    "blocks",  # address of their descriptors, each before the first words of its stack
    "segments",  # address of larger stacks, behind the heads of the lists of free ones
    "segments_end",  # address of the end of that memory
    "channels",  # address of the channels
    "stack_end",  # address of the end of main's stack
    "depth_bytes",  # what the frame records of a task may take
    "saved",  # address of the memory that main's stack is copied to
    # The same for a pointer-store barrier; see barrier.py.
    "global_cards",  # address of the cards of the globals
    "task_cards",  # address of the cards of the tasks' descriptors
    # Written by the running code.
    "heap_used",  # words
    "output_used",  # pairs
    "trace_used",  # sites
    "result",
    "trap",  # Trap.code, or one of the faults below
    "pc",  # where an interpreter stopped
    "rp",  # and its top frame record
    "free_cell",  # address of the first free cell that was used before, or 0
    "fresh_cell",  # address of the first cell that was never used
    "fuel",  # instructions left to the run; moves in counting builds only
    "back_edges",  # backward jumps that the run has taken; moves in counting builds only
    # The same for programs with tasks.
    "current",  # address of the running task's descriptor
    "ready",  # address of the descriptor that runs next, or 0
    "ready_end",  # address of the word for the next one that gets ready
    "task_words",  # what tasks and channels cost together
    "fresh_record",  # address of the first record that was never used
    "free_block",  # address of the first free block that was used before, or 0
    "fresh_block",  # address of the first block that was never used
    "fresh_segment",  # address of the memory that was never a segment
    "fresh_channel",  # address of the memory that was never a channel
    "channels_made",  # their number
    # Programs with several workers; see workers.py. Each has a context of its own.
    "shared",  # address of the context whose `workers.SHARED` hold for all of them
    "worker",  # address of the worker
    "output_lock",  # the lock that guards the output
)
INDEX = {name: i for i, name in enumerate(FIELDS)}

# Codes that stand in place of a trap's where the fault is not the program's: compiled recursion has
# used up the machine's stack; memory for stacks of tasks is left, but in pieces; there are too few
# machine stacks for its tasks; and what checks at run time would find that the verifier has ruled
# out, an operand of a wrong type and a name without a meaning.
MACHINE_STACK = 255
FRAGMENTED = 252
STACKS_USED = 251
TYPE_FAULT = 254
NAME_FAULT = 253
FAULTS = {TYPE_FAULT: "an operand of a wrong type", NAME_FAULT: "a name without a meaning"}

Context = type("Context", (ctypes.Structure,), {"_fields_": [(n, ctypes.c_int64) for n in FIELDS]})


# Address space only, whatever it may come to. Python names the flag from 3.13 on; this is its value
# on Linux, on the architectures that the engines run on.
_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


class Region:
    """Zeroed memory of so many 64-bit words, at a page drawn at random. Pages cost nothing until
    they are touched."""

    def __init__(self, words: int, purpose: str, flag: str | None = None):
        size = max(words, 1) * 8
        try:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
            with apart():
                self._map = mmap.mmap(-1, size, flags=flags)
        except (OSError, OverflowError, ValueError) as error:
            advice = f"; lower {flag}" if flag else ""
            raise EngineUnavailable(
                f"cannot reserve {size:,} bytes for {purpose} ({error}){advice}"
            ) from None
        self.words = memoryview(self._map).cast("q")
        self.floats = memoryview(self._map).cast("B").cast("d")
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.size = size

    def take_small_pages(self) -> None:
        """Where the system may choose, it takes no more than a page for a word."""
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            self._map.madvise(mmap.MADV_NOHUGEPAGE)

    def give_back(self, start: int, size: int) -> None:
        """Of so many bytes from a page on, nothing is needed any more."""
        self._map.madvise(mmap.MADV_DONTNEED, start, size)

    def clear(self) -> None:
        ctypes.memset(self.address, 0, self.size)

    def put(self, index: int, type_: Type, value) -> None:
        (self.floats if type_ is Type.FLOAT else self.words)[index] = value


def settled(context: Context) -> Context:
    """A copy at a cache line drawn at random, of a page of its own. Straight code goes through the
    context at every change of task, so where it lies moves the time."""
    size = ctypes.sizeof(Context)
    page = Region(mmap.PAGESIZE // WORD_BYTES, "the context")
    line = random.randrange((mmap.PAGESIZE - size) // LINE_BYTES)
    copy = Context.from_address(page.address + LINE_BYTES * line)
    ctypes.memmove(ctypes.byref(copy), ctypes.byref(context), size)
    copy.page = page  # lives as long
    return copy
