"""Where an interpreter's time goes: what each mechanism costs where it is added to the work alone,
and what is saved where it is removed from the whole interpreter. Beside that, what tasks cost in
another way.

Every number is the median of the differences of times within the rounds, per executed VM
instruction, so whatever slows a whole round down cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vmlab.comparison import Comparison
from vmlab.measure.statistics import Interval, corrected, median_interval, minimum_rounds
from vmlab.program import Program

FULL = "late"
WORK = "inlined"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A mechanism, and the engines whose times tell what it costs, the one that has it first.

    added    to an engine that has as little else as it can go with
    removed  from the engine that has all; where no engine can be without it alone, the reason
    note     what else the difference holds
    """

    name: str
    added: tuple[str, str]
    removed: tuple[str, str] | str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to do what an engine does. The full engine has neither way, so what it costs
    stands beside the sum, and has no share.

    engines  that tell what it costs, the one that has it first
    note     what the difference holds
    """

    name: str
    engines: tuple[str, str]
    note: str


@dataclass(frozen=True, slots=True)
class Scheme:
    """What the time of `full` is split into, beside the work (that of `WORK`), and what is measured
    besides."""

    full: str
    mechanisms: tuple[Mechanism, ...]
    alternatives: tuple[Alternative, ...] = ()

    @property
    def engines(self) -> tuple[str, ...]:
        """What a comparison must time for an attribution, `WORK` first."""
        pairs = [m.added for m in self.mechanisms]
        pairs += [m.removed for m in self.mechanisms if not isinstance(m.removed, str)]
        pairs += [a.engines for a in self.alternatives]
        return tuple(dict.fromkeys((WORK, self.full, *(name for pair in pairs for name in pair))))

    @property
    def intervals(self) -> int:
        """Those of an attribution, which all hold together: of the work, of `full` and of the rest,
        of every addition, of every removal and its overlap, and of every alternative."""
        costs = sum(1 if isinstance(m.removed, str) else 3 for m in self.mechanisms)
        return 3 + costs + len(self.alternatives)


SEQUENTIAL = Scheme(
    FULL,
    (
        Mechanism(
            "stack traffic",
            ("template", WORK),
            "with dispatch, operands have to be in memory; and in SSA LLVM would compile boxes"
            " away",
        ),
        Mechanism("dispatch", ("switch", "template"), (FULL, "template+boxed+late")),
        Mechanism(
            "type checks",
            ("template+tagged", "template"),
            (FULL, "switch+cells+late"),
            "added, it includes moving the tags",
        ),
        Mechanism(
            "boxing and counting",
            ("template+cells", "template"),
            (FULL, "switch+tagged+late"),
            "removed, tags lie beside the values again, and are moved with them",
        ),
        Mechanism("names", ("template+late", "template"), (FULL, "boxed")),
    ),
)


# For programs with tasks. What becomes of stacks is added to `threaded`: interpreters alone have
# stacks to copy, and the time of `switch` depends too much on where the handlers lie.
_ALL = "switch+boxed+late+copy+barrier"
_REMOVED: dict[str, tuple[str, str] | str] = {
    "dispatch": "stacks are copied by interpreters only",
    "type checks": (_ALL, "switch+cells+late+copy+barrier"),
    "boxing and counting": (_ALL, "switch+tagged+late+copy+barrier"),
    "names": (_ALL, "switch+boxed+copy+barrier"),
}
_STACKS = (
    "what tasks with machine stacks of their own, whose calls are plain ones, cost more (below 0:"
    " less) than coroutines with frames; interpreters have neither, so it is in no sum"
)
CONCURRENT = Scheme(
    _ALL,
    (
        *(replace(m, removed=_REMOVED.get(m.name, m.removed)) for m in SEQUENTIAL.mechanisms),
        Mechanism("stack copy", ("threaded+copy", "threaded"), (_ALL, "switch+boxed+late+barrier")),
        Mechanism("barrier", ("threaded+barrier", "threaded"), (_ALL, "switch+boxed+late+copy")),
    ),
    tuple(
        Alternative("machine stacks, not frames", (f"{base}+stackful", base), _STACKS)
        for base in ("template", WORK)
    ),
)

# On the ladder, the engine that has the mechanism first, and the one above.
_RUNGS = {
    "stack traffic": ("template", WORK),
    "dispatch": ("switch", "template"),
    "type checks": ("tagged", "switch"),
    "boxing and counting": ("boxed", "tagged"),
    "names": (FULL, "boxed"),
}


def scheme_for(program: Program) -> Scheme:
    return CONCURRENT if program.has_tasks else SEQUENTIAL


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds per VM instruction, and their share of the full engine's (None where that has
    none, or they are no part of it)."""

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
    """rest    what `work` and the added parts do not sum up to: full - (work + sum of added)
    beside  what the alternatives cost, in the order of the scheme's"""

    scheme: Scheme
    rows: tuple[Row, ...]
    work: Cost | str
    rest: Cost | str
    full: Cost | str
    beside: tuple[Cost | str, ...]
    rounds: int


def attribute(comparison: Comparison, scheme: Scheme) -> Attribution:
    """The attribution of a comparison of the scheme's engines. Raises ValueError if it timed
    nothing, or in too few rounds for intervals (see `statistics.minimum_rounds`)."""
    if comparison.rounds is None:
        raise ValueError("nothing was timed, so there is no time to attribute")
    full = scheme.full
    costs = _Costs(comparison, full, scheme.intervals)
    rows = tuple(_row(costs, mechanism) for mechanism in scheme.mechanisms)
    added = [term for m in scheme.mechanisms for term in _difference(m.added)]
    return Attribution(
        scheme,
        rows,
        costs.cost([(1, WORK)]),
        costs.cost([(1, full), (-1, WORK), *((-sign, name) for sign, name in added)]),
        costs.cost([(1, full)]),
        tuple(costs.cost(_difference(a.engines), shared=False) for a in scheme.alternatives),
        len(comparison.rounds.order),
    )


def along_ladder(comparison: Comparison) -> dict[str, Cost] | None:
    """The work, and what each mechanism adds to it on the ladder, by name; the intervals hold
    together. None unless all of that was timed, in rounds enough for that, and nothing folded."""
    intervals = 1 + len(_RUNGS)
    if comparison.rounds is None or len(comparison.rounds.order) < minimum_rounds(intervals):
        return None
    costs = _Costs(comparison, FULL, intervals)
    steps = {"work": [(1, WORK)]} | {name: _difference(pair) for name, pair in _RUNGS.items()}
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
    """Sums and differences of the engines' times within each round, and their share of that of
    `full`."""

    def __init__(self, comparison: Comparison, full: str, intervals: int) -> None:
        self._full = full
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

    def cost(self, terms: _Terms, *, shared: bool = True) -> Cost | str:
        """Of these terms, with its share if it is `shared`; else the reason why there is none."""
        reasons = dict.fromkeys(filter(None, (self._reason(name) for _, name in terms)))
        if reasons:
            return "; ".join(reasons)
        nanoseconds = self._interval(terms)
        shared = shared and self._reason(self._full) is None
        share = nanoseconds.median / self._interval([(1, self._full)]).median if shared else None
        return Cost(nanoseconds, share)
