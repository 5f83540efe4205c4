"""Which task runs when, and who launches or wakes whom; how the reference interpreter sees that.

With one worker the order in which tasks run is part of the language, so it is the same on every
engine, and the reference's time is, too: executed VM instructions. What happens in the first
instruction is at 0. A slice goes up to the instruction behind its last. What native workers do,
`vmlab.recording` finds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vmlab.outcome import Limits, Outcome, Place
from vmlab.program import Number, Program
from vmlab.reference import Reference
from vmlab.supervise import Supervisor
from vmlab.tasks import Channel, Frame, Heap, Task, Tasks

# The most that one turn adds to `Timeline.events`: its slice, what ends it, and the two ends of the
# arrow that leads to it. A timeline without room for one turn records none.
TURN_EVENTS = 4


@dataclass(frozen=True, slots=True)
class Launch:
    """How a task began. `place` is its `spawn`, `launcher` the number of the task that executed it;
    both None for `main`."""

    function: int
    place: Place | None
    launcher: int | None


@dataclass(frozen=True, slots=True)
class Slice:
    """A turn of a task, from the first instruction to the one behind the last."""

    task: int
    start: int
    end: int
    worker: int = 0


@dataclass(frozen=True, slots=True)
class Rest:
    """A time in which a worker sleeps, since nothing was ready."""

    worker: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Arrow:
    """Why `task` had its turn, which begins at `start` on `worker`: at `at`, `source` launched it
    (`cause` is `spawn`), executed the instruction that ended its wait, or came to its own end
    (`join`); that was on the worker `at_worker`."""

    cause: str
    at: int
    source: int
    task: int
    start: int
    at_worker: int = 0
    worker: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """What ended a turn: `yield`, `finish`, or the instruction that the task waits in, at `place`,
    with the number of the task or channel that it waits for."""

    what: str
    at: int
    task: int
    place: Place | None = None
    awaited: int | None = None
    worker: int = 0


@dataclass
class Timeline:
    """The first turns of a run on `workers`, as far as `limit` events of a trace file go.

    recorded            all is known up to then; None while the run goes on and there is room
    total               when the run has ended
    ended_on            the worker on which it has
    nanoseconds_a_tick  of the counter that gives the times, which are nanoseconds then; None where
                        they are executed instructions
    """

    limit: int
    engine: str = "reference"
    workers: int = 1
    launches: dict[int, Launch] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    recorded: int | None = None
    total: int = 0
    ended_on: int = 0
    nanoseconds_a_tick: float | None = None

    @property
    def events(self) -> int:
        """How many events of a trace file these are."""
        return len(self.slices) + 2 * len(self.arrows) + len(self.moments) + len(self.rests)


class _Watched(Tasks):
    """Tasks that write down what happens to them."""

    def __init__(self, program: Program, timeline: Timeline, main: Frame, heap: Heap) -> None:
        super().__init__(main, heap)
        self._program = program
        self._timeline = timeline
        self._running, self._since = self.main, 0
        self._causes: dict[int, Arrow] = {}  # by the tasks that stand in the queue for it
        timeline.launches[0] = Launch(main.function, None, None)
        self._look_for_room()

    def spawn(self, task: Task, frame: Frame, place: Place, deepest: int) -> Task:
        goes_on = super().spawn(task, frame, place, deepest)
        new: Task = task.stack[-1]
        if self._recording:
            self._timeline.launches[new.number] = Launch(frame.function, place, task.number)
        self._lead_to(new, "spawn")
        return goes_on

    def yield_(self, task: Task) -> Task:
        self._note("yield", self._place(task))
        return super().yield_(task)

    def finish(self, task: Task, result: Number | None) -> Task:
        self._note("finish")
        return super().finish(task, result)

    def _wait(self, task: Task, awaited: Task | Channel) -> Task:
        self._note(self._instruction(task), self._place(task), awaited.number)
        return super()._wait(task, awaited)

    def _go_on(self, task: Task, *pushed: object) -> None:
        at_its_end = isinstance(task.awaited, Task)
        self._lead_to(task, "join" if at_its_end else self._instruction(self._running))
        super()._go_on(task, *pushed)

    def _next(self) -> Task:
        task = super()._next()
        self.end_turn(self.executed)
        self._running, self._since = task, self.executed
        cause = self._causes.pop(task.number, None)
        if self._recording and cause is not None:
            self._timeline.arrows.append(replace(cause, start=self.executed))
        return task

    def end_turn(self, now: int) -> None:
        """The running task's, before instruction `now`."""
        if self._recording:
            if now > self._since:
                self._timeline.slices.append(Slice(self._running.number, self._since, now))
            self._since = now
            self._look_for_room()

    @property
    def _recording(self) -> bool:
        return self._timeline.recorded is None

    def _look_for_room(self) -> None:
        if self._timeline.events + TURN_EVENTS > self._timeline.limit:
            self._timeline.recorded = self._since
            self._causes.clear()

    def _place(self, task: Task) -> Place:
        return Place(task.frames[-1].function, task.frames[-1].at)

    def _instruction(self, task: Task) -> str:
        place = self._place(task)
        return self._program.functions[place.function].code[place.instruction].opcode.name

    def _lead_to(self, task: Task, cause: str) -> None:
        if self._recording:
            at = self.executed - 1
            self._causes[task.number] = Arrow(cause, at, self._running.number, task.number, at)

    def _note(self, what: str, place: Place | None = None, awaited: int | None = None) -> None:
        if self._recording:
            moment = Moment(what, self.executed - 1, self._running.number, place, awaited)
            self._timeline.moments.append(moment)


def record(
    supervisor: Supervisor, program: Program, args: Sequence[Number], limits: Limits, limit: int
) -> tuple[Outcome, Timeline]:
    """Run `main` once on the reference interpreter."""
    timeline = Timeline(limit)
    made = []

    def make(main: Frame, heap: Heap) -> Tasks:
        made.append(_Watched(program, timeline, main, heap))
        return made[-1]

    outcome = supervisor.call(Reference(program, True, make), args, limits).outcome
    assert outcome.instructions is not None
    made[0].end_turn(outcome.instructions)
    if timeline.recorded is None:
        timeline.recorded = outcome.instructions
    timeline.total = outcome.instructions
    return outcome, timeline
