"""sched: the real kernel beside systems that are made up."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest

from vmlab.kernels.tasks import SEGMENT_LISTS
from vmlab.measure import sched_go, sched_native, sched_vm, scheduling
from vmlab.measure.sched_memory import bytes_parked
from vmlab.measure.sched_systems import BATCH, STAGES, Clock, Operation, System, Unavailable
from vmlab.outcome import Limits
from vmlab.report.sched_report import schema, typical
from vmlab.scheduling import ABSENT, Cell, Distribution


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
    monkeypatch.setattr(scheduling, "others", lambda _: [FakeGo(1), FakeGo(2), Absent()])
    return lambda *options: vmlab("sched", "--quick", *options)


def test_the_table_has_a_row_for_every_operation_and_system(sched):
    result = sched()
    assert result.exit_code == 0
    for operation in Operation:
        assert operation.value in result.stdout
    # One worker wakes none that sleeps, and frames do not grow.
    assert result.stdout.count("vmlab, single-worker  ") == len(Operation) - 2
    assert result.stdout.count("vmlab, M:N, 2 workers  ") == 7
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
    for stage in STAGES:
        assert cells[stage.name.lower(), "vmlab, single-worker"]["distribution"]["count"] == 110
    assert cells["growth", "vmlab, single-worker"]["reason"] == ABSENT
    for work in (data["work"], data["bare_work"]):
        assert len(work["speedups"]) == len(work["processor_time"]) == 11 * 4


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


def test_a_picture_beside_the_report(sched):
    result = sched("--plot", "sched.svg", "--output", "sched.json")
    assert json.loads(Path("sched.json").read_text())["rounds"] == 11
    assert result.exit_code == 0
    words = Path("sched.svg").read_text()
    for operation in Operation:
        assert f"<!-- {operation.value} -->" in words
    assert "Go, GOMAXPROCS=1" in words
    assert "nanoseconds an operation" in words


@pytest.mark.parametrize(
    "options, message",
    [
        (["--plot", "-"], "needs a file"),
        (["--plot", "x.txt"], "does not end in .svg, .png or .pdf"),
        (["--plot", "x.png", "--output", "x.png"], "the same file"),
        (["--plot", "x.png", "--output", "./x.png"], "the same file"),
        (["--plot", "none/x.png"], "cannot write 'none/x.png'"),
    ],
)
def test_a_picture_that_cannot_be(vmlab, options, message):
    result = vmlab("sched", *options)
    assert result.exit_code == 2
    assert message in result.stderr


CLOCK = Clock(nanoseconds_a_tick=0.5, cost_ticks=20, resolution_ticks=1)


@pytest.mark.parametrize("system", scheduling.others(CLOCK), ids=lambda system: system.name)
def test_the_systems_that_are_installed(system):
    try:
        samples = system.measure(Operation.LAUNCH, 10)
    except Unavailable as error:
        pytest.skip(str(error))
    assert len(samples) == 10
    assert system.version() or isinstance(system, sched_vm.VirtualMachine)  # vmlab's own
    for operation in Operation:
        if operation is not Operation.PARKED:
            found = system.measure(operation, 10)
            assert found is None or len(found) == 10


def test_without_go_the_message_says_what_would_help(monkeypatch):
    sched_go.built.cache_clear()
    monkeypatch.setattr(sched_go.shutil, "which", lambda *_, **__: None)
    with pytest.raises(Unavailable, match=r"pip install 'vmlab\[peers\]'"):
        sched_go.Go(1).measure(Operation.YIELD, 10)


def test_a_go_program_that_fails_says_why(monkeypatch, tmp_path):
    program = tmp_path / "fails"
    program.write_text("#!/bin/sh\necho out of memory >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setattr(sched_go, "built", lambda: (program, "go0"))
    with pytest.raises(Unavailable, match="its program failed: out of memory"):
        sched_go.Go(1).measure(Operation.YIELD, 10)


def test_a_system_that_fails_in_a_later_round_has_no_samples():
    """Else its ratios would be of fewer rounds than the bounds need."""

    class Failing(System):
        name = "failing"

        def measure(self, operation, samples):
            if len(cell.rounds) == 2:
                raise Unavailable("no more threads")
            return [1.0] * samples

    cell = Cell()
    for _ in range(4):
        scheduling._measure(Failing(), Operation.LAUNCH, cell)
    assert (cell.rounds, cell.reason) == ([], "no more threads")


def test_a_distribution():
    found = Distribution.of([1.0, 2.0, 2.0, 3.0, 100.0])
    assert (found.count, found.p50, found.p99, found.mad) == (5, 2.0, 100.0, 1.0)
    # By the nearest rank: one sample of a hundred lies above.
    assert Distribution.of(range(1, 101)).p99 == 99
    assert Distribution.of(range(1, 102)).p99 == 100
    assert found.deviation == pytest.approx(39.2, abs=0.1)


def test_the_clock_is_subtracted():
    assert CLOCK.nanoseconds([20, 20 + 2 * BATCH], BATCH) == [0.0, 1.0]


def test_what_the_clock_does_not_see_is_below_its_resolution():
    clock = Clock(nanoseconds_a_tick=0.5, cost_ticks=20, resolution_ticks=26)
    assert typical(Distribution.of([0.0, 0.0, 13.0]), clock) == "< 13.0"
    assert typical(Distribution.of([0.0, 1.0, 13.0]), clock) == "1.00"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "system, package", [("greenlet", "greenlet"), ("lua", "lupa"), ("asyncio", "asyncio"),
                        ("threads", "threading"), ("vm", "vmlab")],
)  # fmt: skip
def test_the_memory_of_tasks_that_wait(system, package):
    pytest.importorskip(package)
    assert 100 < bytes_parked(system, 50 if system == "threads" else 20_000) < 200_000


def test_memory_that_cannot_be_measured_says_why():
    with pytest.raises(Unavailable, match="KeyError: 'nonsense'"):
        bytes_parked("nonsense", 1)


@pytest.mark.parametrize("depth, grown_to", [(sched_vm._BELOW, 256), (sched_vm._ABOVE, 512)])
def test_between_the_depths_the_stack_of_a_vm_program_grows_once(depth, grown_to):
    grown = sched_vm._executable(Operation.GROWTH)
    assert grown.call((3, depth, 2), Limits()).outcome.trap is None
    context = grown.state.context
    used = (context.fresh_segment - context.segments) // 8 - SEGMENT_LISTS
    assert used == 2 * grown_to - 128  # of 128, 256 ... words, used again by the next task


def test_what_the_kernel_wakes_is_run_by_another_worker():
    """While the one that wakes it stays busy: else the test would not end."""
    two = sched_native.NativeScheduler(2, True, CLOCK)
    assert all(sample > 0 for sample in two.measure(Operation.WAKE, 20))
