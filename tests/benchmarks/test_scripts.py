"""The commands beside `vmlab` say what they are for, and refuse what they cannot do."""

from __future__ import annotations

import importlib
import inspect

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
    "benchmarks.workers": {"0": "x>=1", "1 0": "x>=1", "1 1 1": "extra"},
    "benchmarks.against_c": {"fib": "extra"},
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
