"""The command line: `vmlab COMMAND`. One module a group of commands.

The modules in here import what is heavy (Numba, NumPy, LLVM, most of vmlab) inside of commands, so
that `vmlab --help` answers at once.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Any, NoReturn

import click

import vmlab
from vmlab.cli import exits
from vmlab.cli.compare import compare
from vmlab.cli.counters import counters
from vmlab.cli.docs import docs
from vmlab.cli.doctor import doctor
from vmlab.cli.explain import explain
from vmlab.cli.listing import list_
from vmlab.cli.plot import plot
from vmlab.cli.publish import publish
from vmlab.cli.running import run, test
from vmlab.cli.sched import sched
from vmlab.cli.sources import check, fmt, show
from vmlab.cli.superinstructions import superinstructions
from vmlab.cli.table import table
from vmlab.cli.trace import trace


class _CommandLine(click.Group):
    """Turns whatever ends a command into an exit code, and a message where one is due."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
            _flush()
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except exits.Stop as stop:
            click.echo(f"Error: {stop}", err=True)
            code = stop.code
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted", err=True)
            code = exits.INTERRUPTED
        except Exception as error:
            code = _failed(error)
        sys.exit(code)


def _flush() -> None:
    if sys.stdout is not None:  # as it is where stdout is closed
        sys.stdout.flush()


def _failed(error: Exception) -> int:
    """Say that something went wrong that no command foresaw."""
    import traceback
    from pathlib import Path

    from vmlab.diagnostics import ProgramError

    if isinstance(error, ProgramError):
        click.echo(str(error), err=True)
        return exits.INVALID_PROGRAM
    if os.environ.get("VMLAB_TRACEBACK"):
        traceback.print_exception(error)
        return exits.FAILED
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"Error: {place}{error.strerror or error}", err=True)
        return exits.FAILED
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    click.echo(
        f"Error: this is a bug in vmlab {vmlab.__version__}: {type(error).__name__} at {place}:"
        f" {error}\nPlease report it with what the same command prints with VMLAB_TRACEBACK=1.",
        err=True,
    )
    return exits.FAILED


@click.group(
    cls=_CommandLine,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""
    \b
    PROGRAM is the path of a .vm file, or a name that `vmlab list` shows.
    Exit codes: 0 done; 1 engines disagree, a --fail-if holds, an expect line fails, a
    file is not formatted, a table is out of date or an engine does not work; 2 usage;
    65 a program, result or document is invalid; 70 the program trapped; 71 the system
    or vmlab itself failed; 130 interrupted by Ctrl-C or --timeout.
    """,
)
@click.version_option(vmlab.__version__, message="%(prog)s %(version)s")
def command_line() -> None:
    """Run one program on engines that differ by one mechanism each, see that they agree, and
    measure what each mechanism costs: `vmlab compare sieve`."""


for _command in (
    compare, explain, counters, sched, publish, table, plot, docs, run, test, trace, check, fmt,
    show, list_, superinstructions, doctor,
):  # fmt: skip
    command_line.add_command(_command)


def main() -> None:
    """The command `vmlab`."""
    # Whoever reads the output may have enough of it: then end like any other program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        command_line()
    except SystemExit as end:
        if end.code == exits.INTERRUPTED:
            # A compiler may still be at work on another thread: nobody can stop it, and nobody
            # wants to wait for it.
            _flush()
            os._exit(exits.INTERRUPTED)
        raise
