"""The programs that ship with the package, by name: `sieve` is `programs/sieve.vm`."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from vmlab import assembler
from vmlab.diagnostics import closest
from vmlab.program import Program

_SUFFIX = ".vm"


def names() -> list[str]:
    """The corpus, in alphabetical order."""
    entries = (entry.name for entry in files("vmlab").joinpath("programs").iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in entries if name.endswith(_SUFFIX))


def path(name: str) -> str:
    """Where the file of a corpus program is."""
    return str(_entry(name))


def source(name: str) -> str:
    """The text of a corpus program."""
    return _entry(name).read_text(encoding="utf-8")


def summary(name: str) -> str:
    """What a corpus program is, in one line: its first comment, without the name in front."""
    first = source(name).partition("\n")[0]
    return first.removeprefix("; ").removeprefix(f"{name}{_SUFFIX}: ")


def load(name_or_path: str) -> Program:
    """A program of the corpus by its name, or any other by the path of its file (`./sieve` if it
    is called like one of the corpus). Raises ValueError if there is neither, OSError if the file
    cannot be read, `ProgramError` if the program is invalid."""
    if name_or_path in names():
        return assembler.assemble(source(name_or_path), path(name_or_path))
    if Path(name_or_path).exists():
        return assembler.load(name_or_path)
    meant = closest(name_or_path.removesuffix(_SUFFIX), names())
    help_ = f"did you mean '{meant}'?" if meant else "`vmlab list` shows the corpus"
    raise ValueError(f"'{name_or_path}' is neither a file nor a program of the corpus; {help_}")


def _entry(name: str) -> Traversable:
    return files("vmlab").joinpath("programs", name + _SUFFIX)
