"""`compare`: build a program on several engines, see that they agree, then time them."""

from __future__ import annotations

import platform
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import NoneType

import vmlab
from vmlab.checking import check_type
from vmlab.comparison import DEFAULT_ROUNDS, QUICK_ROUNDS, Built, Comparison, ProgramText
from vmlab.engines import COMPARED, EngineUnavailable, Executable, expand, find
from vmlab.machinecode import count_indirect_jumps
from vmlab.measure.agreement import Pair, agree, contrast
from vmlab.measure.clock import measure_clock, timestamp
from vmlab.measure.counters import probe_counters
from vmlab.measure.folding import FOLDING_ENGINE, LEAST_BACK_EDGES, only_counts
from vmlab.measure.machine import describe_machine
from vmlab.measure.sampling import Progress, SampleDiffers, Subject, sample, silent, timed_limits
from vmlab.measure.statistics import CONFIDENCE, minimum_rounds
from vmlab.outcome import Limits, bind_arguments
from vmlab.program import Number, Program
from vmlab.report.numbers import counted
from vmlab.supervise import Supervisor


def compare(
    program: Program,
    engines: Sequence[str] | None = None,
    args: Mapping[str, Number] | None = None,
    *,
    rounds: int | None = None,
    quick: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
    seed: int | None = None,
) -> Comparison:
    """Run one program on several engines, see that they do the same, and time them.

    engines   names of engines or of groups of them (`engines.GROUPS`), the first of which is the
              baseline; by default `engines.COMPARED`
    args      `main`'s arguments by name; its defaults for the others
    rounds    how often every engine is timed; by default 31, with `quick` 11
    limits    what each run may use; fuel and timeout hold for the runs before the timing
    progress  called as progress(what is being done, steps done, steps in all, seconds left or None)
    seed      for the order within the rounds; by default drawn, and always recorded

    An engine that cannot run the program here stays in the table, with the reason. Raises
    TypeError or ValueError on bad arguments, `EngineUnavailable` if no engine can run the program,
    TimeoutError after `limits.timeout`, KeyboardInterrupt on Ctrl-C."""
    names = _chosen(engines)
    values = bind_arguments(program, args or {})
    if rounds is None:
        rounds = QUICK_ROUNDS if quick else DEFAULT_ROUNDS
    check_rounds(rounds, len(names) - 1, counted(len(names), "engine"))
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    check_type("seed", seed, int, "an int")
    limits = limits or Limits()
    check_type("limits", limits, Limits, "of the type vmlab.outcome.Limits")
    progress = progress or silent
    created = timestamp()
    machine, clock = describe_machine(), measure_clock()

    built: dict[str, Built] = {}
    pairs: dict[str, Pair] = {}
    unable: dict[str, str] = {}
    for done, name in enumerate(names):
        progress(f"building {name}", done, len(names), None)
        try:
            pairs[name] = Pair.of(program, name)
            built[name] = _describe(name, pairs[name].timed)
        except EngineUnavailable as reason:
            built[name] = Built(name, find(name).adds)
            unable[name] = str(reason)

    with Supervisor() as supervisor:
        agreement = agree(supervisor, program, values, pairs, unable, limits, progress)
        ready = {name: pair for name, pair in pairs.items() if name not in unable}
        taken = folded = None
        if agreement.outcome is not None and agreement.outcome.trap is None:
            if FOLDING_ENGINE in ready and _is_folded(ready[FOLDING_ENGINE]):
                folded = FOLDING_ENGINE
            subjects = [
                Subject(name, pair.timed, values, agreement.outcome) for name, pair in ready.items()
            ]
            try:
                taken = sample(
                    supervisor, subjects, rounds, seed, timed_limits(limits), clock, progress
                )
            except SampleDiffers as found:
                agreement = replace(
                    agreement,
                    outcome=None,
                    disagreements=contrast(
                        program,
                        f"{agreement.run}, while it was timed",
                        found.name,
                        found.outcome,
                        agreement.outcome,
                        ("all engines before",),
                    ),
                )

    return Comparison(
        program=ProgramText(program.source.path, program.digest, program.source.text),
        arguments=dict(zip((p.name for p in program.main.params), values, strict=True)),
        created=created,
        vmlab=vmlab.__version__,
        machine=machine,
        counters=probe_counters(),
        clock=clock,
        engines=tuple(replace(built[name], unavailable=unable.get(name)) for name in names),
        agreement=agreement,
        rounds=taken,
        folded=folded if taken else None,
    )


def _chosen(engines: Sequence[str] | None) -> tuple[str, ...]:
    wanted = "a list of names, such as ['inlined', 'switch']"
    if isinstance(engines, str):
        raise TypeError(f"engines must be {wanted}, not the text {engines!r}")
    check_type("engines", engines, (Iterable, NoneType), wanted)
    names = COMPARED if engines is None else expand(engines)
    if not names:
        raise ValueError("there is no engine to compare")
    return names


def check_rounds(rounds: int, intervals: int, what: str) -> None:
    """Raises ValueError where rounds are too few for so many intervals, which are those of
    `what`."""
    check_type("rounds", rounds, int, "an int")
    least = minimum_rounds(intervals)
    if rounds < least:
        raise ValueError(
            f"{counted(rounds, 'round')} for {what}: too few for intervals that hold together with"
            f" {CONFIDENCE:.0%} confidence; give --rounds {least} at least"
        )


def _describe(name: str, executable: Executable) -> Built:
    assembly = executable.machine_code()
    return Built(
        name,
        find(name).adds,
        compile_seconds=executable.compile_seconds,
        from_cache=executable.from_cache,
        indirect_jumps=count_indirect_jumps(assembly, platform.machine()) if assembly else None,
    )


def _is_folded(pair: Pair) -> bool:
    """Whether there is nothing left of the program that has just run but loops that count."""
    if (pair.counting.back_edges or 0) < LEAST_BACK_EDGES:
        return False
    ir = pair.timed.ir()
    return ir is not None and only_counts(ir)
