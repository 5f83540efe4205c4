"""`compare`: the comparison of engines, as a table or as JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.parameters import (
    argument_option,
    bad,
    check_rounds,
    engines_option,
    limit_options,
    open_inputs,
    quick_option,
    rounds_option,
)
from vmlab.cli.plot import TERMINAL, check_plot, drawn, plot_option
from vmlab.cli.reporting import Forms, Report, opened, report_options
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.comparison import Comparison
    from vmlab.fail_if import Condition
    from vmlab.outcome import Limits
    from vmlab.program import Program


@click.command()
@click.argument("name", metavar="PROGRAM")
@engines_option
@argument_option
@rounds_option
@quick_option
@report_options("All samples and facts")
@plot_option("what each engine adds")
@click.option(
    "--fail-if",
    "conditions",
    metavar="CONDITION",
    multiple=True,
    help="End with exit code 1 if this holds, such as 'switch>30*inlined'; may be repeated.",
)
@limit_options
@click.pass_context
def compare(
    context: click.Context,
    name: str,
    engines: Sequence[str] | None,
    assignments: Sequence[tuple[str, str]],
    rounds: int | None,
    quick: bool,
    report: Report,
    plot: str | None,
    conditions: Sequence[str],
    limits: Limits,
) -> None:
    """Time a program on several engines.

    First they must agree: on the expect lines, and in result, output and instructions. Then they
    are timed in interleaved rounds."""
    check_rounds(rounds, quick)
    printed = report.output is None
    if plot == TERMINAL and printed and (report.as_json or report.layout is not None):
        raise click.UsageError("a report for programs and --plot - cannot both go to stdout")
    check_plot(plot, report.output)
    program, arguments = open_inputs(name, assignments, report.output)

    from vmlab.engines import COMPARED
    from vmlab.fail_if import parse_condition
    from vmlab.measure.compare import compare as measure
    from vmlab.report import json_report, table, text

    forms = Forms(text.report, table.table, json_report.to_json, text.remarks)
    chosen = engines or COMPARED
    try:
        checks = [parse_condition(condition, chosen) for condition in conditions]
    except ValueError as error:
        raise bad("--fail-if", str(error)) from None
    # Whatever happens to the picture, the report is written by then.
    with opened(None if plot == TERMINAL else plot, "--plot") as draw:
        with opened(report.output) as write:
            with Status() as status, explained():
                comparison = measure(
                    program,
                    chosen,
                    arguments,
                    rounds=rounds,
                    quick=quick,
                    limits=limits,
                    progress=status,
                )
            write(report.form(forms, comparison))
        if plot is not None:
            try:
                content = drawn([comparison], plot)
            except ValueError as error:
                click.echo(f"Not drawn: {error}", err=True)
            else:
                if plot == TERMINAL and printed:
                    write("\n")
                draw(content)
    report.tell(forms, comparison, comparison.warnings)
    context.exit(_exit_code(comparison, program, checks, limits))


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Ends the command with a message where the comparison cannot be made."""
    from vmlab.engines import EngineUnavailable

    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except EngineUnavailable as error:
        raise exits.Stop(str(error), exits.USAGE) from None
    except TimeoutError as error:
        raise exits.Stop(str(error), exits.INTERRUPTED) from None


def _exit_code(
    comparison: Comparison, program: Program, checks: Sequence[Condition], limits: Limits
) -> int:
    """Having said why, unless the verdict does."""
    from vmlab.cli import traps
    from vmlab.report.numbers import interval

    traps.tell(program, comparison.agreement.outcome, limits)
    if comparison.exit_code:
        return comparison.exit_code
    try:
        held = [check for check in checks if check.holds(comparison)]
    except ValueError as error:
        raise exits.Stop(f"--fail-if cannot be decided: {error}", exits.USAGE) from None
    for check in held:
        ratio = interval(comparison.ratio(check.left, check.right))
        click.echo(f"Error: --fail-if holds: {check}; measured: {ratio}", err=True)
    return exits.DIFFERS if held else 0
