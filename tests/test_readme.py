"""What the README says of the instruction set is what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmlab.isa import OPCODES, Opcode, Trap

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("opcode", OPCODES.values())
def test_every_instruction_has_its_row(opcode: Opcode) -> None:
    [row] = [
        line
        for line in README.splitlines()
        if line.startswith((f"| `{opcode.name}` |", f"| `{opcode.name} "))
    ]
    for effect in opcode.effects:
        assert f"`{effect}`" in row
    assert opcode.meaning.replace("|", "\\|") in row
    for trap in opcode.traps:
        assert f"`{trap.value}`" in row


def test_every_trap_is_named() -> None:
    assert all(f"`{trap.value}`" in README for trap in Trap)
