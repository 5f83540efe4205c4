"""Hardware counters, read by perf_event_open: what the calling thread does in user mode."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

# Linux, include/uapi/linux/perf_event.h
_HARDWARE, _CACHE = 0, 3
_L1D_READ_MISSES = 0 | 0 << 8 | 1 << 16
_ATTRIBUTE_BYTES = 64  # PERF_ATTR_SIZE_VER0
_READ_FORMAT = 1 | 2 | 8  # time enabled, time running, the whole group
_EXCLUDE_KERNEL_AND_HYPERVISOR = 1 << 5 | 1 << 6
_CLOSE_ON_EXEC = 8

_SYSCALL_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}

_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")


@dataclass(frozen=True, slots=True)
class Event:
    """What to count: a name for people, and the kernel's type and number. `always` says that no
    code runs without some."""

    name: str
    type: int
    config: int
    always: bool = False


EVENTS: Mapping[str, Event] = {
    "instructions": Event("instructions", _HARDWARE, 1, always=True),
    "cycles": Event("cycles", _HARDWARE, 0, always=True),
    "branch_misses": Event("branch misses", _HARDWARE, 5),
    "l1d_read_misses": Event("L1d read misses", _CACHE, _L1D_READ_MISSES),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A count, or the reason why there is none. `share` is the part of the time in which the event
    was really counted, where more events than counters took turns; the count is scaled by it."""

    count: float | None
    reason: str | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Counters:
    """Whether this process may count its own cycles and instructions; if not, why."""

    available: bool
    reason: str | None = None


# What the kernel says of a group: its size, the nanoseconds since it was opened, those of them in
# which it counted, and a count an event.
_State = tuple[int, ...]


class CounterGroup:
    """Counters of the calling thread, all of which run at the same time. Use it as a context
    manager on the thread that is to be counted. They count from its beginning; events that this
    machine does not show have their reason in `reasons`."""

    def __init__(self, events: Mapping[str, Event] = EVENTS) -> None:
        self._events = events
        self._descriptors: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def __enter__(self) -> CounterGroup:
        try:
            number = _syscall_number()
        except _NotHere as reason:
            self.reasons = dict.fromkeys(self._events, str(reason))
            return self
        leader = -1
        for key, event in self._events.items():
            try:
                self._descriptors[key] = _open(number, event, leader)
            except OSError as error:
                self.reasons[key] = explain(error.errno or 0, event.name)
            else:
                leader = next(iter(self._descriptors.values()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    @property
    def counts_anything(self) -> bool:
        return bool(self._descriptors)

    def state(self) -> _State:
        if not self._descriptors:
            return (0, 0, 0)
        size = 8 * (3 + len(self._descriptors))
        data = os.read(next(iter(self._descriptors.values())), size)
        return struct.unpack(f"={size // 8}Q", data)

    def between(self, before: _State, after: _State) -> dict[str, Reading]:
        """What happened between two states, by event."""
        _, enabled, running, *counts = (b - a for a, b in zip(before, after, strict=True))
        readings = {key: Reading(None, reason) for key, reason in self.reasons.items()}
        for key, count in zip(self._descriptors, counts, strict=True):
            event = self._events[key]
            if not running:
                reason = (
                    f"the counter of {event.name} never got its turn: this CPU cannot count"
                    f" {len(counts)} events at once"
                )
                readings[key] = Reading(None, reason)
            elif event.always and not count:
                reason = f"the counter of {event.name} opens but stays at 0"
                readings[key] = Reading(None, reason)
            else:
                readings[key] = Reading(count * enabled / running, None, running / enabled)
        return {key: readings[key] for key in self._events}


def probe_counters() -> Counters:
    """Open a counter of cycles and one of instructions in user mode, and read both."""
    events = {key: event for key, event in EVENTS.items() if event.always}
    with CounterGroup(events) as group:
        before = group.state()
        sum(range(1000))
        readings = group.between(before, group.state())
    reason = next((r.reason for r in readings.values() if r.reason is not None), None)
    return Counters(reason is None, reason)


class _NotHere(Exception):
    """There are no counters here; the message says why."""


def _syscall_number() -> int:
    if not sys.platform.startswith("linux"):
        raise _NotHere(f"perf_event_open is Linux's; this is {sys.platform}")
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        raise _NotHere(f"the number of perf_event_open on {platform.machine()} is not known")
    return number


def _open(number: int, event: Event, leader: int) -> int:
    """A descriptor of a running counter. Raises OSError."""
    attribute = struct.pack(
        "=IIQQQQQIIQ",
        event.type, _ATTRIBUTE_BYTES, event.config, 0, 0, _READ_FORMAT,
        _EXCLUDE_KERNEL_AND_HYPERVISOR, 0, 0, 0,
    )  # fmt: skip
    libc = ctypes.CDLL(None, use_errno=True)
    this_thread, any_cpu = 0, -1
    descriptor: int = libc.syscall(
        ctypes.c_long(number),
        ctypes.c_char_p(attribute),
        ctypes.c_int(this_thread),
        ctypes.c_int(any_cpu),
        ctypes.c_int(leader),
        ctypes.c_ulong(_CLOSE_ON_EXEC),
    )
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "perf_event_open failed")
    return descriptor


def explain(error: int, event: str) -> str:
    """What an error of perf_event_open means, and what helps."""
    if error in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
        return (
            f"this CPU shows no counter of {event}; in a virtual machine, the host must pass its"
            " performance counters through"
        )
    if error in (errno.EACCES, errno.EPERM):
        level = _PARANOID.read_text().strip() if _PARANOID.exists() else "not readable"
        return (
            f"not permitted: {_PARANOID} is {level}, and must be 2 or less"
            " (sudo sysctl kernel.perf_event_paranoid=2); a container also needs CAP_PERFMON"
        )
    if error == errno.ENOSYS:
        return "this kernel, or the sandbox around this process, has no perf_event_open"
    return f"perf_event_open failed: {os.strerror(error)}"
