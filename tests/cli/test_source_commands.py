"""check, fmt and show."""

import platform
import re
from pathlib import Path

import pytest

from vmlab import corpus
from vmlab.cli import exits
from vmlab.disassembler import listing
from vmlab.engines import ENGINES
from vmlab.kernels.cross import Unsupported
from vmlab.kernels.scheduler.code import Code
from vmlab.machinecode import Counts
from vmlab.report import task_code

# check


def test_check_says_what_is_valid_and_reports_every_error(vmlab):
    result = vmlab("check", "divides.vm", "invalid.vm", "sieve")
    assert result.exit_code == exits.INVALID_PROGRAM
    assert result.stdout == (
        "divides.vm: valid: 2 functions, 10 instructions, 4 expect lines\n"
        "sieve: valid: 1 function, 58 instructions, 7 expect lines\n"
    )
    assert result.stderr.startswith("invalid.vm:2:5: error: there is no instruction 'lod'")
    assert "    2 |     lod n\n      |     ^^^\n" in result.stderr
    assert result.stderr.endswith("invalid.vm: 2 errors\n")


def test_check_succeeds_when_all_are_valid(vmlab):
    result = vmlab("check", "divides.vm")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the program has no function 'main'"),
        (b"\x7fELF\x02\x01\x01\xff\xfe", "this is not UTF-8"),
        (b"\0" * 100, "unexpected"),
    ],
)
def test_files_that_hold_no_program(vmlab, content, message):
    Path("x.vm").write_bytes(content)
    for command in ("check", "run", "show", "test", "compare"):
        result = vmlab(command, "x.vm")
        assert result.exit_code == exits.INVALID_PROGRAM
        assert message in result.stderr


@pytest.mark.parametrize("command", ["check", "run", "show", "test", "compare"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.vm", "neither a file nor a program of the corpus; `vmlab list`"),
        ("siev", "did you mean 'sieve'?"),
        ("folder", "cannot read 'folder': Is a directory"),
    ],
)
def test_what_is_no_program_is_a_usage_error(vmlab, command, name, message):
    Path("folder").mkdir()
    result = vmlab(command, name)
    assert result.exit_code == exits.USAGE
    assert message in result.stderr
    assert result.stdout == ""


# fmt

UGLY = "func main( )->int\n push   1 ; one\n\n\n  ret\nend\n"
PRETTY = "func main() -> int\n    push 1                      ; one\n\n    ret\nend\n"


def test_fmt_rewrites_files_in_place_and_only_once(vmlab):
    Path("ugly.vm").write_text(UGLY)
    first = vmlab("fmt", "ugly.vm")
    assert (first.exit_code, first.stdout, first.stderr) == (0, "", "formatted ugly.vm\n")
    assert Path("ugly.vm").read_text() == PRETTY
    before = Path("ugly.vm").stat()
    second = vmlab("fmt", "ugly.vm")
    assert (second.exit_code, second.stdout, second.stderr) == (0, "", "")
    assert Path("ugly.vm").stat() == before


def test_fmt_check_names_what_would_change_and_changes_nothing(vmlab):
    Path("ugly.vm").write_text(UGLY)
    result = vmlab("fmt", "--check", "divides.vm", "ugly.vm")
    assert (result.exit_code, result.stdout) == (exits.DIFFERS, "ugly.vm\n")
    assert Path("ugly.vm").read_text() == UGLY
    assert vmlab("fmt", "--check", "divides.vm").exit_code == 0


def test_fmt_keeps_malformed_files_and_formats_the_others(vmlab):
    Path("ugly.vm").write_text(UGLY)
    Path("broken.vm").write_text('func main()\n  push "\nend\n')
    result = vmlab("fmt", "broken.vm", "ugly.vm")
    assert result.exit_code == exits.INVALID_PROGRAM
    assert "broken.vm:2:8: error: this string has no end" in result.stderr
    assert "formatted ugly.vm" in result.stderr
    assert Path("broken.vm").read_text() == 'func main()\n  push "\nend\n'


def test_fmt_keeps_the_mode_of_a_file(vmlab):
    path = Path("ugly.vm")
    path.write_text(UGLY)
    path.chmod(0o640)
    vmlab("fmt", "ugly.vm")
    assert path.stat().st_mode & 0o777 == 0o640


def test_fmt_takes_files_only(vmlab):
    result = vmlab("fmt", "sieve")
    assert result.exit_code == exits.USAGE
    assert "there is no file 'sieve'; that is a program of the corpus" in result.stderr
    assert "cannot read '.': Is a directory" in vmlab("fmt", ".").stderr


# show


def test_show_prints_the_listing(vmlab):
    result = vmlab("show", "divides.vm")
    assert result.exit_code == 0
    assert result.stdout == listing(corpus.load("divides.vm"))
    assert re.search(r"2 +div +div\.int +\[int int\]", result.stdout)


@pytest.mark.parametrize("engine", ["inlined", "template", "threaded", "switch"])
def test_show_prints_an_engines_code(vmlab, engine):
    ir = vmlab("show", "divides.vm", "--engine", engine, "--ir")
    assert ir.exit_code == 0
    assert "define" in ir.stdout
    assembly = vmlab("show", "divides.vm", "--engine", engine, "--asm")
    assert assembly.exit_code == 0
    assert ".globl" in assembly.stdout


def test_show_prints_the_code_that_an_engine_reads(vmlab):
    shown = vmlab("show", "divides.vm", "--engine", "register")
    assert shown.exit_code == 0
    assert re.search(r"0 +div\.int\.rr> +=s0 <- a, b +; 0 1 2\n", shown.stdout)


@pytest.mark.parametrize(("form", "what"), [("--ir", "LLVM IR"), ("--asm", "machine code")])
def test_show_says_that_an_engine_has_no_code(vmlab, form, what):
    result = vmlab("show", "divides.vm", "--engine", "reference", form)
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert result.stderr == f"Error: reference makes no {what}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "switch"], "switch reads the program as it is: leave --engine out, or add"),
        (["--engine", "reference"], "reference reads the program as it is: leave --engine out\n"),
        (["--asm"], "--asm needs --engine NAME beside it"),
        (["--engine", "switch", "--ir", "--asm"], "--ir and --asm exclude each other"),
        (["--as", "python", "--ir"], "--as python goes without --engine, --ir, --asm and --task"),
        (["--engine", "swich", "--ir"], "did you mean 'switch'? (there are: inlined, "),
    ],
)
def test_show_needs_an_engine_and_a_form(vmlab, options, message):
    result = vmlab("show", "divides.vm", *options)
    assert result.exit_code == exits.USAGE
    assert message in result.stderr


def test_show_task_layout_with_and_without_a_program(vmlab):
    without = vmlab("show", "--task-layout")
    assert without.exit_code == 0
    assert "divides.vm" not in without.stdout
    shown = vmlab("show", "divides.vm", "--task-layout")
    assert shown.exit_code == 0
    assert "Frames of divides.vm, on the interpreters" in shown.stdout
    assert "quotient: 48 bytes, 96 with tags; spawned, it costs 224 bytes" in shown.stdout
    assert vmlab("show", "invalid.vm", "--task-layout").exit_code == exits.INVALID_PROGRAM
    together = vmlab("show", "--task-layout", "--engine", "switch")
    assert together.exit_code == exits.USAGE
    assert "--task-layout goes without" in together.stderr


@pytest.mark.parametrize("operation", ["spawn", "switch", "resume"])
@pytest.mark.parametrize("arch", [[], ["--arch", "aarch64"], ["--arch", "riscv64"]])
def test_show_asm_of_what_the_scheduler_does(vmlab, operation, arch):
    shown = vmlab("show", "--asm", operation, *arch)
    assert shown.exit_code == 0
    name = arch[-1] if arch else "host"
    for composition in ("single-worker", "M:N"):
        assert re.search(
            rf"^# {operation}, {composition}, {name}: instructions \d+, conditional branches \d+,"
            r" indirect jumps 0, ",
            shown.stdout,
            re.MULTILINE,
        )
    assert ("# switch, stackful, " in shown.stdout) == (operation == "switch")


def test_show_asm_is_a_table_which_is_published(vmlab):
    shown = vmlab("show", "--asm").stdout
    published = (Path(__file__).parents[2] / "results" / "task_code.md").read_text()
    [made_with] = re.findall("with LLVM [0-9.]+", shown)
    if made_with in published and platform.machine() == "x86_64":
        assert shown == published, "make it anew: vmlab show --asm > results/task_code.md"
    row = re.compile(r"^\| (spawn|switch|resume) +\| (\S+) +\| (\S+) +\| +\d+ ", re.MULTILINE)
    assert row.findall(shown) == row.findall(published)
    assert len(row.findall(shown)) == 4 * (2 + 3 + 2)


def test_show_asm_says_what_cannot_be_made(vmlab, monkeypatch):
    def code(operation, composition, architecture):
        if architecture == "riscv64":
            raise Unsupported("this LLVM makes no code for riscv64")
        return Code("", Counts(instructions=77), 1)

    monkeypatch.setattr(task_code, "code", code)
    shown = vmlab("show", "--asm").stdout
    assert shown.count("| none: this LLVM makes no code for riscv64 |") == 2 + 3 + 2
    assert len(re.findall(r"\| +77 \|", shown)) == 3 * (2 + 3 + 2)
    result = vmlab("show", "--asm", "switch", "--arch", "riscv64")
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert "no machine code for riscv64: this LLVM makes no code" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--asm", "spwan"], "or one of spawn, switch and resume in place of 'spwan'"),
        (["--asm", "spawn", "--arch", "vax"], "'vax' is not one of 'host', 'x86-64'"),
        (["--arch", "aarch64", "divides.vm"], "--arch goes with --asm and one of spawn"),
        (["--arch", "aarch64", "--asm", "--engine", "switch", "divides.vm"], "--arch goes with"),
        (["--ir", "spawn"], "--ir needs --engine NAME beside it"),
    ],
)
def test_show_asm_says_what_it_needs(vmlab, arguments, message):
    result = vmlab("show", *arguments)
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert message in " ".join(result.stderr.split())


def test_show_needs_a_program(vmlab):
    result = vmlab("show")
    assert result.exit_code == exits.USAGE
    assert "Missing argument 'PROGRAM'" in result.stderr


def test_every_engine_is_offered(vmlab):
    result = vmlab("show", "divides.vm", "--engine", "", "--ir")
    assert f"(there are: {', '.join(ENGINES)})" in result.stderr
