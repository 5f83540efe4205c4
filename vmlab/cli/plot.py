"""`plot`: results as pictures. Other commands have an option for their own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from vmlab.cli import exits
from vmlab.cli.parameters import open_result
from vmlab.cli.reporting import opened

if TYPE_CHECKING:
    from vmlab.comparison import Comparison

_Command = TypeVar("_Command", bound=Callable[..., object])

TERMINAL = "-"

# Of `report.plots.FORMATS`, named here without Matplotlib, which takes long to import.
_SUFFIXES = (".svg", ".png", ".pdf")


def picture_file(path: str) -> str:
    """The type of an option that names a picture."""
    if path == TERMINAL:
        return path
    return _named(path, f"; {TERMINAL} draws in the terminal")


def _named(path: str, instead: str = "") -> str:
    if Path(path).suffix not in _SUFFIXES:
        raise click.BadParameter(
            f"'{path}' does not end in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}{instead}"
        )
    return path


def plot_option(what: str, no_terminal: str | None = None) -> Callable[[_Command], _Command]:
    """The option of a command whose report has a picture, too. `no_terminal`: why that draws none,
    if so."""

    def file_only(path: str) -> str:
        if path == TERMINAL:
            raise click.BadParameter(str(no_terminal))
        return _named(path)

    more = "" if no_terminal else f"; {TERMINAL} draws in the terminal"
    return click.option(
        "--plot",
        metavar="FILE",
        type=file_only if no_terminal else picture_file,
        help=f"Draw {what} to this file: .svg, .png or .pdf{more}.",
    )


def check_plot(plot: str | None, output: str | None) -> None:
    if plot is not None and output is not None and Path(plot).resolve() == Path(output).resolve():
        raise click.UsageError("--output and --plot name the same file")


@click.command(short_help="Draw what each engine of the ladder adds.")
@click.argument("paths", metavar="RESULT...", nargs=-1, required=True)
@click.option(
    "--output",
    metavar="FILE",
    type=picture_file,
    default=TERMINAL,
    help="Draw to this file: .svg, .png or .pdf. In the terminal unless given.",
)
def plot(paths: Sequence[str], output: str) -> None:
    """Draw what each engine of the ladder adds to the time of the one before.

    Of one result, with the engines beside the ladder; of several, a bar a program. RESULT is a file
    that `compare --output FILE.json` or `publish` wrote."""
    results = [open_result(path) for path in paths]
    with opened(None if output == TERMINAL else output) as write:
        try:
            write(drawn(results, output))
        except ValueError as error:
            raise exits.Stop(str(error), exits.INVALID_DATA) from None


def drawn(results: Sequence[Comparison], path: str) -> str | bytes:
    """The picture, in the form that the file's name asks for. Raises ValueError where there is
    nothing to draw."""
    from vmlab.report.picture import picture, text_picture

    if path != TERMINAL:
        return picture(results, Path(path).suffix[1:])
    return text_picture(results, shutil.get_terminal_size().columns, ascii_only=_ascii_only())


def _ascii_only() -> bool:
    from vmlab.report.bars import MARKS

    if sys.stdout is None:  # it is closed
        return True
    try:
        MARKS.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return True
    return False
