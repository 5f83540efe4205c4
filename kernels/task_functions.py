"""Straight code in programs with tasks: what it has in common, however tasks are left and entered.

A task pays for a stack as it does in the interpreters, by the rules of the VM, whatever the machine
code keeps: each function is told how many words of it lie below.
"""

from abc import abstractmethod

from llvmlite import ir

from vmlab.isa import (
    FIRST_STACK_WORDS,
    TASKS,
    Flow,
    further_stack_words,
)
from vmlab.kernels.channels import Channels
from vmlab.kernels.straight import FunctionEmitter, ProgramEmitter
from vmlab.kernels.values import I1, I64, WORDS, i64

# A descriptor, around what `queues` has there: the words of the VM's stack that the task has paid
# for; and what the instruction that it waits at pushes, or would send. The rest is for the ways to
# leave a task.
ROOM = 3
GIVEN = 5

# Main's stack costs nothing.
UNLIMITED = 1 << 62


class Descriptors(Channels):
    """What is emitted for tasks and channels. `unit` is the program."""

    def given(self, task, index):
        """Where a task finds a value that it goes on with."""
        return self.word(task, GIVEN + self.values.words * index)

    def push_to(self, task, *kept):
        for index, value in enumerate(kept):
            self.values.store(self, value, self.given(task, index), "frame")

    def sent_by(self, task):
        return self.load(self.given(task, 0), "frame")

    def further_words(self, task):
        """What its stack costs beside the first words."""
        room = self.read(task, ROOM)
        first = self.b.icmp_signed("==", room, i64(FIRST_STACK_WORDS))
        return self.b.select(first, i64(0), room)

    give_stack_back = further_words


class Routine(Descriptors):
    """Emits what belongs to no instruction."""

    def __init__(self, unit, b, context):
        super().__init__(b, context)
        self.unit = unit
        self.values = unit.values


class Growth(Routine):
    """Emits the function `grow`, which leaves the trap in the context."""

    def trap_if(self, condition, trap):
        with self.b.if_then(condition):
            self.put("trap", i64(trap.code))
            self.b.ret(ir.Constant(I1, 1))


class TaskProgramEmitter(ProgramEmitter):
    """Emits a module for a program with tasks."""

    LINKAGE = (*ProgramEmitter.LINKAGE, I64)  # and the words of the VM's stack below the call

    def emitter(self, kind):
        """What emits in place of one of the classes that a module here has."""
        return kind

    @property
    @abstractmethod
    def block_words(self) -> int:
        """A descriptor, with what stands behind it."""

    def _begin(self):
        self.grow = self._grow()

    def _grow(self):
        """`i1 grow(context, needed)`: the running task pays for a stack of so many words. 1, and
        the trap in the context, if that is too much."""
        function = ir.Function(self.module, ir.FunctionType(I1, [WORDS, I64]), name="grow")
        function.linkage = "internal"
        for attribute in ("cold", "noinline", "nounwind"):
            set.add(function.attributes, attribute)
        context, needed = function.args
        b = ir.IRBuilder(function.append_basic_block())
        routine = self.emitter(Growth)(self, b, context)
        task = routine.pointer("current")
        words = routine.power_of_two(needed)
        routine.charge(b.sub(words, routine.further_words(task)))
        routine.write(task, ROOM, words)
        b.ret(ir.Constant(I1, 0))
        return function


class TaskFunctionEmitter(Descriptors, FunctionEmitter):
    """Emits a VM function in a program with tasks."""

    def __init__(self, unit, index, llvm_function, levels, parent=None):
        super().__init__(unit, index, llvm_function, levels, parent)
        if parent is not None:
            self.base = parent.inner_base()

    def _take(self, depth, base, *args):
        self.depth, self.base, self.args = depth, base, args

    def linkage(self):
        return [self.inner_depth(), self.inner_base()]

    def inner_base(self):
        """The words of the VM's stack below a function that is called now."""
        own = self.unit.program.frame_words(self.index) - self.map.max_depth + self.storage.height
        return self.b.add(self.base, i64(own))

    # The stack's account

    def _check_depth(self, exact):
        super()._check_depth(exact)
        self._check_room(self.index, self.base)

    def emit_inline(self, args):
        self._check_room(self.index, self.base)
        return super().emit_inline(args)

    def _check_room(self, function, base):
        """Grow the running task's stack where a function needs that, called with so many words
        below it."""
        b = self.b
        needed = b.add(base, i64(self.unit.program.frame_words(function)))
        grow, refused, fits = (b.append_basic_block(n) for n in ("grow", "refused", "fits"))
        room = self.read(self.pointer("current"), ROOM)
        b.cbranch(b.icmp_signed(">", needed, room), grow, fits).set_weights([1, 1 << 20])
        b.position_at_end(grow)
        b.cbranch(b.call(self.unit.grow, [self.context, needed]), refused, fits)
        b.position_at_end(refused)
        self._refuse()
        b.position_at_end(fits)

    def _refuse(self):
        """The trap of this function's call is in the context."""
        if self.parent is None:
            self.storage.finish(trapped=1)
            return
        with self.parent._emitting_in(self.b.block) as b:
            b.branch(self.parent._unwind_block(i64(self.call_site)))

    # Instructions

    def _emit_instruction(self, instruction, variant):
        flow = instruction.opcode.flow
        if flow is Flow.SPAWN:
            self._spawn(instruction.target)
            self.storage.after_instruction()
        elif flow is Flow.SWITCH:
            # Its operands pass through memory, whether it waits or not.
            self._behind = self.b.append_basic_block("behind")
            self.compute((variant,))
            self.storage.after_instruction()
            self.storage.leave_block()
            self.b.branch(self._behind)
            self._go_on_behind()
        else:
            super()._emit_instruction(instruction, variant)

    def _go_on_behind(self):
        self.b.position_at_end(self._behind)
        self.storage.enter_block(self.map.before[self.at + 1])

    def _spawn(self, target):
        self.safepoint()
        callee = self.unit.program.functions[target]
        args = self._pop_kept(len(callee.params))
        further = further_stack_words(self.unit.program.frame_words(target))
        task, record = self.new_task(self.unit.block_words, i64(further))
        self.prepare(task, target, args)
        self.write(task, ROOM, i64(further or FIRST_STACK_WORDS))
        self.get_ready(task)
        self.push(self.values.wrap(self, self.number(record), TASKS[callee.result]))

    def _pop_kept(self, count):
        return [self.pop() for _ in range(count)][::-1]

    @abstractmethod
    def prepare(self, task, target, args):
        """A new task, and what it begins with."""

    def place(self):
        return i64(self.site)
