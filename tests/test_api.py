"""What `import vmlab` gives."""

import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from fakes import PROGRAM, Script, engines

import vmlab
from vmlab.attribution import SEQUENTIAL
from vmlab.outcome import Limits


def test_load_run_and_compare():
    program = vmlab.load("sieve")
    assert program.run(engine="inlined", n=100).result == 25
    comparison = vmlab.compare(program, ["inlined", "template"], {"n": 100}, quick=True)
    assert [row.engine.name for row in comparison.rows] == ["inlined", "template"]
    assert str(comparison).startswith("engine ")


def test_explain():
    scripts = {name: Script() for name in SEQUENTIAL.engines}
    missing = patch("vmlab.measure.explain.measure_opcodes", return_value="not looked at")
    with engines(**scripts), missing:
        explanation = vmlab.explain(PROGRAM, {"n": 3}, rounds=10)
    assert len(explanation.attribution.rows) == len(SEQUENTIAL.mechanisms)
    assert explanation.opcodes == "not looked at"
    assert str(explanation).startswith("mechanism ")
    with pytest.raises(ValueError, match="9 rounds for 16 costs: too few"):
        vmlab.explain(PROGRAM, rounds=9)


def test_assemble():
    program = vmlab.assemble("func main() -> int\n    push 3\n    ret\nend\n")
    assert program.run().result == 3


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("int", 2**63, "9223372036854775808 does not fit in 64 bits"),
        ("int", 1.0, "is an int, not 1.0"),
        ("int", True, "is an int, not True"),
        ("float", True, "is a float, not True"),
        ("float", "1.5", "is a float, not '1.5'"),
        ("float", 10**400, "no float is so large"),
    ],
)
def test_arguments_of_another_type_are_refused(type_, value, message):
    program = vmlab.assemble(f"func main(x: {type_})\n    ret\nend\n")
    with pytest.raises(ValueError) as info:
        program.run(x=value)
    assert "main's parameter 'x'" in str(info.value)
    assert message in str(info.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vmlab.compare("sieve"), "program must be what vmlab.load"),
        (lambda: vmlab.explain("sieve"), "program must be what vmlab.load"),
        (lambda: vmlab.compare(PROGRAM, "switch"), "engines must be a list of names"),
        (lambda: vmlab.compare(PROGRAM, 5), "engines must be a list of names"),
        (lambda: vmlab.compare(PROGRAM, [5]), "engine must be the name of one"),
        (lambda: vmlab.compare(PROGRAM, args="n=1"), "args must be a dict"),
        (lambda: vmlab.explain(PROGRAM, ["switch"]), "args must be a dict"),
        (lambda: vmlab.compare(PROGRAM, rounds=15.5), "rounds must be an int, not 15.5"),
        (lambda: vmlab.compare(PROGRAM, seed="x"), "seed must be an int"),
        (lambda: vmlab.compare(PROGRAM, limits={"fuel": 1}), "limits must be of the type"),
        (lambda: PROGRAM.compile(limits=3), "limits must be of the type"),
        (lambda: PROGRAM.run(["switch"]), "engine must be the name of one"),
        (lambda: Limits(fuel=1.5), "fuel must be an int, not 1.5"),
        (lambda: Limits(timeout="2"), "timeout must be seconds"),
        (lambda: vmlab.load(None), "name_or_path must be"),
        (lambda: vmlab.assemble(Path("sieve.vm")), "text must be that of a program"),
        (lambda: vmlab.assemble(b"x" * 100), "<class 'bytes'>"),
    ],
)
def test_arguments_of_undocumented_types_are_refused(call, message):
    with pytest.raises(TypeError) as info:
        call()
    assert message in str(info.value)


def test_a_group_is_no_engine_to_run_on():
    with pytest.raises(ValueError, match="'ladder' is a group of engines; name one: inlined,"):
        PROGRAM.run("ladder")


def test_a_path_may_be_an_object_and_a_text_is_no_path(tmp_path):
    path = tmp_path / "four.vm"
    path.write_text(PROGRAM.source.text)
    assert vmlab.load(path) == PROGRAM
    for text in (PROGRAM.source.text, PROGRAM.source.text * 1000):
        with pytest.raises(ValueError, match="neither a name nor a path"):
            vmlab.load(text)
    for name in ("", "x" * 5000, "x\0"):
        with pytest.raises(ValueError, match="is neither a file nor a program of the corpus"):
            vmlab.load(name)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'vmlab' has no attribute 'lod'"):
        vmlab.lod  # noqa: B018


def test_importing_it_imports_nothing_else_of_it(tmp_path):
    script = "import sys, vmlab; print([m for m in sys.modules if m.startswith('vmlab.')])"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout == "[]\n"
