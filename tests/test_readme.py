"""What the README says is what the instruction table and the published results say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmlab.engines import ENGINES, PARTS
from vmlab.isa import OPCODES, Opcode, Trap
from vmlab.report.document import refresh

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


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


@pytest.mark.parametrize("document", ["README.md", "results/tables.md"])
def test_tables_are_those_of_the_published_results(document: str) -> None:
    path = ROOT / document
    refreshed = refresh(path.read_text(), path)
    assert refreshed.blocks
    stale = [block.marker for block in refreshed.blocks if block.old != block.new]
    assert not stale, f"make them anew: vmlab docs update {document}"


@pytest.mark.parametrize("name", dict.fromkeys([*ENGINES, *PARTS]))
def test_every_engine_and_part_is_named(name: str) -> None:
    assert f"`{name}`" in README


def test_the_layout_is_that_of_the_sources() -> None:
    layout = README[README.index("## Layout") : README.index("**To add an instruction**")]
    named = set(re.findall(r"\b\w+\.py\b", layout))
    there = {path.name for root in ("vmlab", "kernels") for path in (ROOT / root).rglob("*.py")}
    assert len(named) > 40 and named <= there


def test_nothing_is_left_of_a_merge() -> None:
    assert not re.search(r"^(<{7}|={7}|>{7})( |$)", README, re.M)
