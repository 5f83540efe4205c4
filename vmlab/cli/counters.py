"""`counters`: machine instructions, cycles and misses a VM instruction, engine by engine."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.compare import explained
from vmlab.cli.parameters import (
    argument_option,
    engines_option,
    format_option,
    limit_options,
    open_inputs,
    open_output,
    report_option,
    wants_json,
)
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.outcome import Limits


@click.command()
@click.argument("name", metavar="PROGRAM")
@engines_option
@argument_option
@click.option("--json", "as_json", is_flag=True, help="All counts and reasons, as JSON.")
@format_option
@report_option
@limit_options
@click.pass_context
def counters(
    context: click.Context,
    name: str,
    engines: Sequence[str] | None,
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
    as_json = wants_json(as_json, layout, output)
    program, arguments = open_inputs(name, assignments, output)

    from vmlab.measure.counting import count
    from vmlab.report import counts_report

    with contextlib.ExitStack() as stack:
        write = open_output(output, stack)
        with Status() as status, explained():
            counts = count(program, engines, arguments, limits=limits, progress=status)
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

        traps.tell(program, outcome, limits)
        context.exit(exits.TRAPPED)
