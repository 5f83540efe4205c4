"""What the interpreters keep of tasks and channels in memory, word by word."""

from enum import IntEnum

from vmlab.isa import (
    CHANNEL_HEADER_WORDS,
    FIRST_STACK_WORDS,
    FRAME_RECORD_WORDS,
    TASK_DESCRIPTOR_WORDS,
    TASK_RECORD_WORDS,
)


class Words(IntEnum):
    """The words of a structure, in their order. A member is the index of its word, and says what
    that holds."""

    meaning: str

    def __new__(cls, meaning: str):
        word = int.__new__(cls, len(cls.__members__))
        word._value_ = len(cls.__members__)
        word.meaning = meaning
        return word


class Descriptor(Words):
    """As long as a task lives. One cache line; the first words of the stack lie behind it."""

    PC = "the registers: where it goes on"
    SP = "above its operands"
    FP = "its frame: slots, then operands"
    RP = "its top frame record"
    NEXT = "the next one in the same queue"
    RECORD = "its record"
    BASE = "the start of its stack"
    END = "the end of its stack"


class Record(Words):
    """Stays when the task has finished. Record 0 is main's, whose end nobody sees: for others it is
    a task that has finished with 0."""

    DESCRIPTOR = "its descriptor; 0 when it has finished"
    OUTCOME = "the last of those who wait for its end; later its result"
    LAUNCH = "its `spawn`"
    LAUNCHER = "the record of the task that executed that"


class FrameRecord(Words):
    """Of a call. Those of a task go down from the end of its stack."""

    RETURN = "where the caller goes on"
    CALLER = "how far below its frame the caller's begins; without tasks, where"


class Channel(Words):
    """Lies before the values that it can hold. Channel 0 is all zeros, a closed one."""

    OPEN = "0 after close"
    CAPACITY = "how many values it can hold"
    COUNT = "how many it holds"
    FIRST = "the place of the oldest"
    RECEIVERS = "the last of those who wait to receive"
    SENDERS = "the last of those who wait to send"
    MADE = "its `chan`"
    NUMBER = "in the order of creation"


# What the language says that they cost.
for _table, _words in (
    (Descriptor, TASK_DESCRIPTOR_WORDS),
    (Record, TASK_RECORD_WORDS),
    (FrameRecord, FRAME_RECORD_WORDS),
    (Channel, CHANNEL_HEADER_WORDS),
):
    assert len(_table) == _words, _table


def block_words(values) -> int:
    """A descriptor and the first words of its stack."""
    return TASK_DESCRIPTOR_WORDS + values.words * FIRST_STACK_WORDS


def record_stride(values) -> int:
    """The words of a frame record: as if they were values, since both share the stack."""
    return values.words * FRAME_RECORD_WORDS
