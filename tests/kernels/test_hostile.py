"""Nothing that a valid program does may end the process. What could is run in one of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest
from hostile_programs import functions, labels, operands, operations, parameters, variables
from native_engines import BUILDS, NATIVE, agreed, every_build, executable

from vmlab.assembler import assemble
from vmlab.engines import ENGINES, EngineUnavailable
from vmlab.isa import Trap
from vmlab.outcome import Limits

MiB = 1 << 20


def survives(code: str, *args: object, stack: int = 8 * MiB) -> str:
    """What the code prints in a process whose main thread has so many bytes of stack."""
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + dedent(code), *map(str, args)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (stack, most)),
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


PRELUDE = """
import sys, threading
from hostile_programs import *
from vmlab.assembler import assemble
from vmlab.engines import ENGINES, EngineUnavailable
from vmlab.outcome import Limits
from vmlab.supervise import supervised

def build(text, engine, counting):
    return ENGINES[engine].build(assemble(text), counting=counting)

def attempt(call):
    try:
        return call().outcome
    except EngineUnavailable as error:
        return str(error)

def on_thread(stack, work):
    threading.stack_size(stack)
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]
"""

# Programs of great size, and of a size that compilers of whole programs take in tests' time.


@pytest.mark.parametrize(
    ("text", "size", "smaller"),
    [
        (operands, 60_000, 1_000),
        (variables, 60_000, 2_000),
        (functions, 2_000, 60),
        (labels, 5_000, 100),
        (parameters, 255, 255),
    ],
)
def test_sizes(text, size: int, smaller: int) -> None:
    large = assemble(text(size))
    expected = ENGINES["reference"].build(large, counting=True).call((5,), Limits()).outcome
    assert expected.trap is None
    for engine in NATIVE:
        if engine not in ("inlined", "template", "subroutine", "cpython"):
            outcome = ENGINES[engine].build(large, counting=True).call((5,), Limits()).outcome
            assert not expected.differences(outcome), engine
    assert agreed(text(smaller), 5).trap is None


def test_compilers_recurse_on_nested_expressions() -> None:
    """On a stack of their own: the thread that asks may have next to none."""
    code = """
    for counting in (True, False):
        x = build(nested_sum(4_000), "inlined", counting)
        print(supervised(x, (0,), Limits()).outcome.result)
    """
    assert survives(code, stack=MiB // 4).split() == ["0", "0"]


# The machine's stack

RECURSION = """
    x = build(large_frames(60), sys.argv[1], sys.argv[2] == "True")
    for where in (
        lambda work: work(),
        lambda work: on_thread(256 << 10, work),
        lambda work: on_thread(64 << 20, work),
    ):
        print(where(lambda: attempt(lambda: x.call((9_990,), Limits()))))
    print(supervised(x, (9_990,), Limits()).outcome)
    """


@every_build
def test_recursion_with_large_frames(build: tuple[str, bool]) -> None:
    """To the end, or to a clear refusal where the thread has too little stack."""
    main, small, large, deep = survives(RECURSION, *build, stack=MiB).splitlines()
    for found in (main, small, large):
        assert found == deep or found.startswith("the machine stack of this thread (")
    assert large == deep
    assert "trap=None" in deep
    if build[0] == "inlined":
        assert small != deep
        assert "262,144 bytes" in small
        assert "lower --max-depth" in small


def test_threads_that_have_less_stack_than_the_limit_says() -> None:
    """Without a limit glibc gives new threads 2 MiB; the deepest recursion must not run over."""
    code = """
    for engine in ("inlined", "template"):
        for counting in (True, False):
            x = build(large_frames(3), engine, counting)
            print(on_thread(0, lambda: attempt(lambda: x.call((10**7,), Limits(max_depth=10**8)))))
    """
    lines = survives(code, stack=resource.RLIM_INFINITY).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("the machine stack of this thread (") for line in lines)


def test_large_frames_of_functions_that_are_not_recursive() -> None:
    """They do not look at the stack themselves; whoever calls them leaves room for all."""
    code = """
    x = build(large_frames_below_recursion(8, 3_000), "inlined", True)
    limits = Limits(max_depth=1 << 20)
    def search():
        fits, fails = 1, 1 << 20
        while fails - fits > 1:
            depth = (fits + fails) // 2
            if isinstance(attempt(lambda: x.call((depth,), limits)), str):
                fails = depth
            else:
                fits = depth
        return fits
    print(on_thread(2 << 20, search))
    print(on_thread(256 << 10, lambda: attempt(lambda: x.call((1,), Limits()))))
    """
    depth, refusal = survives(code).splitlines()
    assert int(depth) > 1_000
    assert refusal.startswith("the program needs")


def test_compiled_functions_run_on_any_thread() -> None:
    code = """
    call = assemble(large_frames(3)).compile(Limits(max_depth=1 << 25))
    def work():
        try:
            return call(10**7)
        except RuntimeError as error:
            return error.trap
    print(call(100) == on_thread(2 << 20, lambda: call(100)))
    print(work(), on_thread(2 << 20, work), on_thread(0, work))
    """
    assert survives(code).split() == ["True", *["machine_stack"] * 3]


def test_a_million_frames() -> None:
    code = """
    expected = 7
    for n in range(1, 1_000_001):
        expected = (3 * expected ^ n) & (2**64 - 1)
    text = large_frames_below_recursion(1, 0)
    for counting in (True, False):
        for engine in [name for name in ENGINES if name != "reference"]:
            outcome = supervised(
                build(text, engine, counting), (1_000_000,), Limits(max_depth=10_000_000)
            ).outcome
            assert outcome.result % 2**64 == expected, (engine, counting, outcome)
    """
    survives(code)


# Limits that no machine can grant


@pytest.mark.parametrize(
    ("limits", "flag"),
    [
        (Limits(max_heap=2**62), "--max-heap"),
        (Limits(max_heap=2**63 - 1), "--max-heap"),
        (Limits(max_output=2**60), "--max-output"),
        (Limits(max_output=2**63 - 1), "--max-output"),
        (Limits(max_depth=2**60), "--max-depth"),
        (Limits(max_depth=2**63 - 1), "--max-depth"),
    ],
)
@pytest.mark.parametrize("engine", NATIVE)
def test_more_than_there_are_addresses(engine: str, limits: Limits, flag: str) -> None:
    text = "func f(n: int)\nload n\ncall f\nret\nend\nfunc main()\npush 1\nprint\nret\nend"
    x = executable(text, engine, False)
    if engine == "cpython" and flag != "--max-depth":  # it asks for memory when it needs it
        assert x.call((), limits).outcome.output == (1,)
        return
    with pytest.raises(EngineUnavailable, match=f"lower {flag}"):
        x.call((), limits)
    # And the executable is none the worse for it.
    assert x.call((), Limits()).outcome.output == (1,)


@pytest.mark.parametrize("engine", ["inlined", "template", "threaded", "inlined+stackful"])
@pytest.mark.parametrize(
    ("limits", "flag"), [(Limits(max_heap=2**62), "heap"), (Limits(max_depth=2**62), "depth")]
)
def test_tasks_that_need_more_than_there_are_addresses(
    engine: str, limits: Limits, flag: str
) -> None:
    text = "func f(n: int)\nload n\ncall f\nyield\nret\nend\nfunc main() -> int\npush 1\nret\nend"
    x = executable(text, engine, False)
    with pytest.raises(EngineUnavailable, match=f"lower .*--max-{flag}"):
        x.call((), limits)
    assert x.call((), Limits()).outcome.result == 1


def test_a_heap_larger_than_the_machine() -> None:
    """It is address space until it is used."""
    text = "func main(n: int) -> int\nload n\nnewarr float\nlen\nret\nend"
    limits = Limits(max_heap=1 << 45)
    for engine, counting in BUILDS:
        x = executable(text, engine, counting)
        try:
            assert x.call((1_000,), limits).outcome.result == 1_000
            for length in (2**42, 2**62, 2**63 - 1):
                trap = x.call((length,), limits).outcome.trap
                assert trap is not None
                assert trap.trap is Trap.OUT_OF_MEMORY
        except EngineUnavailable as error:
            assert "lower --max-heap" in str(error)


# What compilers take long over


@pytest.mark.parametrize("engine", ["inlined", "template"])
def test_a_long_chain_of_functions_compiles_in_linear_time(engine: str) -> None:
    """Inlined into one another altogether, these take longer by the square of their number."""
    start = time.process_time()
    ENGINES[engine].build(assemble(functions(250)), counting=False)
    assert time.process_time() - start < 7


def test_many_operations_with_channels_compile_in_time() -> None:
    """Each is as much code as dozens of other instructions, where it is emitted in place."""
    start = time.process_time()
    built = ENGINES["inlined"].build(assemble(operations(1_000)), counting=False)
    assert time.process_time() - start < 6
    assert built.call((5,), Limits()).outcome.result == 5
