"""`explain`: where an interpreter's time goes, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.compare import explained
from vmlab.cli.parameters import (
    argument_option,
    check_rounds,
    limit_options,
    open_inputs,
    quick_option,
    rounds_option,
)
from vmlab.cli.plot import check_plot, plot_option
from vmlab.cli.reporting import Forms, Report, opened, report_options
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.outcome import Limits


@click.command(short_help="Show where an interpreter's time goes.")
@click.argument("name", metavar="PROGRAM")
@argument_option
@rounds_option
@quick_option
@report_options("All costs and their bounds")
@plot_option(
    "where the time goes", "where the time goes is drawn to a file; the terminal has the tables"
)
@limit_options
def explain(
    name: str,
    assignments: Sequence[tuple[str, str]],
    rounds: int | None,
    quick: bool,
    report: Report,
    plot: str | None,
    limits: Limits,
) -> None:
    """Show where an interpreter's time goes, by mechanism and by instruction.

    Each mechanism is added to an engine with little else, and removed from the whole interpreter;
    both are timed in the same interleaved rounds. With tasks, copies of stacks and the
    pointer-store barrier are mechanisms, too, and machine stacks are compared with coroutines. Then
    the program is interrupted at random, to see which of its instructions is running."""
    check_plot(plot, report.output)
    check_rounds(rounds, quick)
    program, arguments = open_inputs(name, assignments, report.output)

    from vmlab.measure.explain import explain as measure
    from vmlab.report import explain as text

    forms = Forms(text.report, text.tables, text.to_json, text.remarks)
    with opened(plot, "--plot") as draw:
        with opened(report.output) as write:
            with Status() as status, explained():
                explanation = measure(
                    program, arguments, rounds=rounds, quick=quick, limits=limits, progress=status
                )
            comparison = explanation.comparison
            if explanation.attribution is None:
                from vmlab.cli import traps

                traps.tell(program, comparison.agreement.outcome, limits)
                raise exits.Stop(comparison.verdict, comparison.exit_code)
            write(report.form(forms, explanation))
        if plot is not None:
            from vmlab.report.explain_picture import picture as drawn

            title = f"{Path(program.source.path).name}: {comparison.agreement.run}"
            draw(drawn(explanation, title, Path(plot).suffix[1:]))
            if isinstance(explanation.opcodes, str):
                click.echo(f"Instructions are not drawn: {explanation.opcodes}", err=True)
    report.tell(forms, explanation, explanation.warnings)
