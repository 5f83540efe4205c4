"""What a semantics function sees of the engine it is composed into: an IR builder, the context,
traps, the heap and the output. Compositions add operands, locals and control flow."""

from abc import ABC, abstractmethod
from contextlib import contextmanager

from llvmlite import ir
from llvmlite.ir.instructions import LoadInstr

from vmlab.isa import Trap, Variant
from vmlab.kernels import entry
from vmlab.kernels.semantics import SEMANTICS
from vmlab.kernels.values import F64, I1, I64, VOID, WORDS, i64, to_word


class _VolatileLoad(LoadInstr):
    def descr(self, buf):
        [pointer] = self.operands
        buf.append(f"load volatile {self.type}, {pointer.type} {pointer.get_reference()}\n")


def memory_kind(module: ir.Module, kind: str):
    """A TBAA tag: accesses of different kinds never touch the same word."""
    # Kept in the module: metadata refers to its module, which a table elsewhere would keep alive.
    kinds = vars(module).setdefault("memory_kinds", {})
    if kind not in kinds:
        root = module.add_metadata(["vmlab"])
        node = module.add_metadata([kind, root, i64(0)])
        kinds[kind] = module.add_metadata([node, node, i64(0)])
    return kinds[kind]


class Emitter(ABC):
    """`b` is the builder, at the place where the instruction goes; `context` points to the
    context's words, `heap` to those of the arrays."""

    def __init__(self, b: ir.IRBuilder, context: ir.Value, heap: ir.Value):
        self.b = b
        self.context = context
        self.heap = heap

    # Memory

    def load(self, pointer: ir.Value, kind: str) -> ir.Value:
        value = self.b.load(pointer)
        value.set_metadata("tbaa", memory_kind(self.b.module, kind))
        return value

    def store(self, value: ir.Value, pointer: ir.Value, kind: str) -> None:
        self.b.store(value, pointer).set_metadata("tbaa", memory_kind(self.b.module, kind))

    def field(self, name: str) -> ir.Value:
        return entry.field(self.b, self.context, name)

    def get(self, name: str) -> ir.Value:
        return self.load(self.field(name), "context")

    def get_shared(self, name: str) -> ir.Value:
        """A field that other threads write: read anew each time, wherever it stands."""
        load = _VolatileLoad(self.b.block, self.field(name))
        self.b._insert(load)
        return load

    def put(self, name: str, value: ir.Value) -> None:
        self.store(value, self.field(name), "context")

    def pointer(self, name: str) -> ir.Value:
        return self.b.inttoptr(self.get(name), WORDS)

    def intrinsic(self, name: str, *args: ir.Value) -> ir.Value:
        """Call an LLVM intrinsic that is overloaded on its first argument's type."""
        kind = args[0].type
        signature = ir.FunctionType(kind, [a.type for a in args])
        return self.b.call(self.b.module.declare_intrinsic(name, [kind], signature), args)

    # Instructions

    @abstractmethod
    def pop(self, type_: str) -> ir.Value:
        """Take the top operand, as a value of this VM type or, for a letter, as it is kept."""

    @abstractmethod
    def push(self, value: ir.Value) -> None:
        """Put a value on top of the operands."""

    def compute(self, variant: Variant) -> None:
        """Everything but calls and returns: pop, do what the semantics say, push."""
        pops = [self.pop(type_) for type_ in reversed(variant.effect.pops)]
        pushes = SEMANTICS[variant.name](self, *reversed(pops))
        if pushes is not None:
            for value in pushes if isinstance(pushes, tuple) else (pushes,):
                self.push(value)

    # Traps

    @abstractmethod
    def trap_block(self, trap: Trap) -> ir.Block:
        """Where to go from the current block for the current instruction to trap."""

    def trap_if(self, condition: ir.Value, trap: Trap) -> None:
        self.leave_if(condition, self.trap_block(trap))

    def leave_if(self, condition: ir.Value, block: ir.Block) -> None:
        """Go to a block that is hardly ever reached, or on."""
        passed = self.b.append_basic_block()
        self.b.cbranch(condition, block, passed).set_weights([1, 1 << 20])
        self.b.position_at_end(passed)

    @contextmanager
    def unlikely(self, condition: ir.Value):
        """Emit what follows in a block of its own, which must end itself."""
        block = self.b.append_basic_block("unlikely")
        self.leave_if(condition, block)
        passed = self.b.block
        self.b.position_at_end(block)
        yield
        self.b.position_at_end(passed)

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
        outside = self.b.icmp_unsigned(">=", index, self.array_length(array))
        self.trap_if(outside, Trap.INDEX_OUT_OF_RANGE)
        first = self.b.gep(self.heap, [self.b.add(array, i64(1))], inbounds=True)
        element = self.b.gep(first, [index], inbounds=True)
        return self.b.bitcast(element, type_.as_pointer())

    def array_new(self, length: ir.Value) -> ir.Value:
        b = self.b
        self.trap_if(b.icmp_signed("<", length, i64(0)), Trap.NEGATIVE_LENGTH)
        used = self.get("heap_used")
        room = b.sub(self.get("heap_limit"), used)
        self.trap_if(b.icmp_signed(">=", length, room), Trap.OUT_OF_MEMORY)
        self.put("heap_used", b.add(b.add(used, length), i64(1)))
        # Word 0 of the heap is the array without elements, and belongs to nobody's account.
        array = b.add(used, i64(1))
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
