"""Stacks that are copied, and the barrier: that both really happen, and that nothing else differs.
What programs see is tested with that of the other engines, in test_tasks.py."""

from __future__ import annotations

import platform
import re

import pytest
from native_engines import agreed, executable
from test_compositions import count
from test_machine_code import body, code_of
from test_tasks import DEEP, PARKED, program

from vmlab import corpus
from vmlab.assembler import assemble
from vmlab.engines import EngineUnavailable, find
from vmlab.isa import WORD_BYTES, Trap
from vmlab.kernels.barrier import CARD_BYTES
from vmlab.kernels.context import Region
from vmlab.kernels.tasks import BASE, END, RP, SP, block_words
from vmlab.outcome import Limits

VALUES = ["", "+tagged", "+boxed", "+boxed+late"]
COPYING = ["switch+copy", "threaded+tagged+copy+barrier", "threaded+boxed+late+copy"]
IDLE = "func main()\nret\nend"
TASKS = "func main()\nyield\nret\nend"


@pytest.mark.parametrize("base", ["inlined", "template"])
@pytest.mark.parametrize("policy", ["copy", "barrier"])
def test_straight_code_has_no_policies(base: str, policy: str) -> None:
    with pytest.raises(ValueError, match=f"'{policy}' can be added to threaded and switch only"):
        find(f"{base}+{policy}")


def test_parts_have_one_order() -> None:
    assert find("switch+barrier+late+copy").parts == ("switch", "late", "copy", "barrier")


@pytest.mark.parametrize("technique", ["cached", "register", "super", "quickened"])
@pytest.mark.parametrize("text", [IDLE, TASKS])
def test_policies_and_techniques_are_not_joined(technique: str, text: str) -> None:
    with pytest.raises(EngineUnavailable, match=f"no way yet to join {technique} and barrier"):
        find(f"switch+{technique}+barrier").build(assemble(text), counting=False)


def test_without_tasks_there_is_nothing_to_copy() -> None:
    with pytest.raises(EngineUnavailable, match="the program has no tasks"):
        find("switch+copy").build(assemble(IDLE), counting=False)


# Where stacks are


def within(address: int, region: Region) -> bool:
    return region.address <= address < region.address + region.size


FAILS = "func fail(n: int) -> int\npush 1\nload n\ndiv\nret\nend\n"


@pytest.mark.parametrize("engine", ["threaded", *COPYING])
def test_the_running_task_has_the_shared_stack(engine: str) -> None:
    text = program("push 0, spawn fail, join, print", "", FAILS)
    built = executable(text, engine, False)
    outcome = built.call((), Limits()).outcome
    assert outcome.trap is not None and outcome.trap.trap is Trap.DIVIDE_BY_ZERO
    state, copies = built.state, "copy" in engine
    current = built.words(state.context.current, 8)
    assert within(state.context.rp, state.stack) is copies
    assert within(current[BASE], state.stack) is copies
    # As large as what it costs: the first words of a stack.
    assert current[END] - current[BASE] == WORD_BYTES * state.values.words * 16
    # Main waits, in memory of its own.
    main = built.words(state.context.blocks, 8)
    its_own = state.saved if copies else state.stack
    assert all(within(main[place], its_own) for place in (BASE, SP, RP))


@pytest.mark.parametrize("engine", COPYING)
@pytest.mark.parametrize("depth", [0, 1, 2, 50, 9_999, 10_000])
def test_stacks_are_whole_after_a_switch_at_any_depth(engine: str, depth: int) -> None:
    builds = [(engine, True), (engine, False)]
    outcome = agreed(corpus.source("deep_yield"), 3, depth, builds=builds)
    assert outcome.result == (2 * (3 + depth) if depth < 10_000 else None)


def test_growing_is_charged_at_the_same_instruction() -> None:
    """From the first words that do not do to those that do."""
    text = program("push 40, push 0.5, push 2, spawn deep, join, print", "", DEEP)
    builds = [(engine, True) for engine in COPYING]
    for words in range(0, 1_200, 37):
        agreed(text, builds=builds, max_heap=224 + 8 * words)


@pytest.mark.parametrize("engine", ["switch+copy", "threaded+copy+barrier"])
def test_a_million_tasks(engine: str) -> None:
    built = executable(corpus.source("many_tasks"), engine, False)
    assert built.call((1_000_000,), Limits()).outcome.result == 1_000_000


# Cards

MANY_GLOBALS = (
    "".join(f"global a{n}: int[]\n" for n in range(200))
    + "".join(f"global i{n}: int\n" for n in range(100))
    + "func main(n: int)\n"
    + "".join(f"load n\nnewarr int\ngstore a{n}\n" for n in (5, 70, 71, 199))
    + "load n\ngstore i99\nret\nend\n"
)


def marked(built, name: str) -> set[int]:
    cards = bytes(built._cards[name].words.cast("B"))
    return {number for number, card in enumerate(cards) if card}


@pytest.mark.parametrize("engine", ["switch", *(f"threaded{values}" for values in VALUES)])
def test_cards_of_globals_that_get_references_are_marked(engine: str) -> None:
    built = executable(MANY_GLOBALS, f"{engine}+barrier", False)
    stored = [5, 70, 71, 199]
    if built.state.values.counted:
        stored.append(299)  # a reference to its cell
    size = WORD_BYTES * built.state.values.words
    for _ in range(2):
        built.call((3,), Limits(), iterations=2)
        assert marked(built, "global_cards") == {n * size // CARD_BYTES for n in stored}
        built._cards["global_cards"].words[0] |= 1 << 48  # the next call begins with clean ones


@pytest.mark.parametrize("engine", ["threaded", "switch+copy"])
def test_without_a_barrier_there_are_no_cards(engine: str) -> None:
    built = executable(PARKED, engine, False)
    built.call((100,), Limits())
    assert not built._cards
    assert built.state.context.global_cards == built.state.context.task_cards == 0


@pytest.mark.parametrize("engine", ["threaded+barrier", "switch+tagged+copy+barrier"])
def test_cards_of_tasks_that_stop_are_marked(engine: str) -> None:
    built = executable(PARKED, engine, False)
    for number in 1_000, 10:
        assert built.call((number,), Limits()).outcome.trap is None
        # Main and all others but the last, which ends without having waited.
        block = WORD_BYTES * block_words(built.state.values)
        waited = {task * block // CARD_BYTES for task in range(number + 1)}
        assert marked(built, "task_cards") == waited


def test_a_task_that_never_stops_leaves_its_card_alone() -> None:
    built = executable(program("push 7, print, yield"), "threaded+barrier", False)
    built.call((), Limits())
    assert marked(built, "task_cards") == set()


# Machine code

on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="facts about x86-64 code")
TEST, MARK, CALL = r"^cmpb\s+\$0, \(%", r"^movb\s+\$1, \(%", r"^callq\s+\*%"


def handlers(engine: str, text: str) -> dict[str, list[str]]:
    """Labels have other numbers in another module."""
    code = code_of(engine, text)
    names = re.findall(r'^"?(op\.[^:"]+)"?:', code, re.MULTILINE)
    return {
        name[3:]: [re.sub(r"\.L\w+", "label", line) for line in body(code, name)] for name in names
    }


def changed(before: dict[str, list[str]], after: dict[str, list[str]]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


@on_x86
@pytest.mark.parametrize("values", VALUES)
def test_a_barrier_is_in_stores_to_globals_alone(values: str) -> None:
    bare, barred = (handlers(f"threaded{values}{p}", IDLE) for p in ("", "+barrier"))
    store = "gstore" if "gstore.reference" not in barred else "gstore.reference"
    assert changed(bare, barred) == {store}
    # It is looked at before it is written.
    assert (count(TEST, barred[store]), count(MARK, barred[store])) == (1, 1)
    assert not any(count(TEST, lines) or count(MARK, lines) for lines in bare.values())


SWITCHES = {"yield", *(f"{name}.{of}" for name, of in [
    ("join", "task"), ("join", "task[int]"), ("join", "task[float]"),
    ("send", "chan[int]"), ("send", "chan[float]"), ("recv", "chan[int]"), ("recv", "chan[float]"),
])}  # fmt: skip


@on_x86
@pytest.mark.parametrize("stacks", ["", "+copy"])
def test_a_switch_marks_the_card_of_the_task_that_stops(stacks: str) -> None:
    bare, barred = (handlers(f"threaded{stacks}{p}", TASKS) for p in ("", "+barrier"))
    assert changed(bare, barred) == {*SWITCHES, "gstore.reference"}
    for name in SWITCHES:
        assert (count(TEST, barred[name]), count(MARK, barred[name])) == (1, 1), name


@on_x86
def test_a_boxed_value_for_a_task_that_waits_is_a_store_like_others() -> None:
    bare, barred = (handlers(f"threaded+boxed{p}", TASKS) for p in ("", "+barrier"))
    assert changed(bare, barred) == {
        "finish.value", "gstore", "yield", "send", "recv", "close",
        "join.task", "join.task[int]", "join.task[float]",
    }  # fmt: skip
    # The task that stops, and the one that gets a value: for an int and for a float.
    assert count(TEST, barred["send"]) == 2 * 2


@on_x86
def test_copies_are_where_tasks_switch_and_nowhere_else() -> None:
    own, shared = (handlers(f"threaded{p}", TASKS) for p in ("", "+copy"))
    assert changed(own, shared) == {*SWITCHES, "finish", "finish.value", "grow"}
    assert {name for name, lines in own.items() if count(r"memcpy", lines)} == {"grow"}
    # Operands and records, of the one out and of the other in. What ends is not kept. What grows
    # stays where it is, and has its records at its end.
    calls = dict.fromkeys(SWITCHES, 4) | {"finish": 2, "finish.value": 2, "grow": 1}
    assert calls == {name: count(CALL, shared[name]) for name in calls}
