"""Conditions like `switch>30*inlined`, on which `compare` fails."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmlab.diagnostics import closest

if TYPE_CHECKING:
    from vmlab.comparison import Comparison

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_ENGINE = r"[^\W\d][\w+]*"
_FORM = re.compile(
    rf"\s*(?P<left>{_ENGINE})\s*(?P<operator>[<>]=?)"
    rf"\s*(?:(?P<factor>\d+(?:\.\d*)?|\.\d+)\s*\*)?\s*(?P<right>{_ENGINE})\s*"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """That the time of the engine `left` is less or more than `factor` times that of `right`."""

    left: str
    operator: str
    factor: float
    right: str

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.factor:g} * {self.right}"

    def holds(self, comparison: Comparison) -> bool:
        """Whether the median of the rounds' ratios is on the side the condition names. Raises
        ValueError where the comparison has no such ratio."""
        ratio = comparison.ratio(self.left, self.right).median
        return _OPERATORS[self.operator](ratio, self.factor)


def parse_condition(text: str, engines: Sequence[str]) -> Condition:
    """Read a condition on two of these engines. Raises ValueError with a message for the user."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(
            f"'{text}' is not a condition; it takes two engines, one of < <= > >=, and a factor"
            " if you like: 'switch>30*inlined'"
        )
    left, right = form["left"], form["right"]
    for name in (left, right):
        if name not in engines:
            meant = closest(name, engines)
            hint = f"; did you mean '{meant}'?" if meant else ""
            raise ValueError(
                f"'{text}': no compared engine is called '{name}'{hint}"
                f" (compared: {', '.join(engines)})"
            )
    if left == right:
        raise ValueError(f"'{text}': both sides are '{left}'")
    return Condition(left, form["operator"], float(form["factor"] or 1), right)
