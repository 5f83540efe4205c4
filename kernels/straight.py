"""No dispatch: the program as straight machine code, each VM function an LLVM function.

A function returns 1 in its last word if it trapped. The trapping function notes the trap in the
context, and each caller adds the site of its call on the way out: a call chain costs nothing
until it is needed.
"""

from bisect import bisect_right
from collections import Counter

from llvmlite import ir

from vmlab.isa import COROUTINES
from vmlab.kernels.callgraph import CallGraph, stack_slots
from vmlab.kernels.entry import emit_enter, emit_run
from vmlab.kernels.executable import CompiledExecutable, Needs
from vmlab.kernels.loops import versioned_loops
from vmlab.kernels.machine import Machine
from vmlab.kernels.names import ENTRY_WORDS, Table, function_name, hash_table, intern
from vmlab.kernels.native import Effort, compile_ir
from vmlab.kernels.operands import Memory
from vmlab.kernels.straight_function import FunctionEmitter
from vmlab.kernels.values import I64, IMMORTAL, WORDS, i64
from vmlab.outcome import Place

# VM instructions from which on compile time counts more than the last percent of speed.
LARGE_PROGRAM = 2_000

# What an instruction with tasks or channels counts as, which is compiled to as much code.
OPERATION_SIZE = 20

# A small recursive function is compiled with its own recursion inlined, up to so many levels and
# so many VM instructions in all. GCC does the like; LLVM's inliner leaves recursion alone.
SMALL_FUNCTION = 48
SELF_INLINING = 512
SELF_INLINING_LEVELS = 8

# LLVM inlines a function that is called in one place only, whatever its size. In a long chain of
# them that takes time as the square of its length, so every so many-th is not inlined.
INLINED_CHAIN = 8

# The most bytes that frames take on the machine's stack, as seen in the machine code: so many a
# function, and so many a VM instruction and word. Optimised code keeps what is alive, code that
# is compiled quickly whatever lives from one basic block to another. Where instructions check
# types, count references or look names up, they are made of several blocks.
FRAME_BYTES = 256
FRAME_BYTES_EACH = 16
FRAME_BYTES_EACH_OF_SEVERAL_BLOCKS = 64


class StraightExecutable(CompiledExecutable):
    """`engine` names the composition of the next three. `emitter` emits the program, as
    `ProgramEmitter` does."""

    def __init__(self, engine, storage, values, late, program, counting, emitter=None):
        graph = CallGraph.of(program)
        emitter = emitter or ProgramEmitter

        def make_ir():
            return str(emitter(engine, storage, values, late, program, graph, counting).module)

        size = sum(len(function.code) for function in program.functions)
        size += (OPERATION_SIZE - 1) * operations(program)
        timed = Effort.LARGE if size > LARGE_PROGRAM else Effort.FULL
        effort = Effort.QUICK if counting else timed
        unit = compile_ir(make_ir, "enter", effort)
        super().__init__(program, counting, unit, make_ir, effort, values)
        self._graph = graph
        self._storage = storage
        self._machine_stack = machine_stack_bytes(program, several_blocks=values.typed or late)

    def needs(self, max_depth):
        stack = 0
        if self._storage is Memory:
            stack = stack_slots(self.program, self._graph, max_depth)
        return Needs(stack, trace=max_depth, machine_stack=self._machine_stack)

    def call_chain(self):
        return self._places(self._sites())

    def _sites(self):
        """Of a trap: those of the calls that it has left."""
        return self.state.trace.words[: self.state.context.trace_used].tolist()

    def _places(self, sites):
        # There can be millions, but only as many different ones as there are calls.
        places = {site: self._place(site) for site in set(sites)}
        return tuple(places[site] for site in sites)

    def _place(self, site):
        first = self.program.first_site
        function = bisect_right(first, site) - 1
        return Place(function, site - first[function])


def operations(program) -> int:
    """How many instructions with tasks or channels there are."""
    return sum(i.opcode.group == COROUTINES for _, _, i in program.sites())


def machine_stack_bytes(program, several_blocks: bool) -> int:
    """The most that machine code takes of the machine's stack from one check of it to the next:
    recursive functions and main check it, and all others can be active in between, once each.
    `several_blocks` says whether an instruction makes more than one basic block."""
    functions = program.functions
    words = sum(len(function.slots) for function in functions)
    words += sum(stack_map.max_depth for stack_map in program.stack_maps)
    instructions = sum(len(function.code) for function in functions)
    each = FRAME_BYTES_EACH_OF_SEVERAL_BLOCKS if several_blocks else FRAME_BYTES_EACH
    return FRAME_BYTES * len(functions) + each * (words + instructions)


class ProgramEmitter:
    """Emits a module for a whole program. `module` is the result."""

    LINKAGE = (WORDS, I64)  # what is passed to a function before its arguments: context, depth
    PARALLEL = False  # whether other threads run the program's code at the same time

    def __init__(self, engine, storage, values, late, program, graph, counting):
        self.program = program
        self.graph = graph
        self.storage = storage
        self.values = values
        self.counting = counting
        self.module = ir.Module(engine)
        indices = range(len(program.functions))
        # The loops with several versions, by function and instruction.
        self.loops = [{}] * len(program.functions)
        if storage.optimised and not counting:
            self.loops = versioned_loops(program, self.PARALLEL)
        self.levels = [self._self_inlining_levels(index) for index in indices]
        self.functions = [self._declare(index, "") for index in indices]
        self.names = intern(program) if late else None
        self.table = self._table() if late else None
        self._cells = {}
        self._begin()
        for index in indices:
            self._emit(index)
        self._emit_entry()

    @property
    def body(self):
        """What emits a function."""
        return FunctionEmitter

    def _begin(self):
        """Before the functions are emitted."""

    def _self_inlining_levels(self, index):
        cycle = self.graph.cycle[index]
        if cycle is None or self.counting or not self.storage.optimised:
            return 0
        sizes = [len(function.code) for function in self.program.functions]
        if any(sizes[f] > SMALL_FUNCTION for f, c in enumerate(self.graph.cycle) if c == cycle):
            return 0
        copies, size, level = Counter({index: 1}), 0, -1
        while level < SELF_INLINING_LEVELS:
            size += sum(sizes[f] * n for f, n in copies.items())
            if size > SELF_INLINING:
                break
            level += 1
            inner = Counter()
            for function, count in copies.items():
                for callee, calls in self.graph.calls[function].items():
                    if self.graph.cycle[callee] == cycle:
                        inner[callee] += count * calls
            copies = inner
        return max(level, 0)

    def _declare(self, index, suffix):
        function = self.program.functions[index]
        reply, params = self.storage.signature(function)
        declared = ir.Function(
            self.module,
            ir.FunctionType(reply, [*self.LINKAGE, *params]),
            name=f"vm.{function.name}{suffix}",
        )
        declared.linkage = "internal"
        declared.calling_convention = "fastcc"
        declared.attributes.add("nounwind")
        height = self.graph.height[index]
        if height and height % INLINED_CHAIN == 0:
            declared.attributes.add("noinline")
        # A jump table would be an indirect jump that is not dispatch.
        set.add(declared.attributes, '"no-jump-tables"="true"')
        return declared

    def _emit(self, index):
        levels = self.levels[index]
        exact = None
        if levels:
            # Where the levels could run into a limit, every call has to be looked at by itself.
            exact = self._declare(index, ".exact")
            self.body(self, index, exact, levels=0).emit_function(None)
        self.body(self, index, self.functions[index], levels).emit_function(exact)

    def _emit_entry(self):
        """What Python calls."""
        emit_run(self.module, self._emit_main)
        emit_enter(self.module)

    def _emit_main(self, b, context):
        main, machine = self.program.main_index, Machine(b, context)
        self.values.begin_run(machine)
        function = self.program.functions[main]
        return self.storage.run_main(machine, self.functions[main], function, self.values)

    def _table(self):
        """The table of names: a global means its place among the globals' words, a function the
        address of its code."""
        meanings = {
            self.names[variable.name]: i64(self.values.words * index)
            for index, variable in enumerate(self.program.globals)
        } | {
            self.names[function_name(function)]: declared.ptrtoint(I64)
            for function, declared in zip(self.program.functions, self.functions, strict=True)
        }
        words = [
            word for name, meaning in hash_table(meanings, i64(0)) for word in (i64(name), meaning)
        ]
        # Not internal, so that LLVM cannot know what stands in it, and look the names up itself.
        table = self._words("names", words)
        return Table(table, i64(len(words) // ENTRY_WORDS - 1))

    def cell(self, tag, word):
        """The cell of a constant."""
        if (tag, word) not in self._cells:
            words = i64(IMMORTAL), i64(tag), i64(word)
            self._cells[tag, word] = self._words(f"constant.{len(self._cells)}", words)
        return self._cells[tag, word]

    def _words(self, name, words):
        type_ = ir.ArrayType(I64, len(words))
        variable = ir.GlobalVariable(self.module, type_, name)
        variable.initializer = ir.Constant(type_, words)
        return variable.bitcast(WORDS)
