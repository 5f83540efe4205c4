"""Whether hardware counters can be read here, found out by reading them."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

# Linux, include/uapi/linux/perf_event.h
_TYPE_HARDWARE = 0
_EVENTS = {"cycles": 0, "instructions": 1}
_ATTRIBUTE_BYTES = 64  # PERF_ATTR_SIZE_VER0
_EXCLUDE_KERNEL_AND_HYPERVISOR = 1 << 5 | 1 << 6
_CLOSE_ON_EXEC = 8

_SYSCALL_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}

_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")


@dataclass(frozen=True, slots=True)
class Counters:
    """Whether this process may count its own cycles and instructions; if not, why."""

    available: bool
    reason: str | None = None


def probe_counters() -> Counters:
    """Open a counter of cycles and one of instructions in user mode, and read both."""
    if not sys.platform.startswith("linux"):
        return Counters(False, f"perf_event_open is Linux's; this is {sys.platform}")
    number = _SYSCALL_NUMBERS.get(platform.machine())
    if number is None:
        return Counters(
            False, f"the number of perf_event_open on {platform.machine()} is not known"
        )
    for event, config in _EVENTS.items():
        reason = _try(number, event, config)
        if reason is not None:
            return Counters(False, reason)
    return Counters(True)


def _try(number: int, event: str, config: int) -> str | None:
    """Count an event during some work. The reason if that does not do."""
    attribute = struct.pack(
        "=IIQQQQQIIQ",
        _TYPE_HARDWARE, _ATTRIBUTE_BYTES, config, 0, 0, 0, _EXCLUDE_KERNEL_AND_HYPERVISOR, 0, 0, 0,
    )  # fmt: skip
    libc = ctypes.CDLL(None, use_errno=True)
    this_process, any_cpu, no_group = 0, -1, -1
    descriptor = libc.syscall(
        ctypes.c_long(number),
        ctypes.c_char_p(attribute),
        ctypes.c_int(this_process),
        ctypes.c_int(any_cpu),
        ctypes.c_int(no_group),
        ctypes.c_ulong(_CLOSE_ON_EXEC),
    )
    if descriptor < 0:
        return explain(ctypes.get_errno(), event)
    try:
        sum(range(1000))
        (count,) = struct.unpack("=Q", os.read(descriptor, 8))
    finally:
        os.close(descriptor)
    return None if count else f"the counter of {event} opens but stays at 0"


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
