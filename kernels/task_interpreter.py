"""The interpreters for programs with tasks: their memory, and what is read in it."""

from vmlab.isa import FIRST_STACK_WORDS, FRAME_RECORD_WORDS, WORD_BYTES
from vmlab.kernels.barrier import NO_BARRIER
from vmlab.kernels.callgraph import stack_slots
from vmlab.kernels.executable import Needs
from vmlab.kernels.interpreter import InterpreterExecutable
from vmlab.kernels.task_memory import TaskExecutable
from vmlab.kernels.tasks import (
    AWAITED,
    END,
    PC,
    RP,
    SEGMENT_LISTS,
    SP,
    TaskHandlerEmitter,
    block_words,
)


class InterpretedTasks(TaskExecutable):
    """Stands before the interpreter of programs without tasks, which loads the program."""

    def _load(self, engine, dispatch, instructions, emitter, *parts):
        self._stride = emitter.record_stride(instructions.values)
        self._copies = emitter.COPIES
        super()._load(f"{engine}.tasks", dispatch, instructions, emitter, *parts)

    # Memory

    def call(self, args, limits, iterations=1):
        self.state.context.depth_bytes = limits.max_depth * WORD_BYTES * self._stride
        return super().call(args, limits, iterations)

    def reserve_tasks(self, max_heap, max_depth):
        super().reserve_tasks(max_heap, max_depth)
        if self.instructions.barrier.marks:
            self._cover(self._regions["blocks"], "task_cards")

    def block_words(self):
        return block_words(self.state.values)

    def segment_words(self, heap_words, max_depth):
        # Twice what is alive, since what is free may have the wrong size.
        return SEGMENT_LISTS + 2 * self.state.values.words * heap_words

    def needs(self, max_depth):
        slots = stack_slots(self.program, self._graph, max_depth, self._spare)
        slots += FRAME_RECORD_WORDS * max_depth
        if not self._copies:
            return Needs(stack=slots, task_slots=self.heap_words)
        # For all tasks, each as large as what it costs: a power of two.
        slots = max(FIRST_STACK_WORDS, 1 << (slots - 1).bit_length())
        saved = self.state.values.words * slots
        return Needs(slots, task_slots=self.heap_words, saved=saved)

    # After a trap

    def chain(self, task):
        context = self.state.context
        if task is None:
            task = self.words(context.current, END + 1)
            offset, rp = self._offset(context.pc), context.rp
        else:
            offset, rp = self._before(task[PC]), task[RP]
        records = self.words(rp, (task[END] - rp) // WORD_BYTES)
        returns = records[:: self._stride]
        return self._encoded.call_chain(offset, [self._offset(pc) for pc in reversed(returns)])

    def instruction(self, place):
        return self._encoded.places[self._offset(place)]

    def wait(self, task):
        [awaited] = self.words(task[SP] + WORD_BYTES * AWAITED, 1)
        return self._encoded.places[self._before(task[PC])], awaited

    def _offset(self, pc):
        return (pc - self.state.context.code) // WORD_BYTES

    def _before(self, pc):
        """The last word of the instruction before."""
        return self._offset(pc) - 1


class TaskInterpreterExecutable(InterpretedTasks, InterpreterExecutable):
    """As `InterpreterExecutable`."""

    def __init__(
        self, engine, dispatch, values, late, program, counting, emitter=None, barrier=NO_BARRIER
    ):
        emitter = emitter or TaskHandlerEmitter
        super().__init__(engine, dispatch, values, late, program, counting, emitter, barrier)
