"""`publish`: comparisons of the whole corpus, with their tables, in one folder."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.compare import explained
from vmlab.cli.parameters import (
    bad,
    engines_option,
    open_program,
    open_result,
    parse_arguments,
    whole_number,
)
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.comparison import Comparison
    from vmlab.program import Program

# So that the whole corpus takes minutes. With up to 52 engines, intervals over 15 rounds leave out
# the smallest and the largest ratio: one disturbed round does no harm.
_ROUNDS = 15


@click.command(short_help="Compare the engines on many programs.")
@click.argument("names", metavar="[PROGRAM]...", nargs=-1)
@click.option(
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False),
    help="The folder for PROGRAM.json and tables.md; made if it is not there.",
)
@click.option(
    "--rounds",
    type=whole_number(1),
    metavar="N",
    default=_ROUNDS,
    show_default=True,
    help="How often every engine is timed.",
)
@engines_option
@click.option("--fresh", is_flag=True, help="Measure everything again.")
@click.pass_context
def publish(
    context: click.Context,
    names: Sequence[str],
    output: str,
    engines: Sequence[str] | None,
    rounds: int,
    fresh: bool,
) -> None:
    """Compare the engines on many programs, and make a table of each.

    On the whole corpus unless programs are named. Each result is written as soon as it is there:
    after an interruption, the same command goes on where it was. A result is kept if program,
    engines, rounds, vmlab and machine are still the same. tables.md then shows all results in the
    folder."""
    from vmlab import corpus
    from vmlab.engines import GROUPS
    from vmlab.measure.compare import compare
    from vmlab.measure.machine import describe_machine
    from vmlab.report.output import OutputFile
    from vmlab.report.published import why_stale, write_tables

    engines = engines or GROUPS["published"]
    programs = _programs(names or corpus.names())
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bad("--output", f"cannot make '{output}': {error.strerror}") from None
    results = _results(folder, leave_out=programs if fresh else ())
    machine = describe_machine()
    to_measure = {}
    for name, program in programs.items():
        if name not in results:
            to_measure[name] = program
        elif (reason := why_stale(results[name], program, engines, rounds, machine)) is not None:
            click.echo(f"{name}: to be measured again: {reason}", err=True)
            to_measure[name] = program
        else:
            when = results[name].created[:16].replace("T", " ")
            click.echo(f"{name}: kept (measured {when})", err=True)

    start = time.monotonic()
    for done, (name, program) in enumerate(to_measure.items()):
        before = time.monotonic()
        with Status() as status, explained():
            result = compare(
                program,
                engines,
                rounds=rounds,
                progress=functools.partial(_show, status, f"{name}, {done + 1}/{len(to_measure)}"),
            )
        with OutputFile(folder / f"{name}.json") as file:
            file.write(result.to_json())
        results[name] = result
        now = time.monotonic()
        left = (now - start) / (done + 1) * (len(to_measure) - done - 1)
        click.echo(
            f"{name}: {_how(result)} in {now - before:.1f} s"
            f" ({done + 1}/{len(to_measure)}, {left:.0f} s left)",
            err=True,
        )
    write_tables(folder, results)
    # That engines disagree weighs more than that a program traps.
    codes = {results[name].exit_code for name in programs} - {0}
    context.exit(min(codes, default=0))


def _programs(names: Sequence[str]) -> dict[str, Program]:
    """By the names of their results."""
    from vmlab.assembler import assemble

    programs: dict[str, Program] = {}
    for name in names:
        program = open_program(name)
        parse_arguments(program, ())
        stem = Path(program.source.path).stem
        if stem in programs:
            raise bad("PROGRAM", f"two programs would be published as {stem}.json")
        # By its name alone: where it lies is no one else's business.
        programs[stem] = assemble(program.source.text, f"{stem}.vm")
    return programs


def _results(folder: Path, leave_out: Sequence[str] | dict[str, Program]) -> dict[str, Comparison]:
    """What the folder holds. It must hold no other JSON, which tables.md could not show."""
    try:
        return {
            path.stem: open_result(str(path))
            for path in sorted(folder.glob("*.json"))
            if path.stem not in leave_out
        }
    except exits.Stop as stop:
        raise exits.Stop(
            f"{stop}\nThe folder is for results alone: delete the file, or, if it is the result of"
            " one of the programs, give --fresh",
            stop.code,
        ) from None


def _show(
    status: Status, which: str, doing: str, done: int, total: int, left: float | None = None
) -> None:
    status(f"{which}: {doing}", done, total, left)


def _how(result: Comparison) -> str:
    from vmlab.report.numbers import counted

    if result.rounds is None:
        return result.verdict.rstrip(".")
    warnings = f" with {counted(len(result.warnings), 'warning')}" if result.warnings else ""
    return f"measured{warnings}"
