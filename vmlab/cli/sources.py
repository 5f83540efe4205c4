"""`check`, `fmt` and `show`: programs as text, without running them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vmlab.cli import exits, parameters
from vmlab.cli.parameters import bad, build, open_program

if TYPE_CHECKING:
    from vmlab.engines import Engine

_STDIN = "-"


@click.command()
@click.argument("programs", metavar="PROGRAM...", nargs=-1, required=True)
@click.pass_context
def check(context: click.Context, programs: tuple[str, ...]) -> None:
    """Report every error in programs."""
    from vmlab.diagnostics import ProgramError, counted

    valid = True
    for name in programs:
        try:
            program = open_program(name)
        except ProgramError as error:
            click.echo(f"{error}\n", err=True)
            click.echo(f"{name}: {counted(len(error.diagnostics), 'error')}", err=True)
            valid = False
            continue
        instructions = sum(len(function.code) for function in program.functions)
        parts = (
            counted(len(program.functions), "function"),
            counted(instructions, "instruction"),
            counted(len(program.expectations), "expect line"),
        )
        click.echo(f"{name}: valid: {', '.join(parts)}")
    if not valid:
        context.exit(exits.INVALID_PROGRAM)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Change nothing; name the files that would change.")
@click.pass_context
def fmt(context: click.Context, files: tuple[str, ...], check: bool) -> None:
    """Lay files out in the canonical way, in place.

    Only spaces and blank lines change. The FILE - is stdin, written to stdout."""
    from vmlab.diagnostics import ProgramError
    from vmlab.formatter import format_source

    code = 0
    for name in files:
        try:
            text = _read(name)
            formatted = format_source(text, name)
        except ProgramError as error:
            click.echo(f"{error}\n", err=True)
            code = exits.INVALID_PROGRAM
            continue
        if not check:
            _write(name, formatted, changed=formatted != text)
        elif formatted != text:
            click.echo(name)
            code = code or exits.DIFFERS
    context.exit(code)


def _read(name: str) -> str:
    from vmlab import corpus
    from vmlab.assembler import read_text

    try:
        return read_text("/dev/stdin" if name == _STDIN else name)
    except FileNotFoundError:
        known = name in corpus.names()
        hint = "; that is a program of the corpus, and fmt rewrites files" if known else ""
        raise bad("FILE", f"there is no file '{name}'{hint}") from None
    except OSError as error:
        raise bad("FILE", f"cannot read '{name}': {error.strerror}") from None


def _write(name: str, text: str, changed: bool) -> None:
    from vmlab.report.output import OutputFile

    if name == _STDIN:
        click.echo(text, nl=False)
    elif changed:
        try:
            with OutputFile(name) as file:
                file.write(text)
        except OSError as error:
            raise bad("FILE", f"cannot write '{name}': {error.strerror}") from None
        click.echo(f"formatted {name}", err=True)


@click.command()
@click.argument("program", metavar="[PROGRAM]", required=False)
@click.option("--engine", type=parameters.engine, metavar="NAME", help="Show this engine's code.")
@click.option("--ir", is_flag=True, help="Show its LLVM IR, optimised.")
@click.option(
    "--asm",
    is_flag=True,
    help="Show its machine code, as assembly text. Without --engine: see above.",
)
@click.option(
    "--arch",
    "architecture",
    type=click.Choice(["host", "x86-64", "aarch64", "ppc64le", "riscv64"]),
    help="For which machine `--asm spawn` and the like are compiled.  [default: host]",
)
@click.option(
    "--as",
    "language",
    type=click.Choice(["python"]),
    help="Show the program as the engine cpython runs it.",
)
@click.option(
    "--task-layout",
    is_flag=True,
    help="Show what tasks take in memory, field by field; PROGRAM may be left out.",
)
def show(
    program: str | None,
    engine: Engine | None,
    ir: bool,
    asm: bool,
    architecture: str | None,
    language: str | None,
    task_layout: bool,
) -> None:
    """Show a program's instructions, or an engine's code.

    Every instruction comes with its index, the variant that the verifier chose, and the types on
    the stack before it, the top last. Engines that read another code than these instructions show
    it, if neither --ir nor --asm is given.

    With --asm, but no --engine, PROGRAM is `spawn`, `switch` or `resume`: what the native scheduler
    does to tasks, with counts of instructions, conditional branches and indirect jumps. Without
    PROGRAM it is a table of these, for all architectures."""
    of_tasks = asm and engine is None
    if architecture is not None and not (of_tasks and program is not None):
        raise click.UsageError("--arch goes with --asm and one of spawn, switch and resume")
    if ir and asm:
        raise click.UsageError("--ir and --asm exclude each other")
    if (task_layout or language) and (
        engine is not None or ir or asm or (task_layout and language)
    ):
        alone = "--task-layout" if task_layout else f"--as {language}"
        others = "--as" if task_layout else "--task-layout"
        raise click.UsageError(f"{alone} goes without --engine, --ir, --asm and {others}")
    if task_layout:
        from vmlab.report import layouts

        click.echo(layouts.text(None if program is None else open_program(program)), nl=False)
        return
    if of_tasks:
        _show_operation(program, architecture or "host")
        return
    if program is None:
        raise click.UsageError("Missing argument 'PROGRAM'.")
    if engine is None and ir:
        raise click.UsageError("--ir needs --engine NAME beside it")
    loaded = open_program(program)
    if language is not None:
        from vmlab.cpython.source import translate
        from vmlab.cpython.translate import Form

        click.echo(translate(loaded, Form()).text, nl=False)
        return
    if engine is None:
        from vmlab.disassembler import listing

        click.echo(listing(loaded), nl=False)
        return
    executable = build(engine, loaded, counting=False)
    if ir:
        text, lacks = executable.ir(), "makes no LLVM IR"
    elif asm:
        text, lacks = executable.machine_code(), "makes no machine code"
    else:
        text, lacks = executable.listing(), "reads the program as it is: leave --engine out"
        if executable.machine_code() is not None:
            lacks += ", or add --ir or --asm"
    if text is None:
        raise exits.Stop(f"{engine.name} {lacks}", exits.USAGE)
    click.echo(text.rstrip("\n"))


def _show_operation(name: str | None, architecture: str) -> None:
    """The machine code of an operation of the native scheduler, or the counts of all."""
    from vmlab.kernels.cross import Unsupported
    from vmlab.kernels.scheduler.code import OPERATIONS
    from vmlab.report import task_code

    if name is None:
        click.echo(task_code.table(), nl=False)
        return
    if name not in OPERATIONS:
        raise click.UsageError(
            "--asm needs --engine NAME beside it, or one of spawn, switch and resume in place of"
            f" '{name}'"
        )
    try:
        click.echo(task_code.listing(name, architecture), nl=False)
    except Unsupported as reason:
        raise exits.Stop(f"no machine code for {architecture}: {reason}", exits.USAGE) from None
