"""`run` and `test`: programs on engines, without measuring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.parameters import (
    argument_option,
    build,
    engine_option,
    limit_options,
    open_program,
    parse_arguments,
    unavailable,
    workers_option,
)
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.engines import Engine
    from vmlab.expectations import Failure
    from vmlab.outcome import Limits, Outcome, TrapReport
    from vmlab.program import Number, Program


@click.command()
@click.argument("name", metavar="PROGRAM")
@engine_option(
    "inlined", "The engine, with parts added as in threaded+copy; `vmlab list` shows them all."
)
@workers_option
@argument_option
@limit_options
@click.pass_context
def run(
    context: click.Context,
    name: str,
    engine: Engine,
    workers: int,
    assignments: Sequence[tuple[str, str]],
    limits: Limits,
) -> None:
    """Run a program on one engine.

    Shows the printed values as they come, then main's result, one a line. With several workers,
    tasks run in no order that is known beforehand."""
    from vmlab.engines import EngineUnavailable
    from vmlab.outcome import bind_arguments, format_number
    from vmlab.supervise import Supervisor

    if workers > 1 and limits.fuel is not None:
        raise click.UsageError("--fuel counts the instructions of one worker: leave out --workers")
    program = open_program(name)
    args = bind_arguments(program, parse_arguments(program, assignments))
    # Only code that counts can stop at a number of instructions; other code is faster.
    executable = build(engine, program, counting=limits.fuel is not None, workers=workers)

    def show(values: Sequence[Number]) -> None:
        if values:
            click.echo("\n".join(map(format_number, values)))

    try:
        with Supervisor() as supervisor:
            outcome = supervisor.call(executable, args, limits, on_output=show).outcome
    except EngineUnavailable as reason:
        raise unavailable(engine, reason) from None
    if outcome.result is not None:
        click.echo(format_number(outcome.result))
    if outcome.trap is not None:
        context.exit(tell_trap(program, outcome.trap, limits, supervisor.timed_out))


def tell_trap(program: Program, trap: TrapReport, limits: Limits, timed_out: bool) -> int:
    """Report the trap that ended a run; the exit code."""
    from vmlab.cli import traps
    from vmlab.isa import Trap

    click.echo(traps.report(program, trap, limits, timed_out=timed_out), err=True)
    interrupted = trap.trap is Trap.INTERRUPTED
    return exits.INTERRUPTED if interrupted else exits.TRAPPED


@click.command()
@click.argument("names", metavar="PROGRAM...", nargs=-1, required=True)
@limit_options
@click.pass_context
def test(context: click.Context, names: Sequence[str], limits: Limits) -> None:
    """Check the expect lines of programs on every engine."""
    from vmlab.diagnostics import counted

    lines = failed = 0
    for name in names:
        program = open_program(name)
        if not program.expectations:
            click.echo(f"Warning: {name} has no expect lines: nothing was checked", err=True)
            continue
        found, unable = _check(name, program, limits)
        for text in _differences(program, found):
            click.echo(f"{text}\n")
        for engine, reason in unable.items():
            click.echo(f"{name}: {engine} took no part: {reason}")
        failing = {failure.span for failures in found.values() for failure in failures}
        expected = counted(len(program.expectations), "expect line")
        if failing:
            click.echo(f"{name}: {len(failing)} of {expected} failed")
        else:
            click.echo(f"{name}: {expected} passed on {counted(len(found), 'engine')}")
        lines += len(program.expectations)
        failed += len(failing)
    if len(names) > 1:
        total = f"{counted(lines, 'expect line')} in {counted(len(names), 'program')}"
        click.echo(f"{total}: {f'{failed} failed' if failed else 'all passed'}")
    if failed:
        context.exit(exits.DIFFERS)


def _check(
    name: str, program: Program, limits: Limits
) -> tuple[dict[str, list[Failure]], dict[str, str]]:
    """By engine, the expect lines that fail; and why engines could not run the program."""
    from vmlab.engines import ENGINES, EngineUnavailable
    from vmlab.expectations import check

    found: dict[str, list[Failure]] = {}
    unable: dict[str, str] = {}
    with Status() as status:
        for done, engine in enumerate(ENGINES):
            status(f"testing {name} on {engine}", done, len(ENGINES))
            try:
                failures = found[engine] = check(program, engine, limits)
            except EngineUnavailable as reason:
                unable[engine] = str(reason)
                continue
            if failures and failures[-1].outcome.interrupted:
                line = failures[-1].span.line
                raise exits.Stop(
                    f"{name}: interrupted in line {line}, on {engine}", exits.INTERRUPTED
                )
    return found, unable


def _differences(program: Program, found: Mapping[str, Sequence[Failure]]) -> Iterator[str]:
    """A paragraph for each line that fails, and each way in which it does."""
    from vmlab.diagnostics import excerpt
    from vmlab.report.numbers import listing

    alike: dict[tuple[int, str], list[tuple[str, Failure]]] = {}
    for engine, failures in found.items():
        for failure in failures:
            alike.setdefault((failure.span.line, failure.found), []).append((engine, failure))
    source, lines = program.source, program.source.lines
    for _, group in sorted(alike.items(), key=lambda item: item[0][0]):
        failure = group[0][1]
        engines = [engine for engine, _ in group]
        where = "every engine" if len(engines) == len(found) else listing(engines)
        expected, actual, marks = _contrast(failure.expected, failure.found)
        yield "\n".join(
            [
                f"{source.path}:{failure.span.line}: expect line failed on {where}",
                excerpt(lines, failure.span),
                f"  expected: {expected}",
                f"  found:    {actual}{_trap_place(program, failure.outcome)}",
                *([f"            {marks}"] if marks else []),
            ]
        )


def _trap_place(program: Program, outcome: Outcome) -> str:
    from vmlab.cli import traps

    return "" if outcome.trap is None else f" at {traps.place(program, outcome.trap)}"


_LEAD, _WIDTH = 40, 80


def _contrast(expected: str, found: str) -> tuple[str, str, str]:
    """Both texts, of long ones the part around the first character that differs, and a caret
    below it if they have something in common."""
    same = next(
        (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
        min(len(expected), len(found)),
    )
    first = max(0, same - _LEAD) if max(len(expected), len(found)) > _WIDTH else 0
    shown = [
        ("…" if first else "") + text[first : first + _WIDTH]
        + ("…" if len(text) > first + _WIDTH else "")
        for text in (expected, found)
    ]  # fmt: skip
    caret = " " * (same - first + bool(first)) + "^" if same else ""
    return shown[0], shown[1], caret
