"""A program on CPython: the call, and what came of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from types import CodeType, TracebackType
from typing import Any

from vmlab.cpython.interruption import Interrupted, Interruptible
from vmlab.cpython.nodes import instruction
from vmlab.cpython.runtime import Machine, Trapped, out_of_fuel
from vmlab.cpython.source import first_value, translate
from vmlab.cpython.translate import Form
from vmlab.engines import EngineUnavailable, Executable, Sample
from vmlab.isa import INT_MAX, Trap
from vmlab.outcome import Limits, Outcome, Place, TrapReport
from vmlab.program import Number, Program

# The limit of recursion is one of the process, and only one call at a time can rely on it. They
# could not run at the same time anyway.
_turn = threading.Lock()
_PATIENCE = 0.05  # seconds between looks at whether to go on waiting for it

# Frames for what the program's functions call, where its own frames are counted.
_SPARE_FRAMES = 200
_MOST_FRAMES = 2**31 - 1  # the limit is a C int

_TRAPS: dict[type[BaseException], Trap] = {
    ZeroDivisionError: Trap.DIVIDE_BY_ZERO,
    IndexError: Trap.INDEX_OUT_OF_RANGE,
    Interrupted: Trap.INTERRUPTED,
}


class _FramesUnknown(Exception):
    """CPython's limit of recursion does not tell whether the program has kept to its own."""


def _frames_left(found: int = 1) -> int:
    """How many frames a caller can add, this one the first of them."""
    try:
        return _frames_left(found + 1)
    except RecursionError:
        return found


class _Code:
    """A program in Python, compiled and loaded."""

    def __init__(self, program: Program, form: Form, machine: Machine) -> None:
        try:
            source = translate(program, form)
            code = compile(source.module, f"<{program.source.path}>", "exec")
        except (RecursionError, MemoryError, SyntaxError, OverflowError) as error:
            raise EngineUnavailable(
                f"CPython's compiler does not take the program: {error or type(error).__name__}"
            ) from None
        self.form = form
        self.segment_ends = source.segment_ends
        self.namespace: dict[str, Any] = {
            "ints": machine.ints,
            "floats": machine.floats,
            "put": machine.put,
            "out_of_fuel": out_of_fuel,
        }
        exec(code, self.namespace)
        self.main = self.namespace[source.functions[program.main_index]]
        self.start = dict(
            zip(source.globals, map(first_value, program.globals), strict=True),
            executed=0,
            back_edges=0,
        )
        codes: list[CodeType] = [self.namespace[name].__code__ for name in source.functions]
        self._functions = {id(code): index for index, code in enumerate(codes)}

    def chain(self, traceback: TracebackType | None) -> list[Place]:
        """Where the program's functions were, the innermost first."""
        found = []
        while traceback is not None:
            function = self._functions.get(id(traceback.tb_frame.f_code))
            if function is not None:
                found.append(Place(function, instruction(traceback.tb_lineno)))
            traceback = traceback.tb_next
        return found[::-1]


class CPython(Executable):
    """A program on CPython. Code that counts, counts frames too. Other code leaves that to
    CPython: its limit of recursion is set so that the program has `max_depth` frames. If it says
    that it was reached, or cannot be set so, code that counts frames runs instead."""

    def __init__(self, program: Program, counting: bool, form: Form | None = None) -> None:
        start = time.perf_counter()
        self._program = program
        self._counting = counting
        self._machine = Machine()
        self._calls = Interruptible()
        self._stop = False
        if form is None:
            form = Form(counting=counting, frames=counting)
        self._code = _Code(program, form, self._machine)
        self.compile_seconds = time.perf_counter() - start

    @cached_property
    def _counts_frames(self) -> _Code:
        form = self._code.form
        if form.frames:
            return self._code
        return _Code(self._program, Form(frames=True, wrapping=form.wrapping), self._machine)

    @cached_property
    def _deepest(self) -> float:
        """The most frames that the program can have, whatever its limit."""
        from vmlab.kernels.callgraph import CallGraph

        graph = CallGraph.of(self._program)
        if any(cycle is not None for cycle in graph.cycle):
            return float("inf")
        height: int = graph.height[self._program.main_index]
        return 1 + height

    def call(self, args: Sequence[Number], limits: Limits, iterations: int = 1) -> Sample:
        if limits.fuel is not None and not self._counting:
            raise ValueError("fuel needs an executable that was built with counting=True")
        self._stop = False
        while not _turn.acquire(timeout=_PATIENCE):
            if self._stop:
                break
        else:
            limit = sys.getrecursionlimit()
            try:
                return self._run(self._code, args, limits, iterations)
            except _FramesUnknown:
                return self._run(self._counts_frames, args, limits, iterations)
            finally:
                sys.setrecursionlimit(limit)
                _turn.release()
        nowhere = TrapReport(Trap.INTERRUPTED, (Place(self._program.main_index, 0),))
        return Sample(0, Outcome(None, (), nowhere, 0 if self._counting else None))

    def _run(self, code: _Code, args: Sequence[Number], limits: Limits, iterations: int) -> Sample:
        """Raises `_FramesUnknown` if it takes code that counts frames."""
        machine, namespace, main = self._machine, code.namespace, code.main
        namespace["fuel"] = INT_MAX if limits.fuel is None else limits.fuel
        namespace["max_depth"] = limits.max_depth
        if code.form.frames:
            args = (*args, 1)
        result: Number | None = None
        began = ended = 0

        def begin() -> None:
            machine.start(limits)
            namespace.update(code.start)

        def work() -> None:
            nonlocal result, began, ended
            if self._stop:
                raise Interrupted
            self._set_recursion_limit(_frames_left(), limits, code)
            began = time.perf_counter_ns()
            try:
                for _ in range(iterations):
                    begin()
                    result = main(*args)
            finally:
                ended = time.perf_counter_ns()

        begin()  # an interruption may come first
        error = self._calls.call(work)
        if began and not ended:  # another interruption came while the first was on its way
            ended = time.perf_counter_ns()
        trap = self._trap(code, error, limits)
        count = None
        if self._counting:
            self.back_edges = namespace["back_edges"]
            count = min(namespace["executed"], namespace["fuel"])
        outcome = Outcome(None if trap else result, tuple(machine.output), trap, count)
        return Sample(ended - began, outcome)

    def _set_recursion_limit(self, left: int, limits: Limits, code: _Code) -> None:
        """`left` is the number of frames that the program can have without."""
        limit = sys.getrecursionlimit()
        if code.form.frames or self._deepest <= limits.max_depth:
            wanted = limit + max(0, min(limits.max_depth, self._deepest) + _SPARE_FRAMES - left)
        else:
            wanted = limit + limits.max_depth - left
            if wanted < limit:  # other threads may need as many
                raise _FramesUnknown
        if wanted > _MOST_FRAMES:
            raise EngineUnavailable(
                f"CPython has {_MOST_FRAMES:,} frames at most, and {limits.max_depth:,} are"
                " allowed; lower --max-depth"
            )
        sys.setrecursionlimit(int(wanted))

    def _trap(self, code: _Code, error: BaseException | None, limits: Limits) -> TrapReport | None:
        if error is None:
            return None
        if isinstance(error, RecursionError) and not code.form.frames:
            raise _FramesUnknown
        if isinstance(error, MemoryError | RecursionError):
            raise EngineUnavailable(
                f"CPython has no memory left for this program ({type(error).__name__});"
                " lower --max-heap or --max-depth"
            )
        trap = error.trap if isinstance(error, Trapped) else _TRAPS.get(type(error))
        if trap is None:
            raise error
        chain = code.chain(error.__traceback__)
        error.__traceback__ = None  # it would keep the arrays of the run alive
        if trap is Trap.CALL_DEPTH_EXCEEDED:
            del chain[0]  # the one that is too much finds out
        if trap is Trap.OUT_OF_FUEL:
            function, start = chain[0].function, chain[0].instruction
            missing = code.namespace["executed"] - code.namespace["fuel"]
            chain[0] = Place(function, code.segment_ends[function][start] - missing)
        return TrapReport(trap, tuple(chain) or (Place(self._program.main_index, 0),))

    def listing(self) -> str:
        return translate(self._program, self._code.form).text

    def interrupt(self) -> None:
        self._stop = True
        self._calls.interrupt()

    def output_from(self, start: int) -> tuple[Number, ...]:
        return tuple(self._machine.output[start:])


def cpython(program: Program, counting: bool) -> Executable:
    """Make the program executable on CPython."""
    if program.has_tasks:
        raise EngineUnavailable("generated Python does not run coroutines")
    return CPython(program, counting)
