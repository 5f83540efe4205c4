"""What the user is told about a trap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from vmlab.diagnostics import excerpt
from vmlab.isa import Trap
from vmlab.outcome import MAX_LAUNCHES, Deadlock, Limits, Outcome, Place, TrapReport
from vmlab.program import Instruction, Program

# Of a call chain longer than both together, so many calls are shown at either end.
_INNERMOST = 5
_OUTERMOST = 5

# By the instruction that a task waits at: for what, and how that came to be.
_AWAITED = {
    "join": ("for the end of task", "spawned"),
    "send": ("to send to channel", "made"),
    "recv": ("to receive from channel", "made"),
}


def explain(trap: Trap, limits: Limits, *, timed_out: bool = False) -> str:
    """What happened, and what helps if it was a limit."""
    match trap:
        case Trap.DIVIDE_BY_ZERO:
            return "an int was divided by zero"
        case Trap.INTEGER_OVERFLOW:
            return "the result does not fit in an int"
        case Trap.INDEX_OUT_OF_RANGE:
            return "the index lies outside the array"
        case Trap.NEGATIVE_LENGTH:
            return "an array or a channel cannot have a negative length"
        case Trap.OUT_OF_MEMORY:
            return (
                f"arrays, channels and tasks may take {limits.max_heap:,} bytes;"
                " allow more with --max-heap"
            )
        case Trap.OUTPUT_LIMIT_EXCEEDED:
            return f"a run may print {limits.max_output:,} values; allow more with --max-output"
        case Trap.CALL_DEPTH_EXCEEDED:
            return f"{limits.max_depth:,} calls may be active; allow more with --max-depth"
        case Trap.SEND_ON_CLOSED:
            return "the channel is closed, or it is being closed while a task waits to send"
        case Trap.DEADLOCK:
            return "every task waits for another"
        case Trap.OUT_OF_FUEL:
            return f"a run may execute {limits.fuel:,} instructions (--fuel)"
        case Trap.INTERRUPTED:
            return f"after --timeout {limits.timeout:g}" if timed_out else "by Ctrl-C"


def report(program: Program, trap: TrapReport, limits: Limits, *, timed_out: bool = False) -> str:
    """The trap, where it happened, and the calls that led there."""
    lines = program.source.lines
    function, instruction = _look_up(program, trap.place)
    return "\n".join(
        [
            f"{_where(program, instruction)}: trap: {trap.trap}:"
            f" {explain(trap.trap, limits, timed_out=timed_out)}",
            excerpt(lines, instruction.span),
            f"  in {function}",
            *(f"  {line}" for line in _chain(program, trap.chain[1:], "called from", "calls")),
            *(f"  {line}" for line in _launches(program, trap.launches)),
            *(f"  {line}" for line in _waits(program, trap.deadlock)),
        ]
    )


def tell(program: Program, outcome: Outcome | None, limits: Limits) -> None:
    """Report the trap on stderr, if that is how the run ended."""
    if outcome is not None and outcome.trap is not None:
        click.echo(report(program, outcome.trap, limits), err=True)


def place(program: Program, trap: TrapReport) -> str:
    """Where it happened, in one line."""
    function, instruction = _look_up(program, trap.place)
    return f"{_where(program, instruction)}, in {function}"


def _launches(program: Program, places: Sequence[Place]) -> Iterator[str]:
    if len(places) < MAX_LAUNCHES:
        yield from _chain(program, places, "spawned in", "launches")
    else:  # where they began is not known
        yield from _chain(program, places[:_INNERMOST], "spawned in", "launches")
        yield f"... {len(places) - _INNERMOST:,} or more launches ..."


def _chain(program: Program, places: Sequence[Place], led: str, more: str) -> Iterator[str]:
    """A line a place; of many those at either end."""
    left_out = len(places) - _INNERMOST - _OUTERMOST
    for number, at in enumerate(places):
        if left_out > 0 and _INNERMOST <= number < _INNERMOST + left_out:
            if number == _INNERMOST:
                yield f"... {left_out:,} more {more} ..."
            continue
        yield f"{led} {_function_at(program, at)}"


def _waits(program: Program, deadlock: Deadlock | None) -> Iterator[str]:
    """Who waits for what."""
    if deadlock is None:
        return
    for waiter in deadlock.waiters:
        _, instruction = _look_up(program, waiter.place)
        what, made = _AWAITED[instruction.opcode.name]
        _, origin = _look_up(program, waiter.origin)
        yield (
            f"{f'task {waiter.task}' if waiter.task else 'main'} waits at"
            f" {_where(program, instruction)} {what} {waiter.number},"
            f" {made} at {_where(program, origin)}"
        )
    left_out = deadlock.count - len(deadlock.waiters)
    if left_out:
        yield f"... {left_out:,} more tasks ..."


def _look_up(program: Program, at: Place) -> tuple[str, Instruction]:
    function = program.functions[at.function]
    return function.name, function.code[at.instruction]


def _function_at(program: Program, at: Place) -> str:
    function, instruction = _look_up(program, at)
    return f"{function} at {_where(program, instruction)}"


def _where(program: Program, instruction: Instruction) -> str:
    return f"{program.source.path}:{instruction.span.line}:{instruction.span.column}"
