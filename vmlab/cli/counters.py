"""`counters`: machine instructions, cycles and misses a VM instruction, engine by engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.compare import explained
from vmlab.cli.parameters import (
    argument_option,
    engines_option,
    limit_options,
    open_inputs,
)
from vmlab.cli.reporting import Forms, Report, opened, report_options
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.outcome import Limits


@click.command()
@click.argument("name", metavar="PROGRAM")
@engines_option
@argument_option
@report_options("All counts and reasons")
@limit_options
@click.pass_context
def counters(
    context: click.Context,
    name: str,
    engines: Sequence[str] | None,
    assignments: Sequence[tuple[str, str]],
    report: Report,
    limits: Limits,
) -> None:
    """Count what the machine does for a VM instruction.

    Measured by the CPU's counters where the system shows them, and counted exactly by valgrind's
    cachegrind where valgrind and a C compiler are installed: that runs a program some fifty times
    slower. First the engines must agree, as for compare."""
    program, arguments = open_inputs(name, assignments, report.output)

    from vmlab.measure.counting import count
    from vmlab.report import counts_report

    forms = Forms(
        counts_report.text, counts_report.table, counts_report.to_json, counts_report.remarks
    )
    with opened(report.output) as write:
        with Status() as status, explained():
            counts = count(program, engines, arguments, limits=limits, progress=status)
        write(report.form(forms, counts))
    report.tell(forms, counts)
    outcome = counts.agreement.outcome
    if outcome is None:
        context.exit(exits.DIFFERS)
    if outcome.trap is not None:
        from vmlab.cli import traps

        traps.tell(program, outcome, limits)
        context.exit(exits.TRAPPED)
