"""Counts of cachegrind: exact where the machine instructions are known by hand, and the same as the
CPU's own where it shows them."""

import itertools
import platform
import re
import shutil
import textwrap

import pytest

from vmlab.assembler import assemble
from vmlab.engines import Standalone, find
from vmlab.kernels import native
from vmlab.measure import cachegrind
from vmlab.measure.cachegrind import CannotSimulate, missing_tools, parse, simulate
from vmlab.measure.counters import CounterGroup
from vmlab.outcome import Limits, Outcome

x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels are x86-64 code")
compiles = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
simulates = pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools()))

# Four machine instructions a turn, so many turns a run.
TURNS = 100_000
LOOP = f"""
define i64 @enter(ptr %context, i64 %runs) {{
  %turns = mul i64 %runs, {TURNS}
  %left = call i64 asm sideeffect "1:\\0A nop\\0A nop\\0A decq $0\\0A jnz 1b",
    "=r,0,~{{flags}}"(i64 %turns)
  ret i64 %left
}}
"""

# Reads one word of every cache line of the memory behind `context`, again in each run.
LINES, LINE = 1 << 16, 64
WALK = f"""
define i64 @enter(ptr %context, i64 %runs) {{
start:
  br label %run
run:
  %left = phi i64 [ %runs, %start ], [ %rest, %run ]
  %end = getelementptr i8, ptr %context, i64 {LINES * LINE}
  %at = call ptr asm sideeffect 
    "1:\\0A movq ($0), %rax\\0A addq $$64, $0\\0A cmpq $2, $0\\0A jb 1b",
    "=r,0,r,~{{flags}},~{{rax}},~{{memory}}"(ptr %context, ptr %end)
  %rest = sub i64 %left, 1
  %more = icmp ne i64 %rest, 0
  br i1 %more, label %run, label %done
done:
  ret i64 0
}}
"""

MAIN = f"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
int64_t enter(void *context, int64_t runs);
static _Alignas(64) char memory[{LINES * LINE}];
int main(int argc, char **argv) {{
    printf("%d\\n", (int)enter(memory, strtoll(argv[1], NULL, 10)));
    return 0;
}}
"""


def kernel(ir):
    module = native.optimise(ir)
    code = native.target_machine().emit_object(module)
    return Standalone(code, MAIN, lambda text: Outcome(int(text), (), None, None))


def returned_0(outcome):
    return None if outcome.result == 0 else f"it returned {outcome.result}"


# Known by hand


@x86
@simulates
@pytest.mark.parametrize("runs", [1, 5])
def test_the_instructions_of_a_loop(runs):
    counts = simulate(kernel(LOOP), returned_0, runs)
    assert counts["instructions"] == 4 * TURNS
    assert counts["branch_misses"] < 100
    assert counts["l1d_read_misses"] < 100


@x86
@simulates
def test_a_walk_misses_every_cache_line():
    counts = simulate(kernel(WALK), returned_0, 3)
    assert 4 * LINES <= counts["instructions"] < 4 * LINES + 10
    assert LINES <= counts["l1d_read_misses"] < LINES + 100


@x86
def test_the_counters_of_the_cpu_count_the_same():
    code = kernel(LOOP).object_code
    library, address = native.load(code, "enter")
    enter = native.ENTER(address)
    with CounterGroup() as group:
        states = [group.state()]
        for runs in (100, 200):
            enter(None, runs)
            states.append(group.state())
        fewer, more = (group.between(*pair) for pair in itertools.pairwise(states))
    del library
    if more["instructions"].reason is not None:
        pytest.skip(more["instructions"].reason)
    count = more["instructions"].count - fewer["instructions"].count
    assert count == pytest.approx(100 * 4 * TURNS, rel=0.001)


def handler_length(assembly, name):
    """The machine instructions of a handler that has no branch within."""
    (body,) = re.findall(rf'^"?{re.escape(name)}"?:\n(.*?)^\.Lfunc_end', assembly, re.M | re.S)
    lines = [line.split("#")[0].strip() for line in body.splitlines()]
    instructions = [line for line in lines if line and not line.startswith(".")]
    assert not any(line.endswith(":") for line in instructions), body
    return len(instructions)


@x86
@simulates
def test_handlers_of_the_threaded_interpreter_take_what_their_assembly_says():
    times = 50
    counts = []
    for pairs in (0, times):
        text = "func main() -> int\n" + "push 1\npop\n" * pairs + "push 7\nret\nend\n"
        executable = find("threaded").build(assemble(text), counting=False)
        outcome = executable.call((), Limits()).outcome
        standalone = executable.standalone()
        found = simulate(
            standalone, lambda o, want=outcome: str(o.differences(want) or "") or None, 1
        )
        counts.append(found["instructions"])
    assembly = executable.machine_code()
    each = handler_length(assembly, "op.push") + handler_length(assembly, "op.pop")
    assert counts[1] - counts[0] == times * each


# What goes wrong


@pytest.fixture
def valgrind(tmp_path, monkeypatch):
    """Puts a script of this text in valgrind's place."""

    def install(text):
        script = tmp_path / "valgrind"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


FAKE = Standalone(
    b"", "int main(void) { return 0; }", lambda text: Outcome(int(text), (), None, None)
)


@pytest.fixture
def linked(monkeypatch, tmp_path):
    monkeypatch.setattr(cachegrind, "link", lambda standalone, folder: tmp_path / "program")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -ILL $$", "knows no AVX-512"),
        ("echo 'vex: unhandled instruction bytes: 0x62' >&2; exit 1", "knows no AVX-512"),
        ("echo out of memory >&2; exit 3", "ended with the code 3: out of memory"),
        ("echo 1", "something else: it returned 1"),
        ("echo one", "something else: invalid literal"),
        ("echo 0", "left no counts"),
    ],
)
def test_reasons(valgrind, linked, script, reason):
    valgrind(script)
    with pytest.raises(CannotSimulate, match=reason):
        simulate(FAKE, returned_0, 1)


@pytest.mark.parametrize("more", [0, 7])
def test_instructions_that_are_not_the_runs_alone_are_no_count(monkeypatch, linked, more):
    totals = {"Ir": 1000, "D1mr": 0, "Bcm": 0, "Bim": 0}
    found = iter([totals, {**totals, "Ir": 1000 + more}])
    monkeypatch.setattr(cachegrind, "_run", lambda *_: next(found))
    with pytest.raises(CannotSimulate, match=f"3 more runs executed {more} more"):
        simulate(FAKE, returned_0, 3)


@compiles
def test_what_cannot_be_linked_says_so(valgrind):
    valgrind("exit 0")
    bad = Standalone(b"", "int main(void) { return missing(); }", FAKE.read)
    with pytest.raises(CannotSimulate, match=r"cannot be linked: .*missing"):
        simulate(bad, returned_0, 1)


def test_missing_tools_are_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    reason = missing_tools()
    assert reason.startswith("valgrind ('valgrind') and a C compiler ('cc') cannot be found")


def test_totals_are_read_by_their_names():
    text = textwrap.dedent("""\
        desc: I1 cache: 32768 B
        cmd: ./program 2
        events: Ir D1mr Bcm Bim
        fl=???
        fn=main
        0 9 9 9 9
        summary: 40 3 2 1
        """)
    assert parse(text) == {"Ir": 40, "D1mr": 3, "Bcm": 2, "Bim": 1}


@pytest.mark.parametrize("text", ["", "events: Ir\nsummary: 4\n", "events: Ir D1mr Bcm Bim\n"])
def test_a_file_without_totals_is_refused(text):
    with pytest.raises(ValueError, match="no totals"):
        parse(text)
