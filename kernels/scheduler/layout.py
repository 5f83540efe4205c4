"""What the scheduler keeps in memory, field by field: one table, from which all offsets follow.

Words are grouped by who touches them when, and groups begin at cache lines, so that a switch loads
one line of a task, and a worker's private words are in no line that others write (false sharing).
"""

from enum import IntEnum

from vmlab.kernels.scheduler.structures import Code, Field, Frame, Line, Sharing, Structure, Word

# Slots of a run queue: a power of two. Go and tokio have 256.
RING_SLOTS = 256

# Blocks of memory come in so many sizes, of 1, 2, 3 ... cache lines.
BLOCK_SIZES = 8

# Words of arguments that fit into a descriptor.
ARGUMENT_WORDS = 4

# At most so many workers: `Scheduler.idlers` has a bit for each of them in one half.
MAX_WORKERS = 32


class Status(IntEnum):
    """What a task is at. Only whoever owns the task writes it; ownership passes on with the task,
    through a queue or under a lock, so plain stores do."""

    FREE = 0
    READY = 1
    RUNNING = 2
    WAITING = 3
    FINISHED = 4


# From, to, and who makes the step.
TRANSITIONS = (
    (Status.FREE, Status.READY, "launch: the worker that runs the launching task"),
    (Status.READY, Status.RUNNING, "run: the worker that took it from a queue"),
    (Status.RUNNING, Status.READY, "yield: its worker, once its frame is left"),
    (Status.RUNNING, Status.WAITING, "send, recv, join: its worker, under the channel's lock"),
    (Status.WAITING, Status.READY, "the other side of the channel, or the end of the joined task"),
    (Status.RUNNING, Status.FINISHED, "finish: its worker, once its frame is gone"),
    (Status.FINISHED, Status.FREE, "join, or at once for a task that nobody will join"),
)


class After(IntEnum):
    """What a task that leaves its frame asks the worker to do with it."""

    FINISH = 0
    YIELD = 1
    BLOCK = 2
    JOIN = 3


List = Structure(
    "List",
    Line(
        "tasks in order, linked through `Task.next`",
        (
            Field("first", "Task", "null if there is none"),
            Field("last", "Task", "valid if there is a first"),
        ),
    ),
)

Lock = Structure(
    "Lock",
    Line(
        "mutual exclusion for a few instructions",
        (Field("held", Word, "1 while somebody is inside", Sharing.WORKERS),),
    ),
)

Task = Structure(
    "Task",
    Line(
        "every switch",
        (
            Field("next", "Task", "the one behind it in the list it is in"),
            Field("status", Word, "a Status"),
            Field("frame", Frame, "where it goes on; null until it first suspends"),
            Field("entry", Code, "where it begins"),
            Field("worker", "Worker", "who runs it now; anew at each run, since tasks move"),
            Field("value", Word, "what is handed over: the value it sends, receives or gets"),
            Field("ok", Word, "1 if the value came from a sender, 0 from a closed channel"),
            Field("awaited", Word, "the address of the channel or task that it waits for"),
        ),
    ),
    Line(
        "launch and finish",
        (
            Field("arguments", Word, "what it was launched with", count=ARGUMENT_WORDS),
            Field("parent", "Task", "who launched it"),
            Field("joinable", Word, "0: its descriptor is free as soon as it has finished"),
            Field("joiner", Word, "the task that joins it, or DONE", Sharing.WORKERS),
            Field("result", Word, "valid once it has finished"),
        ),
    ),
)

# `Task.joiner` of a task that has finished. No task has this address.
DONE = 1

Block = Structure(
    "Block",
    Line(
        "free memory of one size",
        (
            Field("next", "Block", "the next one of the same batch"),
            Field("next_batch", "Block", "in the first of a batch in the depot: the next batch"),
        ),
    ),
)

Channel = Structure(
    "Channel",
    Line(
        "values",
        (
            Field("lock", Lock, "guards everything here"),
            Field("capacity", Word, "of the slots; 0 for an unbuffered channel"),
            Field("length", Word, "slots in use"),
            Field("first", Word, "the slot of the oldest value"),
            Field("closed", Word, "1 after close"),
            Field("made", Word, "the guest's: where it was made"),
            Field("number", Word, "and its number, in the order of creation"),
        ),
    ),
    Line(
        "who waits, in the order of arrival",
        (
            Field("receivers", List, "only while there are no values and no senders"),
            Field("senders", List, "only while all slots are in use"),
        ),
    ),
    Line("values sent and not yet received", (Field("slots", Word, "a ring", count=0),)),
)

Record = Structure(
    "Record",
    Line(
        "what stays of a task of a program",
        (
            Field(
                "waiting",
                "Task",
                "the last that waits for its end, linked to those before and at last to the task"
                " itself; null when it has ended",
                Sharing.WORKERS,
            ),
            Field("outcome", Word, "valid once it has ended"),
            Field("launch", Word, "where it was launched"),
            Field("launcher", Word, "the address of the record of who did it"),
        ),
    ),
)

Stock = Structure(
    "Stock",
    Line(
        "a program's free blocks of one size, larger than the workers have; in a line of its own",
        (
            Field("lock", Lock, "guards the list"),
            Field("first", "Block", "or null"),
        ),
    ),
)

Note = Structure(
    "Note",
    Line(
        "something that happened on a worker",
        (
            Field("time", Word, "the time stamp counter"),
            Field("kind", Word, "a Kind; it says what the others are"),
            Field("subject", Word, ""),
            Field("detail", Word, ""),
        ),
    ),
)

Log = Structure(
    "Log",
    Line(
        "of one worker, its own",
        (
            Field("next", Word, "the address of its next note"),
            Field("end", Word, "up to there is room; 0 as soon as a note found none"),
            Field("running", Word, "1 while a task has its turn"),
        ),
    ),
    Line("what it has noted", (Field("notes", Word, "each a Note", count=0),)),
)

Worker = Structure(
    "Worker",
    Line(
        "at every switch; its own",
        (
            Field("scheduler", "Scheduler", ""),
            Field("bit", Word, "1 << its number: its bit of `Scheduler.idlers`"),
            Field("after", Word, "an After, from the task that has just left its frame"),
            Field("unlock", "Channel", "whose lock to release after that; or null"),
            Field("turns", Word, "tasks run, to look at the global queue now and then"),
            Field("streak", Word, "runs out of the next slot in a row"),
            Field("random", Word, "state of a xorshift generator, for the choice of victims"),
            Field("searching", Word, "1 while it is counted in the searchers"),
        ),
    ),
    Line(
        "one worker: all that is ready, and not bounded",
        (
            Field("ready", List, ""),
            Field("launched", Word, "tasks launched here"),
            Field("finished", Word, "tasks finished here"),
            Field("stolen", Word, "tasks taken from other workers"),
            Field("parked", Word, "how many times it slept"),
            Field("log", "Log", "what it writes down, in builds that record; else null"),
        ),
    ),
    Line(
        "several workers: taken at the head, by itself and by thieves",
        (Field("head", Word, "tasks ever taken from the ring", Sharing.WORKERS),),
    ),
    Line(
        "put at the tail, by itself only",
        (
            Field("tail", Word, "tasks ever put into the ring", Sharing.WORKERS),
            Field("next", "Task", "to run before the ring; or null", Sharing.WORKERS),
        ),
    ),
    Line(
        "asleep",
        (Field("wake", Word, "1: it may go on; it sleeps while 0", Sharing.ANYBODY),),
    ),
    Line("the ring", (Field("ring", "Task", "", Sharing.WORKERS, RING_SLOTS),)),
    Line("free blocks by size", (Field("free", "Block", "at hand", count=BLOCK_SIZES),)),
    Line("how many", (Field("free_count", Word, "", count=BLOCK_SIZES),)),
    Line("and a whole batch", (Field("spare", "Block", "", count=BLOCK_SIZES),)),
)

Scheduler = Structure(
    "Scheduler",
    Line(
        "read by all, hardly ever written",
        (
            Field("stop", Word, "1: leave as soon as the running tasks suspend", Sharing.ANYBODY),
            Field("workers", Word, "how many there are"),
            Field("first_worker", "Worker", "they lie one behind the other"),
            Field("end", Word, "the first address behind the memory for blocks"),
            Field("exhausted", Word, "1: a launch found no memory", Sharing.ANYBODY),
        ),
    ),
    Line(
        "who is idle",
        (
            Field(
                "idlers",
                Word,
                "low half: a bit a sleeping worker; high half: how many search",
                Sharing.WORKERS,
            ),
        ),
    ),
    Line(
        "the global queue: what overflows, and a turn for everybody",
        (
            Field("lock", Lock, "guards the queue"),
            Field("queue", List, ""),
            Field("length", Word, "written under the lock, read without", Sharing.WORKERS),
        ),
    ),
    Line(
        "memory",
        (
            Field("fresh", Word, "the first address never used", Sharing.WORKERS),
            Field("depot_lock", Lock, "guards the depot"),
        ),
    ),
    Line("batches of free blocks by size", (Field("depot", "Block", "", count=BLOCK_SIZES),)),
)

STRUCTURES = (Task, Channel, Worker, Scheduler, List, Lock, Block, Record, Stock, Log, Note)
