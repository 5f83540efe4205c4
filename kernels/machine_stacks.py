"""Straight code for programs with tasks, each on a machine stack of its own.

Functions are the plain ones; what lets other tasks go on exchanges stacks (`stackful`).

A machine stack is bound to a task when that runs for the first time. On each runs the same loop: it
runs a task up to its end, then the next one if that has not begun, and else leaves its stack to the
next task that begins. `run` is on the thread's stack, and main on one as the other tasks are. A
trap returns from all functions of its task, as in other programs, and the loop goes back to `run`;
what other stacks hold is forgotten. In a deadlock it is main that goes on, with the trap, so that
the chain told is its own.
"""

from llvmlite import ir

from vmlab.isa import TASK_DESCRIPTOR_WORDS, Trap
from vmlab.kernels.callgraph import launched
from vmlab.kernels.context import MACHINE_STACK, STACKS_USED
from vmlab.kernels.entry import stack_pointer
from vmlab.kernels.operands import Memory
from vmlab.kernels.queues import begin_tasks
from vmlab.kernels.stackful import exchange, lay_out
from vmlab.kernels.straight import machine_stack_bytes
from vmlab.kernels.task_functions import TaskFunctionEmitter, TaskProgramEmitter
from vmlab.kernels.task_routines import ROOM, UNLIMITED, Descriptors, Operation, Routine
from vmlab.kernels.values import I64, VOID, WORDS, from_word, i64, to_word

# Of a descriptor, beside what all tasks of straight code have there: the lowest address that
# recursion may bring its stack to; the pointer of its stack, or 0 before it has begun; what it
# waits for; and the site that it waits at, before it has begun the address of its entry. The last
# two are written over when the task need not wait any more. The arguments stand behind the
# descriptor.
LIMIT, POINTER, AWAITED, SITE = 1, 2, 6, 7

# Above a machine stack: its pointer, and while it is free, the next free one. With a stack of the
# VM in memory, that stands behind.
LEFT, NEXT_FREE = 0, 1
CONTROL_WORDS = 2

# Before the first stack: the first free one, the pointer of the thread's stack.
FREE, THREAD = 0, 1
HEADER_WORDS = 8

# Left below what programs need: for what the machine code calls, and for signal handlers, which run
# on the stack that they find. The frame of a signal alone has up to 11 KiB.
MARGIN = 1 << 15

PAGE = 1 << 12

# Stacks would compete for the same places of the first cache if they lay whole pages apart. An odd
# number of lines brings each to another place.
COLOUR = 5 * 64

ENTRY = ir.FunctionType(I64, [WORDS, WORDS])  # (context, stack): 0, or 1 if the run ends


def block_words(program, values) -> int:
    """A descriptor with the arguments that its task begins with."""
    params = max(len(program.functions[index].params) for index in launched(program))
    return values.words * (TASK_DESCRIPTOR_WORDS + params)


def kept_bytes(program, several_blocks) -> int:
    """What a machine stack holds below the limit of recursion."""
    needed = MARGIN + machine_stack_bytes(program, several_blocks)
    return -(-needed // PAGE) * PAGE


class Stacks(Descriptors):
    """What is emitted for machine stacks."""

    def first_to_run(self):
        nobody = self.b.icmp_unsigned("==", self.first_ready(), i64(0))
        with self.b.if_then(nobody, likely=False):
            self.put("trap", i64(Trap.DEADLOCK.code))
            self.get_ready(self.pointer("blocks"))
        return self.first_ready()

    def exchange(self, left, entered):
        exchange(self.b, self.context, left, entered)

    def begin_with(self, task, entry):
        """A new task, whose first turn calls the entry at this address."""
        self.write(task, POINTER, i64(0))
        self.write(task, SITE, entry)

    def prepare(self, task, target, entry, args):
        self.begin_with(task, entry)
        self.store_all(args, self.unit.arguments(self, task))

    def wait_at(self, task, site, awaited, sent):
        """The running task waits at this site."""
        self.write(task, SITE, site)
        self.note_wait(task, AWAITED, awaited, sent)

    def stack_of(self, task):
        """The word with the pointer of a task's stack, which it gets when it begins."""
        b = self.b
        begins, goes_on = b.append_basic_block("begins"), b.append_basic_block("goes_on")
        begun = b.icmp_unsigned("!=", self.read(task, POINTER), i64(0))
        own, here = self.word(task, POINTER), b.block
        b.cbranch(begun, goes_on, begins)
        b.position_at_end(begins)
        stack = b.call(self.unit.new_stack, [self.context])
        b.branch(goes_on)
        b.position_at_end(goes_on)
        entered = b.phi(WORDS)
        entered.add_incoming(own, here)
        entered.add_incoming(stack, begins)
        return entered


class StackRoutine(Stacks, Routine):
    """The function is an entry."""

    def enter(self, task):
        self.b.ret(i64(0))


class StackOperation(Stacks, Operation):
    """`link` is the running task; the reply is the word with the pointer of the stack to enter."""

    def leave(self, awaited=None, sent=None):
        self.wait_at(self.link, self.site, awaited, sent)

    def enter(self, task):
        self.reply(self.address_of(self.stack_of(task)))


class StackfulProgramEmitter(TaskProgramEmitter):
    """Emits a module whose tasks have machine stacks."""

    OPERATION = StackOperation

    def __init__(self, engine, storage, values, late, program, graph, counting):
        self.launched = sorted(launched(program))
        self.entries = {}
        self.kept = kept_bytes(program, values.typed or late)
        super().__init__(engine, storage, values, late, program, graph, counting)
        for function in self.module.functions:
            set.add(function.attributes, "noredzone")

    @property
    def block_words(self):
        return block_words(self.program, self.values)

    @property
    def body(self):
        return StackfulFunctionEmitter

    def _begin(self):
        super()._begin()
        self.new_stack = self._declare_routine("stack.new", ir.FunctionType(WORDS, [WORDS]))
        self.tasks = self._declare_routine("tasks", ir.FunctionType(VOID, [WORDS, WORDS, WORDS]))
        self._emit_new_stack()
        self._emit_tasks()
        for index in self.launched:
            name = f"vm.{self.program.functions[index].name}.task"
            self.entries[index] = self._declare_routine(name, ENTRY)
            self._emit_task_entry(index, self.entries[index], self._end_task)
        self.main_entry = self._declare_routine("vm.main.run", ENTRY)
        self._emit_task_entry(self.program.main_index, self.main_entry, self._end_main)

    def _declare_routine(self, name, signature):
        function = ir.Function(self.module, signature, name=name)
        function.linkage = "internal"
        for attribute in ("noinline", "nounwind"):
            set.add(function.attributes, attribute)
        return function

    def _emit_new_stack(self):
        """`i64 *stack.new(context)`: a stack for a task that begins. If there is none left, the
        thread's, with the fault in the context."""
        [context] = self.new_stack.args
        b = ir.IRBuilder(self.new_stack.append_basic_block())
        m = StackRoutine(self, b, context)
        header = m.pointer("segments")
        free = b.load(m.word(header, FREE))
        with b.if_then(b.icmp_unsigned("!=", free, i64(0))):
            stack = m.words_at(free)
            b.store(b.load(m.word(stack, NEXT_FREE)), m.word(header, FREE))
            b.ret(stack)
        size = b.add(m.get("depth_bytes"), i64(self.kept))
        first = m.get("fresh_segment")
        top = b.add(first, size)
        behind = b.add(top, i64(COLOUR))
        if self.storage is Memory:
            behind = b.add(behind, size)
        with b.if_then(b.icmp_unsigned(">", behind, m.get("segments_end")), likely=False):
            m.put("trap", i64(STACKS_USED))
            b.ret(m.word(header, THREAD))
        m.put("fresh_segment", behind)
        stack = m.words_at(top)
        b.store(lay_out(b, stack, self.tasks), m.word(stack, LEFT))
        b.ret(stack)

    def _emit_tasks(self):
        """What runs on a machine stack."""
        context, _, stack = self.tasks.args
        b = ir.IRBuilder(self.tasks.append_basic_block())
        m = StackRoutine(self, b, context)
        again, ended, leave = (b.append_basic_block(n) for n in ("again", "ended", "leave"))
        b.branch(again)

        b.position_at_end(again)
        task = m.pointer("current")
        # It has begun: main may be the one that goes on before it has left its stack at all.
        m.write(task, POINTER, m.address_of(stack))
        m.write(task, LIMIT, b.sub(m.address_of(stack), m.get("depth_bytes")))
        entry = b.inttoptr(m.read(task, SITE), ENTRY.as_pointer())
        ends = b.icmp_unsigned("!=", b.call(entry, [context, stack]), i64(0))
        b.cbranch(ends, ended, leave)

        b.position_at_end(leave)
        following = m.pointer("current")
        begun = b.icmp_unsigned("!=", m.read(following, POINTER), i64(0))
        with b.if_then(begun):
            head = m.word(m.pointer("segments"), FREE)
            b.store(b.load(head), m.word(stack, NEXT_FREE))
            b.store(m.address_of(stack), head)
            m.exchange(m.word(stack, LEFT), m.word(following, POINTER))
        b.branch(again)

        b.position_at_end(ended)
        m.exchange(m.word(stack, LEFT), m.word(m.pointer("segments"), THREAD))
        b.unreachable()

    def _emit_task_entry(self, index, entry, end):
        """The function, called with the arguments of the running task; then `end`."""
        context, stack = entry.args
        b = ir.IRBuilder(entry.append_basic_block())
        m = StackRoutine(self, b, context)
        function = self.program.functions[index]
        area = self.arguments(m, m.pointer("current"))
        operands = m.word(stack, CONTROL_WORDS)
        in_memory = self.storage is Memory
        if in_memory:
            args = [operands]
            for place in range(self.values.words * len(function.params)):
                m.store(m.load(m.word(area, place), "frame"), m.word(operands, place), "frame")
        else:
            args = [
                from_word(b, m.load(m.word(area, place), "frame"), param.type)
                for place, param in enumerate(function.params)
            ]
        passed = [context, i64(1), i64(0), *args]
        reply = b.call(self.functions[index], passed, cconv="fastcc")
        trapped = reply if in_memory else b.extract_value(reply, len(reply.type.elements) - 1)
        with b.if_then(trapped, likely=False):
            b.ret(i64(1))
        kept = None
        if function.result and in_memory:
            kept = self.values.load(m, operands, "frame")
        elif function.result:
            kept = to_word(b, b.extract_value(reply, 0))
        end(m, kept)

    @staticmethod
    def _end_task(m, kept):
        m.end_task(kept)

    def _end_main(self, m, kept):
        if kept is not None:
            place = m.given(m.pointer("current"), 0)
            self.values.store(m, kept, place, "frame")
            self.values.take_result(m, place)
        self.values.end_run(m)
        m.b.ret(i64(1))

    def _emit_main(self, b, context):
        m = StackRoutine(self, b, context)
        self.values.begin_run(m)
        begin_tasks(m, self.block_words)
        header = m.pointer("segments")
        b.store(i64(0), m.word(header, FREE))
        m.put("fresh_segment", m.address_of(m.word(header, HEADER_WORDS)))
        task, args = m.pointer("blocks"), m.pointer("args")
        m.begin_with(task, m.address_of(self.main_entry))
        m.write(task, ROOM, i64(UNLIMITED))
        area = self.arguments(m, task)
        for place in range(self.values.words * len(self.program.main.params)):
            m.store(m.load(m.word(args, place), "frame"), m.word(area, place), "frame")
        m.exchange(m.word(header, THREAD), b.call(self.new_stack, [context]))
        return m.get("trap")

    def arguments(self, m, task):
        """Where a task that has not begun has its arguments."""
        return m.word(task, self.values.words * TASK_DESCRIPTOR_WORDS)


class StackfulFunctionEmitter(Stacks, TaskFunctionEmitter):
    """Emits a VM function."""

    def _check_machine_stack(self):
        limit = self.read(self.pointer("current"), LIMIT)
        with self.unlikely(self.b.icmp_unsigned("<", stack_pointer(self.b), limit)):
            self.put("trap", i64(MACHINE_STACK))
            self.storage.finish(trapped=1)

    def entry(self, target):
        return self.unit.entries[target]

    def leave(self, awaited=None, sent=None):
        self.wait_at(self.link(), self.place(), awaited, sent)

    def enter(self, task):
        self._exchange_with(self.stack_of(task))

    def link(self):
        self._left = self.pointer("current")
        return self._left

    def go_on(self, way):
        self._exchange_with(self.words_at(way))

    def _exchange_with(self, entered):
        self.exchange(self.word(self._left, POINTER), entered)
        trapped = self.b.icmp_unsigned("!=", self.get("trap"), i64(0))
        self.leave_if(trapped, self._unwind_block(i64(self.site)))
        self._push_given()
        self.b.branch(self._behind)

    def _push_given(self):
        """What the instruction pushes, as its other ways leave it to what is behind."""
        pushes = self.map.variants[self.at].effect.pushes
        for index, type_ in enumerate(pushes):
            kept = self.values.load(self, self.given(self._left, index), "frame")
            self.push(self.storage.from_memory(kept, type_))
        self.storage.after_instruction()
        self.storage.leave_block()
        self.storage.pop_args(len(pushes))
