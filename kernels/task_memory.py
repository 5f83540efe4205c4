"""Programs with tasks: their memory, and what is read in it after a trap; the same for interpreters
and for straight code."""

from abc import abstractmethod
from itertools import islice
from operator import itemgetter

from vmlab.isa import (
    CHANNEL_HEADER_WORDS,
    NEW_TASK_WORDS,
    TASK_DESCRIPTOR_WORDS,
    TASK_RECORD_WORDS,
    WORD_BYTES,
    Trap,
)
from vmlab.kernels.channels import MADE, NUMBER
from vmlab.kernels.context import Region
from vmlab.kernels.executable import Memory, NativeExecutable
from vmlab.kernels.queues import DESCRIPTOR, LAUNCH, LAUNCHER, RECORD
from vmlab.outcome import MAX_LAUNCHES, SHOWN_WAITERS, Deadlock, Place, TrapReport, Waiter


class TaskExecutable(NativeExecutable):
    """Its descriptors are lists of words here."""

    _regions: dict[str, Region]
    _reserved: tuple[int, int] | None = None

    # What an engine says of itself

    @abstractmethod
    def block_words(self) -> int:
        """A descriptor with what stands behind it."""

    @abstractmethod
    def segment_words(self, heap_words: int, max_depth: int) -> int:
        """The region of the segments, for tasks that cost so many words at most."""

    def channel_words(self, heap_words: int) -> int:
        """The region of the channels that so many words pay for."""
        return CHANNEL_HEADER_WORDS + heap_words

    def descriptor(self, record: int, address: int) -> list[int]:
        """Of a task that waits; what its record, at the first address, has of it is the second."""
        return self.words(address, TASK_DESCRIPTOR_WORDS)

    def channel(self, address: int) -> tuple[int, int]:
        """The number of a channel, and the place where it was made."""
        words = self.words(address, CHANNEL_HEADER_WORDS)
        return words[NUMBER], words[MADE]

    @abstractmethod
    def chain(self, task: list[int] | None) -> tuple[Place, ...]:
        """The places in a task that waits; or, where there is none, in the one that trapped."""

    @abstractmethod
    def instruction(self, place: int) -> Place:
        """What `Queues.place` stands for."""

    @abstractmethod
    def wait(self, task: list[int]) -> tuple[Place, int]:
        """Where a task waits, and the number of what it waits for, as programs know it."""

    # Memory

    def relocate(self):
        self._reserved = None
        return super().relocate()

    @property
    def heap_words(self):
        """What tasks can cost."""
        max_heap, _ = self._reserved
        return max_heap // WORD_BYTES

    def call(self, args, limits, iterations=1):
        reserved = limits.max_heap, limits.max_depth
        if self._reserved != reserved:
            self._reserved = None
            self.reserve_tasks(*reserved)
            self._reserved = reserved
        return super().call(args, limits, iterations)

    def reserve_tasks(self, max_heap, max_depth):
        """Memory for all tasks and channels that this much can pay for."""
        words = max_heap // WORD_BYTES
        tasks = words // NEW_TASK_WORDS
        sizes = {
            "records": TASK_RECORD_WORDS + words,
            "blocks": self.block_words() * (1 + tasks),
            "segments": self.segment_words(words, max_depth),
            "channels": self.channel_words(words),
        }
        flags = dict.fromkeys(sizes, "--max-heap") | {"segments": "--max-heap or --max-depth"}
        self._regions = {
            name: Region(size, "tasks and channels", flags[name]) for name, size in sizes.items()
        }
        context = self.state.context
        for name, region in self._regions.items():
            setattr(context, name, region.address)
        context.segments_end = context.segments + self._regions["segments"].size

    def memory(self):
        return super().memory() | {name: Memory(r) for name, r in self._regions.items()}

    def words(self, address, count):
        """So many words in one of the regions of stacks, descriptors, records or channels."""
        regions = [self.state.stack, self.state.saved, *self._regions.values()]
        region = next(r for r in regions if 0 <= address - r.address < r.size)
        first = (address - region.address) // WORD_BYTES
        return region.words[first : first + count].tolist()

    # After a trap

    def report(self, trap):
        context = self.state.context
        if trap is Trap.DEADLOCK:
            main = self.words(context.blocks, TASK_DESCRIPTOR_WORDS)
            return TrapReport(trap, self.chain(main), (), self._deadlock())
        task = self.words(context.current, TASK_DESCRIPTOR_WORDS)
        launches = self._launches(task[RECORD])
        return TrapReport(trap, self.chain(None) or self.entered(launches), launches)

    def call_chain(self):
        return self.chain(None)

    def _launches(self, address):
        # There may be many, but only as many different ones as there are `spawn`s.
        words, start = self._regions["records"].words, self.state.context.records
        launches = []
        while address != start and len(launches) < MAX_LAUNCHES:
            record = (address - start) // WORD_BYTES
            launches.append(words[record + LAUNCH])
            address = words[record + LAUNCHER]
        places = {place: self.instruction(place) for place in set(launches)}
        return tuple(places[place] for place in launches)

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
        context = self.state.context
        own = context.records + WORD_BYTES * TASK_RECORD_WORDS * number
        place, awaited = self.wait(self.descriptor(own, address))
        function = self.program.functions[place.function]
        if function.code[place.instruction].opcode.name == "join":
            record = self.words(context.records + WORD_BYTES * awaited, TASK_RECORD_WORDS)
            launch = self.instruction(record[LAUNCH])
            return Waiter(number, place, awaited // TASK_RECORD_WORDS, launch)
        channel, made = self.channel(context.channels + WORD_BYTES * awaited)
        return Waiter(number, place, channel, self.instruction(made))
