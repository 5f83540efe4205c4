"""`explain`: where an interpreter's time goes, as a table or as JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.compare import explained
from vmlab.cli.parameters import (
    argument_option,
    bad,
    check_rounds,
    format_option,
    limit_options,
    open_inputs,
    open_output,
    quick_option,
    report_option,
    rounds_option,
    wants_json,
)
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.attribution import Attribution
    from vmlab.outcome import Limits


@click.command()
@click.argument("name", metavar="PROGRAM")
@argument_option
@rounds_option
@quick_option
@click.option("--json", "as_json", is_flag=True, help="All costs and their bounds, as JSON.")
@format_option
@report_option
@limit_options
def explain(
    name: str,
    assignments: Sequence[tuple[str, str]],
    rounds: int | None,
    quick: bool,
    as_json: bool,
    layout: str | None,
    output: str | None,
    limits: Limits,
) -> None:
    """Show where an interpreter's time goes, by mechanism.

    Each mechanism is added to straight machine code, and removed from the whole interpreter; both
    are timed in the same interleaved rounds."""
    check_rounds(rounds, quick)
    as_json = wants_json(as_json, layout, output)
    program, arguments = open_inputs(name, assignments, output)

    from vmlab.attribution import ENGINES, INTERVALS, attribute
    from vmlab.measure.compare import compare as measure
    from vmlab.measure.statistics import minimum_rounds
    from vmlab.report.explain import remarks

    least = minimum_rounds(INTERVALS)
    if rounds is not None and rounds < least:
        raise bad("--rounds", f"{rounds} are too few for {INTERVALS} intervals: give {least}")
    with contextlib.ExitStack() as report:
        write = open_output(output, report)
        with Status() as status, explained():
            comparison = measure(
                program,
                ENGINES,
                arguments,
                rounds=rounds,
                quick=quick,
                limits=limits,
                progress=status,
            )
        if comparison.rounds is None:
            from vmlab.cli import traps

            traps.tell(program, comparison.agreement.outcome, limits)
            raise exits.Stop(comparison.verdict, comparison.exit_code)
        attribution = attribute(comparison)
        write(_report(attribution, as_json, layout))
    if output is not None or layout is not None:
        click.echo(remarks(attribution), err=True)
    for warning in comparison.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if output is not None:
        click.echo(f"Written to {output}", err=True)


def _report(attribution: Attribution, as_json: bool, layout: str | None) -> str:
    from vmlab.report import explain as text

    if as_json:
        return text.to_json(attribution)
    if layout is None:
        return text.report(attribution)
    return text.table(attribution, layout) + "\n"
