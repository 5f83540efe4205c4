"""Other processes, and Ctrl-C in them."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Like a program started from a terminal, where Ctrl-C has its meaning: in a background job it
    would be ignored."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(
        command,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


def interrupted(command: Sequence[str], first_line: str, **options: Any) -> tuple[int, str, float]:
    """The exit code, the messages, and the seconds that a command takes to end when Ctrl-C comes
    behind its first line."""
    with start(command, **options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == first_line
        since = time.perf_counter()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        return process.returncode, errors, time.perf_counter() - since
