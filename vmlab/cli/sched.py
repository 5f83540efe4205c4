"""`sched`: what tasks cost on the native scheduler, beside Go and what Python has."""

from __future__ import annotations

from pathlib import Path

import click

from vmlab.cli.plot import check_plot, plot_option
from vmlab.cli.reporting import Forms, Report, opened, report_options
from vmlab.cli.status import Status


@click.command(short_help="Measure what tasks cost on the native scheduler.")
@click.option("--quick", is_flag=True, help="11 rounds instead of 31.")
@report_options("All samples")
@plot_option("the distributions", "it needs a file here: the terminal has no room for it")
def sched(quick: bool, report: Report, plot: str | None) -> None:
    """Measure launch, yield, channels, waking, memory and stacks of tasks.

    The native scheduler for one worker and for several, beside Go, threads, greenlet, Lua's
    coroutines and asyncio as far as they are installed (pip install 'vmlab[peers]')."""
    check_plot(plot, report.output)

    from vmlab.measure.scheduling import measure
    from vmlab.report import sched_report

    forms = Forms(sched_report.text, sched_report.table, sched_report.to_json, sched_report.remarks)
    # Whatever happens to the picture, the report is written by then.
    with opened(plot, "--plot") as draw:
        with opened(report.output) as write:
            with Status() as status:
                result = measure(quick=quick, progress=status)
            write(report.form(forms, result))
        if plot is not None:
            from vmlab.report.sched_picture import picture

            draw(picture(result, Path(plot).suffix[1:]))
    report.tell(forms, result)
