"""Where an interpreter's time goes: what each mechanism costs where it is added to the work alone,
and what is saved where it is removed from the whole interpreter.

Every number is the median of the differences of times within the rounds, per executed VM
instruction, so whatever slows a whole round down cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmlab.comparison import Comparison
from vmlab.measure.statistics import Interval, corrected, median_interval, minimum_rounds

FULL = "late"
WORK = "inlined"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A mechanism, and the engines whose times tell what it costs, the one that has it first.

    rung     on the ladder, with all that the engines above have
    added    beside `WORK`
    removed  from `FULL`; where no engine can be without it alone, the reason
    note     what else the difference holds
    """

    name: str
    rung: tuple[str, str]
    added: tuple[str, str]
    removed: tuple[str, str] | str
    note: str | None = None


MECHANISMS = (
    Mechanism(
        "stack traffic",
        ("template", WORK),
        ("template", WORK),
        "with dispatch, operands have to be in memory; and in SSA LLVM would compile boxes away",
    ),
    Mechanism(
        "dispatch", ("switch", "template"), ("switch", "template"), (FULL, "template+boxed+late")
    ),
    Mechanism(
        "type checks",
        ("tagged", "switch"),
        ("template+tagged", "template"),
        (FULL, "switch+cells+late"),
        "added, it includes moving the tags",
    ),
    Mechanism(
        "boxing and counting",
        ("boxed", "tagged"),
        ("template+cells", "template"),
        (FULL, "switch+tagged+late"),
    ),
    Mechanism("names", (FULL, "boxed"), ("template+late", "template"), (FULL, "boxed")),
)


def _engines() -> tuple[str, ...]:
    pairs = [pair for m in MECHANISMS for pair in (m.added, m.removed) if not isinstance(pair, str)]
    return tuple(dict.fromkeys((WORK, FULL, *(name for pair in pairs for name in pair))))


# What a comparison must time for an attribution, `WORK` first.
ENGINES = _engines()

# The intervals of an attribution, which all hold together: those of `WORK`, `FULL` and the rest,
# of every addition, and of every removal and its overlap.
INTERVALS = 3 + sum(1 if isinstance(m.removed, str) else 3 for m in MECHANISMS)


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds per VM instruction, and their share of `FULL`'s (None where that has none)."""

    nanoseconds: Interval
    share: float | None

    @property
    def resolved(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.nanoseconds.low > 0 or self.nanoseconds.high < 0


@dataclass(frozen=True, slots=True)
class Row:
    """A mechanism's costs; where there is none, the reason.

    overlap  removed - added: above 0, the mechanism costs more within the whole interpreter
    """

    mechanism: Mechanism
    added: Cost | str
    removed: Cost | str
    overlap: Cost | str


@dataclass(frozen=True, slots=True)
class Attribution:
    """rest  what `work` and the added parts do not sum up to: full - (work + sum of added)"""

    rows: tuple[Row, ...]
    work: Cost | str
    rest: Cost | str
    full: Cost | str
    rounds: int


def attribute(comparison: Comparison) -> Attribution:
    """The attribution of a comparison of `ENGINES`. Raises ValueError if it timed nothing, or in
    too few rounds for intervals (see `statistics.minimum_rounds` of `INTERVALS`)."""
    if comparison.rounds is None:
        raise ValueError("nothing was timed, so there is no time to attribute")
    costs = _Costs(comparison, INTERVALS)
    rows = tuple(_row(costs, mechanism) for mechanism in MECHANISMS)
    added = [term for m in MECHANISMS for term in _difference(m.added)]
    return Attribution(
        rows,
        costs.cost([(1, WORK)]),
        costs.cost([(1, FULL), (-1, WORK), *((-sign, name) for sign, name in added)]),
        costs.cost([(1, FULL)]),
        len(comparison.rounds.order),
    )


def along_ladder(comparison: Comparison) -> dict[str, Cost] | None:
    """The work, and what each mechanism adds to it on the ladder, by name; the intervals hold
    together. None unless all of that was timed, in rounds enough for that, and nothing folded."""
    intervals = 1 + len(MECHANISMS)
    if comparison.rounds is None or len(comparison.rounds.order) < minimum_rounds(intervals):
        return None
    costs = _Costs(comparison, intervals)
    steps = {"work": [(1, WORK)]} | {m.name: _difference(m.rung) for m in MECHANISMS}
    found = {name: costs.cost(terms) for name, terms in steps.items()}
    known = {name: cost for name, cost in found.items() if not isinstance(cost, str)}
    return known if len(known) == len(found) else None


_Terms = list[tuple[int, str]]


def _difference(pair: tuple[str, str]) -> _Terms:
    return [(1, pair[0]), (-1, pair[1])]


def _row(costs: _Costs, mechanism: Mechanism) -> Row:
    added = _difference(mechanism.added)
    if isinstance(mechanism.removed, str):
        return Row(mechanism, costs.cost(added), mechanism.removed, mechanism.removed)
    removed = _difference(mechanism.removed)
    overlap = [*removed, *((-sign, name) for sign, name in added)]
    return Row(mechanism, costs.cost(added), costs.cost(removed), costs.cost(overlap))


class _Costs:
    """Sums and differences of the engines' times within each round."""

    def __init__(self, comparison: Comparison, intervals: int) -> None:
        self._confidence = corrected(intervals)
        rounds, outcome = comparison.rounds, comparison.agreement.outcome
        assert rounds is not None and outcome is not None and outcome.instructions
        self._samples = rounds.samples
        self._instructions = rounds.iterations * outcome.instructions
        self._missing = {
            engine.name: f"{engine.name} took no part: {engine.unavailable}"
            for engine in comparison.engines
            if engine.unavailable is not None
        }
        if comparison.folded is not None:
            self._missing[comparison.folded] = (
                f"the compiler of {comparison.folded} folded the program's work away"
            )

    def _reason(self, name: str) -> str | None:
        if name in self._missing:
            return self._missing[name]
        return None if name in self._samples else f"{name} was not timed"

    def _interval(self, terms: _Terms) -> Interval:
        columns = [[sign * ns for ns in self._samples[name]] for sign, name in terms]
        times = [sum(column) / self._instructions for column in zip(*columns, strict=True)]
        return median_interval(times, self._confidence)

    def cost(self, terms: _Terms) -> Cost | str:
        reasons = dict.fromkeys(filter(None, (self._reason(name) for _, name in terms)))
        if reasons:
            return "; ".join(reasons)
        nanoseconds = self._interval(terms)
        known = self._reason(FULL) is None
        share = nanoseconds.median / self._interval([(1, FULL)]).median if known else None
        return Cost(nanoseconds, share)
