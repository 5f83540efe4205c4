"""Who calls whom: recursion, how deep stacks can get, and where tasks can be left."""

from collections import Counter
from dataclasses import dataclass

from vmlab.isa import Flow
from vmlab.program import Program


@dataclass(frozen=True)
class CallGraph:
    """`calls[f][g]` is the number of call instructions in f that name g; `cycle[f]` numbers the
    strongly connected component of f, or is None where f can never be active twice; `height[f]` is
    the length of the longest chain of calls from f to a function that calls none or is recursive;
    `suspends[f]` says whether other tasks may run before f returns.
    """

    calls: tuple[Counter, ...]
    cycle: tuple[int | None, ...]
    height: tuple[int, ...]
    suspends: tuple[bool, ...]

    @classmethod
    def of(cls, program: Program) -> "CallGraph":
        calls = tuple(
            Counter(i.target for i in f.code if i.opcode.flow is Flow.CALL)
            for f in program.functions
        )
        cycle, callees_first = _cycles(calls)
        height = [0] * len(calls)
        for f in callees_first:
            if cycle[f] is None:
                height[f] = 1 + max((height[callee] for callee in calls[f]), default=-1)
        return cls(calls, cycle, tuple(height), _suspends(program, calls))


def _suspends(program: Program, calls: tuple[Counter, ...]) -> tuple[bool, ...]:
    """A function does with an instruction that may let other tasks go on, and so do its callers."""
    callers: list[list[int]] = [[] for _ in calls]
    for caller, callees in enumerate(calls):
        for callee in callees:
            callers[callee].append(caller)
    suspends = [any(i.opcode.flow is Flow.SWITCH for i in f.code) for f in program.functions]
    pending = [f for f, found in enumerate(suspends) if found]
    while pending:
        for caller in callers[pending.pop()]:
            if not suspends[caller]:
                suspends[caller] = True
                pending.append(caller)
    return tuple(suspends)


def _cycles(calls: tuple[Counter, ...]) -> tuple[tuple[int | None, ...], list[int]]:
    """The cycles, and all functions in an order where callees outside of a function's own cycle
    come before it. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1972;
    with a stack of its own instead of recursion."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    cycle: list[int | None] = [None] * len(calls)
    done: dict[int, None] = {}  # in this order
    for root in range(len(calls)):
        if root in order:
            continue
        work = [(root, iter(calls[root]))]
        order[root] = low[root] = len(order)
        path.append(root)
        while work:
            node, successors = work[-1]
            for successor in successors:
                if successor not in order:
                    order[successor] = low[successor] = len(order)
                    path.append(successor)
                    work.append((successor, iter(calls[successor])))
                    break
                if successor not in done:
                    low[node] = min(low[node], order[successor])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == order[node]:
                    members = path[path.index(node) :]
                    del path[path.index(node) :]
                    done.update(dict.fromkeys(members))
                    if len(members) > 1 or calls[node][node]:
                        for member in members:
                            cycle[member] = node
    return tuple(cycle), list(done)


def launched(program: Program) -> set[int]:
    """The functions that tasks begin with."""
    spawned = {i.target for _, _, i in program.sites() if i.opcode.flow is Flow.SPAWN}
    return {program.main_index, *spawned}


def stack_slots(program: Program, graph: CallGraph, max_depth: int, spare: int = 0) -> int:
    """The most slots that locals and operands of all live frames can take, and `spare` more a
    frame: a function outside of all cycles is active once at most, the others `max_depth` times
    together."""
    once, many = 0, 0
    for index, function in enumerate(program.functions):
        slots = len(function.slots) + program.stack_maps[index].max_depth + spare
        if graph.cycle[index] is None:
            once += slots
        else:
            many = max(many, slots)
    return once + many * max_depth
