"""Which functions loaded machine code has, and where: read off the symbol table of its object
code."""

import struct

import llvmlite.binding as llvm

from vmlab.kernels.native import Unit

# Executable and Linking Format, version 1.2, "Symbol Table", for 64 bits: where the name stands,
# type (in the low 4 bits), the section, where in it the symbol stands, and its size.
_SYMBOL = struct.Struct("<IB x H QQ")
_FUNCTION = 2


def sections(object_code: bytes) -> dict[str, tuple[int, range]]:
    """By name, the section of each function and its bytes in there. None are known where the object
    code is not in ELF."""
    found = {s.name(): s.data() for s in llvm.ObjectFileRef.from_data(object_code).sections()}
    names = found.get(b".strtab", b"")
    return {
        names[name : names.index(b"\0", name)].decode(): (section, range(start, start + size))
        for name, kind, section, start, size in _SYMBOL.iter_unpack(found.get(b".symtab", b""))
        if kind & 0xF == _FUNCTION
    }


def functions(unit: Unit) -> dict[str, range]:
    """By name, the addresses of their bytes: of the functions in the section of the unit's entry.
    None are known where the object code is not in ELF."""
    found = sections(unit.object_code)
    if unit.symbol not in found:
        return {}
    home, entry = found[unit.symbol]
    base = unit.address - entry.start
    return {
        name: range(base + place.start, base + place.stop)
        for name, (section, place) in found.items()
        if section == home
    }
