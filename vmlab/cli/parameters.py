"""What commands share: the arguments and options that several of them take."""

from __future__ import annotations

import functools
import math
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmlab.cli.exits import INVALID_DATA, USAGE, Stop

if TYPE_CHECKING:
    from vmlab.comparison import Comparison
    from vmlab.engines import Engine, EngineUnavailable, Executable
    from vmlab.program import Number, Program, Variable

_Command = Callable[..., Any]

# Programs and engines


def open_program(name: str) -> Program:
    """The program that a PROGRAM argument means."""
    from vmlab import corpus

    try:
        return corpus.load(name)
    except OSError as error:
        raise bad("PROGRAM", f"cannot read '{name}': {error.strerror}") from None
    except ValueError as error:
        raise bad("PROGRAM", str(error)) from None


def engine(name: str) -> Engine:
    """The type of an option that names an engine."""
    from vmlab.engines import find

    try:
        return find(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def engine_names(text: str) -> tuple[str, ...]:
    """The type of an option that names several engines, or groups of them."""
    from vmlab.engines import expand

    try:
        return expand(part.strip() for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def table_format(name: str) -> str:
    """The type of an option that names a table format."""
    from tabulate import tabulate_formats

    if name not in tabulate_formats:
        choice = _choice(name, tabulate_formats)
        raise click.BadParameter(f"no table format is called '{name}'{choice}")
    return name


def build(engine: Engine, program: Program, *, counting: bool, workers: int = 1) -> Executable:
    """The program on the engine."""
    from vmlab.engines import EngineUnavailable

    try:
        return engine.build(program, counting=counting, workers=workers)
    except EngineUnavailable as reason:
        raise unavailable(engine, reason) from None


def unavailable(engine: Engine, reason: EngineUnavailable) -> Stop:
    return Stop(f"{engine.name} cannot run this program here: {reason}", USAGE)


def bad(parameter: str, message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint=parameter)


def _choice(name: str, names: Iterable[str]) -> str:
    from vmlab.diagnostics import closest

    meant = closest(name, names)
    hint = f"; did you mean '{meant}'?" if meant else ""
    return f"{hint} (there are: {', '.join(names)})"


def whole_number(least: int) -> Callable[[str | int], int]:
    """The type of an option that takes an int from `least` on."""

    def convert(text: str | int) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise click.BadParameter(f"'{text}' is not a whole number, {least} or more")
        return number

    return convert


# Results


def open_result(path: str) -> Comparison:
    """The comparison in a file that `--json` or `--output` wrote."""
    from vmlab.inputs import read_bytes
    from vmlab.report.json_report import from_json

    try:
        return from_json(read_bytes(path).decode())
    except OSError as error:
        raise bad("RESULT", f"cannot read '{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise Stop(f"{path}: this is not text in UTF-8", INVALID_DATA) from None
    except ValueError as error:
        raise Stop(f"{path}: {error}", INVALID_DATA) from None


# How a program is timed


engines_option = click.option(
    "--engines",
    metavar="NAME,...",
    type=engine_names,
    help="Engines, with parts added to them as in threaded+copy (`vmlab list` shows all), and the"
    " groups ladder, techniques and published. The first is what the others are compared with.",
)

rounds_option = click.option(
    "--rounds",
    type=whole_number(1),
    metavar="N",
    help="How often every engine is timed.  [default: 31]",
)

quick_option = click.option("--quick", is_flag=True, help="Fewer rounds, wider intervals.")


def check_rounds(rounds: int | None, quick: bool) -> None:
    if rounds is not None and quick:
        raise click.UsageError("--rounds and --quick exclude each other")


# Arguments of main


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise click.BadParameter(f"'{text}' is not of the form NAME=VALUE, such as n=35")
    return name, value


argument_option = click.option(
    "--arg",
    "assignments",
    metavar="NAME=VALUE",
    type=_assignment,
    multiple=True,
    help="An argument of main, written as in a program; may be repeated.",
)


def parse_arguments(program: Program, assignments: Sequence[tuple[str, str]]) -> dict[str, Number]:
    """`main`'s arguments from the names and values of --arg."""
    params = {param.name: param for param in program.main.params}
    values: dict[str, Number] = {}
    for name, text in assignments:
        if name not in params:
            choice = _choice(name, params) if params else ", nor any other"
            raise bad("--arg", f"main has no parameter '{name}'{choice}")
        if name in values:
            raise bad("--arg", f"'{name}' is given twice")
        values[name] = _parse_value(params[name], text)
    for name, param in params.items():
        if param.value is None and name not in values:
            message = f"main's parameter '{name}: {param.type}' has no default"
            raise bad("--arg", f"{message}; give it a value: --arg {name}=VALUE")
    return values


def check_output(output: str | None, path: str, what: str) -> None:
    """What a command has read is not for it to write over."""
    if output is not None and Path(output).exists() and Path(output).samefile(path):
        raise bad("--output", f"'{output}' is {what}")


def open_inputs(
    name: str, assignments: Sequence[tuple[str, str]], output: str | None
) -> tuple[Program, dict[str, Number]]:
    """The program and `main`'s arguments, of a command whose report must not overwrite the
    program."""
    program = open_program(name)
    check_output(output, program.source.path, "the program itself")
    return program, parse_arguments(program, assignments)


def _parse_value(param: Variable, text: str) -> Number:
    from vmlab.diagnostics import Diagnostic
    from vmlab.isa import Type
    from vmlab.literals import number
    from vmlab.syntax import Token

    value = number(Token("number", text, 1, 1))
    declared = f"main's parameter '{param.name}: {param.type}'"
    if isinstance(value, Diagnostic):
        parts = (value.message, value.expected and f"expected {value.expected}", value.hint)
        raise bad("--arg", f"{declared}: {'; '.join(filter(None, parts))}")
    if param.type is Type.FLOAT:
        return float(value)
    if isinstance(value, float):
        raise bad("--arg", f"{declared}: {text} is a float; give an int, such as 35")
    return value


# Where a program runs


def engine_option(default: str, help_: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--engine", type=engine, metavar="NAME", default=default, show_default=True, help=help_
    )


workers_option = click.option(
    "--workers",
    type=whole_number(1),
    metavar="N",
    default=1,
    show_default=True,
    help="Threads that run the program's tasks at the same time, at most 32.",
)


# Limits


_UNITS = ("", "K", "M", "G")
_SIZE = re.compile(r"(\d[\d_]*)([KMG]?)", re.IGNORECASE)


def _size(text: str) -> int:
    """Bytes; K, M and G stand for powers of 1024."""
    form = _SIZE.fullmatch(text)
    if form is None:
        raise click.BadParameter(f"'{text}' is not a size, such as 64K, 512M or 2G")
    return int(form[1].replace("_", "")) << 10 * _UNITS.index(form[2].upper())


def _size_text(size: int) -> str:
    unit = 0
    while size % 1024 == 0 and unit + 1 < len(_UNITS):
        size, unit = size // 1024, unit + 1
    return f"{size}{_UNITS[unit]}"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise click.BadParameter(f"'{text}' is not a time in seconds, such as 2 or 0.5")
    return seconds


class _LimitOption(click.Option):
    """Looks its default up in `Limits` when it is needed: to import that takes time."""

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        from vmlab.outcome import Limits

        assert self.name is not None
        default = getattr(Limits(), self.name)
        return _size_text(default) if self.name == "max_heap" else default


_LIMITS = {
    "fuel": ("N", whole_number(0), "Instructions that a run may execute."),
    "timeout": ("SECONDS", _seconds, "Time that a run may take."),
    "max_depth": (
        "N",
        whole_number(1),
        "Calls that a task may have active, main included.",
    ),
    "max_heap": ("BYTES", _size, "What arrays, channels and tasks may take; K, M and G are units."),
    "max_output": ("N", whole_number(0), "Values that a run may print."),
}


def limit_options(command: _Command) -> _Command:
    """The limits of a run. The command gets them as `limits`."""

    @functools.wraps(command)
    def with_limits(**values: Any) -> Any:
        from vmlab.outcome import Limits

        try:
            limits = Limits(**{name: values.pop(name) for name in _LIMITS})
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        return command(**values, limits=limits)

    for name, (metavar, type_, help_) in reversed(_LIMITS.items()):
        with_limits = click.option(
            f"--{name.replace('_', '-')}",
            cls=_LimitOption,
            type=type_,
            metavar=metavar,
            show_default=True,
            help=help_,
        )(with_limits)
    return with_limits
