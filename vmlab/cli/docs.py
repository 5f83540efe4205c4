"""`docs update`: the tables of documents, made anew from result files."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmlab.cli import exits
from vmlab.cli.parameters import bad

if TYPE_CHECKING:
    from vmlab.report.document import Block, Refreshed

# As much of a difference as shows what it is about.
_MOST_LINES = 6
_MOST_COLUMNS = 100


@click.group()
def docs() -> None:
    """Keep the tables of documents up to date."""


@docs.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Write nothing; show what is out of date, and end with exit code 1 if anything is.",
)
@click.pass_context
def update(context: click.Context, paths: Sequence[str], only_check: bool) -> None:
    """Make the tables of Markdown files anew from result files.

    A table stands between two lines of its own, and paths are relative to the document:

    \b
        <!-- vmlab:table results/fib.json -->    the table of a result
        <!-- vmlab:end -->

    \b
    Instead of `table`:
        output FILE     what `compare` printed, as a code block
        report FILE     table, verdict, notes and warnings
        ratios [LEFT/RIGHT...] FILE...
                        a row a program, a column a ratio of the times of two
                        engines; FILE may be a pattern such as results/*.json
        books FILE...   a row a program: the time that the ladder predicts for
                        CPython, CPython's, and what is left
    """
    from vmlab.report.output import OutputFile

    # All of them are read before the first is written.
    documents = [(path, *_refreshed(path)) for path in paths]
    stale = 0
    for path, text, document in documents:
        changed = [block for block in document.blocks if block.old != block.new]
        stale += len(changed)
        if only_check:
            for block in changed:
                click.echo(f"{path}:{block.line}: out of date: {block.marker}\n{_diff(block)}")
        elif document.text != text:
            with OutputFile(path) as file:
                file.write(document.text)
        click.echo(
            f"{path}: {len(document.blocks)} made from results, {len(changed)}"
            f" {'out of date' if only_check else 'changed'}",
            err=True,
        )
    if only_check and stale:
        context.exit(exits.DIFFERS)


def _refreshed(path: str) -> tuple[str, Refreshed]:
    """The document as it is, and as it should be."""
    from vmlab.inputs import read_bytes
    from vmlab.report.document import DocumentError, refresh

    try:
        # Line ends stay as they are.
        text = read_bytes(path).decode()
        return text, refresh(text, Path(path))
    except OSError as error:
        raise bad("FILE", f"cannot read '{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise exits.Stop(f"{path}: this is not text in UTF-8", exits.INVALID_DATA) from None
    except DocumentError as error:
        raise exits.Stop(str(error), exits.INVALID_DATA) from None


def _diff(block: Block) -> str:
    lines = [
        line.rstrip()[:_MOST_COLUMNS]
        for line in difflib.unified_diff(block.old, block.new, n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    more = len(lines) - _MOST_LINES
    return "\n".join([*lines[:_MOST_LINES], *([f"({more} lines more)"] if more > 0 else [])])
