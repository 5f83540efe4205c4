"""Interpreters whose instructions rewrite themselves in the code.

An instruction with checked operands starts generic: it tests each operand for each type that it
knows. Executed, it replaces its opcode by that of the typed form for what it found, which makes one
test for all operands at once and does the work; where that test fails, the typed form puts the
generic opcode back and begins again. So it is never wrong, only slow, if types change under it. A
late name is looked up once and replaced by what it means. That needs no test: globals and functions
stay where they are.

S. Brunthaler, "Efficient interpretation using quickening", DLS 2010; the specialising adaptive
interpreter of CPython (PEP 659), which waits some executions before it quickens.
"""

from functools import reduce

from vmlab.isa import WORD_BYTES
from vmlab.kernels.dispatch import Registers
from vmlab.kernels.encoding import bound_form, typed_form
from vmlab.kernels.interpreter import HandlerEmitter
from vmlab.kernels.values import I64, TAG, WORDS, i64, keep_apart


class QuickeningEmitter(HandlerEmitter):
    """Emits one handler: one that quickens, what it quickens to, or one that does neither. What a
    program has quickened stays so from one call to the next: its code is its own."""

    QUICKENED = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.late = self.late and not self.handler.bound

    def emit_instruction(self, counting):
        if not self.handler.generic:
            return super().emit_instruction(counting)
        # The test comes before anything counts: an instruction that begins again has not begun.
        self._test_types()
        return self._or_again(super().emit_instruction(counting))

    def _test_types(self):
        b = self.b
        [variant] = self.handler.variants
        self._popped = self.pop_operands(variant)
        differences = [
            b.xor(self.values.tag(self, kept), i64(TAG[type_]))
            for type_, kept in zip(variant.effect.pops, self._popped, strict=True)
        ]
        self._others = b.append_basic_block("others")
        differ = b.icmp_unsigned("!=", reduce(b.or_, differences), i64(0))
        branch = self.leave_if(differ, self._others)
        # Otherwise LLVM would make a test and a branch of each operand, all being foreseeable.
        branch.set_metadata("unpredictable", b.module.add_metadata([]))

    def compute(self, variants):
        if self.handler.generic:
            self.apply(variants[0], self._popped)
        else:
            super().compute(variants)

    def types_found(self, variant):
        if typed_form(variant) in self.instructions.handlers:
            self._become(typed_form(variant))

    def _or_again(self, after):
        """Where the test has failed, put the generic opcode back and stay at this instruction.
        Both ways meet before the one dispatch."""
        b = self.b
        here, joined = b.block, b.append_basic_block("joined")
        b.branch(joined)
        b.position_at_end(self._others)
        self._become(self.handler.generic)
        keep_apart(b)
        b.branch(joined)
        b.position_at_end(joined)
        registers = []
        for following, current in zip(after, self.registers, strict=True):
            register = b.phi(WORDS)
            register.add_incoming(following, here)
            register.add_incoming(current, self._others)
            registers.append(register)
        return Registers(*registers)

    def look_up_global(self, name):
        place = super().look_up_global(name)
        self._bind(place)
        return place

    def look_up_function(self, name):
        b = self.b
        target = super().look_up_function(name)
        distance = b.sub(b.ptrtoint(target, I64), b.ptrtoint(self.registers.pc, I64))
        self._bind(b.sdiv(distance, i64(WORD_BYTES), flags=["exact"]))
        return target

    def _bind(self, meaning):
        """Put what the name means in its place, as where names are bound."""
        self.store(meaning, self._word_address(i64(1)), "code")
        self._become(bound_form(self.handler.opcode))

    def _become(self, name):
        self.store(self.dispatch.word(name), self.registers.pc, "code")
