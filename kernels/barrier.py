"""The pointer-store barrier: what a store of a reference does besides, so that a collector finds
the reference without looking through all memory. Here is no collector; the stores pay for one.

It is card marking (Hölzle, "A fast write barrier for generational garbage collectors", 1993): a
byte stands for each card of 512 bytes, and is marked when the card has got a reference. It is read
first and written only if it is not marked yet, as HotSpot does with `UseCondCardMark`.

What counts is where the reference goes, as in compiled runtimes:

- Into a global: always. Where values are raw, the verifier knows which globals hold references;
  a value with a tag says it itself; in a boxed engine all values are references, to their cells.
- Onto the running task's stack: never, since a collector reads that anyway (HotSpot and Go have no
  barriers there).
- But a task's stack that stops running is memory like other: its descriptor's card is marked when
  it does, which stands for the whole stack. So does GHC (`dirty_STACK`, in rts/sm/Storage.c) before
  a thread runs, and so did Multicore OCaml (`dirty_stack`) where it stopped.
- What others put onto such a stack: as into a global. Go has a barrier there, too (`sendDirect`, in
  runtime/chan.go). Channels and results hand on numbers, so this happens to boxed values only.

Elements of arrays and of channels are numbers. What is new has no references from before: neither
a cell nor a task's stack that is being filled counts, nor do the scheduler's own lists.
"""

from llvmlite import ir

from vmlab.isa import WORD_BYTES, Type
from vmlab.kernels.values import I8, I64, TAG, i64

CARD_BITS = 9
CARD_BYTES = 1 << CARD_BITS

_MARKED = ir.Constant(I8, 1)
_LAST_NUMBER = max(TAG[type_] for type_ in Type if type_.is_number)
assert all(TAG[type_] > _LAST_NUMBER for type_ in Type if not type_.is_number)


def card_words(size: int) -> int:
    """The words that the cards of so many bytes of memory take."""
    return size // CARD_BYTES // WORD_BYTES + 1


class NoBarrier:
    """Methods take the emitter, and are called behind stores."""

    marks = False

    def global_stored(self, m, kept, address) -> None:
        """A global has got this value."""

    def stack_left(self, m, task) -> None:
        """The task with this descriptor stops running."""

    def stack_written(self, m, task) -> None:
        """Values have been put onto the stack of this task, which does not run."""


class CardMarking(NoBarrier):
    marks = True

    def global_stored(self, m, kept, address):
        if m.values.counted or m.handler.reference:
            self._mark(m, address, "globals", "global_cards")
        elif m.values.typed:
            reference = m.b.icmp_unsigned(">", m.values.tag(m, kept), i64(_LAST_NUMBER))
            with m.b.if_then(reference):
                self._mark(m, address, "globals", "global_cards")

    def stack_left(self, m, task):
        self._mark(m, task, "blocks", "task_cards")

    def stack_written(self, m, task):
        if m.values.counted:
            self._mark(m, task, "blocks", "task_cards")

    def _mark(self, m, address, region, cards):
        b = m.b
        distance = b.sub(b.ptrtoint(address, I64), m.get(region))
        first = b.inttoptr(m.get(cards), I8.as_pointer())
        card = b.gep(first, [b.lshr(distance, i64(CARD_BITS))], inbounds=True)
        clean = b.icmp_unsigned("==", m.load(card, "card"), ir.Constant(I8, 0))
        with b.if_then(clean, likely=False):
            m.store(_MARKED, card, "card")


NO_BARRIER, CARD_MARKING = NoBarrier(), CardMarking()
