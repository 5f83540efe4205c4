"""list and doctor."""

import json
from pathlib import Path

import pytest
from fakes import Script, engines

import vmlab as package
from vmlab import corpus
from vmlab.cli import exits
from vmlab.engines import ENGINES, PARTS, find
from vmlab.measure.machine import describe_machine
from vmlab.outcome import Outcome

# list


def test_list_has_every_program_and_every_engine(vmlab):
    result = vmlab("list")
    assert (result.exit_code, result.stderr) == (0, "")
    programs, _, engines_, parts = result.stdout.split("\n\n")
    assert [line.split()[0] for line in programs.splitlines()[2:]] == corpus.names()
    assert [line.split()[0] for line in engines_.splitlines()[2:]] == list(ENGINES)
    for name in corpus.names():
        assert corpus.summary(name) in programs
    for engine in ENGINES.values():
        assert engine.adds in engines_
    assert [line.split()[0] for line in parts.splitlines()[2:]] == list(PARTS)
    assert all(
        line.endswith("inlined, template") for line in parts.splitlines() if "stackful" in line
    )


def test_list_as_json(vmlab):
    listed = json.loads(vmlab("list", "--json").stdout)
    assert [p["name"] for p in listed["programs"]] == corpus.names()
    for program in listed["programs"]:
        assert Path(program["path"]).read_text().startswith(f"; {program['name']}.vm: ")
        assert program["summary"] == corpus.summary(program["name"])
    assert listed["engines"] == [
        {"name": e.name, "adds": e.adds, "beside": e.beside} for e in ENGINES.values()
    ]
    assert [part["name"] for part in listed["parts"]] == list(PARTS)
    for part in listed["parts"]:
        for base in part["to"]:
            assert find(f"{base}+{part['name']}").adds == part["adds"]


# doctor


def test_doctor_looks_over_everything(vmlab):
    result = vmlab("doctor")
    assert result.exit_code == 0
    for fact in describe_machine().values():
        assert fact.label in result.stdout
    for label in ("hardware counters", "directory", "size", "writable"):
        assert label in result.stdout
    for name in ENGINES:
        assert f"  {name} " in result.stdout
    assert result.stdout.count(" works") == len(ENGINES)
    assert "what would disturb a measurement" in result.stdout


def test_doctor_as_json(vmlab, monkeypatch, tmp_path):
    monkeypatch.setenv("VMLAB_CACHE_DIR", str(tmp_path / "cache"))
    for folder, size in (("0123456789abcdef", 1000), ("go", 100), ("photos", 10)):
        (tmp_path / "cache" / folder).mkdir(parents=True)
        (tmp_path / "cache" / folder / "file").write_bytes(b"x" * size)
    with engines(good=Script(outcome=Outcome(42, (), None, 4), compile_seconds=0.5)):
        report = json.loads(vmlab("doctor", "--json").stdout)
    assert report["vmlab"] == package.__version__
    assert report["machine"].keys() == describe_machine().keys()
    assert report["counters"].keys() == {"available", "reason"}
    assert report["cache"] == {
        "directory": str(tmp_path / "cache"),
        "bytes": 1110,
        "stale_bytes": 1000,
        "unwritable": None,
    }
    assert report["engines"][0] == {
        "engine": "good",
        "fault": None,
        "compile_seconds": 0.5,
        "from_cache": False,
    }
    assert all(d.keys() == {"what", "remedy", "grave"} for d in report["advice"])


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (Script(unavailable="no such CPU"), "does not work: no such CPU"),
        (Script(outcome=Outcome(41, (), None, 4)), "does not work: wrong result"),
    ],
)
def test_doctor_finds_engines_that_do_not_work(vmlab, script, fault):
    answers = Script(outcome=Outcome(42, (), None, 4))
    with engines(bad=script, reference=answers):
        result = vmlab("doctor")
    assert result.exit_code == exits.DIFFERS
    assert fault in result.stdout
    assert "reference  works" in result.stdout


def test_doctor_finds_a_cache_that_cannot_be_written(vmlab, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VMLAB_CACHE_DIR", str(tmp_path / "file"))
    with engines(reference=Script(outcome=Outcome(42, (), None, 4))):
        result = vmlab("doctor")
    assert result.exit_code == 0
    assert "no: Not a directory" in result.stdout
    assert "VMLAB_CACHE_DIR" in result.stdout


def test_what_a_command_does_is_listed_whole(vmlab):
    commands = vmlab("--help").stdout.partition("Commands:")[2]
    assert "  list   " in commands
    assert "..." not in commands
