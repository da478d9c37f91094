"""The head of a DICOM file: preamble, prefix, file meta information (PS3.10, section 7.1), and inflating what follows.

The preamble is never looked at: it may be anything, another program included (PS3.10, section 7.5).
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from fhir_adapter.dicomfile.errors import DicomDamaged, DicomTooLarge, DicomUnsupported, NotDicom
from fhir_adapter.dicomfile.limits import MIB, Limits
from fhir_adapter.dicomfile.quiet import RAISED, quietly

__all__ = ["Head", "body", "read_head"]

PREFIX_AT, META_AT = 128, 132
# A real one is near 300 bytes; private information (0002,0102) may add to it.
MOST_META = MIB // 4


@dataclass(frozen=True)
class Head:
    """What stands before the data set.

    Parameters
    ----------
    meta : pydicom.dataset.FileMetaDataset
        Group 0002.
    transfer_syntax : pydicom.uid.UID
        A registered one (PS3.6, table A-1).
    end : int
        Where the data set begins.
    """

    meta: FileMetaDataset
    transfer_syntax: UID
    end: int

    @property
    def implicit(self) -> bool:
        """Whether the data set is encoded without value representations."""
        return self.transfer_syntax == ImplicitVRLittleEndian

    @property
    def little_endian(self) -> bool:
        """Byte order of the data set."""
        return self.transfer_syntax != ExplicitVRBigEndian


def read_head(data: memoryview) -> Head:
    """Read the file meta information.

    Parameters
    ----------
    data : memoryview
        The file.

    Raises
    ------
    NotDicom
        Without prefix, file meta information or a transfer syntax.
    DicomUnsupported
        For a transfer syntax that is not registered.
    """
    if len(data) < META_AT + 8 or bytes(data[PREFIX_AT:META_AT]) != b"DICM":
        raise NotDicom("the prefix DICM is not where PS3.10 (7.1) wants it")
    if bytes(data[META_AT : META_AT + 2]) != b"\x02\x00":
        raise NotDicom("the file meta information (group 0002) is missing")
    stream = io.BytesIO(data[META_AT : META_AT + MOST_META])
    try:
        with quietly():
            meta = FileMetaDataset(read_dataset(stream, False, True, stop_when=_past_meta))
            named = meta.get("TransferSyntaxUID")
    except RAISED:
        raise DicomDamaged("the file meta information (group 0002) cannot be read") from None
    if not isinstance(named, UID) or not named:
        raise NotDicom("the file meta information names no transfer syntax (0002,0010)")
    if not named.is_valid or named.is_private or not named.is_transfer_syntax:
        raise DicomUnsupported("the transfer syntax is not one that PS3.6 registers")
    return Head(meta, named, META_AT + stream.tell())


def _past_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag >> 16 != 2


def body(data: memoryview, head: Head, limits: Limits) -> memoryview:
    """Return the encoded data set, inflated where it is deflated.

    Raises
    ------
    DicomTooLarge
        When inflating would pass the limit; no more than the limit is ever inflated.
    DicomDamaged
        When it cannot be inflated, or ends early.
    """
    encoded = data[head.end :]
    if head.transfer_syntax != DeflatedExplicitVRLittleEndian:
        return encoded
    most = min(limits.inflated_bytes, limits.inflate_ratio * max(1024, len(encoded)))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(encoded, most + 1)
    except zlib.error:
        raise DicomDamaged("the deflated data set cannot be inflated") from None
    if len(inflated) > most:
        raise DicomTooLarge(f"the deflated data set inflates to more than {most} bytes")
    if not inflater.eof:
        raise DicomDamaged("the deflated data set ends early")
    return memoryview(inflated)
