"""Who calls whom: recursion, and how deep stacks can get."""

from collections import Counter
from dataclasses import dataclass

from vmlab.isa import Flow
from vmlab.program import Program


@dataclass(frozen=True)
class CallGraph:
    """`calls[f][g]` is the number of call instructions in f that name g; `cycle[f]` numbers the
    strongly connected component of f, or is None where f can never be active twice."""

    calls: tuple[Counter, ...]
    cycle: tuple[int | None, ...]

    @classmethod
    def of(cls, program: Program) -> "CallGraph":
        calls = tuple(
            Counter(i.target for i in f.code if i.opcode.flow is Flow.CALL)
            for f in program.functions
        )
        return cls(calls, _cycles(calls))


def _cycles(calls: tuple[Counter, ...]) -> tuple[int | None, ...]:
    """Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1972; with a
    stack of its own instead of recursion."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    cycle: list[int | None] = [None] * len(calls)
    done = set()
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
                    done.update(members)
                    if len(members) > 1 or calls[node][node]:
                        for member in members:
                            cycle[member] = node
    return tuple(cycle)


def stack_words(program: Program, graph: CallGraph, max_depth: int) -> int:
    """The most words that locals and operands of all live frames can take: a function outside of
    all cycles is active once at most, the others `max_depth` times together."""
    once, many = 0, 0
    for index, function in enumerate(program.functions):
        words = len(function.slots) + program.stack_maps[index].max_depth
        if graph.cycle[index] is None:
            once += words
        else:
            many = max(many, words)
    return once + many * max_depth
