"""`trace`: which task of a program runs when, as a file for a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vmlab.cli.parameters import (
    argument_option,
    engine_option,
    limit_options,
    open_inputs,
    unavailable,
    whole_number,
    workers_option,
)
from vmlab.cli.reporting import opened, output_option
from vmlab.cli.running import tell_trap

if TYPE_CHECKING:
    from vmlab.engines import Engine
    from vmlab.outcome import Limits, Outcome
    from vmlab.program import Number, Program
    from vmlab.supervise import Supervisor
    from vmlab.timeline import Timeline


@click.command()
@click.argument("name", metavar="PROGRAM")
@engine_option("reference", "The engine: reference, inlined or template.")
@workers_option
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
    engine: Engine,
    workers: int,
    output: str | None,
    max_events: int,
    assignments: Sequence[tuple[str, str]],
    limits: Limits,
) -> None:
    """Write a timeline of a program's tasks.

    Chrome's Trace Event Format: open the file in https://ui.perfetto.dev or chrome://tracing. A row
    is a worker, a slice a turn of a task, an arrow leads from what launched or woke a task to its
    turn. What the program prints is not shown.

    On the reference interpreter time is executed VM instructions, each drawn as 1 µs, and like the
    order of turns it is the same on every engine that has one worker. On inlined and template it is
    time, by the CPU's time stamp counter: the workers write down what they do, in code of its own.
    A turn takes three notes, of some ten nanoseconds each, so where tasks do nothing but change the
    run takes several times as long as in `run`."""
    program, arguments = open_inputs(name, assignments, output)

    from vmlab.diagnostics import counted
    from vmlab.outcome import bind_arguments
    from vmlab.report.trace_events import to_json
    from vmlab.supervise import Supervisor

    args = bind_arguments(program, arguments)
    with opened(output) as write:
        with Supervisor() as supervisor:
            outcome, timeline = _record(
                supervisor, program, engine, workers, args, limits, max_events
            )
        # At once: a long file takes its time.
        trap, timed_out = outcome.trap, supervisor.timed_out
        code = tell_trap(program, trap, limits, timed_out) if trap else 0
        write(to_json(program, args, outcome, timeline))
    assert timeline.recorded is not None
    if timeline.recorded < timeline.total:
        click.echo(f"Warning: {_end(timeline)}; allow more with --max-events", err=True)
    if output is not None:
        turns = counted(len(timeline.slices), "turn")
        tasks = counted(len({turn.task for turn in timeline.slices}), "task")
        click.echo(f"Written to {output}: {turns} of {tasks}", err=True)
    context.exit(code)


def _record(
    supervisor: Supervisor,
    program: Program,
    engine: Engine,
    workers: int,
    args: Sequence[Number],
    limits: Limits,
    max_events: int,
) -> tuple[Outcome, Timeline]:
    from vmlab import recording, timeline
    from vmlab.engines import EngineUnavailable

    if engine.name == "reference" and workers == 1:
        return timeline.record(supervisor, program, args, limits, max_events)
    if limits.fuel is not None:
        raise click.UsageError("--fuel counts instructions, as the reference does with one worker")
    try:
        return recording.record(supervisor, program, engine, args, limits, max_events, workers)
    except EngineUnavailable as reason:
        raise unavailable(engine, reason) from None


def _end(timeline: Timeline) -> str:
    from vmlab.report.numbers import duration

    recorded, total = timeline.recorded, timeline.total
    assert recorded is not None
    if timeline.nanoseconds_a_tick is None:
        of = f"{recorded:,} of {total:,} instructions"
    else:
        of = f"{duration(recorded / 1e9)} of {duration(total / 1e9)}"
    return f"the timeline ends after {of}, with {timeline.events:,} events"
