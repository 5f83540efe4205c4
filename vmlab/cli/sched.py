"""`sched`: what tasks cost on the native scheduler, beside Go and what Python has."""

from __future__ import annotations

import contextlib

import click

from vmlab.cli.parameters import format_option, open_output, report_option, wants_json
from vmlab.cli.status import Status


@click.command()
@click.option("--quick", is_flag=True, help="11 rounds instead of 31.")
@click.option("--json", "as_json", is_flag=True, help="All samples, as JSON.")
@format_option
@report_option
def sched(quick: bool, as_json: bool, layout: str | None, output: str | None) -> None:
    """Measure launch, yield, channels, waking and memory of tasks.

    The native scheduler for one worker and for several, beside Go, greenlet, Lua's coroutines,
    asyncio and threads as far as they are installed (pip install 'vmlab[peers]')."""
    as_json = wants_json(as_json, layout, output)

    from vmlab.measure.scheduling import measure
    from vmlab.report import sched_report

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
    if output is not None or layout is not None:
        click.echo(sched_report.remarks(result), err=True)
    if output is not None:
        click.echo(f"Written to {output}", err=True)
