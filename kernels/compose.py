"""Engines put together: a way of dispatch and of keeping operands, a representation of values, and
a way of finding names."""

from vmlab.engines import POLICIES, TECHNIQUES, EngineUnavailable
from vmlab.kernels.barrier import CARD_MARKING, NO_BARRIER
from vmlab.kernels.cached import CachedEmitter
from vmlab.kernels.copying import CopyingEmitter
from vmlab.kernels.dispatch import Direct, Switch, Threaded, replicated
from vmlab.kernels.interpreter import InterpreterExecutable
from vmlab.kernels.operands import Memory, Ssa
from vmlab.kernels.quickening import QuickeningEmitter
from vmlab.kernels.register_machine import RegisterExecutable
from vmlab.kernels.scheduler.layout import MAX_WORKERS
from vmlab.kernels.straight import StraightExecutable
from vmlab.kernels.super_machine import SuperExecutable
from vmlab.kernels.task_interpreter import TaskInterpreterExecutable
from vmlab.kernels.task_stackful import StackfulExecutable
from vmlab.kernels.task_straight import TaskStraightExecutable
from vmlab.kernels.task_techniques import (
    TaskCachedEmitter,
    TaskQuickeningEmitter,
    TaskRegisterExecutable,
    TaskSuperExecutable,
)
from vmlab.kernels.task_workers import WorkersExecutable
from vmlab.kernels.values import BOXED, CELLS, RAW, TAGGED

BASES = {
    "inlined": (StraightExecutable, Ssa),
    "template": (StraightExecutable, Memory),
    "threaded": (InterpreterExecutable, Threaded),
    "switch": (InterpreterExecutable, Switch),
}
CODES = {"register": RegisterExecutable, "super": SuperExecutable}
# What programs with tasks have in place of these.
WITH_TASKS = {
    StraightExecutable: TaskStraightExecutable,
    InterpreterExecutable: TaskInterpreterExecutable,
    CachedEmitter: TaskCachedEmitter,
    QuickeningEmitter: TaskQuickeningEmitter,
    RegisterExecutable: TaskRegisterExecutable,
    SuperExecutable: TaskSuperExecutable,
}
VALUES = {"tagged": TAGGED, "boxed": BOXED, "cells": CELLS}


def compose(program, counting, base, *parts, workers=1):
    """The program on the engine that is `base` with these parts, the names in `VALUES`, `late`,
    policies and techniques. What is quickened has tagged values if nothing else is there to be
    quickened. Raises `EngineUnavailable`."""
    stackful = "stackful" in parts
    if base == "inlined" and set(parts) - {"stackful"}:
        raise EngineUnavailable(
            "values in SSA have no slots to tag or box, and LLVM would look the names up itself:"
            " what is added to 'inlined' is compiled away; add it to 'template'"
        )
    executable, mechanism = BASES[base]
    if "direct" in parts:
        mechanism = Direct
    if "replicated" in parts:
        mechanism = replicated(mechanism)
    if workers > 1:
        return _on_workers(program, counting, base, mechanism, workers)
    name = "+".join((base, *parts))
    techniques = [part for part in parts if part in TECHNIQUES]
    policies = [part for part in parts if part in POLICIES]
    if len(techniques) > 1 or (techniques and policies):
        joined = " and ".join([*techniques, *policies])
        raise EngineUnavailable(
            f"there is no way yet to join {joined}: a technique has handlers of its own, which know"
            " neither policies nor other techniques"
        )

    def fitting(part):
        return WITH_TASKS[part] if program.has_tasks else part

    executable = fitting(executable)
    values = next((VALUES[part] for part in parts if part in VALUES), None)
    late = "late" in parts
    if stackful:
        if not program.has_tasks:
            raise EngineUnavailable(
                "machine stacks are those of tasks, and the program has no tasks"
            )
        executable = StackfulExecutable
    if policies:
        barrier = CARD_MARKING if "barrier" in policies else NO_BARRIER
        emitter = None
        if "copy" in policies:
            if not program.has_tasks:
                raise EngineUnavailable(
                    "stacks are copied from task to task, and the program has no tasks"
                )
            emitter = CopyingEmitter
        return executable(name, mechanism, values or RAW, late, program, counting, emitter, barrier)
    match techniques:
        case ["register" | "super" as code]:
            if values or late:
                raise EngineUnavailable(
                    f"'{code}' is made from what the verifier knows: it goes with raw values and"
                    " bound names only"
                )
            return fitting(CODES[code])(name, mechanism, program, counting)
        case ["cached"]:
            if values:
                raise EngineUnavailable(
                    "a register holds one word: 'cached' goes with raw values only"
                )
            return executable(name, mechanism, RAW, late, program, counting, fitting(CachedEmitter))
        case ["quickened"]:
            values = values or (RAW if late else TAGGED)
            if not (values.checked or late):
                raise EngineUnavailable(
                    "nobody looks at the tags of 'cells', so there is nothing to quicken; take"
                    " 'boxed', or add 'late'"
                )
            return executable(
                name, mechanism, values, late, program, counting, fitting(QuickeningEmitter)
            )
    return executable(name, mechanism, values or RAW, late, program, counting)


def _on_workers(program, counting, engine, storage, workers):
    check_workers(workers)
    if not program.has_tasks:
        raise EngineUnavailable("the program has no tasks, so one worker does all that there is")
    if counting:
        raise EngineUnavailable("instructions are counted, and fuel is limited, on one worker only")
    return WorkersExecutable(engine, storage, program, workers)


def check_workers(workers):
    if workers > MAX_WORKERS:
        raise EngineUnavailable(f"{workers} workers are too many: at most {MAX_WORKERS} can work")
