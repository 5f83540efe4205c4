"""What `vmlab sched` measured: a table with notes, and JSON. sched_schema.json, beside this file,
documents every field of the latter."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vmlab.measure.sched_systems import STAGES, Operation
from vmlab.report import schemas
from vmlab.report.json_report import machine_facts
from vmlab.report.notes import labelled
from vmlab.report.numbers import interval, significant
from vmlab.report.table import NONE
from vmlab.scheduling import ABSENT, Distribution

if TYPE_CHECKING:
    from vmlab.measure.sched_systems import Clock, System
    from vmlab.scheduling import Cell, Scheduling

SCHEMA = "vmlab-sched/2"

_HEADERS = ("operation", "system", "P50", "P99", "σ", "MAD", "Go's by this")

# What each side promises; a ratio of times compares no more than what both do.
GUARANTEES = (
    "vmlab's kernel promises: an end when its memory is used up; tasks in the order of their launch"
    " (single-worker) or a turn for every task (M:N); values in the order in which they were sent;"
    " no lost wake-up; tasks that wait for ever are found. It has no preemption, no growing stacks,"
    " no garbage collector, no timers and no I/O. The measured tasks are compiled coroutines"
    " without the checks of VM programs (fuel, depth, traps)",
    "Go promises no order of goroutines, and has all of those. Another worker may take a task that"
    " was just made ready only after some microseconds, on either side: so it is not torn from the"
    " one that woke it",
    "VM programs: an interpreter executes the tasks, with limits, traps, growing stacks; the loop"
    " around the operation is in the time",
    "Python's systems: the interpreter runs the tasks, and its time is in every sample; a round"
    " trip of asyncio and of threads goes through two queues, since neither has a channel that"
    " hands over",
)


def table(result: Scheduling, format: str = "simple") -> str:
    """Nanoseconds, in one of `tabulate.tabulate_formats`."""
    import tabulate

    rows = []
    for operation in Operation:
        name = operation.value
        for system in result.systems:
            cell = result.cells[operation, system.name]
            if cell.rounds:
                rows.append([name, *_row(result, operation, system, cell)])
                name = "" if format == "simple" else name
    return tabulate.tabulate(
        rows,
        _HEADERS,
        tablefmt=format,
        disable_numparse=True,
        colalign=["left", "left", "right", "right", "right", "right", "left"],
    )


def _row(result: Scheduling, operation: Operation, system: System, cell: Cell) -> list[str]:
    found = Distribution.of(cell.samples)
    ratio = result.ratio(operation, system)
    if operation is Operation.PARKED:
        spread = [NONE] * 3
        times = NONE if ratio is None else significant(ratio.median)
    else:
        spread = [significant(n) for n in (found.p99, found.deviation, found.mad)]
        times = NONE if ratio is None else interval(ratio)
    return [system.name, typical(found, result.clock), *spread, times]


def typical(found: Distribution, clock: Clock) -> str:
    """The median. Only a single event can be too short for the clock: it is below its resolution,
    then."""
    if found.p50 < clock.nanoseconds_a_tick:
        return f"< {significant(clock.resolution_ticks * clock.nanoseconds_a_tick)}"
    return significant(found.p50)


def text(result: Scheduling) -> str:
    return (
        f"Nanoseconds an operation, in {result.rounds} rounds:\n\n"
        f"{table(result)}\n\n{remarks(result)}\n"
    )


def remarks(result: Scheduling) -> str:
    return labelled(notes(result))


def notes(result: Scheduling) -> Iterator[str]:
    """What one must know to read the table, and what has no row in it."""
    yield (
        "Go's by this: how many times what it takes goes into what Go takes with as many workers;"
        " the median of the rounds' ratios, and bounds that hold for all of them with 95 %"
        " confidence (sign test)"
    )
    yield (
        "a sample is the mean of a batch, but of the launch to first instruction, the wake and"
        " Go's growth, where it is one event; σ follows a few far samples, MAD does not"
    )
    clock = result.clock
    yield (
        f"clock: the time stamp counter, {clock.nanoseconds_a_tick:.4f} ns a tick, resolution"
        f" {clock.resolution_ticks * clock.nanoseconds_a_tick:.2f} ns, below which a single event"
        " may be; reading it takes"
        f" {clock.cost_ticks * clock.nanoseconds_a_tick:.1f} ns, which is subtracted"
    )
    yield from _stages(result)
    yield (
        f"parallel work: two workers do {_spread(result.work.speedups)} times what one does in the"
        " same time; two threads that share nothing, measured in turn with them, do"
        f" {_spread(result.bare_work.speedups)} times what one does: that is what the machine gave."
        " Of the processors' time two workers take"
        f" {_spread(result.work.processor_time)} times what one takes, the two threads"
        f" {_spread(result.bare_work.processor_time)} times: that does not depend on what else runs"
        " (medians and quartiles)"
    )
    yield (
        "a waiting task: of a million by the kernel's own account; Go: what its runtime took from"
        " the system for 100,000; others: by what a process grew, by a million of VM programs, by"
        " 1,000 threads, else by 100,000"
    )
    yield from GUARANTEES
    for system in result.systems:
        reasons = {result.cells[o, system.name].reason for o in Operation} - {None, ABSENT}
        for reason in reasons:
            yield f"no {system.name}: {reason}"
    yield "versions: " + ", ".join(f"{name} {v}" for name, v in result.versions.items())


def _spread(values: Sequence[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _stages(result: Scheduling) -> Iterator[str]:
    """What each stage of a launch adds to those before it."""
    for system in result.systems:
        cells = [result.cells[stage, system.name] for stage in STAGES]
        if not all(cell.rounds for cell in cells):
            continue
        before, parts = 0.0, []
        for stage, cell in zip(STAGES, cells, strict=True):
            until = statistics.median(cell.samples)
            parts.append(f"{stage.name.lower()} {significant(max(0.0, until - before))}")
            before = until
        yield f"a launch on {system.name}, what each stage adds: {', '.join(parts)} ns (medians)"


def schema() -> dict[str, Any]:
    """The JSON Schema of these results."""
    return schemas.load("sched_schema.json")


def to_json(result: Scheduling) -> str:
    data = {
        "schema": SCHEMA,
        "vmlab": result.vmlab,
        "created": result.created,
        "machine": machine_facts(result.machine),
        "seed": result.seed,
        "rounds": result.rounds,
        "clock": asdict(result.clock),
        "versions": result.versions,
        "cells": [
            {
                "operation": operation.name.lower(),
                "system": system.name,
                "reason": cell.reason,
                "distribution": asdict(Distribution.of(cell.samples)) if cell.rounds else None,
                "ratio": None if (r := result.ratio(operation, system)) is None else asdict(r),
                "samples": cell.rounds,
            }
            for operation in Operation
            for system in result.systems
            for cell in [result.cells[operation, system.name]]
        ],
        "work": asdict(result.work),
        "bare_work": asdict(result.bare_work),
        "notes": list(notes(result)),
    }
    return json.dumps(data, indent=2) + "\n"
