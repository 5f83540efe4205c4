"""How much a process grows by tasks that wait, each system in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from vmlab.measure.sched_systems import Unavailable

# Not imported: it is what that process runs.
_PROGRAM = "vmlab.measure.sched_parked"


def bytes_parked(system: str, tasks: int) -> float:
    """The bytes of each of so many tasks, measured in another process. Raises Unavailable."""
    # -P: not from the working directory, whose folder `vmlab` may be no whole package.
    command = [sys.executable, "-P", "-m", _PROGRAM, system, str(tasks)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = ended.stderr.strip().splitlines()[-1:]
        raise Unavailable(f"its memory could not be measured: {' '.join(reason)}")
    return float(ended.stdout)
