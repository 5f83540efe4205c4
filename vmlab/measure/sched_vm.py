"""The tasks of VM programs, as one of the systems that `sched` measures: what a program gets, with
its instructions' dispatch, its safepoints and its limits. They have a scheduler of their own
(`kernels/queues.py`), and stacks that grow."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from vmlab.assembler import assemble
from vmlab.engines import Executable, find
from vmlab.kernels.scheduler.bench import CAPACITY
from vmlab.measure.sched_memory import bytes_parked
from vmlab.measure.sched_systems import Operation, System
from vmlab.outcome import Limits

ENGINE = "threaded"

# Operations in a sample: one is timed from Python.
_TURNS = 10_000
_GROWN = 500

# A call of `down` takes 64 words of stack, with these locals; so with so many calls below the first
# the task has a stack of 256 words or of 512.
_LOCALS = "\n".join(f"local l{number}: int" for number in range(61))
_BELOW, _ABOVE = 2, 3

# The rest of a loop that goes on while `n` is not 0, counted down.
_AGAIN = "load n\npush 1\nsub\ndup\nstore n\njnz again\n"

_PROGRAMS = {
    Operation.LAUNCH: f"""
func nothing()
    ret
end
func main(n: int)
again:
    spawn nothing
    join
    {_AGAIN}
    ret
end""",
    Operation.YIELD: f"""
func turn(n: int)
again:
    yield
    {_AGAIN}
    ret
end
func main(n: int)
    load n
    spawn turn
    load n
    call turn
    join
    ret
end""",
    Operation.UNBUFFERED: f"""
func answer(n: int, there: chan[int], back: chan[int])
again:
    load back
    load there
    recv
    pop
    send
    {_AGAIN}
    ret
end
func main(n: int)
    local there: chan[int]
    local back: chan[int]
    push 0
    chan int
    store there
    push 0
    chan int
    store back
    load n
    load there
    load back
    spawn answer
again:
    load there
    load n
    send
    load back
    recv
    pop
    pop
    {_AGAIN}
    join
    ret
end""",
    Operation.BUFFERED: f"""
func drain(n: int, values: chan[int])
again:
    load values
    recv
    pop
    pop
    {_AGAIN}
    ret
end
func main(n: int)
    local values: chan[int]
    push {CAPACITY}
    chan int
    store values
    load n
    load values
    spawn drain
again:
    load values
    load n
    send
    {_AGAIN}
    join
    ret
end""",
    Operation.GROWTH: f"""
func down(depth: int)
    {_LOCALS}
    load depth
    jz done
    load depth
    push 1
    sub
    call down
done:
    ret
end
func task(depth: int, n: int)
again:
    load depth
    call down
    {_AGAIN}
    ret
end
func main(n: int, depth: int, times: int)
again:
    load depth
    load times
    spawn task
    join
    {_AGAIN}
    ret
end""",
    Operation.PARKED: f"""
func wait(values: chan[int])
    load values
    recv
    pop
    pop
    ret
end
func main(n: int)
    local values: chan[int]
    push 0
    chan int
    store values
again:
    load values
    spawn wait
    pop
    {_AGAIN}
    yield
    ret
end""",
}

_PARKED_TASKS = 1_000_000


@functools.cache
def _executable(operation: Operation) -> Executable:
    return find(ENGINE).build(assemble(_PROGRAMS[operation]), counting=False)


def parked(tasks: int) -> None:
    """Leaves so many tasks waiting, in the memory that the engine keeps."""
    _executable(Operation.PARKED).call((tasks,), Limits())


class VirtualMachine(System):
    """Tasks of VM programs on the engine `ENGINE`."""

    name = f"VM programs, {ENGINE}"
    share = 0.05

    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        if operation not in _PROGRAMS:
            return None
        if operation is Operation.GROWTH:
            return [self._growth() for _ in range(samples)]
        if operation is Operation.PARKED:
            return [bytes_parked("vm", _PARKED_TASKS)]
        # Of two that take turns, one counts: the other has yielded as often.
        turns = _TURNS * (2 if operation is Operation.YIELD else 1)
        return [self._nanoseconds(operation, _TURNS) / turns for _ in range(samples)]

    @staticmethod
    def _nanoseconds(operation: Operation, *args: int) -> int:
        return _executable(operation).call(args, Limits()).nanoseconds

    def _growth(self) -> float:
        """By how much the first call of `down` that needs the larger stack takes longer than one
        that does not, beyond what the second one does."""

        def first_beyond_second(depth: int) -> int:
            once, twice = (
                self._nanoseconds(Operation.GROWTH, _GROWN, depth, times) for times in (1, 2)
            )
            return once - (twice - once)

        return (first_beyond_second(_ABOVE) - first_beyond_second(_BELOW)) / _GROWN
