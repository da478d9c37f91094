"""Reading a DICOM file into a pydicom data set that holds no surprises.

pydicom reads lazily and believes what it reads: a value that ends early is cut without a word, a sequence is expanded
when someone looks at it, a value that cannot be converted raises wherever that happens. Here all of that happens once,
within limits, and ends in a data set or in one named error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset, read_sequence

from fhir_adapter.dicomfile.errors import DicomDamaged, DicomError, DicomTooLarge
from fhir_adapter.dicomfile.layout import PIXELS, PixelLayout
from fhir_adapter.dicomfile.limits import Limits
from fhir_adapter.dicomfile.meta import Head, body, read_head
from fhir_adapter.dicomfile.quiet import RAISED, quietly
from fhir_adapter.dicomfile.stream import Budget, CountedStream

__all__ = ["read_dicom"]

UNDEFINED = 0xFFFFFFFF
_DEFAULT = Limits()


def read_dicom(source: bytes | bytearray | memoryview | Path, limits: Limits = _DEFAULT) -> FileDataset:
    """Read and check one DICOM file (PS3.10).

    Parameters
    ----------
    source : bytes-like or pathlib.Path
        The whole file, or where it is.
    limits : Limits
        What it may ask for.

    Returns
    -------
    pydicom.dataset.FileDataset
        Every element converted, every sequence expanded. The value of Pixel Data is a read-only view of `source`:
        copy it before pickling. When there are pixels, their description has been checked (`PixelLayout`); a
        deflated file keeps its transfer syntax in ``file_meta``, its data set is inflated.

    Raises
    ------
    NotDicom
        Without prefix, file meta information or transfer syntax.
    DicomTooLarge
        Beyond a limit.
    DicomDamaged
        When it ends early, contradicts itself or cannot be parsed.
    DicomUnsupported
        For a transfer syntax that is not registered.
    """
    data = _bytes_of(source, limits)
    head = read_head(data)
    encoded = body(data, head, limits)
    budget = Budget(limits.elements)
    try:
        with quietly():
            dataset = _parse(encoded, head, budget)
            _Expansion(budget, limits.depth).of(dataset, 0)
            found = _file_dataset(dataset, head)
    except DicomError:
        raise
    except RAISED as error:
        budget.check()
        if _too_deep(error):
            raise DicomTooLarge(f"sequences lie more than {limits.depth} deep") from None
        raise DicomDamaged("the data set cannot be parsed") from None
    _check_identity(found)
    if any(keyword in found for keyword in PIXELS):
        PixelLayout.of(found, limits)
    return found


def _too_deep(error: BaseException | None) -> bool:
    """Whether pydicom, which reads nested sequences by recursion, ran out of it; it may say so in other words."""
    while error is not None:
        if isinstance(error, RecursionError):
            return True
        error = error.__context__
    return False


def _bytes_of(source: bytes | bytearray | memoryview | Path, limits: Limits) -> memoryview:
    if isinstance(source, Path):
        with source.open("rb") as file:
            # asked before reading, for a read allocates what it is asked for
            size = os.fstat(file.fileno()).st_size
            view = memoryview(file.read(size) if size <= limits.file_bytes else b"")
    else:
        view = memoryview(source).toreadonly().cast("B")
        size = len(view)
    if size > limits.file_bytes:
        raise DicomTooLarge(f"the file has more than {limits.file_bytes} bytes")
    return view


def _parse(encoded: memoryview, head: Head, budget: Budget) -> Dataset:
    stream = CountedStream(encoded, budget)
    dataset = read_dataset(stream, head.implicit, head.little_endian)  # type: ignore[arg-type]
    if not stream.exhausted:
        # pydicom gives up without an error at a delimiter, an unknown VR, or a value without an end
        raise DicomDamaged("the data set breaks off before the end of the file")
    return dataset


class _Expansion:
    """Converts every element of a data set and what lies in it, within a budget."""

    def __init__(self, budget: Budget, depth: int) -> None:
        self._budget = budget
        self._depth = depth

    def of(self, dataset: Dataset, depth: int) -> None:
        if depth > self._depth:
            raise DicomTooLarge(f"sequences lie more than {self._depth} deep")
        for tag in list(dataset.keys()):
            element = cast(DataElement | RawDataElement | None, dataset.get_item(tag))
            if isinstance(element, RawDataElement):
                element = self._converted(dataset, element)
            if element is not None and element.VR == "SQ":
                for item in element.value or ():
                    self.of(item, depth + 1)

    def _converted(self, dataset: Dataset, raw: RawDataElement) -> DataElement | None:
        value: bytes | memoryview | None = raw.value
        if value is not None and raw.length not in (UNDEFINED, len(value)):
            raise DicomDamaged(f"element {raw.tag} is cut short")
        if isinstance(value, memoryview) and raw.tag not in PIXELS.values():
            raw = raw._replace(value=bytes(value))
        if raw.value and _is_sequence(raw):
            return self._sequence(dataset, raw)
        if raw.value is not value:
            dataset[raw.tag] = raw
        try:
            return dataset[raw.tag]
        except RAISED:
            if raw.tag.is_private:
                # no contract reads it; the rest of the study need not suffer for it
                del dataset[raw.tag]
                return None
            raise DicomDamaged(f"element {raw.tag} cannot be converted") from None

    def _sequence(self, dataset: Dataset, raw: RawDataElement) -> DataElement:
        """Expand a sequence of defined length, which pydicom would do on access and without a budget."""
        stream = CountedStream(memoryview(raw.value or b""), self._budget)
        encoding = dataset.original_character_set or "iso8859"
        items = read_sequence(
            stream,  # type: ignore[arg-type]
            raw.is_implicit_VR,
            raw.is_little_endian,
            raw.length,
            encoding,
            raw.value_tell,
        )
        dataset[raw.tag] = DataElement(raw.tag, "SQ", items, raw.value_tell, already_converted=True)
        return dataset[raw.tag]


def _is_sequence(raw: RawDataElement) -> bool:
    """Whether pydicom would convert the value to a sequence (PS3.5, 6.2.2: UN may hide one)."""
    if raw.VR not in (None, "UN"):
        return raw.VR == "SQ"
    if raw.tag.is_private or (raw.VR == "UN" and len(raw.value or b"") >= 0xFFFF):
        return False
    try:
        return dictionary_VR(raw.tag) == "SQ"
    except KeyError:
        return False


def _file_dataset(dataset: Dataset, head: Head) -> FileDataset:
    for element in head.meta:  # converts all of it
        del element
    found = FileDataset(
        "",
        dataset,
        file_meta=head.meta,
        is_implicit_VR=head.implicit,
        is_little_endian=head.little_endian,
    )
    found.filename = None
    found.set_original_encoding(head.implicit, head.little_endian, dataset.original_character_set)
    return found


def _check_identity(dataset: FileDataset) -> None:
    """The file meta information must name the class that the data set is of (PS3.10, 7.1).

    The instance it names is often stale after de-identification, and nothing here depends on it.
    """
    inside, outside = dataset.get("SOPClassUID"), dataset.file_meta.get("MediaStorageSOPClassUID")
    if inside and outside and inside != outside:
        raise DicomDamaged("the file meta information names another SOP class than the data set")
