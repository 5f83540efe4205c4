"""Output files: opened before the work begins, and whole or untouched at its end."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO


class OutputFile:
    """A file that gets its content at the end of a `with` block, or stays as it was: if the block
    ends with an exception, and if nothing was written.

    Entering raises OSError if the file cannot be written, before any work is done. The content
    goes to a temporary file beside it, which replaces it when the block ends well and is removed
    when it does not. What is no regular file (/dev/stdout, a pipe) cannot be replaced and is
    written directly. Text is written as UTF-8."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # A symbolic link stays one: the file it points to is replaced.
        self._path = Path(os.path.realpath(path))
        self._temporary: Path | None = None
        self._written = False

    def __enter__(self) -> OutputFile:
        with self._named():
            self._file = self._open()
        return self

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Errors name this file, not the temporary one, or none at all."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    def _open(self) -> IO[bytes]:
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None:
            # Asks the system whether this may be written, and changes nothing.
            file = self._path.open("ab")
            if not stat.S_ISREG(mode):
                return file
            file.close()
        descriptor, name = tempfile.mkstemp(
            dir=self._path.parent, prefix=f".{self._path.name}.", suffix=".tmp"
        )
        self._temporary = Path(name)
        self._temporary.chmod(_default_mode() if mode is None else stat.S_IMODE(mode))
        return os.fdopen(descriptor, "wb")

    def write(self, content: str | bytes) -> None:
        self._written = True
        with self._named():
            self._file.write(content.encode() if isinstance(content, str) else content)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._temporary is None:
            with self._named():
                self._file.close()
            return
        try:
            with self._named(), self._file:
                if kind is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
            if kind is None and self._written:
                self._temporary.replace(self._path)
        finally:
            # Gone already if it took the file's place.
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()


def _default_mode() -> int:
    """The mode of a new file, which `mkstemp` does not look at."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
