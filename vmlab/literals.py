"""What literals and type names in a source mean."""

from __future__ import annotations

import math
import re

from vmlab.diagnostics import Diagnostic, Findings, Note, a, either, quote
from vmlab.isa import INT_MAX, INT_MIN, TASKS, Type
from vmlab.program import Number, Span
from vmlab.syntax import Token
from vmlab.unknown import UNKNOWN

TYPES = {str(type_): type_ for type_ in Type}
_TYPE_NAMES = either(list(TYPES))

# What other languages write where there is no result.
NO_TYPES = ("void", "none", "None", "nothing", "unit")

_INTEGER = re.compile(
    r"-?(?:0x[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0b[01]+(?:_[01]+)*|[0-9]+(?:_[0-9]+)*)"
)
_FLOAT = re.compile(r"-?[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][-+]?[0-9]+)?|-?inf|nan")
_MOST_DIGITS = 64


def number(token: Token) -> Number | Diagnostic:
    """The value of a literal, or what is wrong with it."""
    text = token.text
    if _INTEGER.fullmatch(text):
        return _integer(token)
    if not _FLOAT.fullmatch(text):
        return Diagnostic(
            "bad-number",
            token.span,
            f"{quote(text)} is not a number",
            expected="a number such as 1_000, 0xFF, 0b101, -3, 1.5, 2e-3, inf or nan",
            hint=_repaired(text),
        )
    value = float(text)
    if math.isinf(value) and "inf" not in text:
        return Diagnostic(
            "float-out-of-range",
            token.span,
            "this number is too large for a 64-bit float",
            expected="at most 1.7976931348623157e308 in magnitude, or 'inf'",
        )
    return value


def _integer(token: Token) -> int | Diagnostic:
    text = token.text.lstrip("-").replace("_", "")
    base = {"0x": 16, "0b": 2}.get(text[:2], 10)
    digits = text if base == 10 else text[2:]
    # Of more digits none fits, and Python refuses to read very long numbers.
    digits = digits.lstrip("0") or "0"
    magnitude = int(digits, base) if len(digits) <= _MOST_DIGITS else 2**64
    value = -magnitude if token.text[0] == "-" else magnitude
    if base != 10 and INT_MAX < value < 2**64:
        value -= 2**64
    if INT_MIN <= value <= INT_MAX:
        return value
    return Diagnostic(
        "int-out-of-range",
        token.span,
        "this integer does not fit in 64 bits",
        expected=f"{INT_MIN} to {INT_MAX}"
        + (", or 64 bits as 0x0 to 0xFFFF_FFFF_FFFF_FFFF" if value > 0 else ""),
    )


def _repaired(text: str) -> str | None:
    """A hint at the number that was likely meant."""
    bare = text.lower().lstrip("+")
    underscored = re.sub("_+", "_", bare).strip("_").replace("_.", ".").replace("._", ".")
    for candidate in (bare, underscored, f"{bare}0", bare.replace(".", "0.", 1), bare.lstrip("-")):
        if _INTEGER.fullmatch(candidate) or _FLOAT.fullmatch(candidate):
            return f"write {candidate}"
    return None


def read_number(token: Token, findings: Findings) -> Number | None:
    """The value of a literal, or None after an error."""
    value = number(token)
    if isinstance(value, Diagnostic):
        findings.add(value)
        return None
    return value


def read_type(token: Token, findings: Findings) -> Type:
    """The type that a word names, `UNKNOWN` after an error."""
    text = token.text
    if text in TYPES:
        return TYPES[text]
    hint = findings.suggest(text, TYPES)
    if text in NO_TYPES:
        hint = "a function without a result has no '->'"
    findings.error(
        "unknown-type",
        token.span,
        f"there is no type {quote(text)}",
        expected=_TYPE_NAMES,
        hint=hint,
    )
    return UNKNOWN


def read_value(
    token: Token, type_: Type, of: str, declared: Span, findings: Findings
) -> Number | None:
    """The number that a literal gives to something of a type, or None after an error."""
    if type_ is UNKNOWN:
        return read_number(token, findings)
    if not type_.is_number:
        findings.error(
            "reference-initialiser",
            token.span,
            f"{of} is {a(type_)}, which cannot be given a first value",
            hint=_first_value(type_),
            notes=[Note("declared here", declared)],
        )
        return None
    value = read_number(token, findings)
    if value is None or isinstance(value, float) is (type_ is Type.FLOAT):
        return value
    wanted = _as_literal(value, type_)
    findings.error(
        "literal-type",
        token.span,
        f"{of} is {a(type_)}, and {token.text} is not",
        expected=f"{type_} literal",
        found=f"{'float' if isinstance(value, float) else 'int'} literal",
        hint=wanted and f"write {wanted}",
        notes=[Note("declared here", declared)],
    )
    return None


def _first_value(type_: Type) -> str:
    """How a reference starts, and how to get another."""
    if type_ in TASKS.values():
        return "it starts as a task that has finished; make one with 'spawn'"
    if type_ in (Type.INT_CHANNEL, Type.FLOAT_CHANNEL):
        return "it starts as a channel that is closed; make one with 'chan'"
    return "it starts empty; make one with 'newarr' and fill it with 'astore'"


def _as_literal(value: Number, type_: Type) -> str | None:
    """A literal of the type for the same number, if there is one."""
    if type_ is Type.FLOAT:
        return repr(float(value))
    return str(int(value)) if value == value // 1 and abs(value) < 2**63 else None
