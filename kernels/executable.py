"""A program on a native engine: its memory, the call, and what came of it."""

import ctypes
import struct
import time
from abc import abstractmethod
from dataclasses import dataclass

from vmlab.engines import EngineUnavailable, Executable, Sample
from vmlab.isa import ARRAY_HEADER_WORDS, INT_MAX, TRAPS_BY_CODE, WORD_BYTES, Type
from vmlab.kernels import native
from vmlab.kernels.context import MACHINE_STACK, Context, Region
from vmlab.outcome import Limits, Outcome, TrapReport
from vmlab.stack import stack_budget


@dataclass
class Memory:
    """What a program runs in, for given limits."""

    heap: Region
    output: Region
    stack: Region
    frames: Region
    trace: Region


class NativeExecutable(Executable):
    """What native engines have in common. `counting` says whether the code was built to count;
    only then can it limit fuel."""

    def __init__(self, program, counting):
        self.program = program
        self.counting = counting
        self.context = Context()
        self.memory = None
        self._limits = None
        self._globals = Region(len(program.globals), "globals")
        self._initial = Region(len(program.globals), "globals")
        self._args = Region(len(program.main.slots), "arguments")
        for index, variable in enumerate(program.globals):
            _put(self._initial, index, variable.type, variable.value or 0)
        # Fields that hold while this object lives.
        for name, region in (
            ("globals", self._globals),
            ("globals_initial", self._initial),
            ("args", self._args),
        ):
            setattr(self.context, name, region.address)
        self.context.globals_count = len(program.globals)
        self.context.main_slots = len(program.main.slots)

    # What an engine says of itself

    @abstractmethod
    def enter(self, runs: int) -> int:
        """Run on the context; the code of the trap, or 0."""

    @abstractmethod
    def call_chain(self):
        """The places of the trap that has just happened, the innermost first."""

    def stack_words(self, max_depth: int) -> int:
        return 0

    def frame_words(self, max_depth: int) -> int:
        return 0

    def trace_words(self, max_depth: int) -> int:
        return 0

    # Executable

    def call(self, args, limits, iterations=1):
        if limits.fuel is not None and not self.counting:
            raise ValueError("fuel needs an executable that was built with counting=True")
        self._reserve(limits)
        context = self.context
        for index, param in enumerate(self.program.main.params):
            _put(self._args, index, param.type, args[index])
        fuel = INT_MAX if limits.fuel is None else limits.fuel
        context.native_budget = stack_budget()
        context.fuel = fuel
        context.back_edges = context.trap = 0
        context.stop = 0
        context.depth_limit = limits.max_depth
        context.frame_limit = context.frames + 2 * WORD_BYTES * limits.max_depth
        start = time.perf_counter_ns()
        code = self.enter(iterations)
        elapsed = time.perf_counter_ns() - start
        if code == MACHINE_STACK:
            raise EngineUnavailable(
                f"the machine stack of this thread ({context.native_budget:,} bytes) is used up "
                f"before {limits.max_depth:,} frames; lower --max-depth"
            )
        self.back_edges = context.back_edges if self.counting else None
        return Sample(elapsed, self._outcome(code, fuel))

    def interrupt(self):
        self.context.stop = 1
        self.context.depth_limit = 0
        self.context.frame_limit = 0

    def output_from(self, start):
        if self.memory is None:
            return ()
        return self._output(start, self.context.output_used)

    # Inside

    def _reserve(self, limits: Limits) -> None:
        if self.memory is not None and self._limits == limits:
            return
        depth = limits.max_depth
        heap_words = limits.max_heap // WORD_BYTES
        self.memory = Memory(
            heap=Region(ARRAY_HEADER_WORDS + heap_words, "arrays", "--max-heap"),
            output=Region(2 * limits.max_output, "printed values", "--max-output"),
            stack=Region(self.stack_words(depth), "locals and operands", "--max-depth"),
            frames=Region(self.frame_words(depth), "frames", "--max-depth"),
            trace=Region(self.trace_words(depth), "call chains", "--max-depth"),
        )
        self._limits = limits
        for name in ("heap", "output", "stack", "frames", "trace"):
            setattr(self.context, name, getattr(self.memory, name).address)
        self.context.heap_limit = heap_words
        self.context.output_limit = limits.max_output

    def _output(self, start, end):
        pairs = self.memory.output.words[2 * start : 2 * end].tolist()
        return tuple(
            _number(bits, Type.FLOAT if kind else Type.INT)
            for kind, bits in zip(pairs[::2], pairs[1::2], strict=True)
        )

    def _outcome(self, code, fuel):
        context = self.context
        result = trap = None
        if code:
            trap = TrapReport(TRAPS_BY_CODE[code], self.call_chain())
        elif self.program.main.result:
            result = _number(context.result, self.program.main.result)
        return Outcome(
            result,
            self._output(0, context.output_used),
            trap,
            fuel - context.fuel if self.counting else None,
        )


class CompiledExecutable(NativeExecutable):
    """A program in machine code from `vmlab.kernels.native`. `make_ir()` gives the IR that was
    compiled to `unit` with `effort`."""

    def __init__(self, program, counting, unit, make_ir, effort=native.Effort.FULL):
        super().__init__(program, counting)
        self._unit = unit
        self._make_ir = make_ir
        self._effort = effort
        self._enter = native.ENTER(unit.address)
        self.compile_seconds = unit.seconds
        self.from_cache = unit.from_cache

    def enter(self, runs):
        return self._enter(ctypes.addressof(self.context), runs)

    def ir(self):
        return str(native.optimise(self._make_ir(), self._effort))

    def machine_code(self):
        return self._unit.assembly or native.assembly(self._make_ir(), self._effort)


def _put(region, index, type_, value):
    (region.floats if type_ is Type.FLOAT else region.words)[index] = value


def _number(bits, type_):
    if type_ is Type.FLOAT:
        return struct.unpack("<d", struct.pack("<q", bits))[0]
    return bits
