"""What stands for something that an error has left unknown: it fits everything, so that nothing
else is blamed for it. No `Program` that engines see has any of it."""

from __future__ import annotations

from vmlab.isa import Flow, Opcode, Type

# The type of a value. It is none of `Type`'s members: no program can name it, no table lists it.
UNKNOWN = str.__new__(Type, "unknown")
UNKNOWN._name_ = "UNKNOWN"
UNKNOWN._value_ = "unknown"

# By the flow that is known of them, instructions that may do anything to the stack; the one under
# None may also jump, or return.
UNREADABLE: dict[Flow | None, Opcode] = {
    flow: Opcode("", "", None, (), "", (), flow or Flow.NEXT) for flow in (None, *Flow)
}


def fits(have: str | None, want: str | None) -> bool:
    """Whether two types may be the same."""
    return have is want or UNKNOWN in (have, want)
