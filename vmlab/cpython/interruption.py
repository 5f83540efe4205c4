"""Ending a call from another thread, wherever it is, though its code never looks whether it should.

CPython raises an exception in a thread when another one asks for that, at a backward jump or a
call. Nothing of it may reach what the thread does after the call.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

_ask = ctypes.pythonapi.PyThreadState_SetAsyncExc
_ask.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Interrupted(BaseException):
    """Raised in a call that is to end."""


class Interruptible:
    """Calls, one at a time, that any thread may end."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._thread: int | None = None  # where a call runs
        self._asked = False

    def interrupt(self) -> None:
        """Raise `Interrupted` in the call, if one runs."""
        with self._asking:
            if self._thread is not None:
                self._asked = True
                _ask(self._thread, Interrupted)

    def call(self, work: Callable[[], None]) -> BaseException | None:
        """The exception that `work` ends with, if it does with one."""
        error: BaseException | None = None
        thread = threading.get_ident()
        try:
            self._thread = thread
            work()
            self._thread = None
        except BaseException as raised:
            self._thread = None
            error = raised
            # Another one may have struck while the first, which knows the place, was on its way.
            while isinstance(error, Interrupted) and isinstance(error.__context__, Interrupted):
                error = error.__context__
        # From here on nobody starts to ask; but one request may be pending, and another be made
        # by somebody who has looked at `_thread` before. Each may strike once.
        try:
            try:
                self._settle(thread)
            except Interrupted:
                self._settle(thread)
        except Interrupted:
            self._settle(thread)
        return error

    def _settle(self, thread: int) -> None:
        while self._asking.locked():
            time.sleep(0)
        if self._asked:
            self._strike(thread)

    def _strike(self, thread: int) -> None:
        """Ask once more, which replaces what is pending, and let it strike. To take a request back
        would leave CPython 3.11 looking for it for ever: at the start of the next function that a
        debugger or a coverage tool follows."""
        try:
            _ask(thread, Interrupted)
            while True:
                time.sleep(0)
        except Interrupted:
            self._asked = False
