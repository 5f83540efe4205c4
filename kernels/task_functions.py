"""Straight code in programs with tasks: what it has in common, however tasks are left and entered.

A task pays for a stack as it does in the interpreters, by the rules of the VM, whatever the machine
code keeps: each function is told how many words of it lie below.
"""

from abc import abstractmethod

from vmlab.isa import COROUTINES, TASKS, Flow
from vmlab.kernels.straight import (
    LARGE_PROGRAM,
    OPERATION_SIZE,
    ProgramEmitter,
    operations,
)
from vmlab.kernels.straight_function import FunctionEmitter
from vmlab.kernels.task_routines import (
    FIRST_ADDRESS,
    PASSED,
    ROOM,
    Descriptors,
    emit_grow,
    launch,
    operation,
)
from vmlab.kernels.values import I64, i64

# Operations are emitted where they stand in programs with so many instructions that need them;
# others call them.
INLINED_OPERATIONS = LARGE_PROGRAM // OPERATION_SIZE


class TaskProgramEmitter(ProgramEmitter):
    """Emits a module for a program with tasks."""

    OPERATION: type  # what emits an operation
    LINKAGE = (*ProgramEmitter.LINKAGE, I64)  # and the words of the VM's stack below the call

    def emitter(self, kind):
        """What emits in place of one of the classes that a module here has."""
        return kind

    @property
    @abstractmethod
    def block_words(self) -> int:
        """A descriptor, with what stands behind it."""

    def _begin(self):
        self.grow = emit_grow(self)
        self.calls_operations = operations(self.program) > INLINED_OPERATIONS


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
        entry = self.address_of(self.entry(target))
        if self.unit.calls_operations:
            words = [word for kept in args for word in self.values.parts(kept)]
            function = launch(self.unit, target, [word.type for word in words])
            way, number = self._operate(function, entry, *words)
            self._trap_unless_passed(way)
        else:
            number = self.launch(target, entry, args)
        self.push(self.values.wrap(self, number, TASKS[callee.result]))

    def _pop_kept(self, count):
        return [self.pop() for _ in range(count)][::-1]

    @abstractmethod
    def entry(self, target):
        """What a task begins with that runs this function."""

    def place(self):
        return i64(self.site)

    # Operations that are called

    def evaluate(self, variant, operands):
        if variant.opcode.group != COROUTINES or not self.unit.calls_operations:
            return super().evaluate(variant, operands)
        function = operation(self.unit, variant)
        if variant.opcode.flow is not Flow.SWITCH:
            way, *results = self._operate(function, *operands)
            self._trap_unless_passed(way)
            return tuple(results)
        b = self.b
        way, *results = self._operate(function, self.link(), *operands)
        passed, waits = b.append_basic_block("passed"), b.append_basic_block("waits")
        b.cbranch(b.icmp_unsigned("==", way, i64(PASSED)), passed, waits)
        b.position_at_end(waits)
        if variant.opcode.traps:
            self.leave_if(b.icmp_unsigned("<", way, i64(FIRST_ADDRESS)), self.stop_block(way))
        self.go_on(way)
        b.position_at_end(passed)
        return tuple(results)

    def _operate(self, function, *operands):
        arguments = [self.context, self.place(), *operands]
        reply = self.b.call(function, arguments, cconv="fastcc")
        return [self.b.extract_value(reply, i) for i in range(len(reply.type.elements))]

    def _trap_unless_passed(self, way):
        self.leave_if(self.b.icmp_unsigned("!=", way, i64(PASSED)), self.stop_block(way))

    # Of what can suspend

    def link(self):
        """What an operation needs to leave the running task."""
        raise NotImplementedError("only what can suspend leaves a task")

    def go_on(self, way):
        """The task waits: go on with what an operation has replied. The block ends here."""
        raise NotImplementedError("only what can suspend leaves a task")
