"""The programs that ship with the package, by name: `sieve` is `programs/sieve.vm`."""

from __future__ import annotations

import os
from importlib.resources import files
from importlib.resources.abc import Traversable

from vmlab import assembler
from vmlab.checking import check_type
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


def load(name_or_path: str | os.PathLike[str]) -> Program:
    """A program of the corpus by its name, or any other by the path of its file (`./sieve` if it
    is called like one of the corpus). Raises ValueError if there is neither, OSError if the file
    cannot be read, `ProgramError` if the program is invalid."""
    check_type("name_or_path", name_or_path, (str, os.PathLike), "the name of a program or a path")
    name = str(name_or_path)
    if name in names():
        return assembler.assemble(source(name), path(name))
    # Not that of `Path`, for which '' exists, and which fails where a name is too long.
    if os.path.exists(name):  # noqa: PTH110
        return assembler.load(name)
    if "\n" in name:
        raise ValueError("this is neither a name nor a path; vmlab.assemble takes a program's text")
    meant = closest(name.removesuffix(_SUFFIX), names())
    help_ = f"did you mean '{meant}'?" if meant else "`vmlab list` shows the corpus"
    raise ValueError(f"'{name}' is neither a file nor a program of the corpus; {help_}")


def _entry(name: str) -> Traversable:
    return files("vmlab").joinpath("programs", name + _SUFFIX)
