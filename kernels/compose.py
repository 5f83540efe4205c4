"""Engines put together: a way of dispatch and of keeping operands, a representation of values, and
a way of finding names."""

from vmlab.engines import EngineUnavailable
from vmlab.kernels.dispatch import Switch, Threaded
from vmlab.kernels.interpreter import InterpreterExecutable
from vmlab.kernels.operands import Memory, Ssa
from vmlab.kernels.quickening import QuickenedExecutable
from vmlab.kernels.straight import StraightExecutable
from vmlab.kernels.values import BOXED, CELLS, RAW, TAGGED

BASES = {
    "inlined": (StraightExecutable, Ssa),
    "template": (StraightExecutable, Memory),
    "threaded": (InterpreterExecutable, Threaded),
    "switch": (InterpreterExecutable, Switch),
}
VALUES = {"tagged": TAGGED, "boxed": BOXED, "cells": CELLS}


def compose(program, counting, base, *parts):
    """The program on the engine that is `base` with these parts, the names in `VALUES`, `late` and
    `quickened`. What is quickened has tagged values if nothing else is there to be quickened.
    Raises `EngineUnavailable`."""
    late, quickened = "late" in parts, "quickened" in parts
    values = next((VALUES[part] for part in parts if part in VALUES), None)
    if values is None:
        values = TAGGED if quickened and not late else RAW
    if base == "inlined" and parts:
        raise EngineUnavailable(
            "values in SSA have no slots to tag or box, and LLVM would look the names up itself:"
            " what is added to 'inlined' is compiled away; add it to 'template'"
        )
    executable, mechanism = BASES[base]
    if quickened:
        if executable is not InterpreterExecutable:
            raise EngineUnavailable(
                "its machine code has no instruction words to rewrite; add 'quickened' to"
                " 'threaded' or 'switch'"
            )
        if not (values.checked or late):
            raise EngineUnavailable(
                "nobody looks at the tags of 'cells', so there is nothing to quicken; take 'boxed',"
                " or add 'late'"
            )
        executable = QuickenedExecutable
    name = "+".join((base, *parts))
    return executable(name, mechanism, values, late, program, counting)
