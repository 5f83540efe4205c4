import pytest

from vmlab.machinecode import Counts, body, count, count_indirect_jumps, dialect

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


# One instruction each, with what it is beside an instruction.
SINGLE = {
    "x86-64": {
        "jne .LBB0_1": {"conditional"},
        "jmp .LBB0_1": set(),
        "retq": set(),
        "callq f": {"calls"},
        "callq *%rax": {"calls", "indirect_calls"},
        "callq *(%rdi)": {"calls", "indirect_calls", "accesses"},
        "leaq 8(%rax), %rcx": set(),
        "incq 80(%rdi)": {"accesses"},
        "pushq %rbx": {"accesses"},
        "popcntq %rax, %rcx": set(),
        "lock cmpxchgq %rcx, (%rdx)": {"accesses", "ordering"},
        "xchgq %rax, (%rdi)": {"accesses", "ordering"},
        "xchgq %rax, %rdi": set(),
        "mfence": {"ordering"},
    },
    "aarch64": {
        "b.lo .LBB0_1": {"conditional"},
        "cbnz x8, .LBB0_1": {"conditional"},
        "tbz w8, #3, .LBB0_1": {"conditional"},
        "b .LBB0_1": set(),
        "br x8": {"indirect_jumps"},
        "bl f": {"calls"},
        "blr x8": {"calls", "indirect_calls"},
        "ret": set(),
        "ldp x1, x2, [sp], #16": {"accesses"},
        "ldaxr x8, [x0]": {"accesses", "ordering"},
        "ldaddal x1, x2, [x0]": {"accesses", "ordering"},
        "dmb ish": {"ordering"},
    },
    "ppc64le": {
        "bne- 0, .LBB0_1": {"conditional"},
        "bdnz .LBB0_1": {"conditional"},
        "bnelr 0": {"conditional"},
        "b .LBB0_1": set(),
        "bctr": {"indirect_jumps"},
        "bctrl": {"calls", "indirect_calls"},
        "bl f": {"calls"},
        "blr": set(),
        "li 4, 224": set(),
        "lis 4, 2": set(),
        "ldu 7, 64(6)": {"accesses"},
        "lxvd2x 52, 1, 4": {"accesses"},
        "stfd 14, 384(1)": {"accesses"},
        "stdcx. 4, 0, 3": {"accesses", "ordering"},
        "lwsync": {"ordering"},
    },
    "riscv64": {
        "bgeu a0, a1, .LBB0_1": {"conditional"},
        "bnez a0, .LBB0_1": {"conditional"},
        "j .LBB0_1": set(),
        "jr a5": {"indirect_jumps"},
        "jr ra": set(),
        "ret": set(),
        "jalr a5": {"calls", "indirect_calls"},
        "sll a0, a0, a1": set(),
        "lbu a0, 3(a1)": {"accesses"},
        "fsd fs0, 96(sp)": {"accesses"},
        "amoadd.d.aqrl a0, a1, (a2)": {"accesses", "ordering"},
        "fence rw, w": {"ordering"},
    },
}


@pytest.mark.parametrize(
    ("architecture", "text"), [(a, text) for a, texts in SINGLE.items() for text in texts]
)
def test_an_instruction_is_what_it_is(architecture, text):
    found = count(f"\t{text.replace(' ', chr(9), 1)}\n", dialect(architecture))
    kinds = SINGLE[architecture][text]
    assert found == Counts(instructions=1, **dict.fromkeys(kinds, 1))


def test_a_far_call_on_riscv_is_two_instructions():
    counts = count("\tcall\tf\n\ttail\tg\n", dialect("riscv64"))
    assert counts == Counts(instructions=4, calls=1)


def test_a_function_goes_up_to_its_end():
    assembly = "f.g:\n\tnop\nf:\n.LBB1_1:\n\tincq %rax\t# nop\n.Lfunc_end1:\n\tnop\n"
    assert body(assembly, "f") == "f:\n.LBB1_1:\n\tincq %rax\t# nop\n"
    assert count(body(assembly, "f"), dialect("x86-64")) == Counts(instructions=1)
    with pytest.raises(ValueError, match="no function h"):
        body(assembly, "h")
