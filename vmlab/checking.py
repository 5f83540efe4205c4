"""Arguments of the Python API whose types are not what it documents."""

from __future__ import annotations


def check_type(name: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Raises TypeError, with a message for the user, if the argument `name` is none of `kind`."""
    if not isinstance(value, kind):
        shown = repr(value)
        raise TypeError(f"{name} must be {wanted}, not {shown if len(shown) < 60 else type(value)}")
