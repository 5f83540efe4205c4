"""The scheduler's structures: no two share a word, and lines are what the table says."""

import pytest

from vmlab.kernels.scheduler.layout import (
    MAX_WORKERS,
    RING_SLOTS,
    STRUCTURES,
    TRANSITIONS,
    Scheduler,
    Status,
    Task,
    Worker,
)
from vmlab.kernels.scheduler.structures import LINE_BYTES, Sharing

TABLES = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.name)


@TABLES
def test_fields_do_not_overlap(structure):
    end = 0
    for place in structure.places.values():
        assert place.offset >= end
        end = place.offset + 8 * place.field.words
    assert end <= structure.bytes


@TABLES
def test_a_line_of_the_table_begins_a_cache_line(structure):
    for line in structure.lines:
        assert structure.places[line.fields[0].name].offset % LINE_BYTES == 0


def test_a_switch_touches_one_line_of_a_task():
    switched = ("next", "status", "frame", "entry", "worker", "value", "ok", "awaited")
    assert {Task.places[name].line for name in switched} == {0}
    assert Task.bytes == 2 * LINE_BYTES


def test_what_others_write_is_in_no_line_of_the_workers_own():
    shared = {p.line for p in Worker.places.values() if p.field.sharing is not Sharing.OWNED}
    own = {p.line for p in Worker.places.values() if p.field.sharing is Sharing.OWNED}
    assert not shared & own
    assert Worker.bytes % LINE_BYTES == Scheduler.bytes % LINE_BYTES == 0


def test_every_status_can_be_reached_and_left():
    for status in Status:
        assert any(status is before for before, _, _ in TRANSITIONS)
        assert any(status is after for _, after, _ in TRANSITIONS)


def test_bounds():
    assert RING_SLOTS & (RING_SLOTS - 1) == 0
    assert MAX_WORKERS <= 32  # a bit each in half a word
