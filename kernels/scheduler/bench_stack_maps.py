"""A stack map looked up in the verifier's table, and the same computed anew, as a garbage collector
does that was given none: in the scheduler's language, so that both are machine code.

A stack is one word: two bits a slot, the top lowest, below a 1 that marks the bottom. A function is
a table of `STEP_WORDS` words an instruction; how it is made of a program is in
`vmlab.measure.sched_stack_maps`."""

from vmlab.kernels.scheduler.bench import note
from vmlab.kernels.scheduler.language import cycles, put_at, word_at
from vmlab.kernels.scheduler.structures import WORD_BYTES, Word

# Of an instruction: bits popped, bits pushed, what is pushed, where it may jump to (its own number
# if nowhere), whether control goes on behind it.
STEP_WORDS = 5

BOTTOM = 1


def map_at(states: Word, index: Word) -> Word:
    return word_at(states + index * WORD_BYTES)


def set_map(states: Word, index: Word, state: Word):
    put_at(states + index * WORD_BYTES, state)


def compute_maps(steps: Word, count: Word, states: Word, wanted: Word) -> Word:
    """The stack at the instruction `wanted`: an abstract interpretation from the function's start,
    in passes over the code until it has been reached. `states` are as many words as there are
    instructions; 0 is not yet known."""
    for index in range(count):
        set_map(states, index, 0)
    set_map(states, 0, BOTTOM)
    while map_at(states, wanted) == 0:
        state = 0
        for index in range(count):
            known = map_at(states, index)
            if known != 0:
                state = known
            if state != 0:
                set_map(states, index, state)
                step = steps + index * STEP_WORDS * WORD_BYTES
                state = state >> word_at(step)
                state = state << word_at(step + WORD_BYTES)
                state = state | word_at(step + 2 * WORD_BYTES)
                target = word_at(step + 3 * WORD_BYTES)
                if target != index:
                    set_map(states, target, state)
                if word_at(step + 4 * WORD_BYTES) == 0:
                    state = 0
    return map_at(states, wanted)


def time_table(samples: Word, table: Word, order: Word, lookups: Word) -> Word:
    """A sample looks up so many maps. `order` has for each instruction the one to be looked up
    next, so that where the next one lies is known only then. What was found, added up, is given
    back, so that it is needed."""
    total = 0
    index = 0
    for sample in range(word_at(samples)):
        since = cycles()
        for _ in range(lookups):
            total += map_at(table, index)
            index = map_at(order, index)
        note(samples, sample, since)
    return total


def time_computed(samples: Word, steps: Word, count: Word, states: Word) -> Word:
    """A sample computes the map of every instruction once, each from the start."""
    total = 0
    for sample in range(word_at(samples)):
        since = cycles()
        for index in range(count):
            total += compute_maps(steps, count, states, index)
        note(samples, sample, since)
    return total
