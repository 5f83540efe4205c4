"""The scheduler's language as machine code."""

import ctypes

import pytest
from llvmlite import ir

from vmlab.kernels import native
from vmlab.kernels.scheduler import composition, tasks
from vmlab.kernels.scheduler.composition import Kernel
from vmlab.kernels.scheduler.language import (
    PARALLEL,
    acquire,
    instant,
    release,
    trailing_zeros,
)
from vmlab.kernels.scheduler.layout import Lock, Task, Worker
from vmlab.kernels.scheduler.machine import FUNCTIONS
from vmlab.kernels.scheduler.structures import Word
from vmlab.kernels.scheduler.translate import Translator, Untranslatable

COMPOSITIONS = pytest.mark.parametrize("parallel", [False, True], ids=["one", "several"])


def arithmetic(a: Word, b: Word) -> Word:
    return ((a + b) * 3 - (a // b) + (a % b) ^ (a << 2) | (b >> 1)) & ~7


def loops(end: Word) -> Word:
    total = 0
    for number in range(end):
        if number == 3:
            continue
        if number == 8:
            break
        total += number
    while True:
        total += 1
        if total % 10 == 0:
            return total


def conditions(a: Word, b: Word) -> Word:
    if a == 0 or b // a == 2:
        return 1
    if not (a < b and b != 7):
        return 2
    return 3


def unsigned(a: Word) -> Word:
    if a - 1 > a:
        return trailing_zeros(-8)
    return 0


def chosen() -> Word:
    if PARALLEL and trailing_zeros(2):
        return 2
    return 1


def atomic(lock: Lock) -> Word:
    lock.held.store(5, release)
    before = lock.held.fetch_add(2)
    if lock.held.compare_exchange(6, 0):
        return 0
    if not lock.held.compare_exchange(7, 10):
        return 0
    old = lock.held.exchange(before)
    now = lock.held.load(acquire)
    return old * 100 + now


FUNCTIONS_HERE = (arithmetic, loops, conditions, unsigned, chosen, atomic)


@COMPOSITIONS
def test_functions_do_what_python_says(parallel):
    call = Kernel(f"test-translate-{parallel}", parallel, FUNCTIONS_HERE, ()).call
    for a, b in ((7, 2), (100, 9), (2, 5)):
        assert call["arithmetic"](a, b) == arithmetic(a, b)
    for end in (0, 2, 5, 20):
        assert call["loops"](end) == loops(end)
    for a, b in ((0, 1), (3, 7), (3, 6), (9, 2), (1, 2), (1, 5)):
        assert call["conditions"](a, b) == conditions(a, b)
    assert call["unsigned"](0) == 3
    assert call["unsigned"](1) == 0
    assert call["chosen"]() == 1 + parallel
    word = ctypes.c_uint64()
    assert call["atomic"](ctypes.addressof(word)) == 1005


def test_one_worker_needs_no_atomic_operation():
    def operations(parallel):
        functions = [tasks.run, tasks.launch, tasks.next_task]
        text = composition.module(parallel, functions, native.target_machine())
        return [line for line in text.splitlines() if "atomic" in line or "cmpxchg" in line]

    assert operations(True)
    assert not operations(False)


def plain_read(worker: Worker) -> Word:
    return worker.head


def unknown_field(worker: Worker) -> Word:
    return worker.heads


def wrong_type(worker: Worker, task: Task):
    task.worker = task


def no_result(a: Word) -> Word:
    a += 1


def other_python(a: Word) -> Word:
    return [a][0]


@pytest.mark.parametrize(
    "function, message",
    [
        (plain_read, r"worker\.head: is shared: load\(order\)"),
        (unknown_field, "Worker has no such field"),
        (wrong_type, "is Task, not Worker"),
        (no_result, "may end without a result"),
        (other_python, "no field"),
    ],
)
def test_what_is_not_in_the_language_is_refused_with_its_place(function, message):
    with pytest.raises(Untranslatable, match=rf"test_translate\.py:\d+: .*{message}"):
        composition.module(True, [function], native.target_machine())


def test_everything_that_python_calls_is_translated():
    kernel = Kernel("test-functions", True, FUNCTIONS, ())
    assert set(kernel.call) == {function.__name__ for function in FUNCTIONS}
    assert "lock" in kernel.assembly


def doubled(a: Word) -> Word:
    return 2 * a


def doubled_and_more(a: Word) -> Word:
    return doubled(a) + 1


def twice_doubled(a: Word) -> Word:
    return doubled(doubled(a))


def test_a_replacement_is_called_by_all_but_itself():
    module = ir.Module()
    module.triple = native.target_machine().triple
    translator = Translator(module, {}, None, {doubled: doubled_and_more})
    translator.function(twice_doubled)
    bodies = {f.name.split(".")[-1]: str(f) for f in module.functions}
    assert bodies["twice_doubled"].count("call") == 2
    assert bodies["twice_doubled"].count("doubled_and_more") == 2
    assert bodies["doubled_and_more"].count('test_translate.doubled"') == 1


def passes_time() -> Word:
    before = instant()
    return instant() - before


@COMPOSITIONS
def test_time_passes_from_one_instant_to_the_next(parallel):
    kernel = Kernel(f"test-instant-{parallel}", parallel, (passes_time,), ())
    assert max(kernel.call["passes_time"]() for _ in range(100)) > 0
