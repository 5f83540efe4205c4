"""What the frame of a coroutine holds, and where its function keeps locals and operands meanwhile.

A frame is a header, then what lives across a suspension: with values in SSA, the locals that may
be read afterwards and the operands below those that the instruction pops, as the verifier's stack
map has them, one word each; with a stack in memory, all locals and operands always. Frames take
whole cache lines; those of one size come from one list of free ones.
"""

from dataclasses import dataclass
from functools import cached_property

from vmlab.isa import (
    FRAME_RECORD_WORDS,
    NEW_TASK_WORDS,
    Flow,
)
from vmlab.kernels.callgraph import CallGraph, launched
from vmlab.kernels.liveness import live_locals
from vmlab.kernels.operands import Memory, Ssa
from vmlab.kernels.values import Raw, llvm_type, to_word
from vmlab.program import Program

# A frame: where it is resumed, its caller's frame, and the site that it is at. In a free frame, the
# next free one stands in the place of the first. Where the function calls, also its depth, and the
# words of the VM's stack below it.
RESUME, PARENT, SITE, DEPTH, BASE = range(5)
HEADER_WORDS, CALLING_HEADER_WORDS = 3, 5

LINE_WORDS = 8

# The site of a frame whose function has not begun.
NOT_BEGUN = -1


@dataclass(frozen=True)
class Layout:
    """The frames of a program: of the functions that can suspend, and of those that tasks begin
    with."""

    program: Program
    graph: CallGraph
    storage: type
    values: Raw

    def header(self, function: int) -> int:
        """The words before what lives across suspensions."""
        return CALLING_HEADER_WORDS if self.graph.calls[function] else HEADER_WORDS

    @cached_property
    def _live(self) -> dict[int, list[int]]:
        """For each function that can suspend: the locals that live at each instruction."""
        functions = self.program.functions
        return {f: live_locals(functions[f]) for f, s in enumerate(self.graph.suspends) if s}

    def live_behind(self, function: int, at: int) -> list[int]:
        """The locals of a function that can suspend that live behind an instruction."""
        live = self._live[function][at + 1]
        return [i for i in range(len(self.program.functions[function].slots)) if live >> i & 1]

    @cached_property
    def launched(self) -> set[int]:
        """The functions that tasks begin with."""
        return launched(self.program)

    @cached_property
    def lines(self) -> dict[int, int]:
        """The cache lines of each function's frame."""
        return {f: -(-self._words(f) // LINE_WORDS) for f in self._live.keys() | self.launched}

    def _words(self, index):
        function, stack_map = self.program.functions[index], self.program.stack_maps[index]
        kept = len(function.params)
        if index in self._live:
            if self.storage is Memory:
                kept = len(function.slots) + stack_map.max_depth
            else:
                kept = max([kept, *self._kept(index)])
        return self.header(index) + self.values.words * kept

    def _kept(self, index):
        """How much lives across each suspension."""
        code, stack_map = self.program.functions[index].code, self.program.stack_maps[index]
        for at, instruction in enumerate(code):
            pops = None
            if instruction.opcode.flow is Flow.SWITCH:
                pops = len(stack_map.variants[at].effect.pops)
            elif instruction.opcode.flow is Flow.CALL and self.graph.suspends[instruction.target]:
                pops = len(self.program.functions[instruction.target].params)
            if pops is not None:
                yield self._live[index][at + 1].bit_count() + stack_map.before[at].depth - pops

    @cached_property
    def sizes(self) -> list[int]:
        """The sizes that there are, in lines: one list of free frames each."""
        return sorted(set(self.lines.values()))

    def region_words(self, heap_words: int, max_depth: int) -> int:
        """Memory in which frames never run out, whatever order they come and go in: for each size,
        as many as the limits allow, of main and of tasks."""
        total = len(self.sizes)
        for size in self.sizes:
            cheapest = min(self._cost(f) for f, lines in self.lines.items() if lines == size)
            total += size * LINE_WORDS * (max_depth + heap_words // cheapest)
        return total + LINE_WORDS

    def _cost(self, function):
        """The least that one more frame costs in the VM's account."""
        if function in self._live:
            return FRAME_RECORD_WORDS + len(self.program.functions[function].slots)
        return NEW_TASK_WORDS


class SavedSsa(Ssa):
    """`Ssa` in a function that can suspend: what lives goes to the frame, and comes back."""

    def open(self, area) -> None:
        """Begin where the frame holds the arguments."""
        self.begin(self.passed(area))

    def passed(self, area):
        """The arguments in a frame, as `call` takes them."""
        params = enumerate(self.body.function.params)
        return [self._load(area, index, llvm_type(p.type)) for index, p in params]

    def save(self, area, live) -> None:
        b = self.body.b
        values = [*map(b.load, self._places(live)), *self.values]
        for index, value in enumerate(values):
            self.body.store(to_word(b, value), self.body.word(area, index), "frame")

    def restore(self, area, live, given) -> None:
        """In the block where the function is resumed: as behind `leave_block`, with the values that
        the instruction pushes on top."""
        b = self.body.b
        above = enumerate([*self.values, *given], self.found.depth)
        places = self._places(live) + [self._crossing(height, v.type) for height, v in above]
        kept = places[: len(places) - len(given)]
        for index, place in enumerate(kept):
            b.store(self._load(area, index, place.type.pointee), place)
        for value, place in zip(given, places[len(kept) :], strict=True):
            b.store(value, place)

    def _places(self, live):
        """Of those locals, and of the operands that the block found."""
        found = enumerate(self.found.types())
        crossing = [self._crossing(height, llvm_type(type_)) for height, type_ in found]
        return [self.slots[slot] for slot in live] + crossing

    def _load(self, area, index, type_):
        word = self.body.load(self.body.word(area, index), "frame")
        return self.body.b.bitcast(word, type_)

    def kept_result(self, result):
        """What `call` gave as a result, as it is kept."""
        return result


class FrameMemory(Memory):
    """`Memory` in a function that can suspend: locals and operands stand in its frame. Functions
    that cannot suspend have the VM's stack for themselves, from its start, since they return before
    another task goes on."""

    def open(self, area) -> None:
        self.begin([area])

    def passed(self, area):
        return self._copied(area, len(self.body.function.params))

    def pop_args(self, count):
        [first] = super().pop_args(count)
        return self._copied(first, count)

    def _copied(self, first, count):
        body = self.body
        stack = body.pointer("stack")
        for index in range(body.values.words * count):
            word = body.load(body.word(first, index), "frame")
            body.store(word, body.word(stack, index), "frame")
        return [stack]

    def call(self, callee, linkage, args):
        trapped, _ = super().call(callee, linkage, args)
        return trapped, args[0]

    def push_result(self, result) -> None:
        self.push(self.kept_result(result))

    def kept_result(self, result):
        return self.body.values.load(self.body, result, "frame")

    def save(self, area, live) -> None:
        pass

    def restore(self, area, live, given) -> None:
        for height, kept in enumerate(given, self.height):
            self.body.values.store(self.body, kept, self._operand(height), "frame")


RESUMABLE = {Ssa: SavedSsa, Memory: FrameMemory}
