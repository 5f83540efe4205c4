"""Which sequences of instructions are worth a handler of their own, measured over a corpus.

The most frequent pair of neighbours becomes one instruction, then the most frequent pair after
that, and so on, as long as a pair is worth it (Proebsting, "Optimizing an ANSI C interpreter with
superoperators", POPL 1995). Frequencies are those of execution: every program runs its `expect`
lines, and has the same weight, however long it runs.

A choice made from programs flatters those programs. `validate` tells how much: it chooses anew for
every program from all the others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vmlab.blocks import basic_blocks
from vmlab.kernels.superinstructions import Joint, Names, join, join_pairs
from vmlab.outcome import Limits
from vmlab.program import Number, Program
from vmlab.reference import Reference

# A pair is worth an instruction if joining it saves so much of all dispatches.
LEAST_SHARE = 0.003


@dataclass(frozen=True, slots=True)
class Block:
    """The variants' names of a basic block, and its share of the instructions that its program
    executes, by how often it is entered."""

    names: Names
    entered: float


Profile = tuple[Block, ...]


class _Counted(list[Any]):
    """Code that counts how often each instruction is looked up."""

    def __init__(self, code: Iterable[Any]) -> None:
        super().__init__(code)
        self.counts: Counter[int] = Counter()

    def __getitem__(self, at: Any) -> Any:
        self.counts[at] += 1
        return super().__getitem__(at)


class _Profiler(Reference):
    def __init__(self, program: Program) -> None:
        super().__init__(program, counting=True)
        self.counted = [_Counted(code) for code in self._code]
        self._code = [*self.counted]


def profile(program: Program, runs: Sequence[tuple[Number, ...]]) -> Profile:
    """How often each basic block is entered when `main` is called with each of these arguments."""
    profiler = _Profiler(program)
    for args in runs:
        profiler.call(args, Limits())
    executed = sum(code.counts.total() for code in profiler.counted)
    return tuple(
        Block(
            tuple(program.stack_maps[f].variants[at].name for at in block),
            profiler.counted[f].counts[block.start] / executed,
        )
        for f, function in enumerate(program.functions)
        for block in basic_blocks(function, calls_end=True)
        if profiler.counted[f].counts[block.start]
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """A joint, and the share of all dispatches that it saves when those before it are made."""

    joint: Joint
    share: float


def choose(profiles: Sequence[Profile], least_share: float = LEAST_SHARE) -> list[Choice]:
    """What to join, in this order. Of pairs that are equally frequent, the first by name."""
    blocks = [
        ([(name,) for name in block.names], block.entered / len(profiles))
        for profile in profiles
        for block in profile
    ]
    choices: list[Choice] = []
    while True:
        shares: defaultdict[Joint, float] = defaultdict(float)
        for parts, entered in blocks:
            for joint in _pairs(parts):
                shares[joint] += entered
        joint = min(shares, key=lambda joint: (-shares[joint], joint), default=None)
        if joint is None or shares[joint] < least_share:
            return choices
        choices.append(Choice(joint, shares[joint]))
        blocks = [(join_pairs(parts, joint), entered) for parts, entered in blocks]


def _pairs(parts: Sequence[Names]) -> Iterator[Joint]:
    """All neighbours, but of those that overlap only what can be joined: of a a a, one pair."""
    counted: dict[Joint, int] = {}
    for at, joint in enumerate(map(Joint, parts, parts[1:])):
        if counted.get(joint) != at - 1:
            counted[joint] = at
            yield joint


def dispatches(profile: Profile, choices: Sequence[Choice]) -> float:
    """The dispatches that are left of each instruction, with these superinstructions."""
    joints = [choice.joint for choice in choices]
    return sum(block.entered * len(join(block.names, joints)) for block in profile)


@dataclass(frozen=True, slots=True)
class Validation:
    """The dispatches an instruction that a program is left with: by the choice from all programs,
    and by the choice from all others."""

    program: str
    from_all: float
    from_others: float


def validate(profiles: dict[str, Profile]) -> list[Validation]:
    everything = choose(list(profiles.values()))
    return [
        Validation(
            name,
            dispatches(own, everything),
            dispatches(own, choose([p for other, p in profiles.items() if other != name])),
        )
        for name, own in profiles.items()
    ]
