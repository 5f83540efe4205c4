"""Slots that Python fills: what a run finds in its globals and in main's parameters."""

from vmlab.isa import WORD_BYTES
from vmlab.kernels.context import Region
from vmlab.kernels.values import CELL_TAG, CELL_WORDS, COUNT, IMMORTAL, TAG, VALUE


class Slots:
    """Slots of these types in a region of their own, at first zeros and arrays without elements."""

    def __init__(self, values, types, purpose: str):
        self._values = values
        self._types = types
        self.size = values.words * len(types)
        self.region = Region(self.size, purpose)
        self.address = self.region.address
        self.cells = Region(CELL_WORDS * len(types) if values.counted else 0, purpose)
        for index in range(len(types) if values.typed else 0):
            self.put(index, 0)

    def put(self, index: int, value) -> None:
        type_, values = self._types[index], self._values
        if values.counted:
            cell = CELL_WORDS * index
            self.cells.words[cell + COUNT] = IMMORTAL
            self.cells.words[cell + CELL_TAG] = TAG[type_]
            self.cells.put(cell + VALUE, type_, value)
            self.region.words[index] = self.cells.address + WORD_BYTES * cell
        elif values.typed:
            self.region.words[values.words * index] = TAG[type_]
            self.region.put(values.words * index + 1, type_, value)
        else:
            self.region.put(index, type_, value)
