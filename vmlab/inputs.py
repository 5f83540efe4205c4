"""Input files, which are read as a whole: unless they have no end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_MOST = 1 << 26


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's content. Raises OSError if it cannot be read, or if there is more of it than of any
    program, result or document: /dev/zero never ends."""
    with Path(path).open("rb") as file:
        content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise OSError(errno.EFBIG, f"it has more than {_MOST >> 20} MiB", str(path))
    return content
