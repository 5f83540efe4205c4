"""What generated code is made of: the context, memory by its kind, and rare ways out."""

from contextlib import contextmanager

from llvmlite import ir
from llvmlite.ir.instructions import ConditionalBranch, LoadInstr

from vmlab.kernels import entry
from vmlab.kernels.values import WORDS, i64


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


class Machine:
    """`b` is the builder, at the place where the next instruction goes; `context` points to the
    context's words."""

    def __init__(self, b: ir.IRBuilder, context: ir.Value):
        self.b = b
        self.context = context

    def load(self, pointer: ir.Value, kind: str) -> ir.Value:
        value = self.b.load(pointer)
        value.set_metadata("tbaa", memory_kind(self.b.module, kind))
        return value

    def store(self, value: ir.Value, pointer: ir.Value, kind: str) -> None:
        self.b.store(value, pointer).set_metadata("tbaa", memory_kind(self.b.module, kind))

    def word(self, words: ir.Value, index: int) -> ir.Value:
        """The address of a word at a fixed distance."""
        return self.b.gep(words, [i64(index)], inbounds=True)

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

    @contextmanager
    def each_word(self, first: ir.Value, end: ir.Value, step: int = 1):
        """Emit what follows for the address of every step-th word from `first` up to `end`."""
        b = self.b
        body, done = b.append_basic_block("each"), b.append_basic_block("done")
        here = b.block
        b.cbranch(b.icmp_unsigned("!=", first, end), body, done)
        b.position_at_end(body)
        address = b.phi(WORDS)
        address.add_incoming(first, here)
        yield address
        following = self.word(address, step)
        address.add_incoming(following, b.block)
        b.cbranch(b.icmp_unsigned("!=", following, end), body, done)
        b.position_at_end(done)

    def block_from(self, free: ir.Value, reuse, make) -> ir.Value:
        """Memory that was free, or new memory. `free` is the address of the first of a list, or 0;
        `reuse(block)` takes it off the list, `make()` gives a new one."""
        b = self.b
        reused, fresh, done = (b.append_basic_block(n) for n in ("reused", "fresh", "allocated"))
        b.cbranch(b.icmp_unsigned("!=", free, i64(0)), reused, fresh)
        b.position_at_end(reused)
        old = b.inttoptr(free, WORDS)
        reuse(old)
        b.branch(done)
        b.position_at_end(fresh)
        new = make()
        made = b.block
        b.branch(done)
        b.position_at_end(done)
        block = b.phi(WORDS)
        block.add_incoming(old, reused)
        block.add_incoming(new, made)
        return block

    # Control

    def leave_if(self, condition: ir.Value, block: ir.Block) -> ConditionalBranch:
        """Go to a block that is hardly ever reached, or on."""
        passed = self.b.append_basic_block()
        branch = self.b.cbranch(condition, block, passed)
        branch.set_weights([1, 1 << 20])
        self.b.position_at_end(passed)
        return branch

    @contextmanager
    def unlikely(self, condition: ir.Value):
        """Emit what follows in a block of its own, which must end itself."""
        block = self.b.append_basic_block("unlikely")
        self.leave_if(condition, block)
        passed = self.b.block
        self.b.position_at_end(block)
        yield
        self.b.position_at_end(passed)
