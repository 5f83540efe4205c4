"""Code for other architectures: it is assembled for the right machine, and counted as it is."""

import struct

import pytest

from vmlab.kernels import cross, symbols
from vmlab.machinecode import body, count, dialect

# What each function comes to on any machine, and the counts that this must give: conditional,
# indirect_jumps, calls, indirect_calls, accesses.
KNOWN = {
    "straight": (
        "define i64 @straight(i64 %a, i64 %b) { %c = xor i64 %a, %b ret i64 %c }",
        (0, 0, 0, 0, 0),
    ),
    "copies": (
        """define void @copies(ptr %to, ptr %from) {
             %value = load i64, ptr %from
             store i64 %value, ptr %to
             ret void }""",
        (0, 0, 0, 0, 2),
    ),
    "branches": (
        """define void @branches(i64 %a, ptr %p) {
             %zero = icmp eq i64 %a, 0
             br i1 %zero, label %one, label %other
           one: store volatile i64 1, ptr %p ret void
           other: store volatile i32 2, ptr %p ret void }""",
        (1, 0, 0, 0, 2),
    ),
    "jumps": (
        """@places = constant [2 x ptr] [
             ptr blockaddress(@jumps, %one), ptr blockaddress(@jumps, %other)]
           define void @jumps(ptr %to, ptr %p) {
             indirectbr ptr %to, [label %one, label %other]
           one: store volatile i64 1, ptr %p ret void
           other: store volatile i32 2, ptr %p ret void }""",
        (0, 1, 0, 0, 2),
    ),
    "calls": (
        """declare void @outside()
           define void @calls(ptr %to) noreturn nounwind {
             call void @outside()
             call void %to()
             call void @outside()
             unreachable }""",
        (0, 0, 3, 1, None),  # saves a register, as the machine wants it
    ),
    "adds": (
        """define i64 @adds(ptr %p) {
             %old = atomicrmw add ptr %p, i64 7 monotonic
             ret i64 %old }""",
        (None, 0, 0, 0, None),  # a loop on some
    ),
}

# Bytes behind the last instruction that belong to a function: ppc64le's traceback table.
TAIL = {"ppc64le": 12}


@pytest.fixture(scope="module", params=cross.ARCHITECTURES)
def assembled(request):
    text = "\n".join(ir for ir, _ in KNOWN.values())
    machine = cross.target_machine(request.param)
    header = f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.target_data}"\n'
    return request.param, *cross.assemble(header + text, request.param)


@pytest.mark.parametrize("name", KNOWN)
def test_counts_are_those_known_by_hand(assembled, name):
    architecture, assembly, _ = assembled
    counts = count(body(assembly, name), dialect(architecture))
    found = (
        counts.conditional, counts.indirect_jumps, counts.calls, counts.indirect_calls,
        counts.accesses,
    )  # fmt: skip
    expected = KNOWN[name][1]
    assert [n for n, e in zip(found, expected, strict=True) if e is not None] == [
        e for e in expected if e is not None
    ]
    assert (counts.ordering > 0) == (name == "adds")


def test_object_code_is_for_the_machine_and_has_what_was_counted(assembled):
    architecture, assembly, object_code = assembled
    identity, machine = struct.unpack_from("<4s14xH", object_code)
    assert identity == b"\x7fELF"
    assert machine == cross.ARCHITECTURES[architecture].elf_machine
    places = symbols.sections(object_code)
    assert set(KNOWN) <= set(places)
    if architecture in ("aarch64", "ppc64le"):  # every instruction has 4 bytes
        for name in KNOWN:
            size = len(places[name][1]) - TAIL.get(architecture, 0)
            text = body(assembly, name)
            assert size == 4 * count(text, dialect(architecture)).instructions, text


def test_inline_assembly_is_refused_where_it_would_end_the_process():
    other = next(name for name in cross.ARCHITECTURES if name != cross.base(cross.HOST))
    text = 'define void @f() { call void asm sideeffect "nop", ""() ret void }'
    with pytest.raises(cross.Unsupported, match=f"inline assembly.*{other}"):
        cross.assemble(text, other)
