"""Programs with tasks on compiled code that writes down what its workers do; what they wrote."""

import ctypes
import heapq
import time
from functools import cache
from itertools import count

from vmlab.engines import EngineUnavailable
from vmlab.isa import TASK_RECORD_WORDS, WORD_BYTES
from vmlab.kernels.compose import BASES, check_workers
from vmlab.kernels.context import Region
from vmlab.kernels.queues import LAUNCH, LAUNCHER
from vmlab.kernels.recording import RecordingParallelProgramEmitter, RecordingProgramEmitter
from vmlab.kernels.scheduler import notes
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.layout import Log, Note, Worker
from vmlab.kernels.scheduler.machine import Machine
from vmlab.kernels.scheduler.notes import Kind
from vmlab.kernels.task_straight import TaskStraightExecutable
from vmlab.kernels.task_workers import WorkersExecutable
from vmlab.kernels.values import RAW
from vmlab.recording import Event, Recorder

# The counter is compared with the system's clock over so much time, or over the run if that takes
# longer.
_CALIBRATION_NANOSECONDS = 50_000_000

# Of each log, so many bytes are there before the run begins: a page that must be got first takes as
# long as some thirty notes. More than 100,000 notes take.
_TOUCHED = 4 << 20


def recorder(program, base, workers, room):
    """The program on the engine of this name, whose workers can make so many notes each. Raises
    `EngineUnavailable`."""
    if not program.has_tasks:
        raise EngineUnavailable("the program has no tasks, so nothing changes while it runs")
    check_workers(workers)
    kind = _OneWorker if workers == 1 else _SeveralWorkers
    _, storage = BASES[base]
    return kind(base, storage, program, workers, room)


@cache
def _kernel():
    return Kernel("scheduler-notes", True, (notes.now,), ())


def _reading():
    """Nanoseconds by the system's clock, and ticks of the counter."""
    return time.perf_counter_ns(), _kernel().call["now"]()


class _Recorder(Recorder):
    """Goes before an executable, which opens the logs as a run begins."""

    def _make_logs(self, workers, room):
        self._end = Log.bytes + room * Note.bytes
        words = self._end // WORD_BYTES + len(notes.RESERVED) * Note.words
        self._logs = [Region(words, "what is recorded", "--max-events") for _ in range(workers)]
        for log in self._logs:
            ctypes.memset(log.address, 0, min(log.size, _TOUCHED))
        _kernel()  # is compiled before anything runs

    def _open_logs(self, workers):
        """Empty ones, for the workers at these addresses."""
        for worker, log in zip(workers, self._logs, strict=True):
            beginnings = {
                "next": log.address + Log.bytes,
                "end": log.address + self._end,
                "running": 0,
            }
            for name, value in beginnings.items():
                Machine.put(Log, log.address, name, value)
            Machine.put(Worker, worker, "log", log.address)

    def enter(self, runs):
        self._before = _reading()
        code = super().enter(runs)
        self._after = _reading()
        return code

    # What has been recorded

    @property
    def nanoseconds_a_tick(self):
        start, first = self._before
        while self._after[0] - start < _CALIBRATION_NANOSECONDS:
            self._after = _reading()
        end, last = self._after
        return (end - start) / (last - first)

    def events(self):
        written = [self._written(log) for log in self._logs]
        first = min(words[0] for words in written if words)
        scale, now = self.nanoseconds_a_tick, -1
        # The counter may show the same where a turn begins and where that follows from.
        notes = heapq.merge(*map(self._notes, count(), written), key=lambda note: note[:2])
        for ticks, _, worker, kind, subject, detail in notes:
            # No two times are the same: what lies within a turn must not lie at its end.
            now = max(now + 1, round((ticks - first) * scale))
            yield self._event(now, worker, Kind(kind), subject, detail)

    @staticmethod
    def _written(log):
        used = (Machine.get(Log, log.address, "next") - log.address) // WORD_BYTES
        return log.words[Log.words : used].tolist()

    @staticmethod
    def _notes(worker, words):
        """One worker's, in their order, each before others of the same time if it begins no turn.
        The core may have read the counter for one before that of the note in front of it."""
        latest = 0
        columns = (words[place :: Note.words] for place in range(Note.words))
        for ticks, kind, subject, detail in zip(*columns, strict=True):
            latest = max(latest, ticks)
            yield latest, kind == Kind.BEGINS, worker, kind, subject, detail

    def _event(self, now, worker, kind, subject, detail):
        match kind:
            case Kind.BEGINS:
                return Event(now, worker, kind, task=self._number(subject))
            case Kind.READY:
                return Event(now, worker, kind, task=self._number(subject), ok=bool(detail))
            case Kind.LEAVES:
                place = self.instruction(subject)
                return Event(now, worker, kind, place=place, awaited=self._awaited(place, detail))
        return Event(now, worker, kind)

    def _number(self, record):
        """Of a task."""
        return (record - self.state.context.records) // (WORD_BYTES * TASK_RECORD_WORDS)

    def _awaited(self, place, handle):
        name = self.program.functions[place.function].code[place.instruction].opcode.name
        if name == "yield":
            return None
        if name == "join":
            return handle // TASK_RECORD_WORDS
        number, _ = self.channel(self.state.context.channels + WORD_BYTES * handle)
        return number

    def launch(self, task):
        if task == 0:
            return None, None
        record = self.state.context.records + WORD_BYTES * TASK_RECORD_WORDS * task
        words = self.words(record, TASK_RECORD_WORDS)
        return self.instruction(words[LAUNCH]), self._number(words[LAUNCHER])


class _OneWorker(_Recorder, TaskStraightExecutable):
    """Tasks take turns in the order of the language."""

    ended_on = 0

    def __init__(self, engine, storage, program, workers, room):
        super().__init__(engine, storage, RAW, False, program, False, RecordingProgramEmitter)
        self._make_logs(workers, room)
        self._worker = Region(Worker.words, "a worker")
        self.state.context.worker = self._worker.address

    def enter(self, runs):
        self._open_logs([self._worker.address])
        return super().enter(runs)


class _SeveralWorkers(_Recorder, WorkersExecutable):
    """As `WorkersExecutable`."""

    def __init__(self, engine, storage, program, workers, room):
        super().__init__(engine, storage, program, workers, RecordingParallelProgramEmitter)
        self._make_logs(workers, room)

    def _prepare(self):
        super()._prepare()
        self._open_logs([own.worker for own in self.state.workers])

    @property
    def ended_on(self):
        return 0 if self._verdict is None else self._verdict[1]
