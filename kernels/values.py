"""How a value is represented in a word of VM memory.

Raw: 64 bits without any mark of their type, which is what engines can afford that rely on the
verifier. An int is itself, a float its bits, an array the index of its length word in the heap:
index 0 is an array without elements, so that zeroed memory holds valid values of every type.
"""

from llvmlite import ir
from llvmlite.ir.instructions import InlineAsm

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
F64 = ir.DoubleType()
VOID = ir.VoidType()
WORDS = I64.as_pointer()


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
