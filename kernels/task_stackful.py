"""Straight code for programs with tasks that have machine stacks."""

import os
from dataclasses import replace

from vmlab.engines import EngineUnavailable
from vmlab.isa import WORD_BYTES
from vmlab.kernels.callgraph import stack_slots
from vmlab.kernels.context import STACKS_USED
from vmlab.kernels.machine_stacks import (
    AWAITED,
    COLOUR,
    HEADER_WORDS,
    PAGE,
    SITE,
    StackfulProgramEmitter,
    block_words,
    kept_bytes,
)
from vmlab.kernels.operands import Memory
from vmlab.kernels.stackful import require_exchange
from vmlab.kernels.straight import StraightExecutable
from vmlab.kernels.task_memory import TaskExecutable

# Address space is reserved for so many stacks, and for so many times as many when a run needs more.
FIRST_STACKS = 64
MORE_STACKS = 16

# The memory of so many stays with the program from one call to the next: if each has touched a
# page, 1 GiB, as much as the arrays of a program may take by default.
KEPT_STACKS = 1 << 18

# The most address space of a program's stacks: an eighth of what x86-64 has.
ADDRESS_SPACE = 1 << 44

# The least memory that a stack in use takes: a page, and one of the page table.
LEAST_BYTES = 2 * PAGE


def most_stacks() -> int:
    """The stacks that half of this machine's memory can hold."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 // LEAST_BYTES


class _StacksUsed(Exception):
    """A run needs more stacks than there are."""


class StackfulExecutable(TaskExecutable, StraightExecutable):
    """As `StraightExecutable`; tasks have machine stacks. Raises `EngineUnavailable`."""

    def __init__(self, engine, storage, values, late, program, counting):
        require_exchange()
        self._kept = kept_bytes(program, values.typed or late)
        self._stacks = min(FIRST_STACKS, most_stacks())
        super().__init__(engine, storage, values, late, program, counting, StackfulProgramEmitter)

    # Memory

    def call(self, args, limits, iterations=1):
        while True:
            try:
                sample = super().call(args, limits, iterations)
            except _StacksUsed:
                self._reserve_more()
            else:
                self._give_pages_back()
                return sample

    def enter(self, runs):
        code = super().enter(runs)
        if code == STACKS_USED:
            raise _StacksUsed
        return code

    def _reserve_more(self):
        if self._stacks == most_stacks():
            raise EngineUnavailable(
                f"more than {self._stacks:,} of its tasks are under way at once, and memory is"
                " allowed for so many machine stacks: half of what this machine has"
            )
        self._stacks = min(self._stacks * MORE_STACKS, most_stacks())
        self._reserved = None

    def _give_pages_back(self):
        context, region = self.state.context, self._regions["segments"]
        first = HEADER_WORDS * WORD_BYTES + KEPT_STACKS * self._stride
        first = -(-first // PAGE) * PAGE
        used = context.fresh_segment - region.address
        # That may take a second: who has interrupted a run does not wait for it.
        if used > first and not context.stop:
            region.give_back(first, used - first)

    def block_words(self):
        return block_words(self.program, self.state.values)

    def segment_words(self, heap_words, max_depth):
        # Where no function calls itself, main's own check is the only one.
        recursive = any(cycle is not None for cycle in self._graph.cycle)
        frames = self._machine_stack * (max_depth if recursive else 1)
        operands = 0
        if self._storage is Memory:
            slots = stack_slots(self.program, self._graph, max_depth)
            operands = self.state.values.words * WORD_BYTES * slots
        stacks_each = 2 if operands else 1
        size = max(self._kept + frames, operands)
        most = ADDRESS_SPACE // self._stacks // stacks_each
        size = -(-min(size, most) // PAGE) * PAGE
        if size < max(self._kept + PAGE, operands):
            raise EngineUnavailable(
                f"there is no address space for the stacks of {self._stacks:,} tasks; lower"
                " --max-depth"
            )
        self.state.context.depth_bytes = size - self._kept
        self._stride = size * stacks_each + COLOUR
        return HEADER_WORDS + self._stacks * self._stride // WORD_BYTES

    def reserve_tasks(self, max_heap, max_depth):
        super().reserve_tasks(max_heap, max_depth)
        # A huge page would be touched for the few words that most tasks have on their stacks.
        self._regions["segments"].take_small_pages()

    def needs(self, max_depth):
        # The thread's own stack is used by nothing of the program.
        return replace(
            super().needs(max_depth), stack=0, task_slots=self.heap_words, machine_stack=0
        )

    def deepest_stack(self):
        size = self.state.context.depth_bytes + self._kept
        return f"the machine stack of a task ({size:,} bytes)"

    # After a trap

    def chain(self, task):
        """Functions have noted their sites: in a deadlock, those of main."""
        return self._places(self._sites())

    def instruction(self, place):
        return self._place(place)

    def wait(self, task):
        return self._place(task[SITE]), task[AWAITED]
