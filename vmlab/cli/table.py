"""`table`: results of earlier comparisons, printed again."""

from __future__ import annotations

from collections.abc import Sequence

import click

from vmlab.cli.parameters import check_output, open_result
from vmlab.cli.reporting import format_option, opened, output_option


@click.command()
@click.argument("paths", metavar="RESULT...", nargs=-1, required=True)
@format_option
@output_option
def table(paths: Sequence[str], layout: str | None, output: str | None) -> None:
    """Print the tables of results again.

    RESULT is a file that `compare --output FILE.json` or `publish` wrote. Nothing is measured. Of
    several results, each has a line in front that says what was run."""
    from vmlab.report import text

    results = [open_result(path) for path in paths]
    for path in paths:
        check_output(output, path, "the result itself")
    parts = []
    for result in results:
        title = f"{result.program.path}: {result.agreement.run}\n\n" if len(results) > 1 else ""
        parts.append(
            title + (text.report(result) if layout is None else f"{result.table(layout)}\n")
        )
    with opened(output) as write:
        write("\n".join(parts))
