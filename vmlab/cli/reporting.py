"""What commands report, where to, and in which form."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import click

from vmlab.cli.parameters import bad, table_format

_Command = Callable[..., Any]
_Result = TypeVar("_Result")
_Write = Callable[[str | bytes], object]


@contextlib.contextmanager
def opened(path: str | None, option: str = "--output") -> Iterator[_Write]:
    """What writes the output: to stdout, or to a file that stays as it was if the block ends with
    an exception."""
    from vmlab.report.output import OutputFile

    if path is None:
        yield functools.partial(click.echo, nl=False)
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(OutputFile(path))
        except OSError as error:
            raise bad(option, f"cannot write '{path}': {error.strerror}") from None
        yield file.write


class Forms(NamedTuple, Generic[_Result]):
    """What can be made of a result: all of it to be read; its tables, in a format of tabulate; all
    of it as JSON; and what is to be read besides the tables."""

    text: Callable[[_Result], str]
    tables: Callable[[_Result, str], str]
    to_json: Callable[[_Result], str]
    remarks: Callable[[_Result], str]


@dataclass(frozen=True, slots=True)
class Report:
    """How a command was asked to report.

    as_json  as JSON
    layout   nothing but tables, in this format
    output   to this file, not to stdout
    """

    as_json: bool
    layout: str | None
    output: str | None

    def form(self, forms: Forms[_Result], result: _Result) -> str:
        if self.as_json:
            return forms.to_json(result)
        if self.layout is not None:
            return forms.tables(result, self.layout).rstrip("\n") + "\n"
        return forms.text(result)

    def tell(self, forms: Forms[_Result], result: _Result, warnings: Sequence[str] = ()) -> None:
        """On stderr: what stdout does not show, what disturbed, and where the report is."""
        remarks = forms.remarks(result)
        if remarks and (self.output is not None or self.layout is not None):
            click.echo(remarks, err=True)
        for warning in warnings:
            click.echo(f"Warning: {warning}", err=True)
        if self.output is not None:
            click.echo(f"Written to {self.output}", err=True)


format_option = click.option(
    "--format",
    "layout",
    type=table_format,
    metavar="NAME",
    help="Nothing but the table, in a format of tabulate: github, html, latex, tsv ...",
)


def _file(path: str) -> str | None:
    """The type of --output; - is stdout, as elsewhere."""
    return None if path == "-" else path


def report_options(what_json_has: str) -> Callable[[_Command], _Command]:
    """The options of a command that reports. It gets them as `report`."""

    def decorated(command: _Command) -> _Command:
        @functools.wraps(command)
        def with_report(
            *given: Any, as_json: bool, layout: str | None, output: str | None, **values: Any
        ) -> Any:
            as_json = as_json or (output is not None and output.endswith(".json"))
            if as_json and layout is not None:
                raise click.UsageError("--format is about tables: leave it out for JSON")
            return command(*given, **values, report=Report(as_json, layout, output))

        options = (
            click.option("--json", "as_json", is_flag=True, help=f"{what_json_has}, as JSON."),
            format_option,
            click.option(
                "--output",
                metavar="FILE",
                type=_file,
                help="Write the report to this file; JSON if its name ends in .json.",
            ),
        )
        for option in reversed(options):
            with_report = option(with_report)
        return with_report

    return decorated


output_option = click.option(
    "--output", metavar="FILE", type=_file, help="Write it to this file, not to stdout."
)
