"""Where a program's time goes: by mechanism of the interpreter, and by instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmlab.attribution import Attribution
    from vmlab.comparison import Comparison
    from vmlab.measure.opcodes import OpcodeTimes


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` found.

    comparison   of the engines that tell what the mechanisms cost
    attribution  what they cost; None if nothing was timed, for the reason that
                 `comparison.verdict` gives
    opcodes      the time of the instructions; if there is none, the reason
    """

    comparison: Comparison
    attribution: Attribution | None
    opcodes: OpcodeTimes | str

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the times less reliable, each with its cause and what helps. Whether an engine
        can be told from the baseline is not asked here: the table says which costs are resolved."""
        return self.comparison.troubles

    def to_json(self) -> str:
        """All of it as JSON; vmlab/report/explain.schema.json documents every field. Raises
        ValueError if nothing was timed."""
        from vmlab.report.explain import to_json

        return to_json(self)

    def __str__(self) -> str:
        """The report as `vmlab explain` prints it."""
        from vmlab.report.explain import report

        return report(self)
