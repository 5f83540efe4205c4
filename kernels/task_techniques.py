"""The techniques of interpreters in programs with tasks."""

from vmlab.isa import Flow
from vmlab.kernels.cached import CachedEmitter
from vmlab.kernels.dispatch import CachedRegisters
from vmlab.kernels.interpreter import HandlerEmitter
from vmlab.kernels.quickening import QuickeningEmitter
from vmlab.kernels.register_machine import OperationEmitter, RegisterExecutable
from vmlab.kernels.registers import WINDOWED
from vmlab.kernels.super_machine import SuperEmitter, SuperExecutable
from vmlab.kernels.task_interpreter import InterpretedTasks
from vmlab.kernels.tasks import TaskHandlerEmitter
from vmlab.kernels.values import i64


class TaskQuickeningEmitter(TaskHandlerEmitter, QuickeningEmitter):
    """An instruction that waits has quickened before."""


class TaskCachedEmitter(TaskHandlerEmitter, CachedEmitter):
    """A frame record is one word: the distance to the caller's frame is what the register holds
    when there is no operand, so that it stands in the frame's lowest slot for operands, which is
    one more than otherwise. So a stack takes as many words as without the register, and grows at
    the same calls. While a task waits, the register is empty. (Where a task's first frame ends
    without a result, the register gets what stands before the stack, and nobody looks at it.)"""

    RECORD_WORDS = 1

    # The distance

    @staticmethod
    def keep_distance(m, record, distance):
        pass

    def _call(self):
        after = super()._call()
        distance = self.b.sub(self.address_of(after.fp), self.address_of(self.registers.fp))
        return after._replace(top=distance)

    def _no_operands(self, top):
        self.store(i64(0), top, "frame")
        return self.word(top, 1)

    def _distance(self):
        # Nothing is left of the operands but a result.
        if self.handler.has_value:
            return self.load(self.word(self.registers.sp, -1), "frame")
        return self.registers.top

    # The register

    def _callees_operands(self, sp):
        top, end = super()._callees_operands(sp)
        return top, self.word(end, self.SPARE_SLOTS)

    def _returned(self):
        return self.registers.top

    def leave(self, awaited=None, sent=None):
        # The emitter goes on where the task need not wait.
        held, height = self.held, self.height
        for kept in held:
            super(CachedEmitter, self).push(kept)
        super().leave(awaited, sent)
        self.held, self.height = held, height

    def resume(self, task):
        pc, end, fp, rp = super().resume(task)
        sp = self.word(end, -1)
        return CachedRegisters(pc, sp, fp, rp, self.load(sp, "frame"))


class TaskSuperExecutable(InterpretedTasks, SuperExecutable):
    def __init__(self, engine, dispatch, program, counting):
        super().__init__(engine, dispatch, program, counting, TaskSuperEmitter)


class TaskSuperEmitter(TaskHandlerEmitter, SuperEmitter):
    """An instruction that may let other tasks go on is the last of its sequence."""


class TaskRegisterExecutable(InterpretedTasks, RegisterExecutable):
    def __init__(self, engine, dispatch, program, counting):
        super().__init__(engine, dispatch, program, counting, TaskOperationEmitter)


class TaskOperationEmitter(TaskHandlerEmitter, OperationEmitter):
    """What goes elsewhere has a stack pointer in place of the accumulator, and its operands in
    memory. A frame takes as many words as the VM's own, so a stack grows at the same calls."""

    def execute(self, flow):
        if flow in WINDOWED:
            self.registers = self.registers._replace(sp=self._register(self.handler.window))
        if flow is Flow.SWITCH:
            self.compute(self.handler.variants)
            return self.registers._replace(pc=self.next_pc)
        return super().execute(flow)

    def pop(self):
        parent = HandlerEmitter if self.handler.flow is Flow.SWITCH else OperationEmitter
        return parent.pop(self)

    def push(self, kept):
        parent = HandlerEmitter if self.handler.flow is Flow.SWITCH else OperationEmitter
        parent.push(self, kept)

    def _counted(self):
        return self._word(self.instructions.handlers["call"].words)
