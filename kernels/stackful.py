"""The stackful switch: from one machine stack to another.

No engine runs it. It stands beside the switch of the native scheduler, whose tasks have no stacks
of their own, to show what a switch keeps that may happen anywhere in a call.

It is an ordinary function of the C convention that exchanges the stack pointer in its middle, and
says that it overwrites all registers which the convention makes a function keep. So LLVM saves them
on the one stack and restores them from the other, on every architecture, and returns to where the
other was left. (A return to another place than that of the last call is foreseen wrongly by the
CPU; switches written by hand therefore jump.) Control words of floating point stay as they are.
"""

from vmlab.kernels import cross

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
