"""The reference's tasks and channels: what the instructions of coroutines do.

One task runs at a time, until it waits, yields or ends. Those that could go on stand in one queue,
first come, first served: a new task, one that has yielded and one whose wait is over go to its
end. So the order of everything is defined, and every engine has the same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from vmlab.isa import (
    CHANNEL_HEADER_WORDS,
    FRAME_RECORD_WORDS,
    LIVE_TASK_WORDS,
    NEW_TASK_WORDS,
    WORD_BYTES,
    Trap,
    Type,
    further_stack_words,
)
from vmlab.outcome import MAX_LAUNCHES, SHOWN_WAITERS, Deadlock, Place, Waiter
from vmlab.program import Number

Value = Any  # a number, an array of numbers, a `Task` or a `Channel`


class Trapped(Exception):
    """The instruction being executed traps. None of its effects has happened."""

    def __init__(self, trap: Trap) -> None:
        self.trap = trap


class Heap:
    """The account of what arrays, channels and tasks cost together, in words."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes // WORD_BYTES

    def take(self, words: int) -> None:
        if words > self._left:
            raise Trapped(Trap.OUT_OF_MEMORY)
        self._left -= words

    def give_back(self, words: int) -> None:
        self._left += words


@dataclass(slots=True)
class Frame:
    """A function that has not returned yet, and the instruction it is at: of a caller its call, of
    a task that does not run the last one it has executed. `below` is the number of slots in the
    frames under this one."""

    function: int
    slots: list[Value]
    at: int = 0
    below: int = 0


@dataclass(slots=True, eq=False)
class Task:
    """A function that runs on its own. `number` counts them in the order of their launch, 0 is
    `main`. `stack` holds the operands of all frames."""

    number: int
    frames: list[Frame]
    stack: list[Value] = field(default_factory=list)
    launch: Place | None = None
    launcher: Task | None = None
    finished: bool = False
    result: Number | None = None
    joining: list[Task] = field(default_factory=list)
    awaited: Task | Channel | None = None
    further_words: int = 0  # what its stack costs beside its first words

    def launches(self) -> tuple[Place, ...]:
        """Where it was launched, where the task was launched that did it, and so on, up to
        `MAX_LAUNCHES`."""
        places: list[Place] = []
        task = self
        while task.launcher is not None and task.launch is not None:
            if len(places) == MAX_LAUNCHES:
                break
            places.append(task.launch)
            task = task.launcher
        return tuple(places)


@dataclass(slots=True, eq=False)
class Channel:
    """`capacity` is how many values it holds. Tasks wait in it in the order in which they came:
    to receive while it holds none, or to send while it is full."""

    number: int
    made: Place
    zero: Number
    capacity: int
    values: deque[Number] = field(default_factory=deque)
    receiving: deque[Task] = field(default_factory=deque)
    sending: deque[tuple[Task, Number]] = field(default_factory=deque)
    closed: bool = False


_NOWHERE = Place(0, 0)
_NUMBERS: dict[Type, Number] = {Type.INT: 0, Type.FLOAT: 0.0}

# What a variable starts with: a task that has finished, a channel that is closed.
FIRST_REFERENCES: dict[Type, Value] = {
    Type.TASK: Task(0, [], finished=True),
    Type.INT_TASK: Task(0, [], finished=True, result=0),
    Type.FLOAT_TASK: Task(0, [], finished=True, result=0.0),
    Type.INT_CHANNEL: Channel(0, _NOWHERE, 0, capacity=0, closed=True),
    Type.FLOAT_CHANNEL: Channel(0, _NOWHERE, 0.0, capacity=0, closed=True),
}


class Tasks:
    """All tasks of a run. The methods that are named after instructions are called by the running
    task and return the task that goes on; what the instructions pop and push is on the stacks.
    Before each of them, and before `finish`, the interpreter says how many instructions the run has
    `executed`, the present one included: nothing here depends on it, but whoever watches
    (`vmlab.timeline`) has his time by it."""

    executed = 0

    def __init__(self, main: Frame, heap: Heap) -> None:
        self.main = Task(0, [main])
        self._heap = heap
        self._ready: deque[Task] = deque()
        self._alive = {0: self.main}
        self._launched = self._channels = 0

    # Instructions

    def spawn(self, task: Task, frame: Frame, place: Place, deepest: int) -> Task:
        """`frame` is the new task's; `deepest` the most operands that its function ever has."""
        needed = len(frame.slots) + deepest + FRAME_RECORD_WORDS
        further = further_stack_words(needed)
        self._heap.take(NEW_TASK_WORDS + further)
        self._launched += 1
        # It goes on behind the instruction that it is at, with its first.
        frame.at = -1
        new = Task(self._launched, [frame], [], place, task, further_words=further)
        self._alive[new.number] = new
        self._ready.append(new)
        task.stack.append(new)
        return task

    def join(self, task: Task) -> Task:
        other: Task = task.stack.pop()
        if not other.finished:
            other.joining.append(task)
            return self._wait(task, other)
        if other.result is not None:
            task.stack.append(other.result)
        return task

    def yield_(self, task: Task) -> Task:
        self._ready.append(task)
        return self._next()

    def chan(self, task: Task, element: Type, place: Place) -> Task:
        capacity = task.stack.pop()
        if capacity < 0:
            raise Trapped(Trap.NEGATIVE_LENGTH)
        self._heap.take(CHANNEL_HEADER_WORDS + capacity)
        self._channels += 1
        task.stack.append(Channel(self._channels, place, _NUMBERS[element], capacity))
        return task

    def send(self, task: Task) -> Task:
        value, channel = task.stack.pop(), task.stack.pop()
        if channel.closed:
            raise Trapped(Trap.SEND_ON_CLOSED)
        if channel.receiving:
            self._go_on(channel.receiving.popleft(), value, 1)
        elif len(channel.values) < channel.capacity:
            channel.values.append(value)
        else:
            channel.sending.append((task, value))
            return self._wait(task, channel)
        return task

    def recv(self, task: Task) -> Task:
        channel: Channel = task.stack.pop()
        if channel.sending:
            sender, value = channel.sending.popleft()
            channel.values.append(value)
            self._go_on(sender)
        if channel.values:
            task.stack += (channel.values.popleft(), 1)
        elif channel.closed:
            task.stack += (channel.zero, 0)
        else:
            channel.receiving.append(task)
            return self._wait(task, channel)
        return task

    def close(self, task: Task) -> Task:
        channel: Channel = task.stack.pop()
        # Those who wait to send never could: that is found out here.
        if channel.closed or channel.sending:
            raise Trapped(Trap.SEND_ON_CLOSED)
        channel.closed = True
        while channel.receiving:
            self._go_on(channel.receiving.popleft(), channel.zero, 0)
        return task

    # Frames

    def enter(self, task: Task, frame: Frame, deepest: int) -> None:
        """A call: the task's stack grows where it has to."""
        caller = task.frames[-1]
        frame.below = caller.below + len(caller.slots)
        if task is not self.main:
            slots = frame.below + len(frame.slots)
            records = FRAME_RECORD_WORDS * (len(task.frames) + 1)
            further = further_stack_words(slots + len(task.stack) + deepest + records)
            if further > task.further_words:
                self._heap.take(further - task.further_words)
                task.further_words = further
        task.frames.append(frame)

    def finish(self, task: Task, result: Number | None) -> Task:
        """The task's last frame has returned. Those who wait for it go on, then another task."""
        task.finished, task.result = True, result
        del self._alive[task.number]
        self._heap.give_back(LIVE_TASK_WORDS + task.further_words)
        for waiting in task.joining:
            self._go_on(waiting, *([] if result is None else [result]))
        task.joining.clear()
        return self._next()

    # Waiting

    def _wait(self, task: Task, awaited: Task | Channel) -> Task:
        task.awaited = awaited
        return self._next()

    def _go_on(self, task: Task, *pushed: Value) -> None:
        """A task's wait is over; its instruction pushes these."""
        task.awaited = None
        task.stack += pushed
        self._ready.append(task)

    def _next(self) -> Task:
        if not self._ready:
            raise Trapped(Trap.DEADLOCK)
        return self._ready.popleft()

    def deadlock(self) -> Deadlock:
        """Who waits for what, when no task can go on."""
        waiters = []
        for task in islice(self._alive.values(), SHOWN_WAITERS):
            frame, awaited = task.frames[-1], task.awaited
            assert awaited is not None
            origin = awaited.launch if isinstance(awaited, Task) else awaited.made
            assert origin is not None
            place = Place(frame.function, frame.at)
            waiters.append(Waiter(task.number, place, awaited.number, origin))
        return Deadlock(len(self._alive), tuple(waiters))
