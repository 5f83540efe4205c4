"""Straight code on several workers: their memory, their threads, and how a run ends."""

import ctypes
import queue
import threading
from dataclasses import replace
from functools import partial

from vmlab.engines import EngineUnavailable
from vmlab.isa import (
    NEW_TASK_WORDS,
    TASK_DESCRIPTOR_WORDS,
    TASK_RECORD_WORDS,
    WORD_BYTES,
    Trap,
)
from vmlab.kernels.context import Context, Region
from vmlab.kernels.frames import LINE_WORDS
from vmlab.kernels.queues import NEXT, RECORD
from vmlab.kernels.scheduler.layout import Channel, Scheduler, Worker
from vmlab.kernels.scheduler.machine import lay_out
from vmlab.kernels.scheduler.memory import BATCH
from vmlab.kernels.scheduler.structures import LINE_BYTES
from vmlab.kernels.task_routines import GIVEN
from vmlab.kernels.task_straight import TaskStraightExecutable
from vmlab.kernels.values import RAW
from vmlab.kernels.workers import (
    BEGIN,
    COUNTERS,
    HALT,
    MAIN_ENDED,
    WORK,
    ParallelProgramEmitter,
    channel_word,
    in_stock,
)
from vmlab.stack import start_deep_thread

_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)

# Blocks of each size that a worker may have at hand without using them, in its list, in the spare
# batch, and in the one that is being cut.
_AT_HAND = 3 * BATCH

# Contexts begin at cache lines.
_CONTEXT_BYTES = -(-ctypes.sizeof(Context) // LINE_BYTES) * LINE_BYTES


class WorkersExecutable(TaskStraightExecutable):
    """As `TaskStraightExecutable`, with so many workers. The calling thread is the first."""

    def __init__(self, engine, storage, program, workers, emitter=ParallelProgramEmitter):
        self._workers = workers
        self._deciding = threading.Lock()
        super().__init__(engine, storage, RAW, False, program, False, emitter)
        state = self.state
        self._memory = Region(
            (Scheduler.bytes + workers * (Worker.bytes + _CONTEXT_BYTES)) // WORD_BYTES, "workers"
        )
        self._scheduler = self._memory.address
        contexts = self._scheduler + Scheduler.bytes + workers * Worker.bytes
        state.workers = [
            Context.from_address(contexts + number * _CONTEXT_BYTES) for number in range(workers)
        ]

    def _settle(self, unit):
        super()._settle(unit)
        table = (ctypes.c_void_p * 3).from_address(unit.address)
        functions = [_FUNCTION(address) for address in table]
        self._begin, self._work, self._halt = (functions[i] for i in (BEGIN, WORK, HALT))

    def standalone(self):
        raise EngineUnavailable("several workers need the threads of this process")

    # Memory

    def channel_words(self, heap_words):
        # A channel's header, and what is lost up to the next cache line, is less than three times
        # what it costs.
        return Channel.words + 3 * heap_words

    def segment_words(self, heap_words, max_depth):
        """Memory in which neither frames nor descriptors run out, whatever worker has the free
        ones."""
        layout = self._layout
        words = layout.region_words(heap_words, max_depth)
        words += LINE_WORDS * (heap_words // NEW_TASK_WORDS)
        lines = {1, *(size for size in layout.sizes if not in_stock(size))}
        at_hand = _AT_HAND * self._workers * LINE_WORDS * sum(lines)
        return LINE_WORDS * (len(layout.sizes) + 2) + words + at_hand

    def needs(self, max_depth):
        own = self._own_needs = super().needs(max_depth)
        return replace(own, stack=self._workers * own.stack, trace=self._workers * own.trace)

    # Running

    def enter(self, runs):
        for _ in range(runs):
            if code := self._run():
                return code
        return 0

    def _run(self):
        """All workers from a fresh state; the code of the trap, or 0."""
        self._prepare()
        self._begin(ctypes.addressof(self.state.workers[0]))
        self._verdict = None
        ended = queue.SimpleQueue()

        def serve(number):
            self._serve(number)
            ended.put(number)

        started = 0
        try:
            for number in range(1, self._workers):
                start_deep_thread(partial(serve, number), daemon=True)
                started += 1
        except (OSError, MemoryError) as error:
            reason = EngineUnavailable(f"cannot start {self._workers} workers ({error})")
            self._decide(reason, 0)
        self._serve(0)
        for _ in range(started):
            ended.get()
        return self._outcome()

    def _prepare(self):
        state, regions = self.state, self._regions
        context = state.context
        context.shared = ctypes.addressof(context)
        ctypes.memmove(context.globals, context.globals_initial, WORD_BYTES * context.globals_words)
        for name in (*COUNTERS, "trace_used"):
            setattr(context, name, 0)
        context.fresh_record = context.records + WORD_BYTES * TASK_RECORD_WORDS
        context.fresh_channel = context.channels + Channel.bytes
        regions["channels"].words[channel_word("closed")] = 1
        stocks = LINE_BYTES * len(self._layout.sizes)
        ctypes.memset(context.segments, 0, stocks)
        size = Scheduler.bytes + self._workers * Worker.bytes
        ctypes.memset(self._scheduler, 0, size)
        fresh = context.segments + stocks
        workers = lay_out(self._scheduler, self._workers, fresh, context.segments_end)
        state.start_workers()
        for number, (own, worker) in enumerate(zip(state.workers, workers, strict=True)):
            own.worker = worker
            own.trace += WORD_BYTES * number * self._own_needs.trace
            own.stack += WORD_BYTES * number * self._own_needs.stack

    def _serve(self, number):
        """A worker's part in the run."""
        context = self.state.workers[number]
        try:
            context.native_limit = self.state.native_limit()
            verdict = self._work(ctypes.addressof(context))
        except BaseException as error:
            verdict = error
        if verdict:
            self._decide(verdict, number)

    def _decide(self, verdict, number):
        """A worker ends the run, if none has: with the code of a trap, with `MAIN_ENDED`, or with
        an exception."""
        with self._deciding:
            if self._verdict is not None:
                return
            self._verdict = verdict, number
        self.state.stop_workers()
        self._halt(self._scheduler)

    def _outcome(self):
        if self._verdict is None:
            return Trap.DEADLOCK.code  # all workers have found that nothing can go on
        verdict, number = self._verdict
        if isinstance(verdict, BaseException):
            raise verdict
        context, own = self.state.context, self.state.workers[number]
        for name in ("current", "rp", "trace_used"):
            setattr(context, name, getattr(own, name))
        if verdict != MAIN_ENDED:
            return verdict
        context.result = self.words(context.blocks, TASK_DESCRIPTOR_WORDS)[GIVEN]
        return 0

    # After a trap

    def _sites(self):
        _, number = self._verdict
        first = number * self._own_needs.trace
        return self.state.trace.words[first : first + self.state.context.trace_used].tolist()

    def descriptor(self, record, address):
        """A record has the last that joins, behind which the task itself stands at last."""
        while True:
            task = self.words(address, TASK_DESCRIPTOR_WORDS)
            if task[RECORD] == record:
                return task
            address = task[NEXT]

    def channel(self, address):
        words = self.words(address, Channel.words)
        return words[channel_word("number")], words[channel_word("made")]
