"""The first elements of a DICOM file, read without decoding it: which instance it is, of what.

A walk over lengths, in any transfer syntax, that never copies more than the values it was asked for: checking what a
server sent must cost less than receiving it. Of a deflated file only the first mebibyte is ever inflated.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass

from fhir_adapter.dicomweb.errors import InvalidUid, NotAnInstance
from fhir_adapter.dicomweb.uids import InstancePath

__all__ = ["Header", "read_header"]

DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
MODALITY, BODY_PART, SERIES_NUMBER, INSTANCE_NUMBER = 0x00080060, 0x00180015, 0x00200011, 0x00200013
LATERALITY, FRAMES = 0x00200060, 0x00280008
IDENTITY = frozenset({SOP_CLASS, SOP_INSTANCE, STUDY, SERIES})
TRANSFER_SYNTAX = 0x00020010

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# PS3.5, 7.1.2: these VRs have a length of 32 bits behind two reserved bytes.
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
INFLATED = 1024 * 1024
DEEPEST = 32
LONGEST_VALUE = 1024


@dataclass(frozen=True)
class Header:
    """What a DICOM file says it is.

    Parameters
    ----------
    path : InstancePath
        Study, series and instance.
    sop_class : str
        SOP Class UID.
    transfer_syntax : str
        Transfer Syntax UID of the file.
    values : dict of int to str
        Further elements that were asked for, as text without padding, by tag.
    """

    path: InstancePath
    sop_class: str
    transfer_syntax: str
    values: dict[int, str]

    def number(self, tag: int) -> int | None:
        """Return an Integer String (IS), None when it is absent or not a number."""
        try:
            return int(self.values.get(tag, "").split("\\")[0])
        except ValueError:
            return None


def read_header(data: bytes | memoryview, more: Collection[int] = ()) -> Header:
    """Read which instance a file is (PS3.10, 7.1; PS3.5, 7.1).

    Parameters
    ----------
    data : bytes or memoryview
        A whole file; mapped memory is read only where needed. The preamble is passed over, whatever it holds.
    more : collection of int
        Further elements to read, as tags, of the first level.

    Raises
    ------
    NotAnInstance
        Naming what is missing.
    """
    view = memoryview(data)
    if bytes(view[128:132]) != b"DICM":
        raise NotAnInstance("not a DICOM file: no DICM behind the preamble (PS3.10, 7.1)")
    try:
        meta, start = _Walk(view, 132, little=True, explicit=True).elements({TRANSFER_SYNTAX}, group=2)
        syntax = meta.get(TRANSFER_SYNTAX, "")
        if not syntax:
            raise NotAnInstance("the file has no Transfer Syntax UID (PS3.10, 7.1)")
        found = _dataset(view, start, syntax).elements(IDENTITY | frozenset(more))[0]
        path = InstancePath(found.get(STUDY, ""), found.get(SERIES, ""), found.get(SOP_INSTANCE, ""))
    except (struct.error, zlib.error):
        raise NotAnInstance("the file ends, or breaks, before it says which instance it is") from None
    except InvalidUid as error:
        raise NotAnInstance(f"the file does not say which instance it is: {error}") from None
    return Header(path, found.get(SOP_CLASS, ""), syntax, found)


def _dataset(view: memoryview, start: int, syntax: str) -> _Walk:
    if syntax == DEFLATED_LITTLE:
        view, start = memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(view[start:], INFLATED)), 0
    # Files are around that say explicit and are not, and the other way; two capital letters are no length.
    vr = bytes(view[start + 4 : start + 6])
    return _Walk(view, start, little=syntax != EXPLICIT_BIG, explicit=vr.isalpha() and vr.isupper())


class _Walk:
    """From element to element."""

    def __init__(self, view: memoryview, start: int, little: bool, explicit: bool) -> None:
        self._view = view
        self._at = start
        self._explicit = explicit
        self._vr = b""
        order = "<" if little else ">"
        self._tag = struct.Struct(order + "HH").unpack_from
        self._short = struct.Struct(order + "H").unpack_from
        self._long = struct.Struct(order + "L").unpack_from

    def elements(self, wanted: Collection[int], group: int | None = None) -> tuple[dict[int, str], int]:
        """Return the wanted elements, and where the walk ended: past the last of them, or at another group."""
        found: dict[int, str] = {}
        last, end = max(wanted), len(self._view)
        while self._at < end:
            start = self._at
            tag, length = self._next(self._explicit)
            if (group is not None and tag >> 16 != group) or (group is None and tag > last):
                return found, start
            if length == UNDEFINED:
                self._skip_items(0)
                continue
            if tag in wanted:
                found[tag] = self._text(tag, length)
            self._at += length
        return found, self._at

    def _next(self, explicit: bool) -> tuple[int, int]:
        """Read tag and length; what follows is the value."""
        group, element = self._tag(self._view, self._at)
        at = self._at + 4
        if not explicit or group == 0xFFFE:
            self._at = at + 4
            return group << 16 | element, self._long(self._view, at)[0]
        self._vr = bytes(self._view[at : at + 2])
        if self._vr in LONG:
            self._at = at + 8
            return group << 16 | element, self._long(self._view, at + 4)[0]
        self._at = at + 4
        return group << 16 | element, self._short(self._view, at + 2)[0]

    def _text(self, tag: int, length: int) -> str:
        if length > LONGEST_VALUE or self._at + length > len(self._view):
            raise NotAnInstance(f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) is longer than it can be")
        return bytes(self._view[self._at : self._at + length]).decode("latin-1").strip("\0 ")

    def _skip_items(self, depth: int) -> None:
        """Pass over the items of a sequence, or the fragments of a value, up to its delimiter (PS3.5, 7.5)."""
        # PS3.5, 6.2.2: UN of undefined length is a sequence in Implicit VR.
        explicit = self._explicit and self._vr != b"UN"
        while True:
            tag, length = self._next(explicit)
            if tag == SEQUENCE_END:
                return
            if tag != ITEM or depth > DEEPEST:
                raise NotAnInstance("a sequence in the file is malformed or too deep (PS3.5, 7.5)")
            if length != UNDEFINED:
                self._at += length
            else:
                self._skip_item(explicit, depth)

    def _skip_item(self, explicit: bool, depth: int) -> None:
        before, self._explicit = self._explicit, explicit
        while True:
            tag, length = self._next(explicit)
            if tag == ITEM_END:
                break
            if length == UNDEFINED:
                self._skip_items(depth + 1)
            else:
                self._at += length
        self._explicit = before
