"""The machine code of a launch, of a switch and of a resumption, for this machine and others."""

import functools
from dataclasses import dataclass

from vmlab.kernels import cross, stackful, symbols
from vmlab.kernels.scheduler import excerpts
from vmlab.kernels.scheduler.composition import module
from vmlab.kernels.scheduler.translate import symbol
from vmlab.machinecode import Counts, body, count, dialect

# By operation, the symbol of its code in the scheduler. LLVM makes a function of its own of what a
# coroutine does from one suspension to the next.
_SYMBOLS = {
    "spawn": symbol(excerpts.spawn),
    "switch": symbol(excerpts.switch),
    "resume": f"{symbol(excerpts.counting)}.resume",
}

# By composition, whether several workers run it.
_SCHEDULERS = {"single-worker": False, "M:N": True}

STACKFUL = "stackful"

# By operation, what there is of it.
OPERATIONS = {
    operation: (*_SCHEDULERS, STACKFUL) if operation == "switch" else tuple(_SCHEDULERS)
    for operation in _SYMBOLS
}


@dataclass(frozen=True)
class Code:
    """An operation's assembly text, what instructions are in it, and its bytes in the object
    code. Functions that it calls are not in it."""

    assembly: str
    counts: Counts
    bytes: int


def code(operation: str, composition: str, architecture: str) -> Code:
    """For one of `cross.ARCHITECTURES` or `cross.HOST`. Raises `cross.Unsupported`."""
    spoken = dialect(cross.base(architecture))
    name = stackful.SYMBOL if composition == STACKFUL else _SYMBOLS[operation]
    assembly, object_code = assembled(composition, architecture)
    text = body(assembly, name)
    _, place = symbols.sections(object_code)[name]
    return Code(text, count(text, spoken), len(place))


@functools.cache
def assembled(composition: str, architecture: str) -> tuple[str, bytes]:
    """The assembly text and the object code that these operations are in."""
    if composition == STACKFUL:
        return cross.assemble(stackful.module(architecture), architecture)
    functions = (excerpts.spawn, excerpts.switch, excerpts.counting)
    machine = cross.target_machine(architecture)
    ir_text = module(_SCHEDULERS[composition], functions, machine)
    return cross.assemble(ir_text, architecture)
