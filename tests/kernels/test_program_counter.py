"""Where machine code lies, and where in it a thread is when it gets a signal."""

from __future__ import annotations

import platform
import signal
import sys
import threading
from itertools import pairwise

import pytest

from vmlab import corpus
from vmlab.engines import find
from vmlab.isa import VARIANTS
from vmlab.kernels.program_counter import NoProgramCounter, ProgramCounter
from vmlab.outcome import Limits

here = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="needs Linux on x86-64"
)


@here
def test_functions_lie_side_by_side_and_move_with_the_code_in_another_order():
    executable = find("threaded").build(corpus.load("fib"), counting=False)
    functions = executable.functions()
    assert functions["enter"].start == executable.address
    assert {f"op.{name}" for name in ("call", "add.int", "jz", "jz.backward")} <= functions.keys()
    assert len(functions) > len(VARIANTS) - 10  # but for those of tasks, each has one
    in_order = sorted(functions, key=lambda name: functions[name].start)
    assert all(functions[a].stop <= functions[b].start for a, b in pairwise(in_order))
    executable.relocate()
    moved = executable.functions()
    assert moved["enter"].start == executable.address != functions["enter"].start
    assert moved.keys() == functions.keys()
    # A loop within is aligned to 64 bytes.
    assert all(abs(len(moved[name]) - len(functions[name])) < 64 for name in moved)
    moved_order = sorted(moved, key=lambda name: moved[name].start)
    assert all(moved[a].stop <= moved[b].start for a, b in pairwise(moved_order))
    assert moved_order != in_order


def test_an_engine_without_machine_code_has_no_functions():
    assert find("reference").build(corpus.load("fib"), counting=False).functions() == {}


@here
def test_signals_are_noted_only_while_somebody_listens():
    counter, met = ProgramCounter(), []
    before = signal.signal(counter.SIGNAL, lambda *_: met.append(1))
    try:
        with counter.listening():
            for _ in range(3):
                signal.pthread_kill(threading.get_ident(), counter.SIGNAL)
        assert len(counter.take()) == 3
        assert counter.take() == []
        assert met == []
        signal.raise_signal(counter.SIGNAL)
        assert met == [1]
    finally:
        signal.signal(counter.SIGNAL, before)


@here
def test_more_signals_than_can_be_kept_are_dropped(monkeypatch):
    monkeypatch.setattr("vmlab.kernels.program_counter._CAPACITY", 2)
    counter = ProgramCounter()
    with counter.listening():
        for _ in range(5):
            signal.pthread_kill(threading.get_ident(), counter.SIGNAL)
    assert len(counter.take()) == 2


@here
def test_a_thread_in_machine_code_is_found_there():
    executable = find("threaded").build(corpus.load("fib"), counting=False)
    counter, thread, ended = ProgramCounter(), threading.get_ident(), threading.Event()

    def ask():
        while not ended.wait(0.01):
            signal.pthread_kill(thread, counter.SIGNAL)

    asking = threading.Thread(target=ask)
    with counter.listening():
        asking.start()
        executable.call((32,), Limits())
        ended.set()
        asking.join()
    # The first may come before the call, and the last behind it.
    places = executable.functions().values()
    assert any(address in place for address in counter.take() for place in places)


def test_other_machines_are_told(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(NoProgramCounter, match="on Linux on x86-64 only"):
        ProgramCounter()
