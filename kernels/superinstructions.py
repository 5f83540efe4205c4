"""Superinstructions: sequences of stack instructions that become one instruction. (Proebsting,
"Optimizing an ANSI C interpreter with superoperators", POPL 1995; Casey, Ertl and Gregg,
"Optimizing indirect branch prediction accuracy in virtual machine interpreters", ACM TOPLAS 2007.)

Which ones, `vmlab superinstructions` has measured; superinstructions.json keeps it. Sequences lie
within basic blocks: nothing jumps into the middle, and calls, jumps and what may let other tasks go
on come last.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("superinstructions.json")

Names = tuple[str, ...]  # of variants


class Joint(NamedTuple):
    """Two neighbours that become one."""

    first: Names
    second: Names


def chosen() -> list[Joint]:
    """What is joined, in this order."""
    kept = json.loads(FILE.read_text())["joined"]
    return [Joint(tuple(row["first"].split()), tuple(row["second"].split())) for row in kept]


def join(names: Sequence[str], joints: Sequence[Joint]) -> list[Names]:
    """The instructions of a basic block after joining: for one joint after the other, all pairs
    that it names, from left to right."""
    parts: list[Names] = [(name,) for name in names]
    present = set(parts)
    for joint in joints:
        if joint.first in present and joint.second in present:
            parts = join_pairs(parts, joint)
            present = set(parts)
    return parts


def join_pairs(parts: Sequence[Names], joint: Joint) -> list[Names]:
    joined: list[Names] = []
    for part in parts:
        if joined and (joined[-1], part) == joint:
            joined[-1] += part
        else:
            joined.append(part)
    return joined
