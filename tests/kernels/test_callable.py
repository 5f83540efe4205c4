"""`program.compile()`: programs called from the user's own Numba code."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from numba import config, njit, prange
from numba.core.errors import NumbaWarning, TypingError

import vmlab
from vmlab.engines import EngineUnavailable
from vmlab.kernels.callable import Trapped
from vmlab.outcome import Limits


@pytest.fixture(scope="module")
def fib():
    return vmlab.load("fib").compile()


@pytest.fixture(scope="module")
def sieve():
    return vmlab.load("sieve").compile()


def test_called_from_python_with_and_without_defaults(fib) -> None:
    program = vmlab.load("fib")
    assert fib(10) == 55
    assert fib() == program.run(engine="inlined").result


def test_called_from_compiled_code(fib) -> None:
    @njit
    def total(n):
        s = 0
        for i in range(n):
            s += fib(i)
        return s

    assert total(20) == sum(vmlab.load("fib").run(engine="inlined", n=i).result for i in range(20))


def test_arguments_are_converted_to_the_parameters_types() -> None:
    half = vmlab.assemble("func main(x: float) -> float\n load x\n push 0.5\n mul\n ret\nend\n")
    function = half.compile()
    assert function(3) == 1.5
    assert function(np.float32(0.25)) == 0.125


def test_a_program_without_result() -> None:
    nothing = vmlab.assemble("func main()\n ret\nend\n").compile()
    assert nothing() is None


def test_many_threads_at_once(sieve) -> None:
    """More turns than states, on arrays that would show a mixed-up heap."""

    @njit(parallel=True)
    def many(n):
        primes = np.zeros(n, np.int64)
        for i in prange(n):
            primes[i] = sieve(2_000 + i)
        return primes

    found = many(300)
    assert found[0] == 303
    assert list(found) == [sieve(2_000 + i) for i in range(300)]


@pytest.mark.parametrize(
    ("text", "trap", "place"),
    [
        ("func main() -> int\n push 1\n push 0\n div\n ret\nend\n", "divide_by_zero", "t.vm:4"),
        (
            "func f()\n call f\n ret\nend\nfunc main()\n call f\n ret\nend\n",
            "call_depth_exceeded",
            "'f', t.vm:2",
        ),
        ("func main()\n push -1\n newarr int\n pop\n ret\nend\n", "negative_length", "t.vm:3"),
    ],
)  # fmt: skip
def test_a_trap_is_an_exception_that_says_where(text, trap, place) -> None:
    from vmlab.assembler import assemble

    function = assemble(text, "t.vm").compile()

    @njit
    def caller():
        return function()

    for call in (function, caller):
        with pytest.raises(Trapped, match=trap) as caught:
            call()
        assert caught.value.trap == trap
        assert place in str(caught.value)


def test_limits_hold_and_the_function_works_again_afterwards(sieve) -> None:
    small = vmlab.load("sieve").compile(Limits(max_heap=8 * 1_001))
    assert small(1_000) == 168
    with pytest.raises(Trapped, match="out_of_memory"):
        small(1_001)
    assert small(1_000) == 168


def test_recursion_beyond_the_threads_stack_is_refused_not_a_crash() -> None:
    text = "func f(n: int) -> int\n load n\n push 1\n add\n call f\n push 1\n add\n ret\nend\n"
    text += "func main() -> int\n push 0\n call f\n ret\nend\n"
    function = vmlab.assemble(text).compile(Limits(max_depth=10**9))
    with pytest.raises(Trapped, match="machine stack"):
        function()


def test_wrong_arguments_are_a_typing_error(fib) -> None:
    with pytest.raises(TypingError, match=r"main takes \(n: int\), not 2 arguments"):
        fib(1, 2)


def test_a_float_is_no_int(fib) -> None:
    with pytest.raises(TypingError, match="'n' is int, and float64 was given"):
        fib(10.9)


def test_a_program_with_coroutines_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match="no memory for tasks"):
        vmlab.assemble("func main()\n yield\n ret\nend\n").compile()


def test_a_program_that_prints_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match="nowhere to print"):
        vmlab.assemble("func main()\n push 1\n print\n ret\nend\n").compile()


def test_the_code_lives_as_long_as_the_function() -> None:
    function = vmlab.load("collatz").compile()
    gc.collect()
    assert function(10) == vmlab.load("collatz").run(engine="reference", n=10).result


def test_code_that_calls_it_is_kept_on_no_disk(fib, monkeypatch, tmp_path) -> None:
    """Its addresses are of this process: the next one would jump into nothing."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))

    @njit(cache=True)
    def after(n):
        return fib(n) + 1

    with pytest.warns(NumbaWarning, match="Cannot cache compiled function"):
        assert after(10) == 56
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".nbc"]
