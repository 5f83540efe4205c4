"""A program on a native engine: its memory, the call, and what came of it."""

import ctypes
import struct
import threading
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vmlab.engines import EngineUnavailable, Executable, Sample
from vmlab.isa import (
    ARRAY_HEADER_WORDS,
    FRAME_RECORD_WORDS,
    INT_MAX,
    TRAPS_BY_CODE,
    WORD_BYTES,
    Type,
)
from vmlab.kernels import native, symbols
from vmlab.kernels.context import (
    FAULTS,
    FRAGMENTED,
    MACHINE_STACK,
    Context,
    Region,
    settled,
)
from vmlab.kernels.slots import Slots
from vmlab.kernels.values import CELL_WORDS, RAW
from vmlab.outcome import Limits, Outcome, Place, TrapReport
from vmlab.stack import machine_stack

# Cells that an instruction can have in hand beyond those that slots refer to.
SPARE_CELLS = 4

# Bytes of machine stack left for what the machine code calls, and for signal handlers.
STACK_RESERVE = 1 << 17


@dataclass(frozen=True)
class Needs:
    """What an engine needs for a program, beyond its heap and output.

    stack          slots of VM stack
    frames, trace  words of the regions that the context calls so
    machine_stack  bytes that the machine code can take from one check of the machine's
                   stack to the next
    task_slots     slots of the stacks of tasks
    saved          words of the memory that main's stack is copied to
    """

    stack: int = 0
    frames: int = 0
    trace: int = 0
    machine_stack: int = 0
    task_slots: int = 0
    saved: int = 0


class Memory(NamedTuple):
    """A region, whether a run reads in it what was there before, and the name of the region that
    its words are addresses in, if they are; by place, the opcodes whose handlers' addresses stand
    there."""

    region: Region
    filled: bool = False
    addresses: str | None = None
    handlers: Mapping[int, int] = {}


class State:
    """What a program runs on: the context, and the memory that it points to. `values` is how the
    engine represents values."""

    def __init__(self, program, values=RAW):
        self.context = settled(Context())
        self.limits = None
        # A request to stop comes before or after the start of a call, never in the middle: its
        # lowered limit without `stop` would look like calls too deep.
        self._starting = threading.RLock()
        self.workers = []  # their own contexts, if there are several
        self.values = values
        types = [variable.type for variable in program.globals]
        self.args = Slots(values, [slot.type for slot in program.main.slots], "arguments")
        self.globals = Region(values.words * len(types), "globals")
        self.globals_initial = Slots(values, types, "globals")
        for index, variable in enumerate(program.globals):
            if variable.value is not None:  # -0.0 is not zero
                self.globals_initial.put(index, variable.value)
        self.context.args = self.args.address
        self.context.main_words = self.args.size
        self.context.has_result = program.main.result is not None
        self.context.globals = self.globals.address
        self.context.globals_initial = self.globals_initial.address
        self.context.globals_words = self.globals_initial.size

    def move(self) -> None:
        """To another place; the next call reserves memory anew."""
        self.context = settled(self.context)
        self.limits = None

    def reserve(self, limits: Limits, needs: Needs) -> None:
        """Memory for these limits, unless it is there already. Raises `EngineUnavailable`."""
        if self.limits == limits:
            return
        self.limits = None
        heap_words = limits.max_heap // WORD_BYTES
        self.heap = Region(ARRAY_HEADER_WORDS + heap_words, "arrays", "--max-heap")
        self.output = Region(2 * limits.max_output, "printed values", "--max-output")
        self.stack = Region(self.values.words * needs.stack, "locals and operands", "--max-depth")
        self.saved = Region(needs.saved, "the saved stack of main", "--max-depth")
        self.frames = Region(needs.frames, "frames", "--max-depth")
        self.trace = Region(needs.trace, "call chains", "--max-depth")
        slots = needs.stack + needs.task_slots + self.context.globals_words + SPARE_CELLS
        cells = CELL_WORDS * slots if self.values.counted else 0
        self.cells = Region(cells, "boxed values", "--max-depth")
        for name in ("heap", "output", "stack", "saved", "frames", "trace", "cells"):
            setattr(self.context, name, getattr(self, name).address)
        self.context.stack_end = self.stack.address + self.stack.size
        self.context.heap_limit = heap_words
        self.context.output_limit = limits.max_output
        self.machine_stack = needs.machine_stack
        self.limits = limits

    def start(self, max_depth: int, fuel: int) -> None:
        """Set the fields that a call changes, for the next one on the calling thread."""
        context = self.context
        context.native_limit = self.native_limit()
        context.fuel_given = fuel
        context.trap = 0
        context.output_used = 0
        with self._starting:
            context.stop = 0
            context.depth_limit = max_depth
            context.frame_limit = context.frames + FRAME_RECORD_WORDS * WORD_BYTES * max_depth

    def start_workers(self) -> None:
        """What `start` has set is for each of them."""
        with self._starting:
            for own in self.workers:
                ctypes.memmove(ctypes.byref(own), ctypes.byref(self.context), ctypes.sizeof(own))

    def native_limit(self) -> int:
        """The lowest address that the calling thread may bring its machine stack to."""
        end, size = machine_stack()
        needed = STACK_RESERVE + self.machine_stack
        if needed > size:
            raise EngineUnavailable(
                f"the program needs {needed:,} bytes of machine stack, and this thread has {size:,}"
            )
        return end + needed

    def interrupt(self) -> None:
        with self._starting:
            self._stop(self.context, *self.workers)

    def stop_workers(self) -> None:
        """As `interrupt`, of this run alone."""
        with self._starting:
            self._stop(*self.workers)

    @staticmethod
    def _stop(*contexts):
        for context in contexts:
            context.stop = 1
            context.depth_limit = 0
            context.frame_limit = 0

    def memory(self) -> dict[str, Memory]:
        """All regions; those that a field of the context has the address of, by its name."""
        used = ("globals", "heap", "output", "stack", "saved", "frames", "trace", "cells")
        regions = {name: Memory(getattr(self, name)) for name in used}
        for name in ("args", "globals_initial"):
            slots, cells = getattr(self, name), f"{name}.cells"
            addresses = cells if self.values.counted else None
            regions[name] = Memory(slots.region, True, addresses)
            regions[cells] = Memory(slots.cells, True)
        return regions

    def printed(self, start: int, end: int) -> tuple:
        pairs = self.output.words[2 * start : 2 * end].tolist()
        return tuple(
            number(bits, Type.FLOAT if kind else Type.INT)
            for kind, bits in zip(pairs[::2], pairs[1::2], strict=True)
        )


class NativeExecutable(Executable):
    """What native engines have in common. `counting` says whether the code was built to count;
    only then can it limit fuel."""

    def __init__(self, program, counting, values=RAW):
        self.program = program
        self.counting = counting
        self.state = State(program, values)

    # What an engine says of itself

    @abstractmethod
    def enter(self, runs: int) -> int:
        """Run on `self.state`; the code of the trap, or 0."""

    @abstractmethod
    def call_chain(self):
        """The places of the trap that has just happened, the innermost first."""

    def report(self, trap) -> TrapReport:
        """The trap that has just happened."""
        return TrapReport(trap, self.call_chain() or self.entered(()))

    def entered(self, launches):
        """The chain of an interruption before the first instruction of a task, launched at the
        first of these places, or of main: straight code has noted no call."""
        function = self.program.main_index
        if launches:
            at = launches[0]
            function = self.program.functions[at.function].code[at.instruction].target
        return (Place(function, 0),)

    @abstractmethod
    def needs(self, max_depth: int) -> Needs:
        """The memory to run with so many frames."""

    def deepest_stack(self) -> str:
        """The machine stack that recursion can use up, for people."""
        return f"the machine stack of this thread ({machine_stack().size:,} bytes)"

    def memory(self) -> dict[str, Memory]:
        """As `State.memory`, with what the engine itself has added."""
        return self.state.memory()

    # Executable

    def call(self, args, limits, iterations=1):
        if limits.fuel is not None and not self.counting:
            raise ValueError("fuel needs an executable that was built with counting=True")
        state, context = self.state, self.state.context
        state.reserve(limits, self.needs(limits.max_depth))
        for index, (_, value) in enumerate(zip(self.program.main.params, args, strict=True)):
            state.args.put(index, value)
        fuel = INT_MAX if limits.fuel is None else limits.fuel
        state.start(limits.max_depth, fuel)
        start = time.perf_counter_ns()
        code = self.enter(iterations)
        elapsed = time.perf_counter_ns() - start
        if code == MACHINE_STACK:
            raise EngineUnavailable(
                f"{self.deepest_stack()} is used up before {limits.max_depth:,} frames; lower"
                " --max-depth"
            )
        if code == FRAGMENTED:
            raise EngineUnavailable(
                "the stacks of its tasks have left memory in pieces of wrong sizes only; allow more"
                " with --max-heap"
            )
        if code in FAULTS:
            raise AssertionError(f"{FAULTS[code]} in a verified program, at {self.call_chain()[0]}")
        self.back_edges = context.back_edges if self.counting else None
        result = trap = None
        if code:
            trap = self.report(TRAPS_BY_CODE[code])
        elif self.program.main.result:
            result = number(context.result, self.program.main.result)
        output = state.printed(0, context.output_used)
        count = fuel - context.fuel if self.counting else None
        return Sample(elapsed, Outcome(result, output, trap, count))

    def relocate(self):
        self.state.move()
        return True

    def interrupt(self):
        self.state.interrupt()

    def output_from(self, start):
        if self.state.limits is None:
            return ()
        return self.state.printed(start, self.state.context.output_used)


class CompiledExecutable(NativeExecutable):
    """A program in machine code from `vmlab.kernels.native`. `make_ir()` gives the IR that was
    compiled to `unit` with `effort`."""

    def __init__(self, program, counting, unit, make_ir, effort=native.Effort.FULL, values=RAW):
        super().__init__(program, counting, values)
        self._make_ir = make_ir
        self._effort = effort
        self.compile_seconds = unit.seconds
        self.from_cache = unit.from_cache
        self._settle(unit)

    def _settle(self, unit):
        self._unit = unit
        self.address = unit.address
        self._enter = native.ENTER(unit.address)

    def relocate(self):
        self._settle(self._moved())
        return super().relocate()

    def _moved(self):
        """The unit at another place."""
        return self._unit.relocated()

    def enter(self, runs):
        return self._enter(ctypes.addressof(self.state.context), runs)

    def functions(self):
        return symbols.functions(self._unit)

    def standalone(self):
        from vmlab.kernels.standalone import standalone

        return standalone(self, self._unit.object_code)

    def ir(self):
        return str(native.optimise(self._make_ir(), self._effort))

    def machine_code(self):
        return self._unit.assembly or native.assembly(self._make_ir(), self._effort)


def number(bits, type_):
    """The value of a word that holds an int or a float."""
    if type_ is Type.FLOAT:
        return struct.unpack("<d", struct.pack("<q", bits))[0]
    return bits
