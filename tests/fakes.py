"""Engines that take no time: what they answer, and how long they say it took, is scripted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar
from unittest.mock import patch

from vmlab.assembler import assemble
from vmlab.engines import ENGINES, Engine, EngineUnavailable, Executable, Sample
from vmlab.isa import Trap
from vmlab.outcome import Limits, Outcome, Place, TrapReport
from vmlab.program import Number, Program

PROGRAM = assemble(
    """
func main(n: int = 3) -> int
    load n
    push 1
    add
    ret
end

expect main(3) -> 4
""",
    "four.vm",
)

FOUR = Outcome(4, (), None, 4)

# A program with that outcome.
PROGRAM_OF_FOUR = """\
func main(n: int = 3) -> int
    load n
    push 1
    add
    ret
end
"""

# LLVM IR with a loop that does nothing but count.
COUNTING_LOOP = """
define i64 @run(ptr %c) {
  br label %loop

loop:
  %n = phi i64 [ 9, %0 ], [ %next, %loop ]
  %stop = load volatile i64, ptr %c, align 8
  %go = icmp eq i64 %stop, 0
  %next = add nsw i64 %n, -1
  br i1 %go, label %loop, label %done

done:
  ret i64 0
}
"""


def trapped(trap: Trap, *chain: tuple[int, int], output: tuple[Number, ...] = ()) -> Outcome:
    return Outcome(None, output, TrapReport(trap, tuple(Place(*place) for place in chain)), 4)


@dataclass
class Script:
    """What one engine does.

    nanoseconds  of a run: a number, or what to call for it
    outcome      of a run, as a counting one reports it: an Outcome, or what to call for it with
                 the arguments
    timed        that of a run that does not count, if it is another
    endless      runs until it is interrupted
    moves        can be moved to another place
    """

    nanoseconds: float | Callable[[], float] = 1_000_000
    outcome: Outcome | Callable[[Sequence[Number]], Outcome] = FOUR
    timed: Outcome | None = None
    compile_seconds: float = 0.0
    from_cache: bool = False
    back_edges: int | None = None
    ir: str | None = None
    assembly: str | None = None
    unavailable: str | None = None
    unavailable_when_called: str | None = None
    unavailable_when_timed: str | None = None
    endless: bool = False
    moves: bool = True
    calls: list[tuple[bool, int, Limits]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


class Fake(Executable):
    def __init__(self, script: Script, counting: bool) -> None:
        self.script = script
        self.counting = counting
        self.compile_seconds = script.compile_seconds
        self.from_cache = script.from_cache
        self.interrupted = threading.Event()
        self.place = 0

    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        script = self.script
        for reason in (
            script.unavailable_when_called,
            None if self.counting else script.unavailable_when_timed,
        ):
            if reason is not None:
                raise EngineUnavailable(reason)
        if script.endless:
            assert self.interrupted.wait(10)
            return Sample(1, trapped(Trap.INTERRUPTED, (0, 0)))
        script.calls.append((self.counting, iterations, limits))
        script.places.append(self.place)
        per_run = script.nanoseconds() if callable(script.nanoseconds) else script.nanoseconds
        outcome = script.outcome(args) if callable(script.outcome) else script.outcome
        if self.counting:
            self.back_edges = script.back_edges
        else:
            outcome = script.timed or outcome
            outcome = Outcome(outcome.result, outcome.output, outcome.trap, None)
        return Sample(round(per_run * iterations), outcome)

    def interrupt(self) -> None:
        self.interrupted.set()

    def relocate(self) -> bool:
        self.place += self.script.moves
        return self.script.moves

    def ir(self) -> str | None:
        return self.script.ir

    def machine_code(self) -> str | None:
        return self.script.assembly


class FakeEngine(Engine):
    scripts: ClassVar[dict[str, Script]] = {}

    def build(self, program: Program, *, counting: bool) -> Executable:
        script = self.scripts[self.name]
        if script.unavailable is not None:
            raise EngineUnavailable(script.unavailable)
        return Fake(script, counting)


@contextmanager
def engines(**scripts: Script) -> Iterator[list[str]]:
    """Within the block these engines, and the reference, are all there are; gives the names but
    the reference's."""
    names = [name for name in scripts if name != "reference"]
    scripts.setdefault("reference", Script())
    fakes = {
        name: FakeEngine(name, f"what {name} adds, told at length", None, "") for name in scripts
    }
    with patch.dict(ENGINES, fakes, clear=True), patch.object(FakeEngine, "scripts", scripts):
        yield names
