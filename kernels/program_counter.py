"""Where a thread is in its machine code, at moments that another thread chooses by signals."""

import ctypes
import platform
import signal
import sys
from contextlib import contextmanager

from vmlab.kernels.native import compile_ir

# Signals between two readings that can be kept. Those after them are dropped, so it is more than a
# run gets; untouched, they take no memory.
_CAPACITY = 1 << 20

# Of Linux: flags of sigaction, and where the program counter stands in the context of a handler
# (uc_mcontext.gregs[REG_RIP] of ucontext_t).
_WITH_CONTEXT, _RESTART = 4, 0x10000000
_PROGRAM_COUNTER = {"x86_64": 168}

# A handler in Python would run on the main thread, and later.
_HANDLER = """
define void @note(i32 %signal, ptr %info, ptr %context) {{
  %kept = load i64, ptr inttoptr (i64 {buffer} to ptr)
  %full = icmp uge i64 %kept, {capacity}
  br i1 %full, label %done, label %keep

keep:
  %place = getelementptr i8, ptr %context, i64 {program_counter}
  %counter = load i64, ptr %place
  %more = add i64 %kept, 1
  %slot = getelementptr i64, ptr inttoptr (i64 {buffer} to ptr), i64 %more
  store i64 %counter, ptr %slot
  store i64 %more, ptr inttoptr (i64 {buffer} to ptr)
  br label %done

done:
  ret void
}}
"""


class _Action(ctypes.Structure):
    """struct sigaction"""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_byte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class NoProgramCounter(Exception):
    """It cannot be read here; the message says why, for the user."""


class ProgramCounter:
    """Notes down where the thread stands that gets a SIGPROF, within `listening`. One thread at a
    time may get them. Raises `NoProgramCounter`."""

    SIGNAL = signal.SIGPROF

    def __init__(self):
        if sys.platform != "linux" or platform.machine() not in _PROGRAM_COUNTER:
            raise NoProgramCounter(
                "where a thread is in its code can be read on Linux on x86-64 only"
            )
        # How many there are, and then these.
        self._noted = (ctypes.c_int64 * (1 + _CAPACITY))()
        text = _HANDLER.format(
            buffer=ctypes.addressof(self._noted),
            capacity=_CAPACITY,
            program_counter=_PROGRAM_COUNTER[platform.machine()],
        )
        self._handler = compile_ir(lambda: text, "note")

    @contextmanager
    def listening(self):
        noting = _Action(handler=self._handler.address, flags=_WITH_CONTEXT | _RESTART)
        before = _set_action(self.SIGNAL, noting)
        try:
            yield
        finally:
            # One that is still on its way would end the process: ignoring drops it.
            _set_action(self.SIGNAL, _Action(handler=signal.SIG_IGN))
            _set_action(self.SIGNAL, before)

    def take(self) -> list[int]:
        """The addresses noted down since it was last asked."""
        noted = self._noted[1 : 1 + self._noted[0]]
        self._noted[0] = 0
        return noted


def _set_action(number, action) -> _Action:
    """What was to be done on the signal before."""
    before = _Action()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sigaction(number, ctypes.byref(action), ctypes.byref(before)):
        raise OSError(ctypes.get_errno(), "the system does not take a signal handler")
    return before
