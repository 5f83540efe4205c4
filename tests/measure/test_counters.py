"""Hardware counters. Page faults and the CPU clock are counted by the kernel, so that the reader
can be tested where a virtual machine hides its counters."""

import errno
import mmap
import os
import sys

import pytest

from vmlab.measure import counters
from vmlab.measure.counters import EVENTS, CounterGroup, Event, Reading, explain, probe_counters

SOFTWARE = 1  # PERF_TYPE_SOFTWARE
PAGE_FAULTS = Event("page faults", SOFTWARE, 2)
MINOR_FAULTS = Event("minor faults", SOFTWARE, 5)
CPU_CLOCK = Event("CPU clock", SOFTWARE, 0, always=True)
NO_SUCH = Event("dragons", SOFTWARE, 999)

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="perf_event_open is Linux's"
)


def test_counters_are_there_or_there_is_a_reason():
    found = probe_counters()
    assert found.available is (found.reason is None)


@linux
def test_the_system_call_is_made_right(monkeypatch):
    """Unless the process may not count at all."""
    monkeypatch.setattr(counters, "EVENTS", {"clock": CPU_CLOCK})
    found = probe_counters()
    assert (
        found.available or "not permitted" in found.reason or "no perf_event_open" in found.reason
    )


@linux
def test_a_group_counts_what_happens_between_two_states():
    pages = 500
    events = {"faults": PAGE_FAULTS, "dragons": NO_SUCH, "minor": MINOR_FAULTS}
    with CounterGroup(events) as group:
        if "faults" in group.reasons:
            pytest.skip(group.reasons["faults"])
        memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        before = group.state()
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
        readings = group.between(before, group.state())
    assert list(readings) == ["faults", "dragons", "minor"]
    assert pages <= readings["faults"].count < pages + 50
    assert readings["minor"] == readings["faults"]
    assert readings["faults"].share == 1.0
    assert readings["dragons"].count is None
    assert "no counter of dragons" in readings["dragons"].reason


@pytest.fixture
def opened(monkeypatch):
    """A group that has counters of its three events, without a system that counts."""
    descriptors = iter(range(1000, 2000))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(counters, "_open", lambda *_: next(descriptors))
    monkeypatch.setattr(os, "close", lambda _: None)
    events = {key: EVENTS[key] for key in ("instructions", "cycles", "branch_misses")}
    with CounterGroup(events) as group:
        yield group


def test_counts_are_scaled_by_the_time_in_which_they_ran(opened):
    readings = opened.between((3, 1000, 600, 10, 20, 30), (3, 3000, 1100, 110, 70, 30))
    assert readings == {
        "instructions": Reading(400, None, 0.25),
        "cycles": Reading(200, None, 0.25),
        "branch_misses": Reading(0, None, 0.25),
    }


def test_a_group_that_never_runs_has_no_counts(opened):
    readings = opened.between((3, 1000, 0, 0, 0, 0), (3, 3000, 0, 0, 0, 0))
    assert [reading.count for reading in readings.values()] == [None] * 3
    assert "never got its turn" in readings["cycles"].reason


def test_an_event_that_cannot_be_0_and_is_has_no_count(opened):
    readings = opened.between((3, 0, 0, 0, 0, 0), (3, 1000, 1000, 5, 0, 0))
    assert readings["instructions"].count == 5
    assert readings["cycles"] == Reading(None, "the counter of cycles opens but stays at 0")
    assert readings["branch_misses"].count == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errno.ENOENT, "this CPU shows no counter of cycles"),
        (errno.EACCES, "sysctl kernel.perf_event_paranoid=2"),
        (errno.ENOSYS, "has no perf_event_open"),
        (errno.EMFILE, os.strerror(errno.EMFILE)),
    ],
)
def test_errors_are_explained(error, reason):
    assert reason in explain(error, "cycles")


def test_other_systems_have_no_counters(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    reason = "perf_event_open is Linux's; this is darwin"
    assert probe_counters().reason == reason
    with CounterGroup() as group:
        assert not group.counts_anything
        assert group.reasons == dict.fromkeys(EVENTS, reason)
