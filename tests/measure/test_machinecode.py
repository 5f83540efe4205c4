import pytest

from vmlab.machinecode import count_indirect_jumps

ATT = """
\tjmpq\t*%rax                           # TAILCALL
\tjmp\t*%r11
\tjmpq\t*(%rax,%rcx,8)
\tnotrack jmpq\t*%rdx
\tjmpq\t*.LJTI0_0(,%rax,8)
\tjmpq\t*f@GOTPCREL(%rip)               # TAILCALL
\tjmp\t.LBB0_3
\tjmp\tvm.main@PLT                      # TAILCALL
\tcallq\t*%rax
\tretq
\tje\t.LBB0_1
# jmpq *%rax
jmp_table:
"""

INTEL = """
\tjmp\trax                              # TAILCALL
\tjmp\tr11
\tjmp\tqword ptr [rax + 8*rcx]
\tnotrack jmp\trdx
\tJMP\tR8D
\tjmp\tqword ptr [rip + f@GOTPCREL]
\tjmp\t.LBB0_3
\tjmp\trax_handler
\tcall\trax
\tret
"""

ARM64 = """
\tbr\tx16
\tbraa\tx1, x2
\tBR\tX3
\tblr\tx8
\tb\t.LBB0_1
\tbl\tf
\tret
\tb.ne\t.LBB0_2
\tbrk\t#0x1
"""


@pytest.mark.parametrize(
    ("assembly", "machine", "jumps"),
    [
        (ATT, "x86_64", 5),
        (INTEL, "AMD64", 5),
        (ARM64, "aarch64", 3),
        (ARM64, "arm64", 3),
        ("", "x86_64", 0),
        (ATT, "s390x", None),
    ],
)
def test_indirect_jumps(assembly, machine, jumps):
    assert count_indirect_jumps(assembly, machine) == jumps
