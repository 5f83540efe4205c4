"""The C twins compute what the programs compute."""

from __future__ import annotations

import pytest

from vmlab import corpus
from vmlab.engines import run
from vmlab.outcome import bind_arguments

from .native import LEVELS, NAMES, compile_c, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C compiler on the PATH")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_twin(name: str, level: str) -> None:
    program = corpus.load(name)
    twin = compile_c(name, LEVELS[level])
    assert twin(*bind_arguments(program, {})) == run(program, "inlined", {}).result
    for expectation in program.expectations:
        if expectation.trap is None:
            assert twin(*expectation.args) == expectation.result


def test_a_compile_error_shows_what_the_compiler_said() -> None:
    with pytest.raises(RuntimeError, match="no-such-option"):
        compile_c("sum", ["--no-such-option"])
