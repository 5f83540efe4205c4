"""`superinstructions`: which sequences of instructions `super` joins, measured anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vmlab.cli.exits import USAGE, Stop
from vmlab.cli.parameters import open_program
from vmlab.cli.reporting import Forms, Report, opened, report_options
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.measure.superinstructions import Choice, Validation


@click.command(short_help="Choose the superinstructions of `super`.")
@click.argument("names", metavar="[PROGRAM]...", nargs=-1)
@report_options("What the engine reads")
def superinstructions(names: Sequence[str], report: Report) -> None:
    """Choose the superinstructions of `super` from what programs execute.

    On the corpus, without the programs that have tasks, unless programs are named; each runs its
    `expect` lines. The engine takes its choice from kernels/superinstructions.json, which this
    command has written. To validate the rule, a choice is also made for every program from all the
    others alone."""
    from vmlab import corpus
    from vmlab.measure.superinstructions import choose, profile, validate

    programs = {name: open_program(name) for name in names or corpus.names()}
    if not names:
        programs = {name: p for name, p in programs.items() if not p.has_tasks}
    for name, program in programs.items():
        if not program.expectations:
            raise Stop(f"{name} has no expect line to run", USAGE)
    profiles = {}
    with opened(report.output) as write:
        with Status() as status:
            for done, (name, program) in enumerate(programs.items()):
                status(f"running {name}", done, len(programs))
                profiles[name] = profile(program, [e.args for e in program.expectations])
            status("validating", 0, len(programs))
            found = choose(list(profiles.values())), validate(profiles)
        write(report.form(_FORMS, found))
    report.tell(_FORMS, found)


_Found = tuple["list[Choice]", "list[Validation]"]


def _json(found: _Found) -> str:
    import json

    choices, validations = found
    joined = [
        {
            "first": " ".join(choice.joint.first),
            "second": " ".join(choice.joint.second),
            "saved_share": round(choice.share, 6),
        }
        for choice in choices
    ]
    left = [
        {
            "program": validation.program,
            "chosen_from_all": round(validation.from_all, 6),
            "chosen_from_others": round(validation.from_others, 6),
        }
        for validation in validations
    ]
    return json.dumps({"joined": joined, "dispatches_per_instruction": left}, indent=1) + "\n"


def _tables(found: _Found, layout: str = "simple") -> str:
    from statistics import fmean

    from tabulate import tabulate

    choices, validations = found
    joined = tabulate(
        [
            [" ".join(choice.joint.first), " ".join(choice.joint.second), f"{choice.share:.2%}"]
            for choice in choices
        ],
        ["joined", "with", "saves of all dispatches"],
        tablefmt=layout,
        colalign=["left", "left", "right"],
    )
    rows = [(v.program, v.from_all, v.from_others) for v in validations]
    columns = list(zip(*rows, strict=True))
    left = tabulate(
        [*rows, ("mean", fmean(columns[1]), fmean(columns[2]))],
        ["dispatches an instruction", "chosen from all", "chosen from the others"],
        tablefmt=layout,
        floatfmt=".3f",
    )
    return f"{joined}\n\n{left}\n"


_FORMS = Forms(_tables, _tables, _json, lambda found: "")
