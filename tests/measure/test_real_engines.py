"""The whole way on the engines that ship; what a machine's speed decides is not looked at."""

import json
import subprocess
import sys

import jsonschema
import pytest

from vmlab.assembler import assemble
from vmlab.comparison import Comparison
from vmlab.engines import COMPARED
from vmlab.measure.compare import compare
from vmlab.outcome import Limits
from vmlab.report.json_report import schema

COMPOSED = [name for name in COMPARED if name != "textbook"]  # whose compilation takes seconds

SUM_OF_SQUARES = """
func square(k: int) -> int
    load k
    dup
    mul
    ret
end

func main(n: int = 2_000) -> int
    local total: int
loop:
    load n
    jz done
    load total
    load n
    call square
    add
    store total
    load n
    push 1
    sub
    store n
    jmp loop
done:
    load total
    print
    load total
    ret
end

expect main(3) -> 14
"""


@pytest.fixture(scope="module")
def comparison():
    return compare(assemble(SUM_OF_SQUARES, "squares.vm"), COMPOSED, quick=True, seed=7)


def test_engines_agree_and_are_timed(comparison):
    assert comparison.agreement.engines == (*COMPOSED, "reference")
    assert comparison.agreement.outcome.result == sum(k * k for k in range(2_001))
    assert comparison.agreement.outcome.output == (comparison.agreement.outcome.result,)
    assert set(comparison.rounds.samples) == set(COMPOSED)
    assert all(min(times) > 0 for times in comparison.rounds.samples.values())
    assert comparison.folded is None
    assert comparison.exit_code == 0


def test_machine_code_has_the_jumps_that_the_engines_are_about(comparison):
    jumps = {engine.name: engine.indirect_jumps for engine in comparison.engines}
    assert (jumps["inlined"], jumps["template"], jumps["switch"]) == (0, 0, 1)
    assert jumps["threaded"] > 50


def test_the_result_is_in_the_schema_and_reads_back(comparison):
    text = comparison.to_json()
    jsonschema.validate(json.loads(text), schema())
    assert Comparison.from_json(text).to_json() == text


def test_a_trap_ends_alike_everywhere():
    program = assemble(
        "func main(n: int = 0) -> int\n    push 6\n    load n\n    div\n    ret\nend\n"
    )
    comparison = compare(program, COMPOSED, quick=True)
    assert comparison.exit_code == 70
    assert comparison.agreement.outcome.trap.place.instruction == 2
    assert comparison.agreement.engines == (*COMPOSED, "reference")


def test_a_program_of_which_nothing_is_left_is_folded():
    text = SUM_OF_SQUARES.replace(
        "    print\n    load total\n    ret", "    pop\n    push 7\n    ret"
    )
    program = assemble(text.replace("-> 14", "-> 7").replace("2_000", "200_000"))
    comparison = compare(program, ["inlined", "template", "switch"], quick=True)
    assert comparison.folded == "inlined"
    assert comparison.baseline == "template"


def test_a_loop_that_counts_upwards_in_copies_is_folded_too():
    """LLVM steps through the copies of a loop with `or disjoint` instead of `add`."""
    upwards = """
func main(n: int = 5_000) -> int
    local i: int
    local dead: int
loop:
    load i
    load n
    lt
    jz done
    load dead
    load i
    mul
    store dead
    load i
    push 1
    add
    store i
    jmp loop
done:
    load n
    ret
end
"""
    assert compare(assemble(upwards), COMPOSED, quick=True).folded


def test_a_run_takes_no_longer_than_its_timeout():
    program = assemble("func main()\nloop:\n    jmp loop\nend\n")
    with pytest.raises(TimeoutError, match=r"on inlined takes longer than 0\.05 s"):
        compare(program, ["inlined", "switch"], limits=Limits(timeout=0.05))


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = (
        "import sys, vmlab.measure.compare, vmlab.measure.machine, vmlab.fail_if,"
        " vmlab.report.table, vmlab.report.json_report, vmlab.report.html, vmlab.report.output;"
        " print([m for m in ('numba', 'llvmlite', 'numpy', 'tabulate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
