"""How code finds what a name stands for: globals and functions.

Bound: the assembler has numbered them, and the number is in the code. Late: the code holds the
name, and each access looks it up in a hash table with open addressing and linear probing (Knuth,
The Art of Computer Programming, vol. 3, 6.4, algorithm L), as Python does with a module's names.
Names are interned: a name's 64-bit hash, made unique within the program, stands for it.
"""

import hashlib
from typing import NamedTuple

from vmlab.isa import INT_MAX
from vmlab.kernels.context import NAME_FAULT
from vmlab.kernels.values import I64, i64

# An entry: the name, and what it stands for. The name 0 marks a free entry.
ENTRY_WORDS = 2


class Table(NamedTuple):
    """The address of the entries in memory, and the number of the last entry."""

    entries: object
    last: object


def intern(program) -> dict[str, int]:
    """A nonzero 64-bit number a name of the program's globals and functions, different for each.
    A global and a function can have the same name; so a function's has `()` behind it."""
    interned: dict[str, int] = {}
    taken = {0}
    names = [variable.name for variable in program.globals]
    names += [function_name(function) for function in program.functions]
    for name in names:
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
        number &= INT_MAX
        while number in taken:
            number = (number + 1) & INT_MAX
        taken.add(number)
        interned[name] = number
    return interned


def function_name(function) -> str:
    return f"{function.name}()"


def hash_table(meanings: dict[int, object], nothing) -> list[tuple[int, object]]:
    """The entries of a table that is at most half full, a power of two of them; a free entry has
    `nothing` for a meaning."""
    size = 1 << (2 * len(meanings)).bit_length()
    entries = [(0, nothing)] * size
    for name, meaning in meanings.items():
        place = name % size
        while entries[place][0]:
            place = (place + 1) % size
        entries[place] = name, meaning
    return entries


def look_up(m, table: Table, name):
    """Emit the search; what the name stands for, as a word."""
    b = m.b
    start = b.and_(name, table.last)
    here = b.block
    probe, other, further, found = (
        b.append_basic_block(block) for block in ("probe", "other", "further", "found")
    )
    b.branch(probe)
    b.position_at_end(probe)
    place = b.phi(I64)
    place.add_incoming(start, here)
    entry = b.gep(table.entries, [b.shl(place, i64(1))], inbounds=True)
    there = m.load(entry, "name")
    b.cbranch(b.icmp_unsigned("==", there, name), found, other)
    b.position_at_end(other)
    b.cbranch(b.icmp_unsigned("==", there, i64(0)), m.stop_block(NAME_FAULT), further)
    b.position_at_end(further)
    place.add_incoming(b.and_(b.add(place, i64(1)), table.last), further)
    b.branch(probe)
    b.position_at_end(found)
    return m.load(m.word(entry, 1), "name")
