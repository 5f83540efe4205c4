"""Superinstructions: where they are put, and that everything is as without them."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest
from native_engines import agreed, program
from test_machine_code import body, code_of

from vmlab import corpus
from vmlab.engines import EngineUnavailable, find
from vmlab.isa import VARIANTS, Trap
from vmlab.kernels.dispatch import Switch
from vmlab.kernels.encoding import HALT, InstructionSet, encode
from vmlab.kernels.super_machine import SUPER, SuperHandler, SuperInstructionSet, encode_super
from vmlab.kernels.superinstructions import Joint, chosen, join
from vmlab.kernels.task_techniques import TaskSuperExecutable
from vmlab.kernels.values import RAW
from vmlab.outcome import Limits

BUILDS = [
    (engine, counting) for engine in ("super", "threaded+super") for counting in (True, False)
]


def listed(text: str) -> list[str]:
    """The code of the first function."""
    shown = find("super").build(program(text), counting=False).listing()
    return [line.split(maxsplit=1)[1] for line in shown.split("\nend")[0].splitlines()[1:]]


def test_frequent_sequences_are_joined() -> None:
    assert listed(corpus.source("sum")) == [
        "load i + load n + lt + jz done",
        "load i + push 1 + add + store i",
        "load total + load i + add + store total + jmp loop",
        "load total + ret",
    ]


def test_nothing_is_joined_across_a_label_or_behind_a_call() -> None:
    straight = "func main(n: int) -> int\nload n\npush 1\nadd\nstore n\nload n\nret\nend\n"
    assert listed(straight)[0] == "load n + push 1 + add + store n"
    labelled = straight.replace("add", "here:\nadd").replace("load n\nret", "load n\njnz out\n" +
        "push 1\npush 2\njmp here\nout:\nload n\nret")  # fmt: skip
    assert listed(labelled)[:2] == ["load n + push 1", "add + store n"]
    calls = "func f() -> int\ncall g\nret\nend\nfunc g() -> int\npush 1\nret\nend\n"
    assert listed(f"{calls}func main()\nret\nend\n") == ["call g", "ret"]


def test_only_first_opcodes_change() -> None:
    for name in ("quicksort", "nbody", "fib", "ring"):
        loaded = corpus.load(name)
        instructions = SUPER[loaded.has_tasks]
        plain = encode(loaded, InstructionSet(RAW, late=False, tasks=loaded.has_tasks))
        joined = encode_super(loaded)
        assert joined.places == plain.places
        assert joined.entry == plain.entry
        changed = [(a, b) for a, b in zip(plain.words, joined.words, strict=True) if a != b]
        assert changed
        names = list(instructions.handlers)
        for before, after in changed:
            handler = instructions.handlers[names[after]]
            assert isinstance(handler, SuperHandler)
            assert handler.parts[0].name == names[before]


def test_what_is_joined_was_there_before() -> None:
    known = {(name,) for name in VARIANTS}
    for joint in chosen():
        assert {joint.first, joint.second} <= known
        known.add(joint.first + joint.second)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a a a", "aa a"),
        ("a a a b", "aa ab"),
        ("a a b a b", "a abab"),
        ("b a a", "b aa"),
        ("c", "c"),
    ],
)
def test_joints_are_made_one_after_the_other_from_left_to_right(names: str, expected: str) -> None:
    joints = [
        Joint(("a",), ("b",)),
        Joint(("a", "b"), ("a", "b")),
        Joint(("a",), ("a",)),
    ]
    assert " ".join("".join(part) for part in join(names.split(), joints)) == expected


EVERYTHING = """
    global g: int = 3
    func f(n: int, m: int) -> int
        load n
        push 1
        sub
        load m
        div
        ret
    end
    func main(n: int, m: int) -> int
        local a: int[]
        local i: int
        push 4
        newarr int
        store a
    again:
        load a
        load i
        load a
        load i
        aload
        load i
        gload g
        add
        add
        astore
        load a
        load i
        aload
        print
        load i
        push 1
        add
        store i
        load i
        load n
        lt
        jnz again
        load a
        load i
        push 1
        sub
        aload
        load m
        call f
        ret
    end
    """


@pytest.mark.parametrize(("n", "m"), [(3, 2), (4, 0), (5, 1)])
def test_fuel_ends_and_traps_strike_at_their_instruction(n: int, m: int) -> None:
    whole = agreed(EVERYTHING, n, m, builds=BUILDS)
    assert whole.instructions is not None
    for fuel in range(whole.instructions):
        outcome = agreed(EVERYTHING, n, m, builds=BUILDS, fuel=fuel)
        assert outcome.trap is not None
        assert outcome.trap.trap is Trap.OUT_OF_FUEL


TASKS = """
global c: chan[int]
func put(n: int) -> int
    gload c
    load n
    send
    load n
    ret
end
func main() -> int
    local t: task[int]
    push 0
    chan int
    gstore c
    push 3
    spawn put
    store t
    push 7
    gload c
    recv
    print
    print
    load t
    join
    add
    gload c
    close
    ret
end
"""

JOINED = [
    *("gload load", "gload+load send.chan[int]", "push chan", "push spawn"),
    *("push gload", "push+gload recv.chan[int]", "load join.task[int]", "gload close.chan[int]"),
]


def test_what_lets_other_tasks_go_on_can_be_the_last_of_a_sequence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The cache does not expect other superinstructions.
    monkeypatch.setenv("VMLAB_CACHE_DIR", str(tmp_path))
    instructions = SuperInstructionSet(RAW, late=False, tasks=True)
    parts = [[tuple(part.split("+")) for part in joint.split()] for joint in JOINED]
    vars(instructions)["joints"] = [Joint(*joint) for joint in parts]
    monkeypatch.setitem(SUPER, True, instructions)
    joined = [
        [h.name for h in part] for _, block in instructions.blocks(program(TASKS)) for part in block
    ]
    assert ["gload", "load", "send.chan[int]"] in joined
    assert ["push", "gload", "recv.chan[int]"] in joined
    engine = TaskSuperExecutable("switch+super", Switch, program(TASKS), True)
    for fuel in range(27):
        expected = agreed(TASKS, builds=[], fuel=fuel)
        assert not expected.differences(engine.call((), Limits(fuel=fuel)).outcome)
    assert expected.result == 10


# The stack of its task has to grow under calls of `down`.
DEEP = """
func down(a: int, n: int) -> int
    load n
    jz bottom
    load a
    load n
    push 1
    sub
    call down
    push 1
    add
    ret
bottom:
    load a
    ret
end
func main() -> int
    push 5
    push 200
    spawn down
    join
    ret
end
"""


def test_a_call_at_the_end_of_a_sequence_makes_room_and_begins_anew_alone() -> None:
    blocks = SUPER[True].blocks(program(DEEP))
    joined = [[handler.name for handler in part] for _, block in blocks for part in block]
    assert ["load", "load", "push", "sub.int", "call"] in joined
    names = "super", "threaded+super", "threaded+super+direct"
    builds = [(name, counting) for name in names for counting in (True, False)]
    assert agreed(DEEP, builds=builds).result == 205


def test_values_are_raw_and_names_bound() -> None:
    with pytest.raises(EngineUnavailable, match="'super' is made from what the verifier knows"):
        find("switch+super+tagged").build(corpus.load("sum"), counting=False)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="facts about x86-64 code")
def test_a_sequence_has_one_jump_and_keeps_its_operands_in_registers() -> None:
    code = code_of("threaded+super", corpus.source("sum"))
    for name in SUPER[False].handlers:
        lines = body(code, f"op.{name}")
        jumps = sum(re.match(r"jmpq?\s+\*", line) is not None for line in lines)
        assert jumps == (0 if name == HALT else 1), name
    add = body(code, "op.load+push+add.int+store")
    stack, frame = "(%r13", "(%r14"
    assert not any(stack in line for line in add)
    assert sum(frame in line for line in add) == 2
