"""Which task has its turn on which native worker, and who launches or wakes whom, as the workers
themselves have written it down.

Times are nanoseconds from the first note on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmlab.engines import PARALLEL, Engine, EngineUnavailable, Executable
from vmlab.kernels.scheduler.notes import Kind
from vmlab.outcome import Limits, Outcome, Place
from vmlab.program import Instruction, Number, Program
from vmlab.supervise import Supervisor
from vmlab.timeline import Arrow, Launch, Moment, Rest, Slice, Timeline

# The most that one event adds to `Timeline.events`: a turn, and the two ends of an arrow to it.
_EVENTS = 3


@dataclass(frozen=True, slots=True)
class Event:
    """A note of a worker; `task` is a number. Of `LEAVES`, `place` is the instruction, and
    `awaited` the number of the task or channel that it waits for. Of `READY` where it ends a
    `recv`, `ok` tells whether there is a value."""

    time: int
    worker: int
    kind: Kind
    task: int = 0
    place: Place | None = None
    awaited: int | None = None
    ok: bool = False


class Recorder(Executable):
    """An executable that writes down what its workers do. What it tells is of the last call.

    nanoseconds_a_tick  of the counter that gives the times
    ended_on            the worker on which the run has ended
    """

    nanoseconds_a_tick: float
    ended_on: int

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """Of all workers, strictly in the order of time. A turn begins after what it follows from;
        but a task may seem to get ready shortly before it has left its turn. What is behind a
        `LOST` is not complete."""

    @abstractmethod
    def launch(self, task: int) -> tuple[Place | None, int | None]:
        """Where a task was launched, and by which; None for main."""


class _Builder:
    """Makes a timeline of events."""

    def __init__(self, program: Program, recorder: Recorder, timeline: Timeline) -> None:
        self._program = program
        self._recorder = recorder
        self._timeline = timeline
        self._turns: dict[int, Event] = {}  # by worker: how the turn that is on has begun
        self._sleeping: dict[int, int] = {}  # by worker: since when
        # By task: which task has made it so, and when; None where it has done so itself.
        self._ready: dict[int, tuple[int, Event] | None] = {0: None}
        self._left: dict[int, str] = {}  # by task: the instruction that it is in

    def build(self) -> None:
        timeline, now = self._timeline, 0
        for event in self._recorder.events():
            now = event.time
            if timeline.recorded is None:
                if event.kind == Kind.LOST or not self._has_room():
                    self._stop(now)
                else:
                    self._take(event)
        if timeline.recorded is None:
            timeline.recorded = now
        timeline.total = now

    def _has_room(self) -> bool:
        begun = len(self._turns) + len(self._sleeping)
        return self._timeline.events + begun + _EVENTS <= self._timeline.limit

    def _stop(self, now: int) -> None:
        """All is known up to here."""
        for worker in list(self._turns):
            self._end_turn(worker, now)
        for worker in list(self._sleeping):
            self._wake(worker, now)
        self._timeline.recorded = now

    def _take(self, event: Event) -> None:
        match event.kind:
            case Kind.BEGINS:
                self._begin(event)
            case Kind.READY:
                self._get_ready(event)
            case Kind.LEAVES:
                self._leave(event)
            case Kind.FINISHES:
                task = self._end_turn(event.worker, event.time)
                moment = Moment("finish", event.time, task, worker=event.worker)
                self._timeline.moments.append(moment)
            case Kind.SLEEPS:
                self._sleeping[event.worker] = event.time
            case Kind.WAKES:
                self._wake(event.worker, event.time)
            case Kind.STOPS if event.worker in self._turns:
                self._end_turn(event.worker, event.time)

    def _begin(self, event: Event) -> None:
        task = event.task
        # Who leaves his turn for a `join` may find that the other has ended in the meantime.
        if task not in self._ready and self._left.get(task) != "join":
            raise EngineUnavailable(
                f"task {task} seems to run before what made it ready: the time stamp counters of"
                " this machine's CPUs are not in step; on one worker that does not matter"
            )
        ready = self._ready.pop(task, None)
        if ready is not None:
            source, why = ready
            cause, rows = self._cause(task, why), (why.worker, event.worker)
            self._timeline.arrows.append(Arrow(cause, why.time, source, task, event.time, *rows))
        if task not in self._timeline.launches:
            self._timeline.launches[task] = self._launch(task)
        self._turns[event.worker] = event

    def _cause(self, task: int, why: Event) -> str:
        """What a task was waiting for tells what has ended that."""
        match self._left.get(task):
            case None:
                return "spawn"
            case "recv":
                return "send" if why.ok else "close"
            case "send":
                return "recv"
        return "join"

    def _launch(self, task: int) -> Launch:
        place, launcher = self._recorder.launch(task)
        if place is None:
            return Launch(self._program.main_index, None, None)
        return Launch(self._instruction(place).target, place, launcher)

    def _instruction(self, place: Place) -> Instruction:
        return self._program.functions[place.function].code[place.instruction]

    def _get_ready(self, event: Event) -> None:
        turn = self._turns.get(event.worker)
        if turn is not None:  # else it is main at its start, or who yields, as is known already
            self._ready[event.task] = turn.task, event

    def _leave(self, event: Event) -> None:
        assert event.place is not None
        task = self._end_turn(event.worker, event.time)
        name = self._left[task] = self._instruction(event.place).opcode.name
        if name == "yield":
            self._ready[task] = None
        moment = Moment(name, event.time, task, event.place, event.awaited, event.worker)
        self._timeline.moments.append(moment)

    def _end_turn(self, worker: int, now: int) -> int:
        """The task whose turn it was."""
        turn = self._turns.pop(worker)
        self._timeline.slices.append(Slice(turn.task, turn.time, now, worker))
        return turn.task

    def _wake(self, worker: int, now: int) -> None:
        self._timeline.rests.append(Rest(worker, self._sleeping.pop(worker), now))


def record(
    supervisor: Supervisor,
    program: Program,
    engine: Engine,
    args: Sequence[Number],
    limits: Limits,
    limit: int,
    workers: int = 1,
) -> tuple[Outcome, Timeline]:
    """Run `main` once on so many workers of an engine. Each worker can make `limit` notes. Raises
    `EngineUnavailable`."""
    if engine.parts not in PARALLEL:
        raise EngineUnavailable(
            "what its tasks do is not recorded: take 'inlined' or 'template', or 'reference' with"
            " one worker"
        )
    from vmlab.kernels.task_recording import recorder

    recording: Recorder = recorder(program, engine.name, workers, limit)
    outcome = supervisor.call(recording, args, limits).outcome
    timeline = Timeline(limit, engine.name, workers)
    _Builder(program, recording, timeline).build()
    timeline.nanoseconds_a_tick = recording.nanoseconds_a_tick
    timeline.ended_on = recording.ended_on
    return outcome, timeline
