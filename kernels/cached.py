"""Operands whose topmost is in a register between instructions, in place of `HandlerEmitter`'s, all
of which are in memory (Ertl, "Stack caching for interpreters", PLDI 1995: one register, always
full).

The other operands stand in memory one slot higher than they would otherwise, so that sp is the
same. In the lowest slot is what the register held when there was no operand: nothing to be looked
at. A call puts all in memory, which takes a slot more.
"""

from vmlab.kernels.dispatch import CachedRegisters
from vmlab.kernels.interpreter import HandlerEmitter
from vmlab.kernels.values import to_word


class CachedEmitter(HandlerEmitter):
    """`held` are the topmost operands while a handler is emitted, those that are in registers."""

    REGISTERS = CachedRegisters
    SPARE_SLOTS = 1

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.held = [self.registers.top]

    def compute(self, variants):
        effect = variants[0].effect
        if effect.pushes and not effect.pops:
            # Stored at once, the register is free for what is pushed.
            super().push(self.held.pop())
        super().compute(variants)

    def pop(self):
        return self.held.pop() if self.held else super().pop()

    def push(self, kept):
        self.held.append(kept)

    def _settled(self):
        held, self.held = self.held, []
        if not held:
            held = [self.pop()]
        *others, top = held
        for kept in others:
            super().push(kept)
        return super()._settled()._replace(top=to_word(self.b, top))

    # Linkage

    def _halt(self):
        # Where main's first operand would be: there its result is looked for.
        self.store(self.registers.top, self.pointer("stack"), "frame")
        super()._halt()

    def _spill(self):
        self.store(self.registers.top, self.registers.sp, "frame")

    def _operands_end(self):
        return self.word(self.registers.sp, 1)

    def _left(self, first, result):
        if result is not None:
            return self.registers._replace(sp=first, top=to_word(self.b, result))
        below = self.word(first, -1)
        return self.registers._replace(sp=below, top=self.load(below, "frame"))
