"""Every kind of diagnostic: a program in tests/golden/KIND.vm, the exact message in KIND.txt. And
files with several mistakes, as they are made: in tests/golden/files, all errors in short.

`pytest --update-golden` writes the messages anew; read the difference before committing it.
"""

from pathlib import Path
from typing import get_args

import pytest

from vmlab import verifier
from vmlab.assembler import load
from vmlab.diagnostics import Kind, ProgramError

GOLDEN = Path(__file__).parent.parent / "golden"
KINDS = get_args(Kind)
FILES = sorted((GOLDEN / "files").glob("*.vm"))


@pytest.mark.parametrize("kind", KINDS)
def test_message(kind, request, monkeypatch):
    monkeypatch.chdir(GOLDEN)  # messages name the path as it was given
    if kind == "frame-too-large":
        monkeypatch.setattr(verifier, "MAX_FRAME_WORDS", 8)
    with pytest.raises(ProgramError) as raised:
        load(f"{kind}.vm")
    text = f"{raised.value}\n"
    expected = GOLDEN / f"{kind}.txt"
    if request.config.getoption("--update-golden"):
        expected.write_text(text, encoding="utf-8")
    assert kind in {d.kind for d in raised.value.diagnostics}
    assert text == expected.read_text(encoding="utf-8")


def test_every_kind_has_a_golden_file_and_every_golden_file_a_kind():
    assert sorted(KINDS) == sorted(p.stem for p in GOLDEN.glob("*.vm"))
    assert sorted(KINDS) == sorted(p.stem for p in GOLDEN.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_all_errors_of_a_file(path, request):
    with pytest.raises(ProgramError) as raised:
        load(path)
    lines = []
    for d in raised.value.diagnostics:
        lines.append(f"{d.span.line}:{d.span.column}: {d.message} [{d.kind}]\n")
        lines += [f"    {d.hint}\n"] if d.hint else []
    expected = path.with_suffix(".txt")
    if request.config.getoption("--update-golden"):
        expected.write_text("".join(lines), encoding="utf-8")
    assert "".join(lines) == expected.read_text(encoding="utf-8")
