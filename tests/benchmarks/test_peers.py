"""Programs for other interpreters compute what the corpus does; what is made of their times."""

from __future__ import annotations

import sys

import pytest

from vmlab import corpus
from vmlab.cli.status import Status
from vmlab.engines import EngineUnavailable
from vmlab.outcome import Limits

from . import peers
from .interpreters import PEERS, LuaJIT, Peer


def load(peer: str, name: str) -> Peer:
    try:
        return PEERS[peer](name)
    except EngineUnavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", peers.ARGUMENTS)
def test_program(name: str, peer: str) -> None:
    program = load(peer, name)
    for expectation in corpus.load(name).expectations:
        if expectation.trap is None:
            result = program.call(expectation.args, Limits()).outcome.result
            assert result == expectation.result
            assert type(result) is type(expectation.result)


def test_code_compiled_by_luajit_is_refused() -> None:
    program = load("LuaJIT's interpreter", "sieve")
    assert isinstance(program, LuaJIT)
    program.call((10_000,), Limits())
    program.runtime.execute("jit.on()")
    with pytest.raises(EngineUnavailable, match="compiled a part"):
        program.call((10_000,), Limits())


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_that_is_not_installed_says_how_to_get_it(monkeypatch, peer: str) -> None:
    for module in ("lupa", "wasmtime", "wasm3"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineUnavailable, match=r"pip install -e '\.\[peers\]'"):
        PEERS[peer]("fib")


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


class Python(Peer):
    def _load(self, name):
        self.release = f"the Python that runs {name}"
        return fibonacci


class Wrong(Python):
    def _load(self, name):
        super()._load(name)
        return lambda n: fibonacci(n) + 1


class Absent(Peer):
    def _load(self, name):
        raise ImportError("No module named 'absent'")


def test_measure_and_report(monkeypatch) -> None:
    monkeypatch.setattr(peers, "PEERS", {"Python": Python, "absent": Absent})
    run = peers.measure(["switch"], {"fib": {"n": 16}}, 7, Status().__enter__())
    assert run.results["fib"].samples.keys() == {"switch", "Python"}
    assert all(len(times) == 7 for times in run.results["fib"].samples.values())
    text = peers.report(run)
    assert "| fib, n = 16" in text
    assert "No module named 'absent'" in text
    assert "- Python is the Python that runs fib" in text


def test_nothing_is_timed_where_results_differ(monkeypatch) -> None:
    monkeypatch.setattr(peers, "PEERS", {"Python": Wrong})
    with pytest.raises(ValueError, match="fib: Python gives 56, but switch gives 55"):
        peers.measure(["switch"], {"fib": {"n": 10}}, 7, Status().__enter__())


def scripted(monkeypatch, missing: dict[str, str], **times: list[float]) -> peers.Run:
    """One program on the engines e and f, and the peers p and q, in 9 rounds."""
    monkeypatch.setattr(peers, "PEERS", {"p": Python, "q": Python})
    results = {
        name: peers.Result(
            {which: [time] * 9 for which, time in zip("efpq", row, strict=False)}, {}
        )
        for name, row in times.items()
    }
    last = list(results)[-1]
    for which in missing:
        del results[last].samples[which]
    results[last].missing.update(missing)
    return peers.Run(("e", "f"), {name: {} for name in results}, results, {}, 9)


def test_the_fastest_engine_is_judged_by_the_mean(monkeypatch) -> None:
    run = scripted(monkeypatch, {}, one=[2, 1, 4, 8], two=[2, 3, 4, 32])
    assert run.fastest() == "f"  # √3 to 2
    mean = run.mean("p", "f")
    assert mean is not None
    assert mean.median == pytest.approx((4 / 1 * 4 / 3) ** 0.5)
    assert (
        "mean, times as long as f take: p 2.31 (2.31 to 2.31) and q 9.24 (9.24 to 9.24)."
        in peers.verdict(run)
    )
    assert "It is ahead of each on every program." in peers.verdict(run)


def test_a_mean_is_taken_in_every_round(monkeypatch) -> None:
    run = scripted(monkeypatch, {}, one=[2, 1, 4, 8], two=[2, 1, 4, 8])
    run.results["one"].samples["p"][:4] = [1] * 4
    run.results["two"].samples["p"][-4:] = [1] * 4
    mean = run.mean("p", "f")  # √(1 · 4) in eight rounds of nine, and 4 in the middle
    assert mean is not None
    assert (mean.median, mean.low) == pytest.approx((2, 2))


def test_where_the_engine_is_not_ahead_is_said(monkeypatch) -> None:
    run = scripted(monkeypatch, {}, one=[2, 4, 1, 2])
    run.results["one"].samples["q"][:4] = [1] * 4
    assert (
        "It is not ahead of p on one, 0.500 (0.500 to 0.500), behind;"
        " q on one, 1.00 (0.500 to 1.00), not resolved." in peers.verdict(run)
    )


def test_what_did_not_run_has_no_ratio(monkeypatch) -> None:
    run = scripted(monkeypatch, {"f": "too small", "q": "gone"}, one=[2, 1, 4, 8], two=[2, 1, 4, 8])
    assert run.fastest() == "e"
    assert run.ratio("two", "q", "e") is None
    mean = run.mean("q", "e")
    assert mean is not None
    assert mean.median == pytest.approx(4)
    assert peers.verdict(run).endswith("Not all was run by q.")
    assert "too small" in peers.report(run)
