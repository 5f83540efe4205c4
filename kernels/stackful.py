"""The stackful switch: from one machine stack to another.

`module` has it as an ordinary function, for every architecture. It stands beside the switch of the
native scheduler, whose tasks have no stacks of their own, to show what a switch keeps that may
happen anywhere in a call. `exchange` is what the part `stackful` of an engine runs, in the middle
of functions, on x86-64.

The function is one of the C convention that exchanges the stack pointer in its middle, and
says that it overwrites all registers which the convention makes a function keep. So LLVM saves them
on the one stack and restores them from the other, on every architecture, and returns to where the
other was left. (A return to another place than that of the last call is foreseen wrongly by the
CPU; switches written by hand therefore jump, and so does `exchange`.) Control words of floating
point stay as they are.
"""

from llvmlite import ir
from llvmlite.ir.instructions import InlineAsm

from vmlab.engines import EngineUnavailable
from vmlab.kernels import cross
from vmlab.kernels.values import I64, WORDS

SYMBOL = "stackful.switch"


def _numbered(prefix: str, first: int, last: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(first, last + 1)]


# The stack pointer, and the registers that a call preserves, by the conventions: System V for
# x86-64, AAPCS64, ELFv2 for ppc64le, and RISC-V's with floats in registers; with the return address
# where that is a register.
_REGISTERS = {
    "x86-64": ("rsp", ["rbx", "rbp", *_numbered("r", 12, 15)]),
    "aarch64": ("sp", [*_numbered("x", 19, 28), "fp", "lr", *_numbered("d", 8, 15)]),
    "ppc64le": (
        "r1",
        [*_numbered("r", 14, 31), *_numbered("f", 14, 31), *_numbered("v", 20, 31),
         "cr2", "cr3", "cr4", "lr"],
    ),
    "riscv64": (
        "sp",
        ["x1", "x8", "x9", *_numbered("x", 18, 27), "f8", "f9", *_numbered("f", 18, 27)],
    ),
}  # fmt: skip


def module(architecture: str) -> str:
    """LLVM IR of `i64 stackful.switch(i64 *left, i64 *entered, i64 value)`. It leaves the running
    stack, noting its pointer in `left`, enters the one whose pointer is in `entered`, and returns
    `value` there. Raises `cross.Unsupported`.

    It is weak, so that LLVM draws no conclusions from the body: that a caller gets back the very
    value that it passed, for one."""
    pointer, kept = _REGISTERS[cross.base(architecture)]
    machine = cross.target_machine(architecture)
    clobbers = ",".join(f"~{{{register}}}" for register in [*kept, "memory"])
    return f"""\
target triple = "{machine.triple}"
target datalayout = "{machine.target_data}"
declare i64 @llvm.read_register.i64(metadata)
declare void @llvm.write_register.i64(metadata, i64)
define weak i64 @{SYMBOL}(ptr %left, ptr %entered, i64 %value) noinline nounwind noredzone {{
  %there = load i64, ptr %entered
  %here = call i64 @llvm.read_register.i64(metadata !0)
  store i64 %here, ptr %left
  call void @llvm.write_register.i64(metadata !0, i64 %there)
  call void asm sideeffect "", "{clobbers}"()
  ret i64 %value
}}
!0 = !{{!"{pointer}"}}
"""


# What a stack that was left has on top: the address to go on at, and the frame pointer, which LLVM
# may be using and must not be told to do without. The context stays in `rdi`, so that a function
# can begin here too.
_EXCHANGE = "; ".join(
    (
        "pushq %rbp",
        "leaq 1f(%rip), %rax",
        "pushq %rax",
        "movq %rsp, (%rsi)",
        "movq (%rdx), %rsp",
        "popq %rax",
        "jmpq *%rax",
        "1: popq %rbp",
    )
)
# All other registers that LLVM keeps values in: it saves those of them that are alive.
_OVERWRITTEN = (
    *("rax", "rbx", "rcx", *_numbered("r", 8, 31)),
    *(*_numbered("xmm", 0, 31), *_numbered("k", 0, 7)),
    *("memory", "flags", "dirflag", "fpsr"),
)
_OPERANDS = ",".join(
    ("={rsi}", "={rdx}", "{rdi}", "0", "1", *(f"~{{{register}}}" for register in _OVERWRITTEN))
)


def require_exchange() -> None:
    """Raises `EngineUnavailable` where `exchange` does not run."""
    try:
        machine = cross.base(cross.HOST)
    except cross.Unsupported as reason:
        raise EngineUnavailable(f"machine stacks are exchanged on x86-64 only: {reason}") from None
    if machine != "x86-64":
        raise EngineUnavailable(f"machine stacks are exchanged on x86-64 only; this is {machine}")


def exchange(b: ir.IRBuilder, context: ir.Value, left: ir.Value, entered: ir.Value) -> None:
    """Leave the running stack, noting its pointer in the word `left`, and enter the one whose
    pointer is in the word `entered`. The builder goes on where this stack is entered again. The
    function must have the attribute `noredzone`."""
    signature = ir.FunctionType(ir.LiteralStructType([WORDS, WORDS]), [WORDS, WORDS, WORDS])
    line = InlineAsm(signature, _EXCHANGE, _OPERANDS, side_effect=True)
    b.call(line, [context, left, entered])


def lay_out(b: ir.IRBuilder, top: ir.Value, function: ir.Function) -> ir.Value:
    """The pointer of a new stack below `top`, a multiple of 16: who enters it calls `function` with
    context, something, and `entered`. It must not return."""
    # Behind the address, the pointer is what it is at the start of a function.
    first = b.gep(top, [ir.Constant(I64, -2)], inbounds=True)
    b.store(b.ptrtoint(function, I64), first)
    return b.ptrtoint(first, I64)
