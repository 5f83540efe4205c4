"""Checking a program's `expect` lines on an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vmlab.engines import Executable, find
from vmlab.outcome import Limits, Outcome, format_number
from vmlab.program import Expectation, Program, Span
from vmlab.supervise import Supervisor


@dataclass(frozen=True, slots=True)
class Failure:
    """An `expect` line that did not come true. `expected` and `found` are what stands behind its
    arrow, and what would have to stand there."""

    expectation: Expectation
    expected: str
    found: str
    outcome: Outcome

    @property
    def span(self) -> Span:
        """Where the line is."""
        return self.expectation.span


def check(program: Program, engine: str, limits: Limits | None = None) -> list[Failure]:
    """Run `main` once for each `expect` line; the lines that fail, in order. A run that was
    interrupted is the last, and a failure. Raises `EngineUnavailable` where the engine cannot run
    this program."""
    executable = find(engine).build(program, counting=True)
    with Supervisor() as supervisor:
        return check_executable(supervisor, executable, program.expectations, limits or Limits())


def check_executable(
    supervisor: Supervisor,
    executable: Executable,
    expectations: Sequence[Expectation],
    limits: Limits,
) -> list[Failure]:
    """Like `check`, for a program that has been built."""
    failures = []
    for expectation in expectations:
        outcome = supervisor.call(executable, expectation.args, limits).outcome
        expected, found = _expected(expectation), _found(expectation, outcome)
        if expected != found:
            failures.append(Failure(expectation, expected, found, outcome))
        if outcome.interrupted:
            break
    return failures


def _expected(expectation: Expectation) -> str:
    if expectation.trap is not None:
        return f"trap {expectation.trap}"
    if expectation.prints is not None:
        return f'prints "{expectation.prints}"'
    return "nothing" if expectation.result is None else format_number(expectation.result)


def _found(expectation: Expectation, outcome: Outcome) -> str:
    """The outcome, in the terms of the expectation. What `format_number` writes alike is the same
    value, bit by bit, but for the payloads of NaNs."""
    if outcome.trap is not None:
        return f"trap {outcome.trap.trap}"
    if expectation.prints is not None:
        return f'prints "{" ".join(map(format_number, outcome.output))}"'
    return "nothing" if outcome.result is None else format_number(outcome.result)
