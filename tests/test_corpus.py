"""The programs that ship with the package."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from vmlab import corpus
from vmlab.diagnostics import ProgramError
from vmlab.engines import ENGINES, GROUPS, LADDER, EngineUnavailable, run
from vmlab.expectations import check
from vmlab.formatter import format_source
from vmlab.program import Number

NAMES = corpus.names()

# The engines that run coroutines; `cpython` and the control must say that they do not.
RUN_TASKS = (*LADDER, *GROUPS["techniques"], "reference")

# What becomes of stacks, one of each kind.
POLICIES = ["switch+copy", "threaded+barrier", "threaded+boxed+late+copy+barrier"]
if platform.machine() == "x86_64":
    POLICIES += ["inlined+stackful", "template+stackful"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_expectations_hold(name: str, engine: str) -> None:
    program = corpus.load(name)
    assert len(program.expectations) >= 2
    if program.has_tasks and engine not in RUN_TASKS:
        with pytest.raises(EngineUnavailable, match="coroutines"):
            check(program, engine)
    else:
        assert check(program, engine) == []


@pytest.mark.parametrize("engine", POLICIES)
@pytest.mark.parametrize("name", [name for name in NAMES if corpus.load(name).has_tasks])
def test_expectations_of_programs_with_tasks_hold(name: str, engine: str) -> None:
    assert check(corpus.load(name), engine) == []


@pytest.mark.parametrize("name", NAMES)
def test_layout_is_canonical(name: str) -> None:
    text = corpus.source(name)
    assert format_source(text) == text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", NAMES)
def test_opens_with_its_name_and_what_it_is(name: str) -> None:
    first, second, third = corpus.source(name).splitlines()[:3]
    assert first == f"; {name}.vm: {corpus.summary(name)}"
    assert second == ";"
    assert third.startswith("; ")


@pytest.mark.parametrize("name", NAMES)
def test_default_arguments_are_worth_timing(name: str) -> None:
    """Long enough for a clock on the fastest engine, short enough for the slowest."""
    program = corpus.load(name)
    outcome = run(program, "inlined", {})
    assert outcome.trap is None
    assert outcome.instructions is not None
    assert 3_000_000 <= outcome.instructions <= 30_000_000


# Published values that the reference would take long for: program, arguments, result.
PUBLISHED: list[tuple[str, dict[str, Number], Number]] = [
    ("ackermann", {"m": 3, "n": 9}, 4093),
    ("collatz", {"n": 1_000_000}, 837_799),  # OEIS A006877
    ("concurrent_sieve", {"n": 1_000}, 7919),  # OEIS A000040
    ("fannkuch", {"n": 7}, 16),  # The Computer Language Benchmarks Game
    ("fannkuch", {"n": 9}, 30),  # OEIS A000375
    ("fib", {"n": 35}, 9_227_465),
    ("hashtable", {"p": 1_000_003}, 500_002),
    ("many_tasks", {"n": 1_000_000}, 1_000_000),
    ("mandelbrot", {"n": 500}, 191),  # Are We Fast Yet?
    ("mandelbrot", {"n": 750}, 50),
    ("nbody", {"n": 1_000_000}, -0.169086185),  # The Computer Language Benchmarks Game
    ("permutations", {"n": 10}, 1_334_961),  # OEIS A000166
    ("queens", {"n": 12}, 14_200),  # OEIS A000170
    ("sieve", {"n": 10_000_000}, 664_579),  # OEIS A006880
    ("spectral", {"n": 100}, 1.274219991),  # The Computer Language Benchmarks Game
    ("tak", {"x": 24, "y": 16, "z": 8}, 9),
]


@pytest.mark.parametrize(
    ("name", "args", "result"),
    PUBLISHED,
    ids=[f"{name}-{'-'.join(map(str, args.values()))}" for name, args, _ in PUBLISHED],
)
def test_published_results(name: str, args: dict[str, Number], result: Number) -> None:
    program = corpus.load(name)
    assert run(program, "inlined", args).result == result


def test_streams_differ_in_one_line_and_execute_equally_many_instructions() -> None:
    streams = ["stream_predictable", "stream_periodic", "stream_random"]
    codes = [
        [line for line in corpus.source(name).splitlines() if not line.startswith((";", "expect"))]
        for name in streams
    ]
    differing = {lines for lines in zip(*codes, strict=True) if len(set(lines)) > 1}
    assert {line.strip() for lines in differing for line in lines} == {
        *("load counted", "load stored", "load random"),
        *("; step = counted", "; step = stored", "; step = random"),
    }
    counts = {run(corpus.load(name), "inlined", {"n": 10_000}).instructions for name in streams}
    assert len(counts) == 1


def test_names_are_in_order() -> None:
    assert sorted(NAMES) == NAMES
    assert "sieve" in NAMES


def test_load_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.vm"
    path.write_text("func main() -> int\n    push 1\n    ret\nend\n")
    program = corpus.load(str(path))
    assert program.source.path == str(path)
    assert program.run().result == 1


def test_a_name_of_the_corpus_comes_before_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sieve").write_text("func main()\n    ret\nend\n")
    assert corpus.load("sieve").expectations
    assert not corpus.load("./sieve").expectations


def test_load_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"'seive' is neither .* corpus; did you mean 'sieve'"):
        corpus.load("seive")
    with pytest.raises(ValueError, match=r"'quicksrt\.vm' .* did you mean 'quicksort'"):
        corpus.load("quicksrt.vm")
    with pytest.raises(ValueError, match="`vmlab list` shows the corpus"):
        corpus.load("xyzzy/42")


def test_load_of_an_invalid_program(tmp_path: Path) -> None:
    path = tmp_path / "bad.vm"
    path.write_text("func main() -> int\nend\n")
    with pytest.raises(ProgramError, match=r"bad\.vm:"):
        corpus.load(str(path))
    with pytest.raises(OSError, match="directory"):
        corpus.load(str(tmp_path))
