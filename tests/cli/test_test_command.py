"""test: the expect lines of programs on every engine."""

from pathlib import Path

import pytest
from fakes import FOUR, PROGRAM_OF_FOUR, Script, engines, trapped

from vmlab.cli import exits
from vmlab.engines import ENGINES
from vmlab.isa import Trap
from vmlab.outcome import Outcome

FOUR_IS_FOUR = f"""{PROGRAM_OF_FOUR}
expect main(3) -> 4
expect main(4) -> 4
"""
FIVE = Outcome(5, (), None, 4)


def test_all_engines_pass(vmlab):
    result = vmlab("test", "divides.vm")
    assert result.exit_code == 0
    assert result.stdout == f"divides.vm: 4 expect lines passed on {len(ENGINES)} engines\n"
    assert result.stderr == ""


def test_several_programs_are_summed_up(vmlab):
    Path("four.vm").write_text(FOUR_IS_FOUR)
    with engines(switch=Script()):
        result = vmlab("test", "four.vm", "four.vm")
    assert result.exit_code == 0
    assert result.stdout == (
        "four.vm: 2 expect lines passed on 2 engines\n"
        "four.vm: 2 expect lines passed on 2 engines\n"
        "4 expect lines in 2 programs: all passed\n"
    )


def test_a_line_that_fails_on_one_engine(vmlab):
    Path("four.vm").write_text(FOUR_IS_FOUR)
    wrong = Script(outcome=lambda args: FIVE if args == (4,) else FOUR)
    with engines(inlined=Script(), switch=wrong, threaded=wrong):
        result = vmlab("test", "four.vm", "four.vm")
    assert result.exit_code == exits.DIFFERS
    paragraph = (
        "four.vm:9: expect line failed on switch and threaded\n"
        "    9 | expect main(4) -> 4\n"
        "      |        ^^^^\n"
        "  expected: 4\n"
        "  found:    5\n"
        "\n"
        "four.vm: 1 of 2 expect lines failed\n"
    )
    assert result.stdout == 2 * paragraph + "4 expect lines in 2 programs: 2 failed\n"


def test_what_engines_find_is_grouped(vmlab):
    Path("four.vm").write_text(FOUR_IS_FOUR)
    trap = trapped(Trap.DIVIDE_BY_ZERO, (0, 2))
    with engines(inlined=Script(outcome=FIVE), switch=Script(outcome=trap)):
        result = vmlab("test", "four.vm")
    assert result.exit_code == exits.DIFFERS
    for line in (8, 9):
        assert f"four.vm:{line}: expect line failed on inlined\n" in result.stdout
        assert f"four.vm:{line}: expect line failed on switch\n" in result.stdout
    assert "  found:    trap divide_by_zero at four.vm:4:5, in main\n" in result.stdout
    assert result.stdout.endswith("four.vm: 2 of 2 expect lines failed\n")


def test_a_wrong_expectation_fails_on_every_engine(vmlab):
    Path("wrong.vm").write_text("func main() -> int\n push 2\n ret\nend\nexpect main() -> 3\n")
    result = vmlab("test", "wrong.vm")
    assert result.exit_code == exits.DIFFERS
    assert "wrong.vm:5: expect line failed on every engine\n" in result.stdout
    assert "  expected: 3\n  found:    2\n" in result.stdout


@pytest.mark.parametrize(("expected", "column"), [("0 1 2 4", 26), ("0 1", 23)])
def test_printed_values_are_compared_with_a_caret(vmlab, expected, column):
    code = "".join(f"push {i}\nprint\n" for i in range(4))
    Path("x.vm").write_text(f'func main()\n{code}ret\nend\nexpect main() -> prints "{expected}"\n')
    result = vmlab("test", "x.vm")
    assert result.exit_code == exits.DIFFERS
    assert (
        f'  expected: prints "{expected}"\n  found:    prints "0 1 2 3"\n{"^":>{column + 1}}\n'
    ) in result.stdout


def test_of_long_output_the_difference_is_shown(vmlab):
    printed = [1] * 500
    code = "".join(f"push {i}\nprint\n" for i in printed)
    values = " ".join(map(str, [*printed[:300], 2, *printed[301:]]))
    Path("x.vm").write_text(f'func main()\n{code}ret\nend\nexpect main() -> prints "{values}"\n')
    lines = vmlab("test", "x.vm").stdout.splitlines()
    expected, found, caret = lines[3:6]
    assert len(expected) < 100
    column = caret.index("^")
    assert (expected[column], found[column]) == ("2", "1")
    assert expected[:column].replace("expected:", "found:   ") == found[:column]


def test_engines_that_cannot_run_a_program_are_named(vmlab):
    Path("four.vm").write_text(FOUR_IS_FOUR)
    with engines(inlined=Script(unavailable="no such CPU")):
        result = vmlab("test", "four.vm")
    assert result.exit_code == 0
    assert result.stdout == (
        "four.vm: inlined took no part: no such CPU\nfour.vm: 2 expect lines passed on 1 engine\n"
    )


def test_a_program_without_expect_lines_is_warned_about(vmlab):
    result = vmlab("test", "endless.vm")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "Warning: endless.vm has no expect lines: nothing was checked\n"


def test_a_timeout_ends_the_test(vmlab):
    text = Path("endless.vm").read_text()
    Path("endless.vm").write_text(text + "expect main() -> nothing\n")
    result = vmlab("test", "endless.vm", "--timeout", "0.1")
    assert result.exit_code == exits.INTERRUPTED
    assert result.stderr == "Error: endless.vm: interrupted in line 5, on inlined\n"
