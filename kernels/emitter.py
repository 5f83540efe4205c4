"""What a semantics function sees of the engine it is composed into: an IR builder, the context,
traps, variables, the heap and the output; and how an instruction is made of the semantics.
Compositions add where operands and locals are, and control flow."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from llvmlite import ir

from vmlab.isa import LETTERS, Trap, Variant
from vmlab.kernels.context import TYPE_FAULT
from vmlab.kernels.machine import Machine
from vmlab.kernels.semantics import SEMANTICS
from vmlab.kernels.values import F64, I1, I64, TAG, VOID, WORDS, i64, keep_apart, to_word


class Emitter(Machine, ABC):
    """`heap` points to the words of the arrays; `values` says how values are kept."""

    def __init__(self, b, context, heap, values):
        super().__init__(b, context)
        self.heap = heap
        self.values = values

    # Instructions

    @abstractmethod
    def pop(self) -> ir.Value:
        """Take the top operand, as it is kept."""

    @abstractmethod
    def push(self, kept: ir.Value) -> None:
        """Put a kept value on top of the operands."""

    def compute(self, variants: Sequence[Variant]) -> None:
        """Everything but calls and returns: pop, do what the semantics of one of the variants say,
        push. Where there are several, the operands' types decide."""
        popped = self.pop_operands(variants[0])
        if not self.values.checked:
            [variant] = variants
            self.apply(variant, popped)
            return
        if len(variants) == 1:
            self._check_types(variants[0].effect.pops, popped, None)
            self.types_found(variants[0])
            self.apply(variants[0], popped)
            return
        done = self.b.append_basic_block("done")
        height = self.height
        for variant in variants:
            other = None if variant is variants[-1] else self.b.append_basic_block("other")
            self._check_types(variant.effect.pops, popped, other)
            self.height = height
            self.types_found(variant)
            self.apply(variant, popped)
            # LLVM would join the pushes of both types, and move ints through float registers.
            keep_apart(self.b, variant.name)
            self.b.branch(done)
            self.b.position_at_end(other or done)

    def pop_operands(self, variant: Variant) -> list:
        """The operands of an instruction as they are kept, the top last."""
        return [self.pop() for _ in variant.effect.pops][::-1]

    def types_found(self, variant: Variant) -> None:
        """Called where the checks have found the operands of this variant."""
        return

    def _check_types(self, types, popped, other):
        """Go to `other` from the first operand that is of another type; end the run if there is no
        other."""
        for number, (type_, kept) in enumerate(zip(types, popped, strict=True)):
            if type_ in TAG:
                wrong = self.b.icmp_unsigned("!=", self.values.tag(self, kept), i64(TAG[type_]))
                if other is None:
                    self.leave_if(wrong, self.stop_block(TYPE_FAULT))
                else:
                    passed = self.b.append_basic_block("passed")
                    self.b.cbranch(wrong, other, passed)
                    self.b.position_at_end(passed)
                # LLVM would join the checks of two operands to one.
                keep_apart(self.b, f"operand {number} is {type_}")

    def apply(self, variant: Variant, popped: list) -> None:
        """Do what the semantics of a variant say with operands of its types, and push."""
        types = variant.effect.pops
        operands = [
            self.values.unwrap(self, kept, type_) if type_ in TAG else kept
            for type_, kept in zip(types, popped, strict=True)
        ]
        self._count_references(variant.effect, popped)
        results = self.evaluate(variant, operands)
        if not isinstance(results, tuple):
            results = () if results is None else (results,)
        for type_, value in zip(variant.effect.pushes, results, strict=True):
            if type_ in ("T[]", "chan[T]"):
                value = self.values.wrap(self, value, self.array_tag())
            elif type_ in TAG:
                value = self.values.wrap(self, value, type_)
            self.push(value)

    def evaluate(self, variant: Variant, operands: Sequence[ir.Value]):
        """What the semantics make of the operands."""
        return SEMANTICS[variant.name](self, *operands)

    def _count_references(self, effect, popped):
        """A popped operand of a certain type is used up. Of one of any type, such as `dup` has,
        there may be more or fewer afterwards; one that moves to or from a slot is not looked at
        here."""
        for type_, kept in zip(effect.pops, popped, strict=True):
            if type_ in TAG:
                self.values.release(self, kept)
            elif type_ in LETTERS:
                more = effect.pushes.count(type_) - 1
                for _ in range(more):
                    self.values.retain(self, kept)
                if more < 0:
                    self.values.release(self, kept)

    # Locals and globals

    @abstractmethod
    def read_local(self) -> ir.Value:
        """What the local that the operand names holds, as it is kept."""

    @abstractmethod
    def write_local(self, kept: ir.Value) -> None:
        """Put a kept value there."""

    @abstractmethod
    def global_address(self) -> ir.Value:
        """Where the global that the operand names is kept."""

    def get_local(self) -> ir.Value:
        kept = self.read_local()
        self.values.retain(self, kept)
        return kept

    def set_local(self, kept: ir.Value) -> None:
        before = self.read_local() if self.values.counted else None
        self.write_local(kept)
        self._drop(before)

    def get_global(self) -> ir.Value:
        kept = self.values.load(self, self.global_address(), "global")
        self.values.retain(self, kept)
        return kept

    def set_global(self, kept: ir.Value) -> None:
        address = self.global_address()
        before = self.values.load(self, address, "global") if self.values.counted else None
        self.values.store(self, kept, address, "global")
        self.global_stored(kept, address)
        self._drop(before)

    def global_stored(self, kept: ir.Value, address: ir.Value) -> None:
        """Called where a global has got this value."""
        return

    def _drop(self, before):
        if before is not None:
            self.values.release(self, before)

    # Traps

    @abstractmethod
    def stop_block(self, code: int) -> ir.Block:
        """Where to go from the current block to end the run at the current instruction, with the
        code of a trap or of a fault."""

    def trap_if(self, condition: ir.Value, trap: Trap) -> None:
        self.leave_if(condition, self.stop_block(trap.code))

    def refusal(self) -> ir.Value:
        """The code of the trap where a call finds no room: stopping lowers the limits."""
        stopped = self.b.icmp_signed("!=", self.get_shared("stop"), i64(0))
        codes = i64(Trap.INTERRUPTED.code), i64(Trap.CALL_DEPTH_EXCEEDED.code)
        return self.b.select(stopped, *codes)

    def safepoint(self) -> None:
        """Where the program can be stopped from outside: every loop passes one."""
        stopped = self.b.icmp_signed("!=", self.get_shared("stop"), i64(0))
        self.trap_if(stopped, Trap.INTERRUPTED)

    # Arrays

    def array_length(self, array: ir.Value) -> ir.Value:
        return self.load(self.b.gep(self.heap, [array], inbounds=True), "length")

    def array_element(self, array: ir.Value, index: ir.Value, type_: ir.Type) -> ir.Value:
        """The address of an element, after the check that there is one."""
        self.check_index(array, index)
        first = self.b.gep(self.heap, [self.b.add(array, i64(1))], inbounds=True)
        element = self.b.gep(first, [index], inbounds=True)
        return self.b.bitcast(element, type_.as_pointer())

    def check_index(self, array: ir.Value, index: ir.Value) -> None:
        outside = self.b.icmp_unsigned(">=", index, self.array_length(array))
        self.trap_if(outside, Trap.INDEX_OUT_OF_RANGE)

    def heap_room(self, used: ir.Value) -> ir.Value:
        """The words that may still be taken, beside those that arrays have used."""
        return self.b.sub(self.get("heap_limit"), used)

    def array_new(self, length: ir.Value) -> ir.Value:
        b = self.b
        self.trap_if(b.icmp_signed("<", length, i64(0)), Trap.NEGATIVE_LENGTH)
        # Word 0 of the heap is the array without elements, and belongs to nobody's account.
        array = b.add(self.take_heap(length), i64(1))
        header = b.gep(self.heap, [array], inbounds=True)
        self.store(length, header, "length")
        clear = b.module.declare_intrinsic(
            "llvm.memset", [WORDS, I64], ir.FunctionType(VOID, [WORDS, ir.IntType(8), I64, I1])
        )
        first = b.gep(header, [i64(1)], inbounds=True)
        b.call(
            clear,
            [first, ir.Constant(ir.IntType(8), 0), b.shl(length, i64(3)), ir.Constant(I1, 0)],
        )
        return array

    def take_heap(self, length: ir.Value) -> ir.Value:
        """Room for an array of so many elements; the words in use before."""
        b = self.b
        used = self.get("heap_used")
        room = self.heap_room(used)
        self.trap_if(b.icmp_signed(">=", length, room), Trap.OUT_OF_MEMORY)
        self.put("heap_used", b.add(b.add(used, length), i64(1)))
        return used

    # Output

    def put_out(self, value: ir.Value) -> None:
        b = self.b
        used = self.get("output_used")
        self.trap_if(
            b.icmp_unsigned(">=", used, self.get("output_limit")), Trap.OUTPUT_LIMIT_EXCEEDED
        )
        pair = b.gep(self.pointer("output"), [b.shl(used, i64(1))], inbounds=True)
        self.store(i64(int(value.type == F64)), pair, "output")
        self.store(to_word(b, value), b.gep(pair, [i64(1)], inbounds=True), "output")
        # Released, so that a thread that watches never sees a count without its values.
        b.store_atomic(b.add(used, i64(1)), self.field("output_used"), "release", 8)
