"""Programs as executables of their own do what they do here; without valgrind, which is slow."""

import platform
import shutil
import subprocess

import pytest
from native_engines import program

from vmlab.assembler import assemble
from vmlab.engines import ENGINES, EngineUnavailable, find
from vmlab.measure.cachegrind import link
from vmlab.outcome import Limits

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler"),
    pytest.mark.skipif(platform.system() != "Linux", reason="the executable is for Linux"),
]

# Everything that a run finds in its memory: globals, main's arguments and locals, literals, arrays,
# names, frames; and everything that it leaves.
ALL = """
global count: int = -9_223_372_036_854_775_808
global zero: float = -0.0
global unset: int

func deep(n: int) -> int
    local other: float
    load n
    jnz more
    push 0
    ret
more:
    load n
    push 1
    sub
    call deep
    push 1
    add
    ret
end

func main(n: int = 2000, x: float = 0.1) -> float
    local numbers: int[]
    local i: int
    push 5
    newarr int
    store numbers
    load numbers
    push 3
    load n
    call deep
    astore
    load numbers
    push 3
    aload
    print
    gload count
    print
    gload count
    push 1
    add
    gstore count
    gload zero
    print
    gload unset
    push 7
    add
    gstore unset
    gload unset
    print
    push nan
    print
    load x
    sqrt
    ret
end
"""

QUICKENED = "switch+boxed+late+quickened", "threaded+late+quickened+direct"
COMPOSED = [name for name in ENGINES if ENGINES[name].parts]
COMPOSED += ["template+tagged", "template+boxed+late", *QUICKENED]


@pytest.mark.parametrize("engine", COMPOSED)
def test_it_does_what_the_engine_does_here(engine, tmp_path):
    executable = find(engine).build(program(ALL), counting=False)
    here = executable.call((2000, 0.1), Limits()).outcome
    standalone = executable.standalone()
    file = link(standalone, tmp_path)
    for runs in (1, 3):
        printed = subprocess.run([file, str(runs)], capture_output=True, text=True, check=True)
        there = standalone.read(printed.stdout)
        assert not here.differences(there), (here, there)
        assert len(there.output) == 5


# Stacks that grow, a channel that is full and one without room, a result.
TASKS = """
func sum(n: int, c: chan[int]) -> int
    load n
    jz bottom
    load c
    load n
    send
    load n
    load n
    push 1
    sub
    load c
    call sum
    add
    ret
bottom:
    push 0
    ret
end

func main(n: int = 100) -> int
    local c: chan[int]
    push 3
    chan int
    store c
    load n
    load c
    spawn sum
    load c
    recv
    pop
    print
again:
    load c
    recv
    pop
    dup
    print
    push 1
    gt
    jnz again
    join
    ret
end
"""


@pytest.mark.parametrize(
    "engine",
    [
        "inlined",
        "template+boxed+late",
        *(["inlined+stackful", "template+stackful"] if platform.machine() == "x86_64" else []),
        "threaded",
        "late",
        "threaded+super+direct",
        "threaded+boxed+late+copy+barrier",
    ],
)
def test_tasks_run_there_too(engine, tmp_path):
    executable = find(engine).build(program(TASKS), counting=False)
    here = executable.call((100,), Limits()).outcome
    assert here.result == 5050
    standalone = executable.standalone()
    file = link(standalone, tmp_path)
    for runs in (1, 3):
        printed = subprocess.run([file, str(runs)], capture_output=True, text=True, check=True)
        assert not here.differences(standalone.read(printed.stdout))


def test_a_trap_is_no_outcome(tmp_path):
    text = "func main(n: int = 1) -> int\npush 1\nload n\ndiv\nret\nend\n"
    executable = find("switch").build(assemble(text), counting=False)
    executable.call((0,), Limits())
    standalone = executable.standalone()
    printed = subprocess.run([link(standalone, tmp_path), "1"], capture_output=True, text=True)
    with pytest.raises(ValueError, match="trapped with the code"):
        standalone.read(printed.stdout)


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        ("textbook", "Numba's machine code is not called"),
        ("reference", "no machine code"),
        ("cpython", "no machine code"),
    ],
)
def test_engines_without_code_to_link_say_so(engine, reason):
    executable = find(engine).build(program(ALL), counting=False)
    with pytest.raises(EngineUnavailable, match=reason):
        executable.standalone()
