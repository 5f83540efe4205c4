"""The C twins of some corpus programs, compiled by the system's compiler: what to compare with."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from vmlab import corpus
from vmlab.isa import Type

_SOURCES = Path(__file__).parent / "c"

NAMES = tuple(sorted(path.stem for path in _SOURCES.glob("*.c")))

# The levels to try. Both compute what a .vm program does: integers wrap, and a product and a sum
# of floats are rounded separately.
_SEMANTICS = ("-fwrapv", "-ffp-contract=off")
LEVELS: dict[str, tuple[str, ...]] = {
    level: (level, "-march=native", *_SEMANTICS) for level in ("-O2", "-O3")
}

_CTYPES = {Type.INT: ctypes.c_int64, Type.FLOAT: ctypes.c_double}


def compiler() -> str | None:
    """The path of gcc, or of cc; None if there is neither."""
    return shutil.which("gcc") or shutil.which("cc")


def compile_c(name: str, flags: Sequence[str]) -> Callable[..., int | float]:
    """`main` of a corpus program as its twin in C: same parameters, same result. It is called
    without the GIL. Raises RuntimeError, with what the compiler said, if it does not compile."""
    cc = compiler()
    if cc is None:
        raise RuntimeError("neither gcc nor cc is on the PATH")
    with tempfile.TemporaryDirectory(prefix="vmlab-") as directory:
        library = Path(directory, f"{name}.so")
        command = [cc, *flags, "-shared", "-fPIC", str(_SOURCES / f"{name}.c"), "-o", str(library)]
        done = subprocess.run([*command, "-lm"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{cc} could not compile {name}.c:\n{done.stderr}")
        # The file may go once it is loaded.
        function: Callable[..., int | float] = ctypes.CDLL(str(library)).vm_main
    main = corpus.load(name).main
    assert main.result is not None
    function.argtypes = [_CTYPES[p.type] for p in main.params]
    function.restype = _CTYPES[main.result]
    return function
