"""Straight code for programs with tasks that notes what its workers do: `coroutines` and `workers`,
with calls of `scheduler.notes` where tasks change. Nothing else runs this code, and nothing in the
code that others run is there for it."""

import functools

from vmlab.kernels.coroutines import CoroutineProgramEmitter, Coroutines
from vmlab.kernels.queues import RECORD
from vmlab.kernels.scheduler import notes
from vmlab.kernels.scheduler.translate import Translator
from vmlab.kernels.task_functions import Routine
from vmlab.kernels.values import i64
from vmlab.kernels.workers import ParallelProgramEmitter


class Recording(Coroutines):
    """What is emitted besides; goes before one of the emitters. A task that gets ready has been
    launched or, where all is emitted here, woken: the scheduler notes whom it wakes itself."""

    def note(self, function, *args):
        self.b.call(self.unit.translator.function(function), [self.pointer("worker"), *args])

    def leave(self, awaited=None, sent=None):
        super().leave(awaited, sent)
        self.note(notes.leaves, self.place(), i64(0) if awaited is None else awaited)

    def get_ready(self, task):
        self.note(notes.gets_ready, task)
        super().get_ready(task)

    # Several workers

    def begin_turn(self, task):
        self.note(notes.begins, self.read(task, RECORD))
        super().begin_turn(task)

    # One worker

    def first_to_run(self):
        self.note(notes.looks_for_work)
        return super().first_to_run()

    def _switch_to(self, first, following):
        self.note(notes.begins, self.read(self.words_at(first), RECORD))
        super()._switch_to(first, following)


@functools.cache
def _recording(kind):
    return type(f"Recording{kind.__name__}", (Recording, kind), {})


class RecordingProgramEmitter(CoroutineProgramEmitter):
    """Emits a module for a program whose one worker, in the context, keeps a log."""

    def emitter(self, kind):
        return _recording(kind)

    def _begin(self):
        self.translator = Translator(self.module, {"PARALLEL": False}, frames=None)
        super()._begin()

    def _emit_main(self, b, context):
        routine = self.emitter(Routine)(self, b, context)
        routine.note(notes.begins, routine.get("records"))
        code = super()._emit_main(b, context)
        routine.note(notes.stops)
        return code


class RecordingParallelProgramEmitter(ParallelProgramEmitter):
    """Emits a module for a program whose workers keep a log each."""

    REPLACED = notes.REPLACED

    def emitter(self, kind):
        return _recording(super().emitter(kind))

    def _emit_work(self, routine):
        code = super()._emit_work(routine)
        routine.note(notes.stops)
        return code
