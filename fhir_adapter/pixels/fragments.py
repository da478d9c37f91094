"""Encapsulated pixel data (PS3.5, A.4): from fragments to the codestream of one frame, without copying the others."""

from __future__ import annotations

import struct

import numpy as np
from pydicom.dataset import FileDataset

from fhir_adapter.dicomfile import DicomDamaged, PixelLayout

__all__ = ["encoded_frame"]

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"
_END_OF_IMAGE = b"\xff\xd9"


def encoded_frame(dataset: FileDataset, layout: PixelLayout, index: int) -> bytes:
    """Return the codestream of one frame.

    Parameters
    ----------
    index : int
        From 0, below ``layout.frames``.

    Raises
    ------
    DicomDamaged
        When the fragments and the tables contradict each other or the number of frames.
    """
    table, fragments = _fragments(memoryview(dataset.PixelData))
    if layout.frames == 1:
        return b"".join(part for _, part in fragments)
    extended = _extended(dataset)
    if extended is not None:
        return _by_extended_table(fragments, extended, layout.frames, index)
    if len(table):
        return _by_table(fragments, table, layout.frames, index)
    if len(fragments) == layout.frames:
        return bytes(fragments[index][1])
    return _by_end_of_image(fragments, layout.frames, index)


def _fragments(value: memoryview) -> tuple[np.ndarray, list[tuple[int, memoryview]]]:
    """Basic offset table, and fragments with the offset of their item from the first one."""
    items = []
    at = 0
    while at + 8 <= len(value) and value[at : at + 4] != _DELIMITER:
        length = struct.unpack_from("<I", value, at + 4)[0]
        if value[at : at + 4] != _ITEM or at + 8 + length > len(value):
            raise DicomDamaged("the fragments of the pixel data do not fit into it")
        items.append((at, value[at + 8 : at + 8 + length]))
        at += 8 + length
    if len(items) < 2 or len(items[0][1]) % 4:
        raise DicomDamaged("the pixel data has no offset table or no fragment")
    first = items[1][0]
    return np.frombuffer(items[0][1], "<u4"), [(offset - first, part) for offset, part in items[1:]]


def _extended(dataset: FileDataset) -> tuple[np.ndarray, np.ndarray] | None:
    """Extended offset table (PS3.3, C.7.6.3.1.8): offsets and lengths."""
    offsets, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    if not offsets or not lengths:
        return None
    if len(offsets) % 8 or len(offsets) != len(lengths):
        raise DicomDamaged("the extended offset table has the wrong length")
    return np.frombuffer(offsets, "<u8"), np.frombuffer(lengths, "<u8")


def _by_extended_table(
    fragments: list[tuple[int, memoryview]], table: tuple[np.ndarray, np.ndarray], frames: int, index: int
) -> bytes:
    offsets, lengths = table
    found = dict(fragments).get(int(offsets[index])) if len(offsets) == frames else None
    if found is None or int(lengths[index]) > len(found):
        raise DicomDamaged("the extended offset table contradicts the fragments")
    return bytes(found[: int(lengths[index])])


def _by_table(fragments: list[tuple[int, memoryview]], table: np.ndarray, frames: int, index: int) -> bytes:
    if len(table) != frames or not {int(offset) for offset in table} <= {offset for offset, _ in fragments}:
        raise DicomDamaged("the basic offset table contradicts the fragments or the number of frames")
    start = int(table[index])
    end = int(table[index + 1]) if index + 1 < frames else None
    return b"".join(part for offset, part in fragments if offset >= start and (end is None or offset < end))


def _by_end_of_image(fragments: list[tuple[int, memoryview]], frames: int, index: int) -> bytes:
    """Without a table, a fragment that ends a JPEG codestream ends the frame; it may be padded by a zero byte."""
    ends = [
        number for number, (_, part) in enumerate(fragments) if _END_OF_IMAGE in bytes(part[-10:]).rstrip(b"\0")[-2:]
    ]
    if len(ends) != frames:
        raise DicomDamaged("the fragments cannot be told apart into the number of frames")
    start = ends[index - 1] + 1 if index else 0
    return b"".join(part for _, part in fragments[start : ends[index] + 1])
