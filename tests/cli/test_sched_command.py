"""sched: the real kernel beside systems that are made up."""

import json
from pathlib import Path

import jsonschema
import pytest

from vmlab.measure import sched_go, sched_native, scheduling
from vmlab.measure.scheduling import BATCH, Operation, System, Unavailable
from vmlab.report.sched_report import schema


class FakeGo(System):
    """Takes a microsecond for everything."""

    def __init__(self, workers):
        self.workers = workers
        self.name = f"Go, GOMAXPROCS={workers}"

    def version(self):
        return "go0"

    def measure(self, operation, samples):
        return None if operation is Operation.WAKE else [1000.0] * samples


class Absent(System):
    name = "absent"

    def measure(self, operation, samples):
        raise Unavailable("it is not installed: install it")


@pytest.fixture
def sched(vmlab, monkeypatch):
    monkeypatch.setattr(scheduling, "_SAMPLES", 5)
    monkeypatch.setattr(scheduling, "_WORK_TASKS", 20)
    monkeypatch.setattr(sched_native, "_PARKED_TASKS", 1_000)
    monkeypatch.setattr(scheduling, "others", lambda: [FakeGo(1), FakeGo(2), Absent()])
    return lambda *options: vmlab("sched", "--quick", *options)


def test_the_table_has_a_row_for_every_operation_and_system(sched):
    result = sched()
    assert result.exit_code == 0
    for operation in Operation:
        assert operation.value in result.stdout
    assert result.stdout.count("vmlab, single-worker  ") == len(Operation) - 1
    assert result.stdout.count("vmlab, M:N, 2 workers  ") == len(Operation)
    assert "no absent: it is not installed: install it" in result.stdout
    assert "versions: Go, GOMAXPROCS=1 go0" in result.stdout
    assert "no preemption" in result.stdout


def test_json_follows_its_schema(sched):
    result = sched("--json")
    data = json.loads(result.stdout)
    jsonschema.validate(data, schema())
    cells = {(cell["operation"], cell["system"]): cell for cell in data["cells"]}
    assert cells["launch", "absent"]["reason"] == "it is not installed: install it"
    launch = cells["launch", "vmlab, single-worker"]
    assert [len(samples) for samples in launch["samples"]] == [10] * 11
    distribution = launch["distribution"]
    assert distribution["count"] == 110
    assert distribution["p50"] <= distribution["p99"]
    assert launch["ratio"]["low"] <= launch["ratio"]["median"] <= launch["ratio"]["high"]
    parked = cells["parked", "vmlab, M:N, 1 worker"]
    assert 0 < parked["distribution"]["p50"] <= 256
    assert list(data["stages"]["vmlab, single-worker"]) == [
        "descriptor", "argument block", "status", "queue",
    ]  # fmt: skip
    assert len(data["speedups"]) == len(data["bare_speedups"]) == 11


def test_a_report_in_a_file(sched):
    result = sched("--output", "sched.json")
    jsonschema.validate(json.loads(Path("sched.json").read_text()), schema())
    assert "Written to sched.json" in result.stderr
    assert "clock: the time stamp counter" in result.stderr


def test_another_layout(sched):
    result = sched("--format", "github")
    rows = result.stdout.splitlines()
    assert rows[0].startswith("| operation")
    assert all(row.split("|")[1].strip() for row in rows[2:])  # each row says what it is of


@pytest.mark.parametrize("system", scheduling.others(), ids=lambda system: system.name)
def test_the_systems_that_are_installed(system):
    try:
        samples = system.measure(Operation.LAUNCH, 10)
    except Unavailable as error:
        pytest.skip(str(error))
    assert len(samples) == 10
    assert system.version()
    for operation in Operation:
        if operation is not Operation.PARKED:
            found = system.measure(operation, 10)
            assert found is None or len(found) == 10


def test_without_go_the_message_says_what_would_help(monkeypatch):
    sched_go.built.cache_clear()
    monkeypatch.setattr(sched_go.shutil, "which", lambda *_, **__: None)
    with pytest.raises(Unavailable, match=r"pip install 'vmlab\[peers\]'"):
        sched_go.Go(1).measure(Operation.YIELD, 10)


def test_a_distribution():
    found = scheduling.Distribution.of([1.0, 2.0, 2.0, 3.0, 100.0])
    assert (found.count, found.p50, found.p99, found.mad) == (5, 2.0, 100.0, 1.0)
    assert found.deviation == pytest.approx(39.2, abs=0.1)


def test_the_clock_is_subtracted():
    clock = scheduling.Clock(nanoseconds_a_tick=0.5, cost_ticks=20, resolution_ticks=1)
    assert clock.nanoseconds([20, 20 + 2 * BATCH], BATCH) == [0.0, 1.0]
