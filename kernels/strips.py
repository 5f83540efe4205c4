"""What a counted loop does before and between strips.

Where control enters it, the counter's whole way is known: all its values lie between where it
stands and the bound. What the version without checks leaves out is proven for it.
"""

from vmlab.kernels.linear import Computed, Loaded, Term
from vmlab.kernels.loops import MAX_BOUND, SMALL, STRIP, UNCHECKED, Counted
from vmlab.kernels.semantics import SEMANTICS
from vmlab.kernels.values import I64, i64


class Strips:
    """Of one loop that `body` emits. `begin` is the block where control enters the loop, `ended`
    the one to which the version without checks goes at the end of each strip."""

    def __init__(self, body, loop):
        self._body = body
        self._loop = loop
        self._counted: Counted = loop.counted
        self._accesses = dict.fromkeys(loop.counted.accesses.values())
        self._forward = "<" if loop.counted.upward else ">"
        self._limit = None  # where the strip ends
        self.begin = body.b.append_basic_block("strips")
        self.ended = body.b.append_basic_block("strip.ended")

    def emit(self) -> None:
        body, loop, counted = self._body, self._loop, self._counted
        b = body.b
        strip, poll = b.append_basic_block("strip"), b.append_basic_block("poll")

        b.position_at_end(self.begin)
        body.at = loop.head
        first, bound = self._counter(), self._value(counted.bound)
        self._require(b.icmp_signed(self._forward, first, bound))
        longest = self._prove_sizes(first, bound)
        last = b.sub(bound, i64(1 if counted.upward else -1))
        for array, index in self._accesses:
            self._prove_access(array, index, first, last)
        b.branch(strip)

        b.position_at_end(strip)
        counter = self._counter()
        length = body.intrinsic("llvm.umin", self._distance(counter, bound), longest)
        self._limit = b.add(counter, length) if counted.upward else b.sub(counter, length)
        b.branch(body.blocks[loop.head, UNCHECKED])

        b.position_at_end(self.ended)
        behind = body.entrance(body.function.code[counted.branch].target)
        b.cbranch(b.icmp_unsigned("==", self._limit, bound), behind, poll)
        b.position_at_end(poll)
        body.at = loop.end
        body.safepoint()
        # A long step may have led beyond the bound; the version with checks leaves the loop.
        goes_on = b.icmp_signed(self._forward, self._counter(), bound)
        b.cbranch(goes_on, strip, body.blocks[loop.head, 0])

    def _distance(self, start, end):
        b = self._body.b
        return b.sub(end, start) if self._counted.upward else b.sub(start, end)

    def _prove_sizes(self, first, bound):
        """That the distance, the step and the slopes are small, and that the counter steps towards
        the bound and does not wrap around behind it. Returns the length of a strip."""
        b, counted = self._body.b, self._counted
        step = self._value(counted.step)
        pace = step if counted.upward else b.neg(step)
        sizes = self._distance(first, bound)
        if not isinstance(counted.step, int):
            sizes = b.or_(sizes, b.sub(pace, i64(1)))
        for _, index in self._accesses:
            if not isinstance(index.slope, int):
                sizes = b.or_(sizes, b.add(self._value(index.slope), i64(SMALL // 2)))
        self._require(b.icmp_unsigned("<", sizes, i64(SMALL)))
        if counted.step not in (1, -1):
            around_zero = b.add(bound, i64(MAX_BOUND))
            self._require(b.icmp_unsigned("<", around_zero, i64(2 * MAX_BOUND)))
        return b.mul(pace, i64(STRIP))

    def _prove_access(self, array, index, first, last):
        """That the index lies in the array, from the first to the last value of the counter."""
        b = self._body.b
        length = self._body.array_length(self._value(array))
        base, slope = self._value(index.base), self._value(index.slope)
        for counter in (first, last) if index.slope != 0 else (first,):
            at = b.add(base, b.mul(slope, counter))
            self._require(b.icmp_unsigned("<", at, length))

    def test(self, operands):
        """What the comparison at the loop's head gives in the version without checks: whether the
        counter is before the strip's end."""
        b, counted = self._body.b, self._counted
        # A step of 1 meets the end: so LLVM sees how many iterations there are.
        before = "!=" if counted.step in (1, -1) else self._forward
        goes_on = b.icmp_signed(before, operands[counted.counter_operand], self._limit)
        leaves_if_set = self._body.function.code[counted.branch].opcode.name == "jnz"
        return b.zext(b.not_(goes_on) if leaves_if_set else goes_on, I64)

    def passed(self):
        """Behind that comparison: tell LLVM what the loop's own test would have."""
        b, bound = self._body.b, self._counted.bound
        if isinstance(bound, int):
            b.assume(b.icmp_signed(self._forward, self._counter(), i64(bound)))

    def _require(self, condition):
        body = self._body
        body.leave_if(body.b.not_(condition), body.blocks[self._loop.head, 0])

    # Expressions

    def _value(self, term: Term):
        body = self._body
        match term:
            case int():
                return i64(term)
            case Loaded("load", slot):
                return self._local(slot)
            case Loaded("gload", index, type_):
                kept = body.values.load(body, body.address_of_global(index), "global")
                return body.values.unwrap(body, kept, type_)
            case Computed(variant, operands):
                return SEMANTICS[variant](body, *map(self._value, operands))

    def _counter(self):
        return self._local(self._counted.counter)

    def _local(self, slot):
        body = self._body
        type_ = body.function.slots[slot].type
        return body.values.unwrap(body, body.storage.get_local(slot), type_)
