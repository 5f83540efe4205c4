"""Watching over a run: its own thread with a deep stack, Ctrl-C, timeouts, output as it comes."""

from __future__ import annotations

import math
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from vmlab.engines import Executable, Sample
from vmlab.outcome import Limits
from vmlab.program import Number
from vmlab.stack import start_deep_thread

_PATIENCE = 0.05  # seconds between looks at a run's output, and between requests to stop


class Supervisor:
    """A thread that runs executables one after the other while its owner watches. Use it as a
    context manager; the thread ends with it.

    timed_out  whether the last call has been told to stop since its time was up
    """

    timed_out = False

    def __enter__(self) -> Supervisor:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        start_deep_thread(self._serve, daemon=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def call(
        self,
        executable: Executable,
        args: Sequence[Number],
        limits: Limits,
        iterations: int = 1,
        on_output: Callable[[Sequence[Number]], None] | None = None,
    ) -> Sample:
        """Run it, and return when it has ended. Ctrl-C and `limits.timeout` end it with the trap
        `interrupted`. `on_output` is given the values printed, in order and once each, while the
        program runs and at its end. Raises KeyboardInterrupt where a run ends by itself before it
        has seen a Ctrl-C."""
        # None asks for a stop.
        results: queue.SimpleQueue[Sample | BaseException | None] = queue.SimpleQueue()
        interrupted = False

        def job() -> None:
            try:
                results.put(executable.call(args, limits, iterations))
            except BaseException as error:
                results.put(error)

        def react() -> None:
            nonlocal interrupted
            interrupted = True
            results.put(None)

        with _ctrl_c(react):
            self._jobs.put(job)
            deadline = math.inf if limits.timeout is None else time.monotonic() + limits.timeout
            stopping = self.timed_out = False
            shown = 0
            while True:
                patience = deadline - time.monotonic()
                if stopping or on_output is not None:
                    patience = min(patience, _PATIENCE)
                try:
                    result = results.get(timeout=max(patience, 0) if patience < math.inf else None)
                    if result is not None:
                        break
                    stopping = True
                except queue.Empty:
                    if time.monotonic() >= deadline:
                        stopping = self.timed_out = True
                if stopping:
                    # Again and again: the first may come before the call has begun.
                    executable.interrupt()
                    deadline = math.inf
                if on_output is not None:
                    values = executable.output_from(shown)
                    on_output(values)
                    shown += len(values)
            if isinstance(result, BaseException):
                raise result
            if on_output is not None:
                on_output(result.outcome.output[shown:])
        if interrupted and not result.outcome.interrupted:
            raise KeyboardInterrupt
        return result


@contextmanager
def _ctrl_c(react: Callable[[], None]) -> Iterator[None]:
    """Within the block, the first Ctrl-C calls `react`, where it would raise KeyboardInterrupt at
    any point whatever; the second does that. Other handlers of the signal stay, and threads but
    the main one never see it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def handle(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        react()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def supervised(
    executable: Executable,
    args: Sequence[Number],
    limits: Limits,
    on_output: Callable[[Sequence[Number]], None] | None = None,
) -> Sample:
    """One call under a supervisor of its own."""
    with Supervisor() as supervisor:
        return supervisor.call(executable, args, limits, on_output=on_output)
