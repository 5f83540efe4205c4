"""`sched`: what tasks cost on the native scheduler, beside Go and what Python has."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from vmlab.cli.parameters import format_option, open_output, report_option, wants_json
from vmlab.cli.plot import check_plot, plot_option
from vmlab.cli.status import Status


@click.command()
@click.option("--quick", is_flag=True, help="11 rounds instead of 31.")
@click.option("--json", "as_json", is_flag=True, help="All samples, as JSON.")
@format_option
@report_option
@plot_option("the distributions", "it needs a file here: the terminal has no room for it")
def sched(
    quick: bool, as_json: bool, layout: str | None, output: str | None, plot: str | None
) -> None:
    """Measure launch, yield, channels, waking, memory and stacks of tasks.

    The native scheduler for one worker and for several, beside Go, threads, greenlet, Lua's
    coroutines and asyncio as far as they are installed (pip install 'vmlab[peers]')."""
    as_json = wants_json(as_json, layout, output)
    check_plot(plot, output)

    from vmlab.measure.scheduling import measure
    from vmlab.report import sched_report

    # Whatever happens to the picture, the report is written by then.
    with contextlib.ExitStack() as drawing:
        draw = open_output(plot, drawing, "--plot")
        with contextlib.ExitStack() as stack:
            write = open_output(output, stack)
            with Status() as status:
                result = measure(quick=quick, progress=status)
            if as_json:
                write(sched_report.to_json(result))
            elif layout is not None:
                write(sched_report.table(result, layout) + "\n")
            else:
                write(sched_report.text(result))
        if plot is not None:
            from vmlab.report.sched_picture import picture

            draw(picture(result, Path(plot).suffix[1:]))
    if output is not None or layout is not None:
        click.echo(sched_report.remarks(result), err=True)
    if output is not None:
        click.echo(f"Written to {output}", err=True)
