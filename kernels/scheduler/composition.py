"""The two compositions of the pieces: for one worker, and for several.

They are the same functions. In the composition for one worker nothing is atomic, there are no locks
and no rings, and all tasks that are ready stand in one list, in the order of their arrival."""

import ctypes
import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import llvmlite.binding as llvm
from llvmlite import ir

from vmlab.kernels import native
from vmlab.kernels.scheduler.memory import allocate, give_back
from vmlab.kernels.scheduler.tasks import out_of_memory
from vmlab.kernels.scheduler.translate import POINTER, Frames, Translator, signature

_TABLE = "vmlab_scheduler"


class Kernel:
    """Machine code of functions of the scheduler's language, with all that they call.

    `functions` are to be called from Python, `entries` are where tasks begin. Each `function` is in
    `call` by its name, taking and giving words; it runs without the GIL."""

    def __init__(
        self, name: str, parallel: bool, functions: Iterable[Callable], entries: Iterable[Callable]
    ):
        self.parallel = parallel
        names = [*functions, *entries]
        make = functools.partial(module, parallel, names, native.target_machine())
        self._unit = native.compile_cached(f"{name}-{_digest(names)}", make, _TABLE)
        table = (ctypes.c_void_p * len(names)).from_address(self._unit.address)
        address = dict(zip((f.__name__ for f in names), table, strict=True))
        self.call = {f.__name__: _callable(f, address[f.__name__]) for f in functions}
        for function in self.call.values():
            function.unit = self._unit  # the code must live as long
        self.entry = {f.__name__: address[f.__name__] for f in entries}

    @property
    def assembly(self) -> str:
        return self._unit.assembly


def _digest(functions: Iterable[Callable]) -> str:
    """Of the files that functions come from: the cache knows those of the kernels only."""
    files = sorted({function.__code__.co_filename for function in functions})
    return hashlib.sha256(b"".join(Path(f).read_bytes() for f in files)).hexdigest()[:16]


def _callable(function: Callable, address: int):
    parameters, result = signature(function)
    kind = ctypes.CFUNCTYPE(result and ctypes.c_uint64, *[ctypes.c_uint64] * len(parameters))
    return kind(address)


def module(parallel: bool, functions: Iterable[Callable], machine: llvm.TargetMachine) -> str:
    """The LLVM IR of functions and what they call, and a table of their addresses."""
    module = ir.Module(_TABLE)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    frames = Frames(allocate, give_back, out_of_memory)
    translator = Translator(module, {"PARALLEL": parallel}, frames)
    table = ir.Constant(
        ir.ArrayType(POINTER, len(functions)),
        [translator.function(function) for function in functions],
    )
    place = ir.GlobalVariable(module, table.type, _TABLE)
    place.initializer = table
    place.global_constant = True
    return str(module)
