"""The machine's stack: where the calling thread's ends, and threads that have a deep one."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

# Compiled recursion uses the machine's stack, and so does a compiler on deeply nested input. This
# much is address space, touched only as deep as they go.
DEEP_BYTES = 1 << 30

# The size of new threads' stacks is a setting of the process.
_starting = threading.Lock()

_thread = threading.local()

_Result = TypeVar("_Result")


class MachineStack(NamedTuple):
    """`end` is the lowest address, `size` the number of bytes from there to the highest."""

    end: int
    size: int


def machine_stack() -> MachineStack:
    """The calling thread's, as the system has it."""
    if not hasattr(_thread, "stack"):
        _thread.stack = _ask()
    stack: MachineStack = _thread.stack
    return stack


def _ask() -> MachineStack:
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_void_p
    thread = ctypes.c_void_p(libc.pthread_self())
    if sys.platform == "darwin":
        libc.pthread_get_stackaddr_np.restype = ctypes.c_void_p
        libc.pthread_get_stacksize_np.restype = ctypes.c_size_t
        bytes_ = int(libc.pthread_get_stacksize_np(thread))
        return MachineStack(libc.pthread_get_stackaddr_np(thread) - bytes_, bytes_)
    attributes = ctypes.create_string_buffer(256)  # a pthread_attr_t has 64 bytes at most
    error = libc.pthread_getattr_np(thread, attributes)
    if error:
        raise OSError(error, "the system does not tell where this thread's stack is")
    end, size = ctypes.c_void_p(), ctypes.c_size_t()
    libc.pthread_attr_getstack(attributes, ctypes.byref(end), ctypes.byref(size))
    libc.pthread_attr_destroy(attributes)
    return MachineStack(end.value or 0, size.value)


def start_deep_thread(work: Callable[[], None], *, daemon: bool) -> None:
    """Start `work` on a thread with a stack of `DEEP_BYTES`. The process ends without waiting for
    a daemon. Raises OSError where the system grants no such thread."""
    with _starting:
        before = threading.stack_size(DEEP_BYTES)
        try:
            threading.Thread(target=work, name="vmlab", daemon=daemon).start()
        except RuntimeError:
            raise OSError(
                f"the system grants no thread with {DEEP_BYTES:,} bytes of address space for its"
                " stack: allow more with `ulimit -v` and `ulimit -u`"
            ) from None
        finally:
            threading.stack_size(before)


def call_deep(work: Callable[[], _Result]) -> _Result:
    """What `work` returns or raises, on a stack of `DEEP_BYTES`. Ctrl-C ends the wait for it, not
    the work."""
    future: Future[_Result] = Future()

    def serve() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    start_deep_thread(serve, daemon=False)
    return future.result()
