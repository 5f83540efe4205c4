"""`counters`: machine instructions, cycles and misses a VM instruction, engine by engine."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.compare import explained
from vmlab.cli.parameters import (
    argument_option,
    bad,
    limit_options,
    open_output,
    open_program,
    parse_arguments,
    table_format,
)
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.outcome import Limits


@click.command()
@click.argument("name", metavar="PROGRAM")
@click.option(
    "--engines", metavar="NAME,...", help="The engines. All but the reference unless given."
)
@argument_option
@click.option("--json", "as_json", is_flag=True, help="All counts and reasons, as JSON.")
@click.option(
    "--format",
    "layout",
    type=table_format,
    metavar="NAME",
    help="Nothing but the table, in a format of tabulate: github, html, latex, tsv ...",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(),
    help="Write the report to this file; JSON if its name ends in .json.",
)
@limit_options
@click.pass_context
def counters(
    context: click.Context,
    name: str,
    engines: str | None,
    assignments: Sequence[tuple[str, str]],
    as_json: bool,
    layout: str | None,
    output: str | None,
    limits: Limits,
) -> None:
    """Count what the machine does for a VM instruction.

    Measured by the CPU's counters where the system shows them, and counted exactly by valgrind's
    cachegrind where valgrind and a C compiler are installed: that runs a program some fifty times
    slower. First the engines must agree, as for compare."""
    as_json = as_json or (output is not None and output.endswith(".json"))
    if as_json and layout is not None:
        raise click.UsageError("--format is about tables: leave it out for JSON")
    program = open_program(name)
    if output is not None and Path(output).exists() and Path(output).samefile(program.source.path):
        raise bad("--output", f"'{output}' is the program itself")
    arguments = parse_arguments(program, assignments)

    from vmlab.measure.counting import count
    from vmlab.report import counts_report

    chosen = None if engines is None else [part.strip() for part in engines.split(",")]
    with contextlib.ExitStack() as stack:
        write = open_output(output, stack)
        with Status() as status, explained():
            counts = count(program, chosen, arguments, limits=limits, progress=status)
        if as_json:
            write(counts_report.to_json(counts))
        elif layout is not None:
            write(counts_report.table(counts, layout) + "\n")
        else:
            write(counts_report.text(counts))
    if output is not None or layout is not None:
        click.echo(counts_report.remarks(counts), err=True)
    if output is not None:
        click.echo(f"Written to {output}", err=True)
    outcome = counts.agreement.outcome
    if outcome is None:
        context.exit(exits.DIFFERS)
    if outcome.trap is not None:
        from vmlab.cli import traps

        click.echo(traps.report(program, outcome.trap, limits), err=True)
        context.exit(exits.TRAPPED)
