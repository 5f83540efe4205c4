"""The operations that are shown do what the scheduler does, and are made for every machine."""

import re
import struct

import pytest

from vmlab.kernels import cross, symbols
from vmlab.kernels.scheduler import excerpts
from vmlab.kernels.scheduler.code import OPERATIONS, STACKFUL, assembled, code
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.layout import Scheduler, Status, Task
from vmlab.kernels.scheduler.machine import FUNCTIONS, Machine
from vmlab.kernels.scheduler.structures import LINE_BYTES

PIECES = [
    (operation, composition, architecture)
    for operation, compositions in OPERATIONS.items()
    for composition in compositions
    for architecture in cross.ARCHITECTURES
]


@pytest.mark.parametrize("parallel", [False, True])
def test_spawned_tasks_are_switched_to_in_turn(parallel):
    shown = [excerpts.spawn, excerpts.switch]
    kernel = Kernel("excerpts", parallel, [*FUNCTIONS, *shown], [excerpts.counting])
    machine = Machine(kernel, 1, 1 << 20)
    [worker], entry = machine.workers, kernel.entry["counting"]
    start = machine.get(Scheduler, machine.scheduler, "fresh")
    # The first is taken for one that runs, and has just asked for a yield.
    first = kernel.call["launch"](worker, entry, 0)
    machine.put(Task, first, "arguments", 100)
    assert kernel.call["spawn"](worker, entry, first, 200, 7) == 1
    running, entered = first, []
    for _ in range(6):
        assert kernel.call["switch"](worker, running) == 1
        [running] = [
            task
            for task in tasks(machine, start)
            if machine.get(Task, task, "status") == Status.RUNNING
        ]
        entered.append(machine.get(Task, running, "result"))
    assert entered == [201, 101, 202, 102, 203, 103]
    second = next(task for task in tasks(machine, start) if task != first)
    assert machine.get(Task, second, "parent") == first
    assert machine.get(Task, second, "arguments", 1) == 7


def tasks(machine, start):
    """The addresses of the two tasks, in the memory from there on."""
    entry = machine.kernel.entry["counting"]
    blocks = range(start, start + machine.memory_used, LINE_BYTES)
    return [b for b in blocks if machine.get(Task, b, "entry") == entry]


@pytest.mark.parametrize("composition", [*OPERATIONS["switch"]])
@pytest.mark.parametrize("architecture", cross.ARCHITECTURES)
def test_the_object_code_is_for_the_machine(composition, architecture):
    _, object_code = assembled(composition, architecture)
    identity, machine = struct.unpack_from("<4s14xH", object_code)
    assert (identity, machine) == (b"\x7fELF", cross.ARCHITECTURES[architecture].elf_machine)
    sizes = {name: len(place) for name, (_, place) in symbols.sections(object_code).items()}
    names = {"excerpts.spawn", "excerpts.switch", "excerpts.counting", "excerpts.counting.resume"}
    for name in {"stackful.switch"} if composition == STACKFUL else names:
        assert sizes[name] > 0


@pytest.mark.parametrize(("operation", "composition", "architecture"), PIECES)
def test_what_is_counted_is_what_is_in_the_object_code(operation, composition, architecture):
    shown = code(operation, composition, architecture)
    assert shown.counts.indirect_jumps == 0
    ways_in = operation == "switch" and composition != STACKFUL
    assert shown.counts.indirect_calls == (2 if ways_in else 0)
    assert (shown.counts.ordering > 0) == (composition == "M:N" and operation != "resume")
    if architecture == "aarch64":
        assert shown.bytes == 4 * shown.counts.instructions
    if architecture == "ppc64le" and not re.search(r"\.p2align", shown.assembly):
        assert shown.bytes == 4 * shown.counts.instructions + 12  # the traceback table
