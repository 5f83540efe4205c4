"""Exact counts of machine instructions, and simulated misses, by valgrind's cachegrind.

A program is linked into an executable of its own, which runs under cachegrind once with one run of
the program and once with more: the difference is that many runs, without the start of the process.
Cachegrind simulates a first-level cache of this CPU's geometry and a simple branch predictor
(valgrind's manual, "Cachegrind", "Simulation Details"), which is not this CPU's.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from vmlab.engines import Standalone
from vmlab.outcome import Outcome

TOOLS = {"valgrind": "valgrind", "cc": "a C compiler"}

# The events of cachegrind that add up to each of ours.
EVENTS = {
    "instructions": ("Ir",),
    "branch_misses": ("Bcm", "Bim"),
    "l1d_read_misses": ("D1mr",),
}

_LAST_WORDS = 300  # characters of a tool's own message that a reason repeats


class CannotSimulate(Exception):
    """The message says why, for the user."""


def missing_tools() -> str | None:
    """Why nothing can be simulated here; None if everything is installed."""
    missing = [f"{what} ('{name}')" for name, what in TOOLS.items() if shutil.which(name) is None]
    if not missing:
        return None
    return f"{' and '.join(missing)} cannot be found: install it to have exact counts"


def simulate(
    standalone: Standalone, check: Callable[[Outcome], str | None], runs: int
) -> dict[str, float]:
    """The counts of one run of the program, by the keys of `EVENTS`: the mean of so many runs after
    the first. `check` looks at what the executable did and tells what is wrong with it, or None.

    The instructions are exact. Of the misses a few of the process's own are left, since it finds
    its data elsewhere in the cache after more runs. Raises `CannotSimulate`."""
    with tempfile.TemporaryDirectory(prefix="vmlab-") as name:
        folder = Path(name)
        program = link(standalone, folder)
        once, more = (_run(program, n, standalone, check) for n in (1, 1 + runs))
    counts = {
        key: sum(more[event] - once[event] for event in events) for key, events in EVENTS.items()
    }
    # All runs execute the same instructions: if those are not the runs' alone, this shows it.
    if counts["instructions"] <= 0 or counts["instructions"] % runs:
        raise CannotSimulate(
            f"{runs} more runs executed {counts['instructions']:,} more machine instructions, which"
            " cannot be the runs' alone"
        )
    return {key: max(count, 0) / runs for key, count in counts.items()}


def link(standalone: Standalone, folder: Path) -> Path:
    """Make the executable file in this folder. Raises `CannotSimulate`."""
    source, code, program = folder / "main.c", folder / "engine.o", folder / "program"
    source.write_text(standalone.source)
    code.write_bytes(standalone.object_code)
    # The interpreters' jump tables hold addresses, which a movable executable must not.
    command = ["cc", "-O1", "-no-pie", str(source), str(code), "-o", str(program)]
    done = subprocess.run([*command, "-lm"], capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise CannotSimulate(f"it cannot be linked: {_last_words(done.stderr)}")
    return program


def _run(
    program: Path, runs: int, standalone: Standalone, check: Callable[[Outcome], str | None]
) -> dict[str, int]:
    counts = program.with_suffix(".counts")
    counts.unlink(missing_ok=True)
    # Numbers of one length take the same instructions to read.
    argument = f"{runs:019}"
    command = [
        "valgrind", "--command-line-only=yes", "--tool=cachegrind", "--cache-sim=yes",
        "--branch-sim=yes", f"--cachegrind-out-file={counts}", str(program), argument,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode == -signal.SIGILL or "unhandled instruction" in done.stderr:
        raise CannotSimulate(
            "valgrind does not know one of its machine instructions (valgrind knows no AVX-512);"
            " the code is compiled for all that this CPU has"
        )
    if done.returncode:
        raise CannotSimulate(
            f"under cachegrind it ended with the code {done.returncode}: {_last_words(done.stderr)}"
        )
    try:
        problem = check(standalone.read(done.stdout))
    except ValueError as error:
        problem = str(error)
    if problem is not None:
        raise CannotSimulate(f"as an executable of its own it does something else: {problem}")
    try:
        return parse(counts.read_text())
    except (OSError, ValueError) as error:
        raise CannotSimulate(f"cachegrind left no counts that can be read: {error}") from None


def _last_words(text: str) -> str:
    return " ".join(text.split())[-_LAST_WORDS:] or "it says nothing"


def parse(text: str) -> dict[str, int]:
    """The totals in a file that cachegrind wrote, by its names of the events. Raises ValueError if
    there are none."""
    lines = dict(line.partition(":")[::2] for line in text.splitlines())
    names, totals = lines.get("events", "").split(), lines.get("summary", "").split()
    wanted = {event for events in EVENTS.values() for event in events}
    if len(names) != len(totals) or not wanted <= set(names):
        raise ValueError("it has no totals of instructions, branches and data reads")
    return dict(zip(names, map(int, totals), strict=True))
