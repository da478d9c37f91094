"""What a compressed frame says about itself, read before a decoder believes it.

A decoder allocates by these numbers, not by those of the data set: a header that claims 60,000 x 60,000 must not get
that far. JPEG and JPEG-LS: ITU-T T.81, B.2 and T.87, C.2; JPEG 2000: T.800, A.5.1; RLE: PS3.5, annex G.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

from fhir_adapter.dicomfile import DicomDamaged, DicomUnsupported, PixelLayout

__all__ = ["Codestream", "check_rle", "read_jpeg", "read_jpeg2000"]

# Start-of-frame markers; those with arithmetic coding or hierarchy are refused by the decoders.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"


@dataclass(frozen=True)
class Codestream:
    """The header of a compressed frame.

    Parameters
    ----------
    rows, columns, samples, precision : int
        Precision in bits per sample.
    process : int
        Start-of-frame marker of JPEG and JPEG-LS (0xC0 baseline, 0xC3 lossless, 0xF7 JPEG-LS); 0 for JPEG 2000.
    signed : bool
        JPEG 2000 only.
    components : tuple of int
        Component identifiers of JPEG.
    adobe : int or None
        Colour transform that an Adobe marker names.
    jfif : bool
        Whether a JFIF marker is there, which makes three components YCbCr.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    process: int = 0
    signed: bool = False
    components: tuple[int, ...] = ()
    adobe: int | None = None
    jfif: bool = False

    def check(self, layout: PixelLayout) -> None:
        """Compare with what the data set says.

        Raises
        ------
        DicomDamaged
            When they differ.
        """
        ours = (layout.rows, layout.columns, layout.samples)
        if (self.rows, self.columns, self.samples) != ours:
            raise DicomDamaged("rows, columns or samples of a compressed frame are not those of the data set")
        if not 1 <= self.precision <= layout.bits_allocated:
            raise DicomDamaged("a compressed frame has more bits per sample than the data set allocates")


def read_jpeg(data: bytes) -> Codestream:
    """Read the markers of a JPEG or JPEG-LS codestream up to its frame header.

    Raises
    ------
    DicomDamaged
        When it is none, or ends before the frame header.
    """
    if data[:2] != b"\xff\xd8":
        raise DicomDamaged("a compressed frame is not a JPEG codestream")
    at, adobe, jfif = 2, None, False
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise DicomDamaged("a JPEG codestream has something else where a marker belongs")
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        segment = data[at + 4 : at + 2 + length]
        if marker in _FRAMES:
            return _frame_header(segment, marker, adobe, jfif)
        if marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12:
            adobe = segment[11]
        jfif = jfif or (marker == 0xE0 and segment[:4] == b"JFIF")
        if marker in (0xD9, 0xDA) or length < 2:
            break
        at += 2 + length
    raise DicomDamaged("a JPEG codestream has no frame header")


def _frame_header(segment: bytes, marker: int, adobe: int | None, jfif: bool) -> Codestream:
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        raise DicomDamaged("the frame header of a JPEG codestream is cut short")
    precision, rows, columns, samples = struct.unpack_from(">BHHB", segment)
    components = tuple(segment[6 + 3 * number] for number in range(samples))
    return Codestream(rows, columns, samples, precision, marker, components=components, adobe=adobe, jfif=jfif)


def read_jpeg2000(data: bytes) -> Codestream:
    """Read the image and tile size marker of a JPEG 2000 codestream, in a JP2 wrapper or not.

    Raises
    ------
    DicomDamaged
        When it is none, or its header contradicts itself.
    DicomUnsupported
        When its components differ in size, depth or sign.
    """
    # writers that wrap the codestream in JP2 boxes break PS3.5 (A.4.4), and are common
    at = data.find(b"\xff\x4f\xff\x51", 0, 4096) if data[:12] == _JP2 else 0
    if at < 0 or data[at : at + 4] != b"\xff\x4f\xff\x51" or len(data) < at + 45:
        raise DicomDamaged("a compressed frame is not a JPEG 2000 codestream")
    x1, y1, x0, y0, tile_x, tile_y, tile_x0, tile_y0 = struct.unpack_from(">8I", data, at + 8)
    samples = struct.unpack_from(">H", data, at + 40)[0]
    if not (x0 < x1 and y0 < y1 and tile_x and tile_y and tile_x0 <= x0 and tile_y0 <= y0):
        raise DicomDamaged("the size header of a JPEG 2000 codestream contradicts itself")
    # each tile costs a decoder a few kilobytes before the first one is read
    if -(-(x1 - tile_x0) // tile_x) * -(-(y1 - tile_y0) // tile_y) > 65535:
        raise DicomDamaged("a JPEG 2000 codestream has more tiles than there can be")
    sizes = {bytes(data[at + 42 + 3 * number : at + 45 + 3 * number]) for number in range(samples)}
    if len(sizes) != 1 or len(size := sizes.pop()) != 3 or size[1:] != b"\x01\x01":
        raise DicomUnsupported("the components of a JPEG 2000 codestream differ from each other or are subsampled")
    return Codestream(y1 - y0, x1 - x0, samples, (size[0] & 0x7F) + 1, signed=bool(size[0] & 0x80))


def check_rle(data: bytes, layout: PixelLayout) -> None:
    """Check the header of an RLE frame (PS3.5, G.5): one segment for each byte of each sample, in order.

    Raises
    ------
    DicomDamaged
        When it contradicts the data set or itself, or the segments are too short for the frame.
    """
    if len(data) < 64:
        raise DicomDamaged("an RLE frame is shorter than its header")
    count, *offsets = struct.unpack_from("<16I", data)
    if count != layout.samples * layout.bits_allocated // 8 or count > 15:
        raise DicomDamaged("an RLE frame has another number of segments than the data set makes")
    bounds = [*offsets[:count], len(data)]
    if bounds[0] < 64 or any(right < left for left, right in pairwise(bounds)):
        raise DicomDamaged("the segments of an RLE frame do not fit into it")
    # a run of 128 bytes takes two
    if any((right - left) * 64 < layout.rows * layout.columns for left, right in pairwise(bounds)):
        raise DicomDamaged("a segment of an RLE frame is too short for the frame")
