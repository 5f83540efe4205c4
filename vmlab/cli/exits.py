"""Exit codes, and ending a command with one."""

from __future__ import annotations

# Engines disagree, a --fail-if holds, an expect line fails, a file is not formatted, a table of a
# document is out of date, an engine does not work here.
DIFFERS = 1
USAGE = 2
INVALID_PROGRAM = INVALID_DATA = 65  # EX_DATAERR of sysexits.h
TRAPPED = 70
FAILED = 71  # EX_OSERR: the system failed, or vmlab itself
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Stop(Exception):
    """Ends the command with a message and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
