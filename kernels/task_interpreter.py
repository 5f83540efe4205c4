"""The interpreters for programs with tasks: their memory, and what is read in it after a trap."""

from itertools import islice
from operator import itemgetter

from vmlab.isa import (
    CHANNEL_HEADER_WORDS,
    FIRST_STACK_WORDS,
    FRAME_RECORD_WORDS,
    TASK_DESCRIPTOR_WORDS,
    TASK_RECORD_WORDS,
    WORD_BYTES,
    Trap,
)
from vmlab.kernels.barrier import NO_BARRIER
from vmlab.kernels.callgraph import stack_slots
from vmlab.kernels.channels import MADE, NUMBER, TaskHandlerEmitter
from vmlab.kernels.context import Region
from vmlab.kernels.encoding import InstructionSet, encode
from vmlab.kernels.executable import Memory, Needs
from vmlab.kernels.interpreter import InterpreterExecutable
from vmlab.kernels.tasks import (
    AWAITED,
    DESCRIPTOR,
    END,
    LAUNCH,
    LAUNCHER,
    PC,
    RECORD,
    RP,
    SEGMENT_LISTS,
    SP,
    block_words,
    record_stride,
)
from vmlab.outcome import SHOWN_WAITERS, Deadlock, TrapReport, Waiter


class TaskInterpreterExecutable(InterpreterExecutable):
    """As `InterpreterExecutable`."""

    _regions: dict[str, Region]
    _max_heap: int | None = None

    def __init__(
        self, engine, dispatch, values, late, program, counting,
        emitter=TaskHandlerEmitter, barrier=NO_BARRIER,
    ):  # fmt: skip
        instructions = InstructionSet(values, late, tasks=True, barrier=barrier)
        encoded = encode(program, instructions)
        self._copies = emitter.COPIES
        name = f"{engine}.tasks"
        self._load(name, dispatch, instructions, emitter, encoded, program, counting)
        if late:
            self._bind(values)

    # Memory

    def call(self, args, limits, iterations=1):
        self._reserve(limits.max_heap)
        self.state.context.depth_bytes = limits.max_depth * WORD_BYTES * self._stride
        return super().call(args, limits, iterations)

    @property
    def _stride(self):
        return record_stride(self.state.values)

    def _reserve(self, max_heap):
        """Memory for all tasks and channels that this much can pay for."""
        if self._max_heap == max_heap:
            return
        self._max_heap = None
        values, words = self.state.values, max_heap // WORD_BYTES
        tasks = words // (TASK_RECORD_WORDS + TASK_DESCRIPTOR_WORDS + FIRST_STACK_WORDS)
        sizes = {
            "records": TASK_RECORD_WORDS + words,
            "blocks": block_words(values) * (1 + tasks),
            # Twice what is alive, since what is free may have the wrong size.
            "segments": SEGMENT_LISTS + 2 * values.words * words,
            "channels": CHANNEL_HEADER_WORDS + words,
        }
        self._regions = {
            name: Region(size, "tasks and channels", "--max-heap") for name, size in sizes.items()
        }
        context = self.state.context
        for name, region in self._regions.items():
            setattr(context, name, region.address)
        context.segments_end = context.segments + self._regions["segments"].size
        if self.instructions.barrier.marks:
            self._cover(self._regions["blocks"], "task_cards")
        self._max_heap = max_heap

    def memory(self):
        return super().memory() | {name: Memory(r) for name, r in self._regions.items()}

    def needs(self, max_depth):
        slots = stack_slots(self.program, self._graph, max_depth) + FRAME_RECORD_WORDS * max_depth
        task_slots = self._max_heap // WORD_BYTES
        if not self._copies:
            return Needs(stack=slots, task_slots=task_slots)
        # For all tasks, each as large as what it costs: a power of two.
        slots = max(FIRST_STACK_WORDS, 1 << (slots - 1).bit_length())
        return Needs(slots, task_slots=task_slots, saved=self.state.values.words * slots)

    # After a trap

    def report(self, trap):
        context = self.state.context
        if trap is Trap.DEADLOCK:
            main = self._words(context.blocks, TASK_DESCRIPTOR_WORDS)
            chain = self._chain(main, self._before(main[PC]), main[RP])
            return TrapReport(trap, chain, (), self._deadlock())
        task = self._words(context.current, TASK_DESCRIPTOR_WORDS)
        chain = self._chain(task, self._offset(context.pc), context.rp)
        return TrapReport(trap, chain, self._launches(task[RECORD]))

    def call_chain(self):
        return self.report(None).chain

    def _words(self, address, count):
        """So many words in one of the regions of stacks, descriptors, records or channels."""
        regions = [self.state.stack, self.state.saved, *self._regions.values()]
        region = next(r for r in regions if 0 <= address - r.address < r.size)
        first = (address - region.address) // WORD_BYTES
        return region.words[first : first + count].tolist()

    def _offset(self, pc):
        return (pc - self.state.context.code) // WORD_BYTES

    def _before(self, pc):
        """The last word of the instruction before."""
        return self._offset(pc) - 1

    def _chain(self, task, offset, rp):
        """The places of the instruction at this offset in the code and of the calls of a task."""
        records = self._words(rp, (task[END] - rp) // WORD_BYTES)
        returns = records[:: self._stride]
        return self._encoded.call_chain(offset, [self._offset(pc) for pc in reversed(returns)])

    def _place(self, pc):
        return self._encoded.places[self._offset(pc)]

    def _launches(self, address):
        # There may be millions, but only as many different ones as there are `spawn`s.
        words, start = self._regions["records"].words, self.state.context.records
        launches = []
        while address != start:
            record = (address - start) // WORD_BYTES
            launches.append(words[record + LAUNCH])
            address = words[record + LAUNCHER]
        places = {pc: self._place(pc) for pc in set(launches)}
        return tuple(places[pc] for pc in launches)

    def _deadlock(self):
        context, records = self.state.context, self._regions["records"].words
        used = (context.fresh_record - context.records) // WORD_BYTES
        descriptors = records[DESCRIPTOR:used:TASK_RECORD_WORDS].tolist()
        descriptors[0] = context.blocks
        # There may be millions.
        alive = len(descriptors) - descriptors.count(0)
        first = islice(filter(itemgetter(1), enumerate(descriptors)), SHOWN_WAITERS)
        return Deadlock(alive, tuple(self._waiter(*task) for task in first))

    def _waiter(self, number, address):
        task = self._words(address, TASK_DESCRIPTOR_WORDS)
        place = self._encoded.places[self._before(task[PC])]
        [awaited] = self._words(task[SP] + WORD_BYTES * AWAITED, 1)
        function = self.program.functions[place.function]
        context = self.state.context
        if function.code[place.instruction].opcode.name == "join":
            record = self._words(context.records + WORD_BYTES * awaited, TASK_RECORD_WORDS)
            return Waiter(number, place, awaited // TASK_RECORD_WORDS, self._place(record[LAUNCH]))
        channel = self._words(context.channels + WORD_BYTES * awaited, CHANNEL_HEADER_WORDS)
        return Waiter(number, place, channel[NUMBER], self._place(channel[MADE]))
