"""Tasks that share one stack: at a switch, what the one has on it is copied out to memory of its
own, and what the other has there is copied in, as in greenlet, or libaco's shared stacks.

A task that waits looks as it does where each has a stack of its own: the descriptor's registers
point to its own memory, so that others can put values there. The running task's stack begins where
all do, and ends as far from there as its own memory is large. So what a call finds no room for, and
what tasks cost, is the same.
"""

from vmlab.kernels.dispatch import Registers
from vmlab.kernels.entry import copy_bytes
from vmlab.kernels.tasks import BASE, END, FP, PC, RP, SP, TaskHandlerEmitter

# While a task runs, its descriptor has no use for the registers' words; in one of them it keeps
# where its own memory begins.
OWN = PC


class CopyingEmitter(TaskHandlerEmitter):
    COPIES = True

    @classmethod
    def first_record(cls, m, values):
        first = super().first_record(m, values)
        m.store(m.get("saved"), m.word(m.pointer("blocks"), OWN), "task")
        return first

    def segment_of(self, task):
        own = self.read(task, OWN)
        size = self.b.sub(self.read(task, END), self.read(task, BASE))
        return own, self.b.add(own, size)

    def move_stack(self, current, base, end, segment):
        """It grows where it is: its records move to the new end."""
        b, rp = self.b, self.registers.rp
        self.free_segment(current)
        own, own_end = (self.address_of(address) for address in segment)
        new_end = b.add(base, b.sub(own_end, own))
        records = b.sub(end, self.address_of(rp))
        new_rp = b.sub(new_end, records)
        # It is twice as large at least, so they do not overlap.
        self._copy(new_rp, self.address_of(rp), records)
        self.write(current, OWN, own)
        self.write(current, END, new_end)
        return self.registers._replace(rp=self.words_at(new_rp))

    def suspend(self, task, registers):
        # What its instruction has popped goes along: what it waits for stands there.
        sp, rp = self.address_of(self.registers.sp), self.address_of(registers.rp)
        base, end = self.read(task, BASE), self.read(task, END)
        own, own_end = self.segment_of(task)
        self._copy(own, base, self.b.sub(sp, base))
        own_rp = self.b.sub(own_end, self.b.sub(end, rp))
        self._copy(own_rp, rp, self.b.sub(end, rp))
        self.write(task, BASE, own)
        self.write(task, END, own_end)
        super().suspend(task, self._moved(registers, self.b.sub(own, base), own_rp))

    def resume(self, task):
        b = self.b
        registers = Registers(*map(self.words_at, (self.read(task, r) for r in (PC, SP, FP, RP))))
        sp, rp = self.address_of(registers.sp), self.address_of(registers.rp)
        own, own_end = self.read(task, BASE), self.read(task, END)
        base = self.get("stack")
        end = b.add(base, b.sub(own_end, own))
        self._copy(base, own, b.sub(sp, own))
        new_rp = b.sub(end, b.sub(own_end, rp))
        self._copy(new_rp, rp, b.sub(own_end, rp))
        self.write(task, OWN, own)
        self.write(task, BASE, base)
        self.write(task, END, end)
        return self._moved(registers, b.sub(base, own), new_rp)

    def _moved(self, registers, distance, rp):
        """The registers where the operands are so far from here, and the records there."""
        sp, fp = (
            self.words_at(self.b.add(self.address_of(address), distance))
            for address in (registers.sp, registers.fp)
        )
        return registers._replace(sp=sp, fp=fp, rp=self.words_at(rp))

    def _copy(self, target, source, size):
        """Addresses, and bytes."""
        copy_bytes(self.b, self.words_at(target), self.words_at(source), size)
