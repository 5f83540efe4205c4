"""How much faster two workers are than one, on a program whose tasks share little:
`python -m tests.benchmarks.workers [TASKS [NUMBERS]]`.

Beside it, in the same rounds, what the machine has to give: the code that a task runs, without
tasks, on one thread for all numbers, and on two threads for half of them each. All sides are built
by `inlined`. On a machine that is shared, the fastest rounds tell more than the medians.
"""

from __future__ import annotations

import statistics
import threading
import time

import click

from vmlab.assembler import assemble
from vmlab.engines import Executable, find
from vmlab.outcome import Limits

ROUNDS = 200

# So many tasks have room in the memory that a run may take, and their numbers in an int.
COUNT = click.IntRange(1, 1_000_000)

# The steps of all Collatz chains from `from` up to `to`.
CHAINS = """
func chains(from: int, to: int) -> int
    local k: int
    local steps: int
next:
    load from
    load to
    lt
    jz done
    load from
    store k
    load from
    push 1
    add
    store from
chain:
    load k
    push 1
    eq
    jnz next
    load steps
    push 1
    add
    store steps
    load k
    push 1
    and
    jz even
    push 3
    load k
    mul
    push 1
    add
    store k
    jmp chain
even:
    load k
    push 1
    shr
    store k
    jmp chain
done:
    load steps
    ret
end
"""

ALONE = f"func main(from: int, to: int) -> int\nload from\nload to\ncall chains\nret\nend\n{CHAINS}"

# A task for every `numbers` numbers from 1 on.
FAN = f"""
func main(tasks: int, numbers: int) -> int
    local i: int
    local sum: int
    local results: chan[int]
    load tasks
    chan int
    store results
launch:
    load i
    load tasks
    lt
    jz launched
    load i
    load numbers
    mul
    push 1
    add
    dup
    load numbers
    add
    load results
    spawn part
    pop
    load i
    push 1
    add
    store i
    jmp launch
launched:
    load i
    jz done
    load results
    recv
    pop
    load sum
    add
    store sum
    load i
    push 1
    sub
    store i
    jmp launched
done:
    load sum
    ret
end
func part(from: int, to: int, results: chan[int])
    load results
    load from
    load to
    call chains
    send
    ret
end
{CHAINS}"""


def timed(executable: Executable, *args: int) -> tuple[float, object]:
    """Seconds, and the result."""
    sample = executable.call(args, Limits())
    return sample.nanoseconds / 1e9, sample.outcome.result


def on_threads(executables: list[Executable], end: int) -> tuple[float, int]:
    """All numbers below `end`, as many on each thread."""
    results: list[object] = []
    bounds = [1 + (end - 1) * n // len(executables) for n in range(len(executables) + 1)]
    threads = [
        threading.Thread(target=lambda e=e, a=a, b=b: results.append(timed(e, a, b)[1]))
        for e, a, b in zip(executables, bounds, bounds[1:], strict=False)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, sum(results)  # type: ignore[arg-type]


@click.command(help=__doc__)
@click.argument("tasks", type=COUNT, default=100)
@click.argument("numbers", type=COUNT, default=400)
def main(tasks: int, numbers: int) -> None:
    fan, alone = assemble(FAN), assemble(ALONE)
    build = find("inlined").build
    workers = {n: build(fan, counting=False, workers=n) for n in (1, 2)}
    bare = [build(alone, counting=False) for _ in range(2)]
    end = 1 + tasks * numbers
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        seconds, expected = timed(bare[0], 1, end)
        sides = {"1 thread": seconds}
        sides["2 threads"], found = on_threads(bare, end)
        assert found == expected
        for number, executable in workers.items():
            side = f"{number} worker{'s' if number > 1 else ''}"
            sides[side], found = timed(executable, tasks, numbers)
            assert found == expected
        for side, seconds in sides.items():
            times.setdefault(side, []).append(seconds)
    print(f"{tasks} tasks of {numbers} numbers each, {ROUNDS} rounds: median and fastest, in ms")
    for side, taken in times.items():
        print(f"  {side:10} {1e3 * statistics.median(taken):8.2f} {1e3 * min(taken):8.2f}")
    for kind in ("thread", "worker"):
        one, two = times[f"1 {kind}"], times[f"2 {kind}s"]
        median = statistics.median(a / b for a, b in zip(one, two, strict=True))
        print(f"  two {kind}s are {median:.2f}, {min(one) / min(two):.2f} times as fast as one")


if __name__ == "__main__":
    main()
