"""superinstructions."""

import json

from vmlab.cli import exits


def test_a_table_of_what_is_joined_and_of_its_validation(vmlab):
    result = vmlab("superinstructions", "divides.vm", "gcd")
    assert result.exit_code == 0
    joined, left = result.stdout.split("\n\n")
    assert joined.startswith("joined ")
    assert "saves of all dispatches" in joined
    assert [line.split()[0] for line in left.splitlines()[2:]] == ["divides.vm", "gcd", "mean"]


def test_the_tables_have_the_format_that_is_asked_for(vmlab):
    result = vmlab("superinstructions", "divides.vm", "gcd", "--format", "github")
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = result.stdout.split("\n\n")
    assert all(line.startswith("| ") for line in first.splitlines()[2:])
    assert all(line.startswith("| ") for line in second.splitlines()[2:])


def test_json_is_what_the_engine_reads(vmlab, tmp_path, monkeypatch):
    from vmlab.kernels import superinstructions

    result = vmlab("superinstructions", "divides.vm", "gcd", "--output", "choice.json")
    assert (result.exit_code, result.stdout) == (0, "")
    data = json.loads((tmp_path / "choice.json").read_text())
    assert {row["program"] for row in data["dispatches_per_instruction"]} == {"divides.vm", "gcd"}
    shares = [row["saved_share"] for row in data["joined"]]
    assert shares
    assert all(0 < share < 1 for share in shares)
    monkeypatch.setattr(superinstructions, "FILE", tmp_path / "choice.json")
    assert len(superinstructions.chosen()) == len(shares)
    again = vmlab("superinstructions", "divides.vm", "gcd", "--json")
    assert json.loads(again.stdout) == data


def test_a_program_must_have_something_to_run(vmlab):
    result = vmlab("superinstructions", "endless.vm")
    assert result.exit_code == exits.USAGE
    assert result.stderr == "Error: endless.vm has no expect line to run\n"


def test_programs_with_tasks_are_measured_if_they_are_named(vmlab):
    result = vmlab("superinstructions", "ring", "--json")
    assert result.exit_code == 0
    assert "recv.chan[int]" in {
        row["second"].split()[-1] for row in json.loads(result.stdout)["joined"]
    }
