"""The types of the arguments that several of these commands take, for click."""

from __future__ import annotations

from pathlib import Path

import click

from vmlab.cli import parameters
from vmlab.cli.exits import Stop
from vmlab.diagnostics import ProgramError
from vmlab.engines import Engine, Executable
from vmlab.outcome import bind_arguments
from vmlab.program import Program


def program(name: str) -> Program:
    """The type of an argument that names a program, whose main must do with its defaults."""
    try:
        found = parameters.open_program(name)
        bind_arguments(found, {})
    except (ProgramError, ValueError) as error:
        raise parameters.bad("PROGRAM", str(error)) from None
    return found


def program_without_tasks(name: str) -> Program:
    """The type of an argument that names a program in which main alone runs."""
    found = program(name)
    if found.has_tasks:
        raise parameters.bad("PROGRAM", f"'{name}' has tasks, and this is about code without any")
    return found


def title(program: Program) -> str:
    """What a table calls it."""
    return Path(program.source.path).stem


def build(engine: Engine, program: Program) -> Executable:
    """The program on the engine, for timing."""
    try:
        return parameters.build(engine, program, counting=False)
    except Stop as reason:
        raise click.UsageError(f"{title(program)}: {reason}") from None
