"""Straight code for programs with tasks."""

from dataclasses import replace

from vmlab.isa import WORD_BYTES
from vmlab.kernels.coroutines import AWAITED, FRAME, CoroutineProgramEmitter, block_words
from vmlab.kernels.frames import PARENT, SITE, Layout
from vmlab.kernels.straight import StraightExecutable
from vmlab.kernels.task_memory import TaskExecutable


class TaskStraightExecutable(TaskExecutable, StraightExecutable):
    """As `StraightExecutable`; tasks are coroutines."""

    def __init__(
        self, engine, storage, values, late, program, counting, emitter=CoroutineProgramEmitter
    ):
        super().__init__(engine, storage, values, late, program, counting, emitter)
        self._layout = Layout(program, self._graph, storage, values)

    # Memory

    def block_words(self):
        return block_words(self.state.values)

    def segment_words(self, heap_words, max_depth):
        return self._layout.region_words(heap_words, max_depth)

    def needs(self, max_depth):
        return replace(super().needs(max_depth), task_slots=self.heap_words)

    # After a trap

    def chain(self, task):
        """The innermost functions may be such that cannot suspend: those have noted their sites."""
        sites, frame = ([], task[FRAME]) if task else (self._sites(), self.state.context.rp)
        segments = self._regions["segments"]
        while 0 <= frame - segments.address < segments.size:
            first = (frame - segments.address) // WORD_BYTES
            sites.append(segments.words[first + SITE])
            frame = segments.words[first + PARENT]
        return self._places(sites)

    def instruction(self, place):
        return self._place(place)

    def wait(self, task):
        [site] = self.words(task[FRAME] + WORD_BYTES * SITE, 1)
        return self._place(site), task[AWAITED]
