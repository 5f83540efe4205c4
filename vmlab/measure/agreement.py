"""Whether engines agree: what a program does on each, compared before anything is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vmlab.engines import ENGINES, EngineUnavailable, Executable, find
from vmlab.expectations import check_executable
from vmlab.measure.sampling import Progress, timed_limits
from vmlab.outcome import Limits, Outcome, Place, TrapReport, format_number, same_value
from vmlab.program import Number, Program
from vmlab.report.numbers import counted, listing
from vmlab.supervise import Supervisor

REFERENCE = "reference"

EXPECTATION = "expectation"  # the field of a disagreement with an `expect` line

# The reference is so much slower than the rest that it checks short runs only.
REFERENCE_INSTRUCTIONS = 2_000_000


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A difference between engines, or between an engine and an `expect` line.

    engine    the one that differs
    run       what was run, as text
    field     what differs: result, output, trap, place or instructions; or an expectation
    found     what this engine has there, as text
    expected  what it should have there
    others    who says so: engines, or "the expect line"
    """

    engine: str
    run: str
    field: str
    found: str
    expected: str
    others: tuple[str, ...]

    def __str__(self) -> str:
        what = self.run if self.field == EXPECTATION else f"{self.run}, {self.field}"
        return f"{what}: {self.engine} has {self.found}, {listing(self.others)} {self.expected}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the engines agree on.

    run            the call of `main` that is compared, as text
    engines        those that were compared
    expectations   the number of `expect` lines that hold on all of them
    outcome        what they all did with the arguments of the comparison; None if they differ
    disagreements  empty if they agree
    left_out       why the reference was not among them; None if it was
    """

    run: str
    engines: tuple[str, ...]
    expectations: int
    outcome: Outcome | None
    disagreements: tuple[Disagreement, ...]
    left_out: str | None

    def __str__(self) -> str:
        if self.outcome is None:
            return "\n".join(map(str, self.disagreements))
        agree = "agree on" if len(self.engines) > 1 else "alone ran"
        return f"{listing(self.engines)} {agree} {self.what}"

    @property
    def what(self) -> str:
        """What was run, and what came of it. Only where they agree."""
        assert self.outcome is not None
        done = [counted(self.outcome.instructions or 0, "instruction")]
        if self.outcome.output:
            done.insert(0, counted(len(self.outcome.output), "printed value"))
        if self.outcome.result is not None:
            done.insert(0, f"result {format_number(self.outcome.result)}")
        if self.outcome.trap is not None:
            done.insert(0, f"trap {self.outcome.trap.trap}")
        subjects = [self.run]
        if self.expectations:
            subjects.insert(0, counted(self.expectations, "expect line"))
        return f"{listing(subjects)}: {', '.join(done)}"


class Pair(NamedTuple):
    """A program on one engine, twice: built to count, and built to be timed."""

    counting: Executable
    timed: Executable

    @classmethod
    def of(cls, program: Program, name: str) -> Pair:
        """Raises `EngineUnavailable`."""
        engine = find(name)
        return cls(engine.build(program, counting=True), engine.build(program, counting=False))


def agree(
    supervisor: Supervisor,
    program: Program,
    args: Sequence[Number],
    pairs: Mapping[str, Pair],
    unable: dict[str, str],
    limits: Limits,
    progress: Progress,
) -> Agreement:
    """Check the `expect` lines on every engine. Then run the program on all of them, counting and
    as it will be timed, and compare what it does; the reference takes part if the run is short.

    Engines that turn out to be unable to run the program are added to `unable`, with the reason.
    Raises `EngineUnavailable` if all are, TimeoutError after `limits.timeout`, KeyboardInterrupt
    on Ctrl-C."""

    def run_all(executables: Mapping[str, Executable], limits: Limits) -> dict[str, Outcome]:
        outcomes = {}
        for done, (name, executable) in enumerate(executables.items()):
            progress(f"running {name}", done, len(executables), None)
            try:
                outcomes[name] = _run_once(supervisor, name, executable, args, limits)
            except EngineUnavailable as reason:
                unable[name] = str(reason)
        return outcomes

    run = describe_call(program, args)
    failures = _failed_expectations(supervisor, program, pairs, unable, limits, progress)
    if failures:
        return Agreement(
            run=run,
            engines=tuple(name for name in pairs if name not in unable),
            expectations=len(program.expectations),
            outcome=None,
            disagreements=failures,
            left_out="the engines fail expect lines",
        )
    able = {name: pair.counting for name, pair in pairs.items() if name not in unable}
    outcomes = run_all(able, limits)
    _raise_if_none_is_able(pairs, unable)
    first = next(iter(outcomes.values()))

    left_out = None
    if REFERENCE not in pairs:
        count = first.instructions or 0
        if count > REFERENCE_INSTRUCTIONS:
            left_out = f"{count:,} instructions; it checks {REFERENCE_INSTRUCTIONS:,} at most"
        else:
            reference = ENGINES[REFERENCE].build(program, counting=True)
            outcomes |= run_all({REFERENCE: reference}, limits)
            left_out = unable.pop(REFERENCE, None)

    disagreements = compare_outcomes(program, run, outcomes)
    if not disagreements and first.trap is None:
        timed = {name: pairs[name].timed for name in outcomes if name in pairs}
        for name, outcome in run_all(timed, timed_limits(limits)).items():
            disagreements += contrast(
                program, f"{run}, not counting", name, outcome, first, ("its counting code",)
            )
        _raise_if_none_is_able(pairs, unable)
    return Agreement(
        run=run,
        engines=tuple(name for name in outcomes if name not in unable),
        expectations=len(program.expectations),
        outcome=None if disagreements else first,
        disagreements=disagreements,
        left_out=left_out,
    )


def _raise_if_none_is_able(pairs: Mapping[str, Pair], unable: Mapping[str, str]) -> None:
    if pairs.keys() <= unable.keys():
        reasons = "; ".join(f"{name}: {reason}" for name, reason in unable.items())
        raise EngineUnavailable(f"no engine can run this program here: {reasons}")


def describe_call(program: Program, args: Sequence[Number]) -> str:
    """main(n = 30)"""
    given = zip(program.main.params, args, strict=True)
    return f"main({', '.join(f'{p.name} = {format_number(value)}' for p, value in given)})"


def _failed_expectations(
    supervisor: Supervisor,
    program: Program,
    pairs: Mapping[str, Pair],
    unable: dict[str, str],
    limits: Limits,
    progress: Progress,
) -> tuple[Disagreement, ...]:
    found = []
    for done, (name, pair) in enumerate(pairs.items()):
        progress(f"checking expect lines on {name}", done, len(pairs), None)
        try:
            failures = check_executable(supervisor, pair.counting, program.expectations, limits)
        except EngineUnavailable as reason:
            unable[name] = str(reason)
            continue
        for failure in failures:
            _raise_if_interrupted(supervisor, name, failure.outcome, limits)
            call = describe_call(program, failure.expectation.args)
            run = f"line {failure.span.line}, {call}"
            found.append(
                Disagreement(
                    name, run, EXPECTATION, failure.found, failure.expected, ("the expect line",)
                )
            )
    return tuple(found)


def _run_once(
    supervisor: Supervisor,
    name: str,
    executable: Executable,
    args: Sequence[Number],
    limits: Limits,
) -> Outcome:
    outcome = supervisor.call(executable, args, limits).outcome
    _raise_if_interrupted(supervisor, name, outcome, limits)
    return outcome


def _raise_if_interrupted(
    supervisor: Supervisor, name: str, outcome: Outcome, limits: Limits
) -> None:
    """If the supervisor's last call was."""
    if not outcome.interrupted:
        return
    if supervisor.timed_out:
        raise TimeoutError(
            f"one run on {name} takes longer than {limits.timeout:g} s;"
            " allow more with --timeout, or give it less to do with --arg"
        )
    raise KeyboardInterrupt


def compare_outcomes(
    program: Program, run: str, outcomes: dict[str, Outcome]
) -> tuple[Disagreement, ...]:
    """How outcomes differ from what most engines have; where several outcomes are as frequent,
    from the one that comes first."""
    groups: list[list[str]] = []
    for name, outcome in outcomes.items():
        for group in groups:
            if not outcome.differences(outcomes[group[0]]):
                group.append(name)
                break
        else:
            groups.append([name])
    most = max(groups, key=len)
    return tuple(
        difference
        for name, outcome in outcomes.items()
        if name not in most
        for difference in contrast(program, run, name, outcome, outcomes[most[0]], tuple(most))
    )


def contrast(
    program: Program,
    run: str,
    engine: str,
    found: Outcome,
    expected: Outcome,
    others: tuple[str, ...],
) -> tuple[Disagreement, ...]:
    """Every field in which an outcome is not the expected one."""
    return tuple(
        Disagreement(engine, run, field, *_shown(program, field, found, expected), others)
        for field in found.differences(expected)
    )


def _shown(program: Program, field: str, found: Outcome, expected: Outcome) -> tuple[str, str]:
    if field == "output":
        return _first_difference(found.output, expected.output)
    show: dict[str, Callable[[Outcome], str]] = {
        "result": lambda o: "none" if o.result is None else format_number(o.result),
        "trap": lambda o: "no trap" if o.trap is None else str(o.trap.trap),
        "place": lambda o: "nowhere" if o.trap is None else describe_chain(program, o.trap),
        "instructions": lambda o: f"{o.instructions:,}",
    }
    return show[field](found), show[field](expected)


def _first_difference(found: Sequence[Number], expected: Sequence[Number]) -> tuple[str, str]:
    for position, (mine, its) in enumerate(zip(found, expected, strict=False), start=1):
        if not same_value(mine, its):
            return f"{format_number(mine)} at value {position}", format_number(its)
    return f"{len(found):,} values", f"{len(expected):,}"


def describe_chain(program: Program, trap: TrapReport) -> str:
    """Where a trap happened: `fib, line 12, called from main, line 30`."""
    calls = ", called from ".join(_where(program, place) for place in trap.chain)
    return ", spawned in ".join([calls, *(_where(program, place) for place in trap.launches)])


def _where(program: Program, place: Place) -> str:
    function = program.functions[place.function]
    return f"{function.name}, line {function.code[place.instruction].span.line}"
