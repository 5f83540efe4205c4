"""Whether plain accesses of several threads are ordered, by the rules of C11.

An access to a field that is not atomic is ordered behind another thread's only if an acquiring load
has seen that thread's release, or what read-modify-writes made of it (the release sequence): then
the one happens before the other, on every machine, however weak. Clocks of Lamport's kind, one a
thread, know what happens before what (Flanagan and Freund, "FastTrack", PLDI 2009). Two accesses in
no order, one of them a write, are a data race. So an order that is too weak is found here, although
the exploration itself is sequentially consistent.

A fence orders nothing here, which is on the safe side."""

from __future__ import annotations

Word = tuple[str, object]


class DataRace(AssertionError):
    pass


class HappensBefore:
    """What each thread knows of the others: for each of them, how far it had come."""

    def __init__(self, threads: int):
        self.current = 0
        self._clocks = [[0] * threads for _ in range(threads)]
        for thread, clock in enumerate(self._clocks):
            clock[thread] = 1
        # What an acquiring load of an atomic word learns.
        self._released: dict[Word, list[int]] = {}
        self._writes: dict[Word, tuple[int, int]] = {}
        self._reads: dict[Word, dict[int, int]] = {}

    # Atomic accesses

    def acquire(self, word: Word) -> None:
        clock = self._clocks[self.current]
        clock[:] = map(max, clock, self._released.get(word, clock))

    def release(self, word: Word) -> None:
        clock = self._clocks[self.current]
        self._released[word] = list(clock)
        clock[self.current] += 1

    def overwrite(self, word: Word) -> None:
        """A store that does not release: nothing is learnt from it."""
        self._released.pop(word, None)

    # Plain accesses

    def read(self, word: Word) -> None:
        if word in self._writes:
            self._must_be_known(word, "read", "write", *self._writes[word])
        clock = self._clocks[self.current]
        self._reads.setdefault(word, {})[self.current] = clock[self.current]

    def write(self, word: Word) -> None:
        if word in self._writes:
            self._must_be_known(word, "write", "write", *self._writes[word])
        for thread, time in self._reads.pop(word, {}).items():
            self._must_be_known(word, "write", "read", thread, time)
        self._writes[word] = self.current, self._clocks[self.current][self.current]

    def _must_be_known(self, word: Word, what: str, before: str, thread: int, time: int) -> None:
        if self._clocks[self.current][thread] < time:
            name, field = word
            raise DataRace(
                f"{self.current}'s {what} of {name}.{field} is in no order to {thread}'s {before}"
            )
