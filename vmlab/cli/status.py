"""One line on the terminal about what is being done; nothing where stderr is no terminal, or
one that cannot erase it."""

from __future__ import annotations

import os
import sys
from types import TracebackType

_ERASE_LINE = "\r\x1b[K"


class Status:
    """Use it as a context manager: the line is gone when it ends."""

    def __enter__(self) -> Status:
        terminal = sys.stderr is not None and sys.stderr.isatty()  # None: it is closed
        self._shown = terminal and os.environ.get("TERM") != "dumb"
        return self

    def __call__(
        self, doing: str, done: int, total: int, seconds_left: float | None = None
    ) -> None:
        left = "" if seconds_left is None else f", {seconds_left:.0f} s left"
        self._write(f"{doing} ({done}/{total}{left})")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(_ERASE_LINE + text)
            sys.stderr.flush()
