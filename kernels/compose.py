"""Engines put together: a way of dispatch and of keeping operands, a representation of values, and
a way of finding names."""

from vmlab.engines import EngineUnavailable
from vmlab.kernels.cached import CachedEmitter
from vmlab.kernels.dispatch import Switch, Threaded
from vmlab.kernels.executable import without_coroutines
from vmlab.kernels.interpreter import InterpreterExecutable
from vmlab.kernels.operands import Memory, Ssa
from vmlab.kernels.register_machine import RegisterExecutable
from vmlab.kernels.straight import StraightExecutable
from vmlab.kernels.super_machine import SuperExecutable
from vmlab.kernels.task_interpreter import TaskInterpreterExecutable
from vmlab.kernels.values import BOXED, CELLS, RAW, TAGGED

BASES = {
    "inlined": (StraightExecutable, Ssa),
    "template": (StraightExecutable, Memory),
    "threaded": (InterpreterExecutable, Threaded),
    "switch": (InterpreterExecutable, Switch),
}
CODES = {"register": RegisterExecutable, "super": SuperExecutable}
VALUES = {"tagged": TAGGED, "boxed": BOXED, "cells": CELLS}


def compose(program, counting, base, *parts):
    """The program on the engine that is `base` with these parts, the names in `VALUES` and `late`.
    Raises `EngineUnavailable`."""
    values = [VALUES[part] for part in parts if part in VALUES]
    if base == "inlined" and parts:
        raise EngineUnavailable(
            "values in SSA have no slots to tag or box, and LLVM would look the names up itself:"
            " what is added to 'inlined' is compiled away; add it to 'template'"
        )
    executable, mechanism = BASES[base]
    name = "+".join((base, *parts))
    if program.has_tasks and executable is InterpreterExecutable:
        if "cached" in parts or not CODES.keys().isdisjoint(parts):
            raise without_coroutines(name)
        executable = TaskInterpreterExecutable
    code = next((part for part in parts if part in CODES), None)
    if code is not None:
        if len(parts) > 1:
            raise EngineUnavailable(
                f"'{code}' is made from what the verifier knows: it goes with raw values and bound"
                " names only"
            )
        return CODES[code](name, mechanism, program, counting)
    if "cached" in parts:
        if values:
            raise EngineUnavailable("a register holds one word: 'cached' goes with raw values only")
        return executable(name, mechanism, RAW, "late" in parts, program, counting, CachedEmitter)
    chosen = values[0] if values else RAW
    return executable(name, mechanism, chosen, "late" in parts, program, counting)
