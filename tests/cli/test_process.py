"""The command line as a process of its own: streams, signals, pipes, terminals."""

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import processes
import pytest

from vmlab import __version__
from vmlab.cli import exits
from vmlab.engines import ENGINES

RESULTS = Path(__file__).parents[2] / "results"

# Both print a value first, so that one sees that they have begun.
TIGHT_LOOP = """\
func main()
    push 1
    print
again:
    jmp again
end
"""

# A tree of calls, almost as deep as is allowed, that nobody sees the end of.
DEEP_RECURSION = """\
func down(n: int) -> int
    load n
    jz bottom
    load n
    push 1
    sub
    call down
    pop
    load n
    push 1
    sub
    call down
    ret
bottom:
    push 0
    ret
end

func main() -> int
    push 1
    print
    push 9_990
    call down
    ret
end
"""


COMPARE = ["compare", "fib", "--engines", "inlined,template", "--quick", "--arg", "n=5"]


def command(*arguments):
    return [sys.executable, "-m", "vmlab", *map(str, arguments)]


def start(*arguments, **options):
    return processes.start(command(*arguments), **options)


def finish(*arguments, **options):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, **options
    )


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Away from the checkout, whose folder `vmlab` is no whole package."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def program(tmp_path):
    def write(text):
        path = tmp_path / "program.vm"
        path.write_text(text)
        return path

    return write


# Streams and exit codes


def test_the_script_and_the_module_are_the_same_command():
    script = Path(sysconfig.get_path("scripts")) / "vmlab"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"vmlab {__version__}\n"
    assert finish("--version").stdout.endswith(f"vmlab {__version__}\n")


def test_data_goes_to_stdout_and_messages_to_stderr(program):
    path = program("func main()\npush 1\nprint\npush 1\npush 0\ndiv\nprint\nret\nend\n")
    done = finish("run", path)
    assert done.returncode == exits.TRAPPED
    assert done.stdout == "1\n"
    assert done.stderr.startswith(f"{path}:6:1: trap: divide_by_zero: ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list"], 0),
        (["run"], exits.USAGE),
        (["nonsense"], exits.USAGE),
        (["run", "nowhere.vm"], exits.USAGE),
        (["check", "/dev/null"], exits.INVALID_PROGRAM),
    ],
)
def test_exit_codes(arguments, code):
    assert finish(*arguments).returncode == code


def test_fmt_reads_stdin_and_writes_stdout():
    ugly = "func main( )\n ret\nend\n"
    done = finish("fmt", "-", input=ugly)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "func main()\n    ret\nend\n"
    again = finish("fmt", "-", input=done.stdout)
    assert again.stdout == done.stdout
    checked = finish("fmt", "--check", "-", input=ugly)
    assert (checked.returncode, checked.stdout) == (exits.DIFFERS, "-\n")
    assert finish("fmt", "--check", "-", input=done.stdout).returncode == 0


def test_json_on_stdout_while_something_else_is_on_stderr():
    done = finish(
        "compare", "fib", "--engines", "inlined,template", "--quick", "--arg", "n=5", "--json"
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["arguments"] == {"n": "5"}


# Ctrl-C and timeouts


@pytest.mark.parametrize("text", [TIGHT_LOOP, DEEP_RECURSION], ids=["loop", "recursion"])
@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_is_answered_at_once(program, engine, text):
    with start("run", program(text), "--engine", engine) as process:
        assert process.stdout.readline() == "1\n"
        time.sleep(0.1)  # to get deep into the recursion
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        first = process.stderr.readline()
        answered = time.monotonic() - sent
        process.communicate(timeout=10)
    assert re.fullmatch(r".*:\d+:\d+: trap: interrupted: by Ctrl-C\n", first)
    assert process.returncode == exits.INTERRUPTED
    assert answered < 5


def test_ctrl_c_ends_a_trace_which_is_written(program, tmp_path):
    path = tmp_path / "turns.json"
    with start("trace", program(TIGHT_LOOP), "--output", str(path)) as process:
        while not list(tmp_path.glob(".turns.json.*")):  # it is open: the program is about to run
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        first = process.stderr.readline()
        process.communicate(timeout=10)
    assert re.fullmatch(r".*:\d+:\d+: trap: interrupted: by Ctrl-C\n", first)
    assert process.returncode == exits.INTERRUPTED
    assert json.loads(path.read_text())["otherData"]["trap"] == "interrupted"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_timeout_is_kept(program, engine):
    began = time.monotonic()
    done = finish("run", program(TIGHT_LOOP), "--engine", engine, "--timeout", "0.2")
    assert done.returncode == exits.INTERRUPTED
    assert (done.stdout, done.stderr.count("after --timeout 0.2")) == ("1\n", 1)
    assert time.monotonic() - began < 30  # most of which may go into compiling


def test_ctrl_c_ends_a_comparison_and_leaves_the_output_alone(program, tmp_path):
    output = tmp_path / "result.json"
    output.write_text("precious")
    before = sorted(tmp_path.iterdir())
    path = program(TIGHT_LOOP)
    with start("compare", path, "--engines", "inlined", "--output", output) as process:
        while len(list(tmp_path.iterdir())) < len(before) + 2:  # the program, a temporary file
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=10)
    assert process.returncode == exits.INTERRUPTED
    assert stdout == ""
    assert stderr.split() == ["Interrupted"]
    assert output.read_text() == "precious"
    assert sorted(tmp_path.iterdir()) == sorted([*before, path])


# Pipes and terminals


def test_printed_values_come_while_the_program_runs(program):
    with start("run", program(TIGHT_LOOP)) as process:
        assert process.stdout.readline() == "1\n"
        assert process.poll() is None
        process.kill()


@pytest.mark.parametrize("engine", ["inlined", "reference"])
def test_a_reader_that_has_enough_ends_the_program_quietly(program, engine):
    path = program("func main()\nagain:\npush 1\nprint\njmp again\nend\n")
    with start("run", path, "--engine", engine) as process:
        assert process.stdout.readline() == "1\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(10) == -signal.SIGPIPE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_in_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("list"), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == exits.FAILED
    assert done.stderr == "Error: No space left on device\n"
    done = finish("table", RESULTS / "fib.json", "--output", "/dev/full")
    assert done.returncode == exits.FAILED
    assert done.stderr == "Error: /dev/full: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
@pytest.mark.parametrize("reads", ["check", "table", "docs update"])
def test_what_never_ends_is_not_read_to_its_end(reads):
    done = finish(*reads.split(), "/dev/zero")
    assert done.returncode == exits.USAGE
    assert "cannot read '/dev/zero': it has more than 64 MiB" in done.stderr


def test_ctrl_c_before_the_command_line_is_there_ends_it_without_a_word():
    script = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'vmlab.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from vmlab.__main__ import main; main()\n"
    )
    with processes.start([sys.executable, "-c", script, "list"]) as process:
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGINT


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_a_system_that_grants_no_thread_is_told_of(tmp_path):
    program = tmp_path / "ends.vm"
    program.write_text("func main()\n    ret\nend\n")
    done = subprocess.run(
        command("run", str(program), "--engine", "reference"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == exits.FAILED
    assert re.fullmatch(r"Error: the system grants no thread .*`ulimit -v`.*\n", done.stderr)


def with_closed_stdout(*arguments):
    return subprocess.run(
        command(*arguments), preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("arguments", [["list"], ["plot", str(RESULTS / "fib.json")]])
def test_stdout_may_be_closed(arguments):
    done = with_closed_stdout(*arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_stdout_may_be_closed_when_a_run_is_interrupted(tmp_path):
    program = tmp_path / "endless.vm"
    program.write_text("func main()\nagain:\n    jmp again\nend\n")
    done = with_closed_stdout("run", str(program), "--timeout", "0.1")
    assert done.returncode == exits.INTERRUPTED
    assert "Traceback" not in done.stderr


def test_stderr_may_be_closed():
    few = ("--engines", "switch,textbook", "--rounds", "6", "--json", "--arg", "n=3")
    done = subprocess.run(
        command("compare", "fib", *few),
        preexec_fn=lambda: os.close(2),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0
    assert '"verdict"' in done.stdout


def on_a_terminal(*arguments, **environment):
    """What a command writes where stderr is a terminal, and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, **environment},
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # how Linux says that nobody has the terminal open any more
            break
        if not chunk:
            break
        written += chunk
    os.close(ours)
    process.communicate(timeout=60)
    return written.decode(), process.returncode


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_progress_is_shown_on_a_terminal_and_gone_at_the_end(environment):
    written, code = on_a_terminal(*COMPARE, **{"TERM": "xterm", **environment})
    assert code == 0
    assert "building inlined (0/2)" in written
    assert re.search(r"timing \(\d+/11, \d+ s left\)", written)
    assert "\r\x1b[K" in written.rpartition("timing")[2]
    assert not re.search(r"\x1b\[[\d;]*m", written)


def test_nothing_moves_on_a_terminal_that_cannot_erase():
    written, code = on_a_terminal(*COMPARE, TERM="dumb")
    assert code == 0
    assert "\x1b" not in written
    assert "timing" not in written


def test_nothing_moves_off_a_terminal():
    done = finish(*COMPARE, env={**os.environ, "FORCE_COLOR": "1"})
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert "timing" not in done.stderr


# What goes wrong in vmlab itself

BROKEN = "import vmlab.corpus; del vmlab.corpus.names; import vmlab.cli; vmlab.cli.main()"


def broken(**environment):
    return subprocess.run(
        [sys.executable, "-c", BROKEN, "list"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_a_bug_is_told_in_two_lines():
    done = broken(VMLAB_TRACEBACK="")
    assert done.returncode == exits.FAILED
    first, second = done.stderr.splitlines()
    assert re.fullmatch(
        rf"Error: this is a bug in vmlab {__version__}: AttributeError at listing.py:\d+: .*", first
    )
    assert "VMLAB_TRACEBACK=1" in second


def test_a_bug_shows_its_traceback_on_request():
    done = broken(VMLAB_TRACEBACK="1")
    assert done.returncode == exits.FAILED
    assert done.stderr.startswith("Traceback")


# Starting fast


def test_help_imports_nothing_heavy():
    script = (
        "import sys, vmlab.cli\n"
        "try:\n"
        "    vmlab.cli.main()\n"
        "finally:\n"
        "    print([m for m in sys.modules if m.split('.')[0] in\n"
        "        ('numba', 'llvmlite', 'numpy', 'tabulate', 'matplotlib')\n"
        "        or m.startswith('vmlab.')],\n"
        "        file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, text=True, timeout=60
    )
    loaded = done.stderr
    assert "vmlab.cli" in loaded
    for name in (
        "numba",
        "llvmlite",
        "numpy",
        "tabulate",
        "matplotlib",
        "vmlab.engines",
        "vmlab.isa",
    ):
        assert f"'{name}" not in loaded


def test_help_answers_soon():
    times = []
    for _ in range(3):
        began = time.monotonic()
        assert finish("--help").returncode == 0
        times.append(time.monotonic() - began)
    assert min(times) < 1
