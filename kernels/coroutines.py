"""Straight code for programs with tasks: functions that can suspend are stackless coroutines.

A function that can suspend keeps what lives across that in a frame (`frames`), and is resumed by a
jump to it with the frame: it goes on at the site that it has noted there. Calls between such
functions, returns from them, and what lets another task go on are all of one kind, a guaranteed
tail call with the next frame. So nothing of a task is on the machine's stack while another one
runs, and however deep functions that can suspend call each other, they do not use it up. Functions
that cannot suspend stay what they are in other programs, plain calls.

LLVM has coroutines of its own (`llvm.coro`), which the native scheduler uses. Here the
transformation is made from the VM's code instead: the verifier's stack maps say what lives at each
suspension; a trap, and a deadlock of tasks that do not even run, must tell the place of every call,
which LLVM's frames hide; resuming a caller with a result, and a trap without unwinding, need no
protocol on top; frames have their sizes before anything is optimised; and the builds that count are
not optimised at all. Queues, records and channels are those of the interpreters
(`queues`, `channels`), whose order is part of the language; on several workers, where there is no
such order, they are those of the native scheduler (`workers`).
"""

from llvmlite import ir

from vmlab.isa import TASK_DESCRIPTOR_WORDS
from vmlab.kernels.context import MACHINE_STACK
from vmlab.kernels.entry import stack_pointer
from vmlab.kernels.frames import (
    BASE,
    DEPTH,
    LINE_WORDS,
    NOT_BEGUN,
    PARENT,
    RESUMABLE,
    RESUME,
    SITE,
    Layout,
)
from vmlab.kernels.queues import begin_lists, begin_tasks
from vmlab.kernels.task_functions import TaskFunctionEmitter, TaskProgramEmitter
from vmlab.kernels.task_routines import ROOM, UNLIMITED, Descriptors, Operation, Routine
from vmlab.kernels.values import I64, WORDS, i64

# Of a descriptor, beside what all tasks of straight code have there: the innermost frame, and what
# the task waits for. The native scheduler's Task has the same there (`workers`), and its status
# before.
FRAME, AWAITED = 2, 7

# All registers are free for whoever is resumed: nobody is returned to.
CONVENTION = "preserve_nonecc"
RESUMED = ir.FunctionType(I64, [WORDS, WORDS])  # (context, frame): the code of a trap, or 0


def block_words(values) -> int:
    """A descriptor."""
    return TASK_DESCRIPTOR_WORDS * values.words


class Coroutines(Descriptors):
    """What is emitted for frames."""

    def new_frame(self, function, resume, parent, depth, base, args):
        """A frame for a function that begins with these arguments; `resume` is the address of what
        runs it."""
        frame = self._free_or_fresh(function)
        header = {RESUME: resume, PARENT: parent, SITE: i64(NOT_BEGUN)}
        if self.unit.graph.calls[function]:
            header |= {DEPTH: depth, BASE: base}
        for place, word in header.items():
            self.write(frame, place, word, "frame")
        self.store_all(args, self.word(frame, self.unit.layout.header(function)))
        return frame

    def prepare(self, task, target, entry, args):
        end = self.unit.ends[self.unit.program.functions[target].result is not None]
        frame = self.new_frame(target, entry, end, i64(1), i64(0), args)
        self.write(task, FRAME, self.address_of(frame))

    def leave_in(self, frame, awaited, sent):
        """The running task goes on in this frame."""
        task = self.pointer("current")
        self.note_wait(task, AWAITED, awaited, sent)
        self.write(task, FRAME, self.address_of(frame))

    # Plain loads and stores, of no kind, where memory that was a frame becomes another.

    def _free_or_fresh(self, function):
        head = self._free_list(function)

        def reuse(frame):
            self.b.store(self.b.load(frame), head)

        def make():
            frame = self.pointer("fresh_segment")
            words = LINE_WORDS * self.unit.layout.lines[function]
            self.put("fresh_segment", self.address_of(self.word(frame, words)))
            return frame

        return self.block_from(self.b.load(head), reuse, make)

    def free_frame(self, function, frame):
        head = self._free_list(function)
        self.b.store(self.b.load(head), frame)
        self.b.store(self.address_of(frame), head)

    def _free_list(self, function):
        layout = self.unit.layout
        number = layout.sizes.index(layout.lines[function])
        return self.word(self.pointer("segments"), number)

    def resume(self, frame, function=None):
        """Go on in a frame; the block ends here. `function` is what resumes it, where known."""
        if function is None:
            function = self.b.inttoptr(self.read(frame, RESUME, "frame"), RESUMED.as_pointer())
        arguments = [self.context, frame]
        self.b.ret(self.b.call(function, arguments, cconv=CONVENTION, tail="musttail"))

    # What queues and channels ask for

    def enter(self, task):
        self.resume(self.words_at(self.read(task, FRAME)))


class CoroutineRoutine(Coroutines, Routine):
    """The function returns the code of a trap."""

    def trap_if(self, condition, trap):
        with self.b.if_then(condition, likely=False):
            self.b.ret(i64(trap.code))


class CoroutineOperation(Coroutines, Operation):
    """`link` is the frame of the running task; the reply is that of the one that goes on."""

    def leave(self, awaited=None, sent=None):
        self.leave_in(self.link, awaited, sent)

    def enter(self, task):
        self.reply(self.read(task, FRAME))


class CoroutineProgramEmitter(TaskProgramEmitter):
    """Emits a module whose tasks are coroutines."""

    OPERATION = CoroutineOperation

    MAIN_ENDED = 0  # the code with which main's end ends the run

    def __init__(self, engine, storage, values, late, program, graph, counting):
        self.layout = Layout(program, graph, storage, values)
        self.entries = {}
        super().__init__(engine, storage, values, late, program, graph, counting)

    @property
    def block_words(self):
        return block_words(self.values)

    @property
    def body(self):
        return self.emitter(PlainEmitter)

    @property
    def resumable_body(self):
        """What emits a function that can suspend."""
        return self.emitter(CoroutineEmitter)

    def _self_inlining_levels(self, index):
        # What inlines itself keeps its locals in the caller's frame, which has no place for them.
        return 0 if self.graph.suspends[index] else super()._self_inlining_levels(index)

    def _declare(self, index, suffix):
        if not self.graph.suspends[index]:
            return super()._declare(index, suffix)
        return self._declare_resumed(f"vm.{self.program.functions[index].name}")

    def _declare_resumed(self, name):
        function = ir.Function(self.module, RESUMED, name=name)
        function.linkage = "internal"
        function.calling_convention = CONVENTION
        set.add(function.attributes, "nounwind")
        set.add(function.attributes, '"no-jump-tables"="true"')
        return function

    def _begin(self):
        super()._begin()
        self.main_ends = self._end("main.ends", lambda routine: routine.b.ret(i64(self.MAIN_ENDED)))
        self.ends = {
            False: self._end("ends", lambda routine: routine.end_task(None)),
            True: self._end("ends.value", self._end_with_value),
        }
        for index in sorted(self.layout.launched):
            self.entries[index] = self.functions[index]
            if not self.graph.suspends[index]:
                name = f"vm.{self.program.functions[index].name}.task"
                self.entries[index] = self._declare_resumed(name)

    def _emit(self, index):
        if self.graph.suspends[index]:
            body = self.resumable_body(self, index, self.functions[index], levels=0)
            body.emit_function(None)
            return
        super()._emit(index)
        if index in self.entries:
            emitter = self.emitter(EntryEmitter)
            emitter(self, index, self.entries[index], levels=0).emit_function(None)

    def _end(self, name, emit):
        """The address of a frame below those of a task: what is resumed when they have ended."""
        function = self._declare_resumed(name)
        b = ir.IRBuilder(function.append_basic_block())
        emit(self.emitter(CoroutineRoutine)(self, b, function.args[0]))
        frame = ir.GlobalVariable(self.module, function.type, f"{name}.frame")
        frame.linkage = "internal"
        frame.global_constant = True
        frame.initializer = function
        return frame.ptrtoint(I64)

    @staticmethod
    def _end_with_value(routine):
        value = routine.given(routine.pointer("current"), 0)
        routine.end_task(routine.values.load(routine, value, "frame"))

    def _emit_main(self, b, context):
        index, routine = self.program.main_index, CoroutineRoutine(self, b, context)
        function = self.program.functions[index]
        low = b.icmp_unsigned("<", stack_pointer(b), routine.get("native_limit"))
        with b.if_then(low, likely=False):
            b.ret(i64(MACHINE_STACK))
        self.values.begin_run(routine)
        begin_tasks(routine, self.block_words)
        begin_lists(routine, len(self.layout.sizes))
        task = routine.pointer("blocks")
        frame = self._launch_main(routine, task)
        code = b.call(self.entries[index], [context, frame], cconv=CONVENTION)
        with b.if_then(b.icmp_unsigned("==", code, i64(0))):
            if function.result:
                self.values.take_result(routine, routine.given(task, 0))
            self.values.end_run(routine)
        return code

    def _launch_main(self, routine, task):
        """Main's frame, and what its task pays."""
        index, words = self.program.main_index, routine.pointer("args")
        routine.write(task, ROOM, i64(UNLIMITED))
        args = [
            self.values.load(routine, routine.word(words, self.values.words * i), "frame")
            for i in range(len(self.program.main.params))
        ]
        entry = routine.address_of(self.entries[index])
        return routine.new_frame(index, entry, self.main_ends, i64(1), i64(0), args)


class PlainEmitter(Coroutines, TaskFunctionEmitter):
    """Emits a VM function that cannot suspend."""

    def entry(self, target):
        suspends = self.unit.graph.suspends[target]
        return self._callee(target) if suspends else self.unit.entries[target]


class CoroutineEmitter(PlainEmitter):
    """Emits a VM function that can suspend."""

    def __init__(self, unit, index, llvm_function, levels):
        super().__init__(unit, index, llvm_function, levels)
        self.storage = RESUMABLE[unit.storage](self)

    def _take(self, frame):
        self.frame = frame
        self.area = self.word(frame, self.unit.layout.header(self.index))

    @property
    def depth(self):
        return self.read(self.frame, DEPTH, "frame")

    @property
    def base(self):
        return self.read(self.frame, BASE, "frame")

    def emit_function(self, _exact):
        b = self.b
        self.heap = self.pointer("heap")
        begin = b.append_basic_block("begin")
        # LLVM looks for the sites by comparison, since it must make no jump tables.
        self._resumptions = b.switch(self.read(self.frame, SITE, "frame"), begin)
        b.position_at_end(begin)
        self.storage.open(self.area)
        self._emit_blocks()

    # Suspensions

    def leave(self, awaited=None, sent=None):
        self.leave_in(self.frame, awaited, sent)
        self.suspend()

    def link(self):
        return self.frame

    def go_on(self, way):
        self.suspend()
        self.resume(self.words_at(way))

    def suspend(self):
        """Keep what lives behind this instruction."""
        self._suspend(self.map.variants[self.at].effect.pushes)

    def _suspend(self, types):
        """Keep what lives behind this instruction, and emit how it goes on there with what it
        pushes."""
        live = self.unit.layout.live_behind(self.index, self.at)
        self.storage.save(self.area, live)
        self.write(self.frame, SITE, i64(self.site), "frame")
        resumed = self.b.append_basic_block("resumed")
        self._resumptions.add_case(i64(self.site), resumed)
        with self._emitting_in(resumed) as b:
            task = self.pointer("current")
            given = [
                self.storage.from_memory(
                    self.values.load(self, self.given(task, index), "frame"), type_
                )
                for index, type_ in enumerate(types)
            ]
            self.storage.restore(self.area, live, given)
            b.branch(self._behind)

    def _call(self, target):
        unit = self.unit
        if not unit.graph.suspends[target]:
            super()._call(target)
            return
        b = self.b
        callee = unit.program.functions[target]
        args = self._pop_kept(len(callee.params))
        depth, base = self.linkage()
        with self.unlikely(b.icmp_signed(">", depth, self.get_shared("depth_limit"))):
            b.branch(self.stop_block(self.refusal()))
        self._check_room(target, base)
        function = self._callee(target)
        parent = self.address_of(self.frame)
        resume = self.address_of(function)
        frame = self.new_frame(target, resume, parent, depth, base, args)
        self._behind = b.append_basic_block("behind")
        self._suspend([callee.result] if callee.result else [])
        self.resume(frame, function)
        self._go_on_behind()

    def _refuse(self):
        self.b.branch(self._unwind_block(i64(self.site)))

    def _return(self):
        value = self.pop() if self.function.result else None
        self._release_locals()
        self._return_to_parent(value)

    def _return_to_parent(self, value):
        if value is not None:
            self.push_to(self.pointer("current"), value)
        parent = self.words_at(self.read(self.frame, PARENT, "frame"))
        self.free_frame(self.index, self.frame)
        self.resume(parent)

    def _unwind_block(self, site):
        """The run ends here: the frames tell the places of all calls."""
        if self._unwind is None:
            block = self.b.append_basic_block("unwind")
            with self._emitting_in(block) as b:
                place = b.phi(I64)
                self.write(self.frame, SITE, place, "frame")
                self.put("rp", self.address_of(self.frame))
                b.ret(self.get("trap"))
            self._unwind = block, place
        block, place = self._unwind
        place.add_incoming(site, self.b.block)
        return block


class EntryEmitter(CoroutineEmitter):
    """Emits what a task begins with whose function cannot suspend: it calls that."""

    def emit_function(self, _exact):
        args = self.storage.passed(self.area)
        trapped, result = self.storage.call(self._callee(self.index), [i64(1), i64(0)], args)
        with self.unlikely(trapped):
            # The function has told the places itself.
            self.put("rp", self.read(self.frame, PARENT, "frame"))
            self.b.ret(self.get("trap"))
        value = self.storage.kept_result(result) if self.function.result else None
        self._return_to_parent(value)
