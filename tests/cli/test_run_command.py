"""run: values, traps, arguments and limits."""

from pathlib import Path

import pytest

from vmlab.assembler import assemble
from vmlab.cli import exits, traps
from vmlab.engines import ENGINES
from vmlab.isa import Trap
from vmlab.outcome import Limits, Place, TrapReport

DEEP = """\
func down(n: int) -> int
    load n
    push 1
    add
    call down
    ret
end

func main() -> int
    push 0
    call down
    ret
end
"""

KINDS = """\
func main(i: int, x: float) -> float
    load i
    print
    load x
    print
    load x
    ret
end
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_printed_values_then_the_result(vmlab, engine):
    result = vmlab("run", "divides.vm", "--engine", engine)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "7\n3\n", "")


def test_a_program_without_a_result_prints_none(vmlab):
    Path("quiet.vm").write_text("func main()\n    ret\nend\n")
    result = vmlab("run", "quiet.vm")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_programs_of_the_corpus_run_by_name(vmlab):
    assert vmlab("run", "sieve", "--arg", "n=1_000").stdout == "168\n"


# Workers


def test_several_workers(vmlab):
    result = vmlab("run", "fan", "--workers", "3", "--arg", "n=27", "--arg", "workers=5")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "387\n", "")
    result = vmlab("run", "fan", "--workers", "2", "--arg", "n=1", "--arg", "workers=0")
    assert result.exit_code == exits.TRAPPED
    assert "deadlock: every task waits for another" in result.stderr
    assert "main waits at" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fan", "--workers", "0"], "'0' is not a whole number, 1 or more"),
        (["fan", "--workers", "33"], "33 workers are too many: at most 32 can work"),
        (["fan", "--workers", "2", "--fuel", "10"], "--fuel counts the instructions of one worker"),
        (["fan", "--workers", "2", "--engine", "switch"], "it has one worker"),
        (["sieve", "--workers", "2"], "the program has no tasks"),
    ],
)
def test_where_several_workers_are_refused(vmlab, arguments, reason):
    result = vmlab("run", *arguments)
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert reason in result.stderr


# Arguments


def test_arguments_are_written_as_in_a_program(vmlab):
    Path("kinds.vm").write_text(KINDS)
    result = vmlab("run", "kinds.vm", "--arg", "i=0xFF", "--arg", "x=-2e-3")
    assert result.stdout == "255\n-0.002\n-0.002\n"
    result = vmlab("run", "kinds.vm", "--arg", "x=nan", "--arg", "i = -1_000")
    assert result.stdout == "-1000\nnan\nnan\n"
    assert vmlab("run", "kinds.vm", "--arg", "i=1", "--arg", "x=3").stdout == "1\n3.0\n3.0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["n", "5"], "'n' is not of the form NAME=VALUE, such as n=35"),
        (["i=2.5"], "main's parameter 'i: int': 2.5 is a float; give an int, such as 35"),
        (["i=two"], "main's parameter 'i: int': 'two' is not a number; expected a number such as"),
        (["i="], "main's parameter 'i: int': '' is not a number"),
        (["i=9223372036854775808"], "'i: int': this integer does not fit in 64 bits"),
        (["x=1e999"], "main's parameter 'x: float': this number is too large"),
        (["x=1.5e"], "write 1.5e0"),
        (["j=1"], "main has no parameter 'j' (there are: i, x)"),
        (["i=1"], "'x: float' has no default; give it a value: --arg x=VALUE"),
        (["i=1", "--arg", "i=2"], "'i' is given twice"),
    ],
)
def test_bad_arguments_are_usage_errors(vmlab, arguments, message):
    Path("kinds.vm").write_text(KINDS)
    for command in ("run", "compare"):
        result = vmlab(command, "kinds.vm", "--arg", *arguments)
        assert (result.exit_code, result.stdout) == (exits.USAGE, "")
        assert message in result.stderr


def test_a_program_without_parameters_takes_no_arguments(vmlab):
    result = vmlab("run", "endless.vm", "--arg", "n=1")
    assert "main has no parameter 'n', nor any other" in result.stderr


# Traps


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trap_is_reported_with_its_place_and_calls(vmlab, engine):
    result = vmlab("run", "divides.vm", "--arg", "b=0", "--engine", engine)
    assert (result.exit_code, result.stdout) == (exits.TRAPPED, "7\n")
    assert result.stderr == (
        "divides.vm:4:5: trap: divide_by_zero: an int was divided by zero\n"
        "    4 |     div\n"
        "      |     ^^^\n"
        "  in quotient\n"
        "  called from main at divides.vm:13:5\n"
    )


TASKS = """\
func inner(c: chan[int], n: int) -> int
    load n
    jnz deeper
    load c
    recv
    div
    ret
deeper:
    load c
    load n
    push 1
    sub
    spawn inner
    join
    ret
end

func main(n: int = 2)
    push 0
    chan int
    load n
    spawn inner
    join
    pop
    ret
end
"""


@pytest.mark.parametrize("engine", ["reference", "threaded"])
def test_a_deadlock_is_reported_with_those_who_wait(vmlab, engine):
    Path("tasks.vm").write_text(TASKS)
    result = vmlab("run", "tasks.vm", "--engine", engine)
    assert (result.exit_code, result.stdout) == (exits.TRAPPED, "")
    assert result.stderr == (
        "tasks.vm:23:5: trap: deadlock: every task waits for another\n"
        "   23 |     join\n"
        "      |     ^^^^\n"
        "  in main\n"
        "  main waits at tasks.vm:23:5 for the end of task 1, spawned at tasks.vm:22:5\n"
        "  task 1 waits at tasks.vm:14:5 for the end of task 2, spawned at tasks.vm:13:5\n"
        "  task 2 waits at tasks.vm:14:5 for the end of task 3, spawned at tasks.vm:13:5\n"
        "  task 3 waits at tasks.vm:5:5 to receive from channel 1, made at tasks.vm:20:5\n"
    )
    result = vmlab("run", "tasks.vm", "--engine", engine, "--arg", "n=20")
    assert result.stderr.endswith("task 10, spawned at tasks.vm:13:5\n  ... 12 more tasks ...\n")


@pytest.mark.parametrize("engine", ["reference", "threaded"])
def test_a_trap_in_a_task_is_reported_with_its_launches(vmlab, engine):
    # The channel is closed: it gives 0 and 0.
    Path("tasks.vm").write_text(TASKS.replace("chan int", "chan int\n    dup\n    close"))
    result = vmlab("run", "tasks.vm", "--engine", engine, "--arg", "n=1")
    assert result.exit_code == exits.TRAPPED
    assert result.stderr == (
        "tasks.vm:6:5: trap: divide_by_zero: an int was divided by zero\n"
        "    6 |     div\n"
        "      |     ^^^\n"
        "  in inner\n"
        "  spawned in inner at tasks.vm:13:5\n"
        "  spawned in main at tasks.vm:24:5\n"
    )
    result = vmlab("run", "tasks.vm", "--engine", engine, "--arg", "n=40")
    assert result.stderr.count("spawned in") == 10
    assert "  ... 31 more launches ...\n" in result.stderr
    result = vmlab("run", "tasks.vm", "--engine", engine, "--arg", "n=12_000")
    assert result.stderr.count("spawned in") == 5
    assert result.stderr.endswith("  ... 9,995 or more launches ...\n")


@pytest.mark.parametrize("engine", ENGINES)
def test_of_a_long_call_chain_the_middle_is_left_out_and_counted(vmlab, engine):
    Path("deep.vm").write_text(DEEP)
    result = vmlab("run", "deep.vm", "--engine", engine, "--max-depth", "2000")
    assert result.exit_code == exits.TRAPPED
    call = "  called from down at deep.vm:5:5\n"
    assert result.stderr == (
        "deep.vm:5:5: trap: call_depth_exceeded: 2,000 calls may be active;"
        " allow more with --max-depth\n"
        "    5 |     call down\n"
        "      |     ^^^^\n"
        "  in down\n"
        + 5 * call
        + "  ... 1,989 more calls ...\n"
        + 4 * call
        + "  called from main at deep.vm:11:5\n"
    )


def test_a_call_chain_that_fits_is_shown_whole(vmlab):
    Path("deep.vm").write_text(DEEP)
    shown = vmlab("run", "deep.vm", "--max-depth", "11").stderr
    assert shown.count("called from") == 10
    assert "more calls" not in shown


@pytest.mark.parametrize(
    ("options", "body", "message"),
    [
        (["--fuel", "3"], "again:\njmp again", "out_of_fuel: a run may execute 3 instructions"),
        (
            ["--max-heap", "1K"],
            "push 128\nnewarr int\npop\nret",
            "out_of_memory: arrays, channels and tasks may take",
        ),
        (
            ["--max-heap", "7"],
            "push 0\nnewarr int\npop\nret",
            "out_of_memory: arrays, channels and tasks may take 7 b",
        ),
        (["--max-output", "0"], "push 1\nprint\nret", "output_limit_exceeded: a run may print 0"),
        (["--timeout", "0.1"], "again:\njmp again", "interrupted: after --timeout 0.1"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_limits(vmlab, engine, options, body, message):
    Path("x.vm").write_text(f"func main()\n{body}\nend\n")
    result = vmlab("run", "x.vm", "--engine", engine, *options)
    assert f"trap: {message}" in result.stderr
    interrupted = "--timeout" in options
    assert result.exit_code == (exits.INTERRUPTED if interrupted else exits.TRAPPED)


def test_sizes_are_powers_of_1024(vmlab):
    # 8 bytes for the array and 8 for each of its elements.
    Path("x.vm").write_text("func main(n: int)\nload n\nnewarr int\npop\nret\nend\n")
    for size, length in (("1K", 127), ("2m", 262_143), ("1_032", 128)):
        fits = vmlab("run", "x.vm", "--max-heap", size, "--arg", f"n={length}")
        too_large = vmlab("run", "x.vm", "--max-heap", size, "--arg", f"n={length + 1}")
        assert (fits.exit_code, too_large.exit_code) == (0, exits.TRAPPED)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--fuel", "-1", "'-1' is not a whole number, 0 or more"),
        ("--fuel", "1e6", "'1e6' is not a whole number, 0 or more"),
        ("--max-depth", "0", "'0' is not a whole number, 1 or more"),
        ("--max-heap", "12Q", "'12Q' is not a size, such as 64K, 512M or 2G"),
        ("--max-heap", "-1", "'-1' is not a size"),
        ("--timeout", "0", "'0' is not a time in seconds, such as 2 or 0.5"),
        ("--timeout", "nan", "'nan' is not a time in seconds"),
        ("--timeout", "inf", "'inf' is not a time in seconds"),
        ("--engine", "trheaded", "no engine is called 'trheaded'; did you mean 'threaded'?"),
        ("--max-hep", "1", "--max-heap"),
    ],
)
def test_bad_options_are_usage_errors(vmlab, option, value, message):
    result = vmlab("run", "divides.vm", option, value)
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert message in result.stderr


def test_limits_beyond_the_machine_say_what_to_lower(vmlab):
    for option in ("--max-depth", "--max-heap", "--max-output"):
        result = vmlab("run", "divides.vm", "--engine", "switch", option, str(10**17))
        assert (result.exit_code, result.stdout) == (exits.USAGE, "")
        assert "switch cannot run this program here: cannot reserve" in result.stderr
        assert f"lower {option}" in result.stderr


def test_the_defaults_of_limits_are_shown(vmlab):
    limits = Limits()
    shown = " ".join(vmlab("run", "--help").stdout.split())
    assert f"main included. [default: {limits.max_depth}]" in shown
    assert f"[default: {limits.max_heap >> 30}G]" in shown
    assert f"may print. [default: {limits.max_output}]" in shown


@pytest.mark.parametrize("trap", Trap)
def test_every_trap_is_explained(trap):
    program = assemble("func main()\n    ret\nend\n", "x.vm")
    report = TrapReport(trap, (Place(0, 0),))
    first = traps.report(program, report, Limits(fuel=10)).splitlines()[0]
    start, _, explanation = first.partition(f"x.vm:2:5: trap: {trap}: ")
    assert start == ""
    assert explanation
