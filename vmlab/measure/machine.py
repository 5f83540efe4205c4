"""What machine this is, as far as it shapes times, and what about it disturbs them."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_CPU = Path("/sys/devices/system/cpu")
_CPU_INFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_DISTURBING_LOAD = 0.5


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing about the machine: a value, or why it could not be read."""

    label: str
    value: str | int | float | None = None
    unreadable: str | None = None

    def __str__(self) -> str:
        return f"not readable: {self.unreadable}" if self.value is None else str(self.value)


class _Unreadable(Exception):
    """The message says why."""


def describe_machine() -> dict[str, Fact]:
    """The facts by their keys in the JSON report. Nothing that names its owner is among them."""
    return {key: _fact(label, read) for key, label, read in _FACTS}


def _fact(label: str, read: Callable[[], str | int | float]) -> Fact:
    try:
        return Fact(label, value=read())
    except _Unreadable as reason:
        return Fact(label, unreadable=str(reason))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError as error:
        raise _Unreadable(f"{path}: {error.strerror}") from None


def _cpu_info(*keys: str) -> str:
    """The value of the first of these keys that /proc/cpuinfo has."""
    lines = (line.partition(":") for line in _text(_CPU_INFO).splitlines())
    values = {key.strip(): value.strip() for key, _, value in reversed(list(lines))}
    for key in keys:
        if values.get(key):
            return values[key]
    raise _Unreadable(f"{_CPU_INFO} has no {' or '.join(keys)}")


def _cpu() -> str:
    try:
        return _cpu_info("model name", "Model", "cpu", "uarch")
    except _Unreadable as reason:
        if name := platform.processor():
            return name
        raise reason from None


def _llvm_cpu() -> str:
    return str(_llvm().get_host_cpu_name())


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return _logical_cpus()


def _logical_cpus() -> int:
    count = os.cpu_count()
    if count is None:
        raise _Unreadable("the system does not tell")
    return count


def _smt() -> str:
    active = _text(_CPU / "smt" / "active")
    return {"0": "off", "1": "on"}.get(active, active)


def _governor() -> str:
    return _text(_CPU / "cpu0" / "cpufreq" / "scaling_governor")


def _boost() -> str:
    """AMD and ACPI drivers have a switch for boost, Intel's one for no boost."""
    no_turbo = _CPU / "intel_pstate" / "no_turbo"
    if no_turbo.exists():
        return "off" if _text(no_turbo) == "1" else "on"
    return "on" if _text(_CPU / "cpufreq" / "boost") == "1" else "off"


def _load() -> float:
    if not hasattr(os, "getloadavg"):
        raise _Unreadable(f"{platform.system()} keeps no load average")
    try:
        return round(os.getloadavg()[0], 2)
    except OSError as error:
        raise _Unreadable(error.strerror or "getloadavg failed") from None


def _quota() -> str | float:
    """The CPUs that the control groups of this process allow, or "none" for no limit: the tightest
    limit on the way to the root."""
    quotas: list[float] = []
    for line in _text(_MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts, read = (_CGROUP, _CGROUP / "unified"), _quota_v2
        elif "cpu" in controllers.split(","):
            mounts, read = (_CGROUP / controllers, _CGROUP / "cpu"), _quota_v1
        else:
            continue
        for mount in mounts:
            # In a container the path may not exist below the mount; then its root is the group.
            group = mount / path.lstrip("/")
            for place in (group, *group.parents[: len(group.relative_to(mount).parts)]):
                quota = read(place)
                if quota is not None:
                    quotas.append(quota)
    if not quotas:
        raise _Unreadable("no control group of this process has a CPU quota file")
    return "none" if min(quotas) == math.inf else round(min(quotas), 2)


def _quota_v2(group: Path) -> float | None:
    """CPUs, inf for no limit; None where the group has no such file."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return math.inf if quota == "max" else int(quota) / int(period)


def _quota_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return math.inf if quota < 0 else quota / period


def _virtualisation() -> str:
    kinds = []
    for file in (Path("/sys/hypervisor/type"), Path("/sys/class/dmi/id/product_name")):
        if file.exists():
            kinds.append(_text(file))
            break
    if platform.machine() in ("x86_64", "AMD64"):
        guest = "hypervisor" in _cpu_info("flags").split()
        kinds.insert(0, "virtual machine" if guest else "none")
    elif not kinds:
        raise _Unreadable(f"{platform.machine()} does not tell, and there is no firmware table")
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        kinds.append("container")
    return ", ".join(kinds)


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        raise _Unreadable("not installed") from None


def _llvm() -> Any:
    try:
        from llvmlite import binding
    except (ImportError, OSError) as error:
        raise _Unreadable(f"llvmlite cannot be imported: {error}") from None
    return binding


def _llvm_version() -> str:
    return ".".join(map(str, _llvm().llvm_version_info))


def _kernels() -> str:
    try:
        from vmlab.kernels.native import fingerprint
    except (ImportError, OSError) as error:
        raise _Unreadable(f"the engines cannot be imported: {error}") from None
    return str(fingerprint())


_FACTS: tuple[tuple[str, str, Callable[[], str | int | float]], ...] = (
    ("cpu", "CPU", _cpu),
    ("cpu_llvm", "CPU, LLVM's name", _llvm_cpu),
    ("architecture", "architecture", platform.machine),
    ("logical_cpus", "logical CPUs", _logical_cpus),
    ("usable_cpus", "CPUs this process may use", _usable_cpus),
    ("smt", "simultaneous multithreading", _smt),
    ("governor", "frequency governor", _governor),
    ("boost", "frequency boost", _boost),
    ("cpu_quota", "CPU quota of the control group", _quota),
    ("virtualisation", "virtualisation", _virtualisation),
    ("load", "load, average of the last minute", _load),
    ("system", "operating system", lambda: f"{platform.system()} {platform.release()}"),
    ("python", "Python", lambda: f"{platform.python_implementation()} {platform.python_version()}"),
    ("numba", "Numba", lambda: _package("numba")),
    ("llvmlite", "llvmlite", lambda: _package("llvmlite")),
    ("llvm", "LLVM", _llvm_version),
    ("numpy", "NumPy", lambda: _package("numpy")),
    ("kernels", "engines, digest of their sources", _kernels),
)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something about the machine that makes times less reliable, and what to do about it.
    `grave` ones widen intervals at once and are worth a warning beside a result."""

    what: str
    remedy: str
    grave: bool


def disturbances(machine: Mapping[str, Fact]) -> Iterator[Disturbance]:
    """What in a description of a machine disturbs measurements on it."""

    def value(key: str) -> str | int | float | None:
        return machine[key].value

    load, cpus, quota = value("load"), value("usable_cpus"), value("cpu_quota")
    if isinstance(load, float) and isinstance(cpus, int) and load > cpus - _DISTURBING_LOAD:
        yield Disturbance(
            f"the machine is busy: load {load} on {cpus} usable CPUs",
            "stop what else is running, or wait for it",
            grave=True,
        )
    if isinstance(quota, float) and quota < 1:
        yield Disturbance(
            f"the control group allows {quota} of a CPU, so the process is stopped again and again",
            "raise the quota (docker run --cpus, systemd CPUQuota=)",
            grave=True,
        )
    governor = value("governor")
    if governor is not None and governor != "performance":
        yield Disturbance(
            f"the frequency governor is '{governor}': the clock rate changes with the load",
            "sudo cpupower frequency-set -g performance",
            grave=False,
        )
    if value("boost") == "on":
        yield Disturbance(
            "frequency boost is on: the clock rate changes with temperature",
            "switch boost off for the measurement; ratios within a run hardly need it",
            grave=False,
        )
    if value("smt") == "on":
        yield Disturbance(
            "simultaneous multithreading is on: a neighbour may share the core",
            "leave the sibling idle, or switch it off (echo off | sudo tee "
            f"{_CPU / 'smt' / 'control'})",
            grave=False,
        )
    if str(value("virtualisation")).startswith("virtual machine"):
        yield Disturbance(
            "this is a virtual machine: its host may take the CPU away without a trace",
            "compare ratios, not times; measure on bare metal where times matter",
            grave=False,
        )
