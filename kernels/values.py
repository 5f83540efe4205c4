"""How a value is represented in memory.

Raw: 64 bits without any mark of their type, which is what engines can afford that rely on the
verifier. An int is itself, a float its bits, an array the index of its length word in the heap:
index 0 is an array without elements, so that zeroed memory holds valid values of every type.

Tagged: the raw word, and a word before it that says its type.

Boxed: the address of a cell that holds a count of the references to it, the tag and the raw word.
A cell without references goes back to a list of free ones. Every slot owns a reference; a push
makes one more or takes over that of a popped operand.

What an engine keeps in a slot is called *kept* here: an LLVM value, for `Tagged` a pair of them.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir
from llvmlite.ir.instructions import InlineAsm

from vmlab.isa import WORD_BYTES, Type

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
F64 = ir.DoubleType()
VOID = ir.VoidType()
WORDS = I64.as_pointer()

# No tag is 0, so that memory that nobody has written holds no value.
TAG: dict[str, int] = {type_: tag for tag, type_ in enumerate(Type, 1)}

# The words of a cell. In a free one the next free cell's address stands in place of the value.
COUNT, CELL_TAG, VALUE = range(3)
CELL_WORDS = 3

# The count of a cell that no program can make free: constants, and what a run starts with.
IMMORTAL = 1 << 62


def i64(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


def llvm_type(type_: str) -> ir.Type:
    """The LLVM type of a value of a VM type (or of an untyped word) outside of memory."""
    return F64 if type_ == "float" else I64


def from_word(builder: ir.IRBuilder, word: ir.Value, type_: str) -> ir.Value:
    return builder.bitcast(word, llvm_type(type_))


def to_word(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    return builder.bitcast(value, I64)


def keep_apart(b: ir.IRBuilder, comment: str = "") -> None:
    """An assembler line that makes no instruction, but that LLVM must not copy, nor merge with one
    of another comment: it keeps a block what it is."""
    line = InlineAsm(ir.FunctionType(VOID, []), f"# {comment}", "", side_effect=True)
    b.call(line, [], attrs=("convergent",))


@dataclass(frozen=True)
class Pair:
    """A kept value of `Tagged`."""

    tag: ir.Value
    word: ir.Value


@dataclass(frozen=True)
class Raw:
    """Methods take the `Machine` that emits.

    words       words of a slot
    parts_each  LLVM values of a kept value
    checked     whether each instruction finds out the types of its operands when it runs
    typed       whether a value in memory says its type
    counted     whether references to values are counted
    """

    words = 1
    parts_each = 1
    checked = typed = counted = False

    def parts(self, kept):
        """The LLVM values that a kept value is made of."""
        return (kept,)

    def whole(self, kept):
        """The kept value that is made of these."""
        return kept

    def load(self, m, address, kind):
        """The kept value in a slot."""
        return m.load(address, kind)

    def store(self, m, kept, address, kind) -> None:
        m.store(to_word(m.b, kept), address, kind)

    def unwrap(self, m, kept, type_):
        """The value, as LLVM has those of this VM type."""
        return from_word(m.b, kept, type_)

    def wrap(self, m, value, type_):
        """A value of this VM type, or with this tag, as it is kept."""
        return value

    def retain(self, m, kept) -> None:
        """Count one more reference."""

    def release(self, m, kept) -> None:
        """Count one reference less."""

    def take_result(self, m, address) -> None:
        """Put the result of `main`, in this slot, where Python finds it."""
        kept = self.load(m, address, "frame")
        m.put("result", self.unwrap(m, kept, "int"))
        self.release(m, kept)

    def begin_run(self, m) -> None:
        """Before `main`."""

    def end_run(self, m) -> None:
        """After `main` has returned without a trap."""


@dataclass(frozen=True)
class Tagged(Raw):
    words = parts_each = 2
    checked = typed = True

    def parts(self, kept):
        return kept.tag, kept.word

    def whole(self, tag, word):
        return Pair(tag, word)

    def load(self, m, address, kind):
        return Pair(m.load(address, kind), m.load(m.word(address, 1), kind))

    def store(self, m, kept, address, kind):
        m.store(kept.tag, address, kind)
        m.store(kept.word, m.word(address, 1), kind)

    def unwrap(self, m, kept, type_):
        return from_word(m.b, kept.word, type_)

    def wrap(self, m, value, type_):
        return Pair(_tag(type_), to_word(m.b, value))

    def tag(self, m, kept):
        return kept.tag


@dataclass(frozen=True)
class Boxed(Raw):
    """`checked` is open: without it, the cells are there, but nobody looks at their tags."""

    checked: bool = True
    typed = counted = True

    def load(self, m, address, kind):
        return m.b.inttoptr(m.load(address, kind), WORDS)

    def store(self, m, kept, address, kind):
        m.store(m.b.ptrtoint(kept, I64), address, kind)

    def unwrap(self, m, kept, type_):
        return from_word(m.b, m.load(m.word(kept, VALUE), "cell"), type_)

    def wrap(self, m, value, type_):
        cell = self._allocate(m)
        m.store(i64(1), m.word(cell, COUNT), "cell")
        m.store(_tag(type_), m.word(cell, CELL_TAG), "cell")
        m.store(to_word(m.b, value), m.word(cell, VALUE), "cell")
        return cell

    def _allocate(self, m):
        """The first free cell, or else the first that was never used. There is always one: each
        cell in use is referred to by a slot, and the region has a cell a slot."""

        def reuse(cell):
            m.put("free_cell", m.load(m.word(cell, VALUE), "cell"))

        def make():
            used = m.get("fresh_cell")
            m.put("fresh_cell", m.b.add(used, i64(WORD_BYTES * CELL_WORDS)))
            return m.b.inttoptr(used, WORDS)

        return m.block_from(m.get("free_cell"), reuse, make)

    def tag(self, m, kept):
        return m.load(m.word(kept, CELL_TAG), "cell")

    def retain(self, m, kept):
        count = m.word(kept, COUNT)
        m.store(m.b.add(m.load(count, "cell"), i64(1)), count, "cell")

    def release(self, m, kept):
        b = m.b
        place = m.word(kept, COUNT)
        count = b.sub(m.load(place, "cell"), i64(1))
        m.store(count, place, "cell")
        unused, done = b.append_basic_block("unused"), b.append_basic_block("released")
        b.cbranch(b.icmp_unsigned("==", count, i64(0)), unused, done)
        b.position_at_end(unused)
        m.store(m.get("free_cell"), m.word(kept, VALUE), "cell")
        m.put("free_cell", b.ptrtoint(kept, I64))
        b.branch(done)
        b.position_at_end(done)

    def begin_run(self, m):
        # Also after a trap, which leaves its operands where they are.
        m.put("free_cell", i64(0))
        m.put("fresh_cell", m.get("cells"))
        with self._each_global(m) as cell:
            self.retain(m, cell)

    def end_run(self, m):
        with self._each_global(m) as cell:
            self.release(m, cell)

    @contextmanager
    def _each_global(self, m):
        first = m.pointer("globals")
        end = m.b.gep(first, [m.get("globals_words")])
        with m.each_word(first, end) as address:
            yield self.load(m, address, "global")


RAW, TAGGED, BOXED, CELLS = Raw(), Tagged(), Boxed(), Boxed(checked=False)


def _tag(type_):
    return i64(TAG[type_]) if isinstance(type_, str) else type_
