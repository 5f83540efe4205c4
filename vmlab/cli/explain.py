"""`explain`: where an interpreter's time goes, as tables or as JSON."""

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
from vmlab.cli.plot import check_plot, plot_option
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.explanation import Explanation
    from vmlab.outcome import Limits


@click.command()
@click.argument("name", metavar="PROGRAM")
@argument_option
@rounds_option
@quick_option
@click.option("--json", "as_json", is_flag=True, help="All costs and their bounds, as JSON.")
@format_option
@report_option
@plot_option(
    "where the time goes", "where the time goes is drawn to a file; the terminal has the tables"
)
@limit_options
def explain(
    name: str,
    assignments: Sequence[tuple[str, str]],
    rounds: int | None,
    quick: bool,
    as_json: bool,
    layout: str | None,
    output: str | None,
    plot: str | None,
    limits: Limits,
) -> None:
    """Show where an interpreter's time goes, by mechanism and by instruction.

    Each mechanism is added to an engine with little else, and removed from the whole interpreter;
    both are timed in the same interleaved rounds. With tasks, copies of stacks and the
    pointer-store barrier are mechanisms, too, and machine stacks are compared with coroutines. Then
    the program is interrupted at random, to see which of its instructions is running."""
    check_plot(plot, output)
    check_rounds(rounds, quick)
    as_json = wants_json(as_json, layout, output)
    program, arguments = open_inputs(name, assignments, output)

    from vmlab.measure.explain import explain as measure
    from vmlab.report.explain import remarks

    with contextlib.ExitStack() as picture:
        draw = open_output(plot, picture, "--plot")
        with contextlib.ExitStack() as report:
            write = open_output(output, report)
            with Status() as status, explained():
                explanation = measure(
                    program, arguments, rounds=rounds, quick=quick, limits=limits, progress=status
                )
            comparison = explanation.comparison
            if explanation.attribution is None:
                from vmlab.cli import traps

                traps.tell(program, comparison.agreement.outcome, limits)
                raise exits.Stop(comparison.verdict, comparison.exit_code)
            write(_report(explanation, as_json, layout))
        if plot is not None:
            from vmlab.report.explain_picture import picture as drawn

            title = f"{Path(program.source.path).name}: {comparison.agreement.run}"
            draw(drawn(explanation, title, Path(plot).suffix[1:]))
            if isinstance(explanation.opcodes, str):
                click.echo(f"Instructions are not drawn: {explanation.opcodes}", err=True)
    if output is not None or layout is not None:
        click.echo(remarks(explanation), err=True)
    for warning in explanation.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if output is not None:
        click.echo(f"Written to {output}", err=True)


def _report(explanation: Explanation, as_json: bool, layout: str | None) -> str:
    from vmlab.report import explain as text

    if as_json:
        return text.to_json(explanation)
    return text.report(explanation) if layout is None else text.tables(explanation, layout)
