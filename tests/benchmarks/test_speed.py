"""Speed, by pytest-benchmark: `pytest tests/benchmarks --benchmark-only -o addopts=`. Everything
is compiled before the first round."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vmlab import corpus
from vmlab.engines import COMPARED, ENGINES
from vmlab.outcome import Limits, bind_arguments
from vmlab.supervise import Supervisor

from .native import LEVELS, NAMES, compile_c, compiler


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as watching:
        yield watching


@pytest.mark.parametrize("engine", COMPARED)
@pytest.mark.parametrize("name", NAMES)
def test_engine(benchmark, supervisor: Supervisor, name: str, engine: str) -> None:
    benchmark.group = name
    program = corpus.load(name)
    args = bind_arguments(program, {})
    executable = ENGINES[engine].build(program, counting=False)
    sample = benchmark.pedantic(
        supervisor.call, (executable, args, Limits()), rounds=9, warmup_rounds=1
    )
    assert sample.outcome.trap is None


@pytest.mark.skipif(compiler() is None, reason="there is no C compiler on the PATH")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_c(benchmark, name: str, level: str) -> None:
    benchmark.group = name
    program = corpus.load(name)
    twin = compile_c(name, LEVELS[level])
    result = benchmark.pedantic(twin, bind_arguments(program, {}), rounds=9, warmup_rounds=1)
    assert result is not None


@pytest.mark.parametrize("counting", [False, True])
@pytest.mark.parametrize("engine", ["inlined", "template"])
def test_compile(benchmark, engine: str, counting: bool) -> None:
    """matmul has 141 instructions."""
    benchmark.group = "compiling matmul"
    program = corpus.load("matmul")
    built = benchmark.pedantic(
        ENGINES[engine].build, (program,), {"counting": counting}, rounds=5, warmup_rounds=1
    )
    assert built.compile_seconds > 0
