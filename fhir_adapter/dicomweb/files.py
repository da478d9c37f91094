"""A DICOM file taken apart: attributes as DICOM JSON, frames, single values."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRLittleEndian

from fhir_adapter.codes import Json
from fhir_adapter.dicomfile import RAISED, DicomError, PixelLayout, quietly, read_dicom
from fhir_adapter.dicomfile import Limits as FileLimits
from fhir_adapter.dicomweb.errors import ImageNotFound, NotAnInstance
from fhir_adapter.dicomweb.rows import Frame

__all__ = ["bulk_of", "dicom_json", "frames_of"]

# PS3.18, F.2.6: long values of these VRs are left to be fetched by themselves.
BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
INLINE = 1024
PIXELS = 0x7FE00010
_BULK = re.compile(r"(?:.*/)?bulk/((?:[0-9A-Fa-f]{8}/[0-9]{1,6}/){0,32}[0-9A-Fa-f]{8})\Z", re.DOTALL)


def dicom_json(data: bytes) -> Json:
    """Return the attributes of a file in the DICOM JSON model (PS3.18, F.2), file meta information left out.

    An element that does not hold what its VR says is left out too: one stray value must not hide the others.

    Raises
    ------
    NotAnInstance
        The file cannot be read.
    """
    dataset = _parsed(data)
    with quietly():
        return _json(dataset, "bulk")


def _json(dataset: Any, at: str) -> Json:
    found: Json = {}
    for tag in dataset.keys():  # noqa: SIM118 - iterating it would parse every value, and end at the first stray one
        key = f"{tag:08X}"
        try:
            found[key] = _element(dataset[tag], f"{at}/{key}")
        except RAISED:
            continue
    return found


def _element(element: Any, at: str) -> Json:
    vr = str(element.VR)
    if vr == "SQ":
        items = [_json(item, f"{at}/{number}") for number, item in enumerate(element.value, 1)]
        return {"vr": "SQ", **({"Value": items} if items else {})}
    if element.tag == PIXELS or (vr in BULK_VRS and element.value is not None and len(element.value) > INLINE):
        return {"vr": vr if vr in BULK_VRS else "OW", "BulkDataURI": at}
    if vr in BULK_VRS:
        inline = base64.b64encode(element.value or b"").decode("ascii")
        return {"vr": vr, **({"InlineBinary": inline} if inline else {})}
    converted: Json = element.to_json_dict(None, 1 << 31)
    return converted


def bulk_of(data: bytes, uri: str) -> bytes:
    """Return the value that a ``BulkDataURI`` of :func:`dicom_json` points to.

    Raises
    ------
    ImageNotFound
        It is none of this file's.
    NotAnInstance
        The file cannot be read.
    """
    match = _BULK.match(uri)
    if match is None:
        raise ImageNotFound("no such bulk data")
    *steps, last = match[1].split("/")
    dataset = _parsed(data)
    with quietly():
        try:
            for tag, number in zip(steps[::2], steps[1::2], strict=True):
                dataset = dataset[int(tag, 16)].value[int(number) - 1]
            value = dataset[int(last, 16)].value
        except RAISED:
            value = None
    if not isinstance(value, bytes | memoryview):
        raise ImageNotFound("no such bulk data")
    return bytes(value)


def frames_of(data: bytes, numbers: Sequence[int]) -> list[Frame]:
    """Return frames as they are stored, without their encapsulation (PS3.5, A.4; PS3.18, 8.7.3.3).

    Raises
    ------
    ImageNotFound
        The file has no pixels, or not so many frames.
    NotAnInstance
        It cannot be read, its pixels are fewer than it says, or a frame of it cannot be taken out by itself.
    """
    dataset = _parsed(data)
    with quietly():
        try:
            layout = PixelLayout.of(dataset, FileLimits())
            if max(numbers) > layout.frames:
                raise ImageNotFound(f"there is no frame {max(numbers)}")
            return _frames(dataset[layout.keyword].value, layout, numbers)
        except DicomError as error:
            if "PixelData" not in dataset:
                raise ImageNotFound("there are no frames") from None
            raise NotAnInstance(f"the pixels cannot be read: {error}") from None
        except RAISED as error:
            raise NotAnInstance(f"the pixels cannot be read ({type(error).__name__})") from None


def _frames(pixels: bytes | memoryview, layout: PixelLayout, numbers: Sequence[int]) -> list[Frame]:
    if layout.transfer_syntax.is_encapsulated:
        whole, syntax = bytes(pixels), str(layout.transfer_syntax)
        taken = [get_frame(whole, number - 1, number_of_frames=layout.frames) for number in numbers]
    else:
        if layout.frame_bits % 8:
            raise NotAnInstance("frames that do not end at a byte cannot be taken out by themselves")
        if layout.bits_allocated > 8 and not layout.transfer_syntax.is_little_endian:
            raise NotAnInstance("frames of a big endian file cannot be given in little endian order as they are")
        # PS3.18, Table 8.7.3-2: pixels that are not compressed are told to be Explicit VR Little Endian.
        size, syntax = layout.frame_bits // 8, str(ExplicitVRLittleEndian)
        taken = [bytes(pixels[size * (number - 1) : size * number]) for number in numbers]
    return [Frame(number, frame, syntax) for number, frame in zip(numbers, taken, strict=True)]


def _parsed(data: bytes) -> Any:
    try:
        return read_dicom(data)
    except DicomError as error:
        raise NotAnInstance(f"the file cannot be read: {error}") from None
