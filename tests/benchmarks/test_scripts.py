"""The commands beside `vmlab` say what they are for, and refuse what they cannot do."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

# One wrong command line or more for each, and what the message has in it.
WRONG = {
    "benchmarks.same_engine": {
        "swich": "'switch'",
        "switch siev": "'sieve'",
        "inlined+late": "inlined",
    },
    "benchmarks.handler_order": {"swich": "'switch'", "switch inlined": "no handlers"},
    "benchmarks.wrapping": {"siev": "'sieve'", "fib fan": "has tasks"},
    "benchmarks.recording": {"0": "x>=1", "many": "integer", "1 switch": "'template'"},
    "benchmarks.workers": {"0": "1<=x<=", "1 1000001": "1<=x<=", "1 1 1": "extra"},
    "benchmarks.against_c": {"fib": "extra"},
    "benchmarks.compile_time": {"swich": "'switch'", "inlined siev": "'sieve'"},
    "benchmarks.bare_dispatch": {"siev": "'sieve'", "fib fan": "has tasks"},
    "benchmarks.peers": {"--engines swich": "'switch'", "--rounds 1": "too few", "fib": "extra"},
    "differential.long_run": {"": "EXAMPLES", "0 7": "x>=1", "1 7 task": "'tasks'"},
    "scheduler.stress": {"": "OPERATIONS", "0 7": "x>=1", "1 seven": "integer"},
}


def call(script: str, arguments: str) -> Result:
    return CliRunner().invoke(importlib.import_module(script).main, arguments)


@pytest.mark.parametrize("script", WRONG)
def test_help_is_the_docstring(script: str) -> None:
    result = call(script, "--help")
    text = inspect.getdoc(importlib.import_module(script))
    assert text is not None
    assert result.exit_code == 0
    assert " ".join(text.split()) in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [(script, wrong, said) for script, lines in WRONG.items() for wrong, said in lines.items()],
)
def test_a_wrong_argument_is_refused(script: str, arguments: str, said: str) -> None:
    result = call(script, arguments)
    assert result.exit_code == 2, result.exception
    assert said in result.output.partition("Error: ")[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("func main()\nadd\nret\nend\n", "stack-underflow"),
        ("func main(n: int)\nret\nend\n", "no default"),
    ],
)
def test_a_program_that_does_not_run_as_it_is_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "wrong.vm"
    path.write_text(text)
    result = call("benchmarks.wrapping", str(path))
    assert result.exit_code == 2, result.exception
    assert said in result.output.partition("Error: ")[2]
