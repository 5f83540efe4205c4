"""The command line in this process: much quicker than one of its own for every command."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from vmlab.cli import command_line, exits

Command = Callable[..., Result]

DIVIDES = """\
func quotient(a: int, b: int) -> int
    load a
    load b
    div
    ret
end

func main(a: int = 7, b: int = 2) -> int
    load a
    print
    load a
    load b
    call quotient
    ret
end

expect main(7, 2) -> 3
expect main(-7, 2) -> -3
expect main(7, 0) -> trap divide_by_zero
expect main(7, 1) -> prints "7"
"""

INVALID = """\
func main(n: int) -> int
    lod n
    push 1.5
    add
    ret
end
"""

ENDLESS = """\
func main()
again:
    jmp again
end
"""


@pytest.fixture
def vmlab(tmp_path, monkeypatch) -> Command:
    """Runs a command in an empty directory that holds divides.vm, invalid.vm and endless.vm."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMLAB_TRACEBACK", "1")
    (tmp_path / "divides.vm").write_text(DIVIDES)
    (tmp_path / "invalid.vm").write_text(INVALID)
    (tmp_path / "endless.vm").write_text(ENDLESS)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(command_line, arguments)
        assert result.exit_code != exits.FAILED, result.stderr
        return result

    return run
