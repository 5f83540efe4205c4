"""`explain`: time what an attribution needs, then watch the instructions."""

from __future__ import annotations

from collections.abc import Mapping

from vmlab.attribution import attribute, scheme_for
from vmlab.explanation import Explanation
from vmlab.measure.compare import check_rounds, compare
from vmlab.measure.opcodes import measure_opcodes
from vmlab.measure.sampling import Progress, silent
from vmlab.outcome import Limits, bind_arguments
from vmlab.program import Number, Program
from vmlab.supervise import Supervisor

# Rounds with `quick`: so many that the intervals of all costs leave out the smallest and the
# largest difference. One disturbed round does no harm.
QUICK_ROUNDS = 15


def explain(
    program: Program,
    args: Mapping[str, Number] | None = None,
    *,
    rounds: int | None = None,
    quick: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
    seed: int | None = None,
) -> Explanation:
    """Find out where a program's time goes. Parameters and exceptions are those of
    `measure.compare`, but for the engines: an attribution says which; and `quick` takes
    `QUICK_ROUNDS`."""
    values = bind_arguments(program, args or {})
    scheme = scheme_for(program)
    if rounds is not None:
        check_rounds(rounds, scheme.intervals, f"{scheme.intervals} costs")
    elif quick:
        rounds = QUICK_ROUNDS
    comparison = compare(
        program, scheme.engines, args, rounds=rounds, limits=limits, progress=progress, seed=seed
    )
    if comparison.rounds is None:
        return Explanation(comparison, None, comparison.verdict)
    with Supervisor() as supervisor:
        opcodes = measure_opcodes(
            supervisor,
            program,
            values,
            limits or Limits(),
            len(comparison.rounds.order),
            progress or silent,
        )
    return Explanation(comparison, attribute(comparison, scheme), opcodes)
