"""The disk cache of the fixed engines: used, keyed by what shapes the code, and never trusted."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from vmlab import corpus
from vmlab.engines import ENGINES
from vmlab.kernels import native
from vmlab.outcome import Limits

BUILD = """
import sys
from vmlab import corpus
from vmlab.engines import ENGINES
from vmlab.outcome import Limits
executable = ENGINES[sys.argv[1]].build(corpus.load("sum"), counting=False)
print(executable.from_cache, executable.call((10,), Limits()).outcome.result)
print(bool(executable.machine_code()), "numba" in sys.modules)
"""


def build(engine: str, cache: Path) -> list[str]:
    """Whether a new process finds the engine in the cache, what it computes, whether there is
    machine code to show, and whether Numba was loaded."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, engine],
        env={"VMLAB_CACHE_DIR": str(cache), "PATH": "/usr/bin:/bin"},
        cwd=cache.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("engine", ["threaded", "switch", "textbook"])
def test_the_second_process_finds_it(engine: str, tmp_path: Path) -> None:
    by_numba = str(engine == "textbook")
    assert build(engine, tmp_path / "cache") == ["False", "55", "True", by_numba]
    assert build(engine, tmp_path / "cache") == ["True", "55", "True", "False"]


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_file_is_compiled_again(
    damage: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMLAB_CACHE_DIR", str(tmp_path))
    program = corpus.load("sum")
    ENGINES["switch"].build(program, counting=False)
    [file] = tmp_path.glob("*/switch.unit")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000] if damage is None else damage)
    again = ENGINES["switch"].build(program, counting=False)
    assert not again.from_cache
    assert again.call((10,), Limits()).outcome.result == 55
    assert ENGINES["switch"].build(program, counting=False).from_cache


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("VMLAB_CACHE_DIR", str(tmp_path / "file"))
    executable = ENGINES["switch"].build(corpus.load("sum"), counting=False)
    assert not executable.from_cache
    assert executable.call((10,), Limits()).outcome.result == 55


def test_its_place_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMLAB_CACHE_DIR", "cache")
    assert native.cache_directory().parent == tmp_path / "cache"


def test_a_full_disk_is_left_no_fuller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("VMLAB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(Path, "replace", full)
    native.keep_code("switch", b"code", "text")
    assert native.kept_code("switch") is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_key_covers_every_source_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {native.fingerprint.__wrapped__()}
    read = Path.read_bytes
    sources = sorted(Path(native.__file__).parent.glob("*.py"))
    assert len(sources) > 10
    for changed in sources:
        monkeypatch.setattr(
            Path, "read_bytes", lambda self, c=changed: read(self) + (b"#" if self == c else b"")
        )
        keys.add(native.fingerprint.__wrapped__())
    assert len(keys) == 1 + len(sources)
