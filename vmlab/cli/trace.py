"""`trace`: which task of a program runs when, as a file for a viewer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vmlab.cli.parameters import (
    argument_option,
    limit_options,
    open_inputs,
    whole_number,
)
from vmlab.cli.reporting import opened, output_option
from vmlab.cli.running import tell_trap

if TYPE_CHECKING:
    from vmlab.outcome import Limits


@click.command()
@click.argument("name", metavar="PROGRAM")
@output_option
@click.option(
    "--max-events",
    type=whole_number(4),
    default=100_000,
    show_default=True,
    metavar="N",
    help="Events that the timeline may have.",
)
@argument_option
@limit_options
@click.pass_context
def trace(
    context: click.Context,
    name: str,
    output: str | None,
    max_events: int,
    assignments: Sequence[tuple[str, str]],
    limits: Limits,
) -> None:
    """Write a timeline of a program's tasks.

    Chrome's Trace Event Format: open the file in https://ui.perfetto.dev or chrome://tracing. A row
    is a worker, a slice a turn of a task, an arrow leads from what launched or woke a task to its
    turn. The program runs on the reference interpreter; its time is executed VM instructions, each
    drawn as 1 µs, and like the order of turns it is the same on every engine. What the program
    prints is not shown."""
    program, arguments = open_inputs(name, assignments, output)

    from vmlab.diagnostics import counted
    from vmlab.outcome import bind_arguments
    from vmlab.report.trace_events import to_json
    from vmlab.timeline import record

    args = bind_arguments(program, arguments)
    with opened(output) as write:
        start = time.monotonic()
        outcome, timeline = record(program, args, limits, max_events)
        # At once: a long file takes its time.
        code = tell_trap(program, outcome.trap, limits, start) if outcome.trap else 0
        write(to_json(program, args, outcome, timeline))
    assert timeline.recorded is not None and outcome.instructions is not None
    if timeline.recorded < outcome.instructions:
        click.echo(
            f"Warning: the timeline ends after {timeline.recorded:,} of {outcome.instructions:,}"
            f" instructions, with {timeline.events:,} events; allow more with --max-events",
            err=True,
        )
    if output is not None:
        turns = counted(len(timeline.slices), "turn")
        tasks = counted(len({turn.task for turn in timeline.slices}), "task")
        click.echo(f"Written to {output}: {turns} of {tasks}", err=True)
    context.exit(code)
