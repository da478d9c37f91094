"""A stream over bytes in memory that pydicom reads through: it copies no pixels, and it counts."""

from __future__ import annotations

import io

from fhir_adapter.dicomfile.errors import DicomTooLarge

__all__ = ["Budget", "CountedStream"]

# Longer values are handed out as views of the file; only pixels are kept that way.
COPIED = 64 * 1024
# Header, long length, value: what one element costs in calls, and one for the items between them.
READS = 4


class Budget:
    """Reads that are left to one file, whatever the depth they happen at.

    Every element and every item costs pydicom at least one read, so counting reads bounds both memory and time.
    """

    def __init__(self, elements: int) -> None:
        self.elements = elements
        self._left = READS * elements

    def spend(self) -> None:
        """Count one read.

        Raises
        ------
        DicomTooLarge
            When none is left.
        """
        self._left -= 1
        self.check()

    def check(self) -> None:
        """Raise again what :meth:`spend` raised, for pydicom turns it into errors of its own.

        Raises
        ------
        DicomTooLarge
            When more was read than there was.
        """
        if self._left < 0:
            raise DicomTooLarge(f"the data set has more than {self.elements} elements")


class CountedStream(io.RawIOBase):
    """A binary stream over a buffer.

    Parameters
    ----------
    data : memoryview
        What is read.
    budget : Budget
        Charged for every read.
    """

    def __init__(self, data: memoryview, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._at = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes; a view of the buffer when that is much."""
        self._budget.spend()
        end = len(self._data) if size is None or size < 0 else self._at + size
        part = self._data[self._at : end]
        self._at += len(part)
        return part if len(part) > COPIED else bytes(part)  # type: ignore[return-value]

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to an offset; before the start is an error, past the end is the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        if base + offset < 0:
            raise ValueError("before the start")
        self._at = min(base + offset, len(self._data))
        return self._at

    def tell(self) -> int:
        """Return the offset."""
        return self._at

    @property
    def exhausted(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self._data)
