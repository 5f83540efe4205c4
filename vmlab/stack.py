"""How much machine stack compiled recursion may use on the calling thread."""

from __future__ import annotations

import threading

# Left for what the compiled code calls, and for signal handlers.
_RESERVE = 1 << 19

_thread = threading.local()


def set_stack_size(size: int) -> None:
    """Say that the calling thread was started with a stack of so many bytes."""
    _thread.size = size


def stack_budget() -> int:
    """Bytes that the calling thread's stack has to spare: almost all of it where its size is
    known, otherwise half of what the system gives a thread, and 4 MiB at most."""
    size = getattr(_thread, "size", None)
    if size is not None:
        return int(size) - _RESERVE
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_STACK)
    default = 8 << 20 if limit == resource.RLIM_INFINITY else limit
    return int(min(default // 2, 4 << 20))
