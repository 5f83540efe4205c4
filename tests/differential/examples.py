"""Generated programs in tests: the same ones from the same seed, and nothing else stops them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis.strategies import SearchStrategy


def each(
    programs: SearchStrategy[str], examples: int, first: int, check: Callable[[str], object]
) -> None:
    """Call `check` with the texts of so many programs, from the seed `first` on."""

    @seed(first)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(programs)
    def run(text: str) -> None:
        note(text)
        check(text)

    run()
