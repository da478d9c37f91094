"""From the bytes of one frame to its samples: which transfer syntaxes are read, and with what.

============================================  ==============================================
transfer syntax (1.2.840.10008.1.2...)        decoder (licence)
============================================  ==============================================
native, any byte order, deflated              numpy
.4.50 JPEG baseline, .4.51 extended (8 bits)  Pillow's libjpeg-turbo (MIT-CMU, IJG/BSD)
.4.57, .4.70 JPEG lossless                    :mod:`fhir_adapter.pixels.lossless_jpeg`
.4.80, .4.81 JPEG-LS                          pyjpegls's CharLS (MIT, BSD)
.4.90, .4.91 JPEG 2000, .4.201-.4.203 HTJ2K   pylibjpeg-openjpeg (MIT, BSD)
.5 RLE                                        pylibjpeg-rle (MIT)
============================================  ==============================================

Others are refused by name: 12-bit extended JPEG, multi-component JPEG 2000 (part 2), MPEG and HEVC video, JPEG XL.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from pydicom import uid
from pydicom.dataset import FileDataset

from fhir_adapter.dicomfile import RAISED, DicomDamaged, DicomError, DicomTooLarge, DicomUnsupported, PixelLayout
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.pixels import lossless_jpeg
from fhir_adapter.pixels.codestream import Codestream, check_rle, read_jpeg, read_jpeg2000
from fhir_adapter.pixels.fragments import encoded_frame

__all__ = ["SUPPORTED", "Decoded", "decode_frame"]

Array = np.ndarray[Any, np.dtype[Any]]
END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True)
class Decoded:
    """The samples of one frame.

    Parameters
    ----------
    samples : numpy.ndarray, shape (rows, columns) or (rows, columns, 3)
        As decoded; may be a read-only view of the file, in its byte order.
    bits : int
        How many bits of a sample count; the others may hold anything.
    shift : int
        Below those, how many do not.
    photometric : str
        What they mean now: decoders undo some transformations themselves.
    """

    samples: Array
    bits: int
    shift: int
    photometric: str


def decode_frame(dataset: FileDataset, layout: PixelLayout, index: int) -> Decoded:
    """Decode one frame.

    Parameters
    ----------
    dataset : pydicom.dataset.FileDataset
        As :func:`fhir_adapter.dicomfile.read_dicom` returns it.
    layout : PixelLayout
        Its checked description.
    index : int
        From 0.

    Raises
    ------
    DicomUnsupported
        For a transfer syntax that is not read here.
    DicomDamaged
        When the frame cannot be decoded, or is not what the data set says.
    ConfigurationError
        When there is no such frame.
    """
    if not 0 <= index < layout.frames:
        raise ConfigurationError("the image has no such frame")
    if not layout.transfer_syntax.is_encapsulated:
        return _native(dataset, layout, index)
    decoder = _DECODERS.get(layout.transfer_syntax)
    if decoder is None:
        raise DicomUnsupported(f"transfer syntax {layout.transfer_syntax.name} is not decoded here")
    encoded = encoded_frame(dataset, layout, index)
    try:
        return decoder(encoded, layout)
    except DicomError:
        raise
    except RAISED:
        raise DicomDamaged(f"a frame in {layout.transfer_syntax.name} cannot be decoded") from None


def _native(dataset: FileDataset, layout: PixelLayout, index: int) -> Decoded:
    value = memoryview(dataset[layout.keyword].value)
    bits, count = layout.frame_bits, layout.rows * layout.columns * layout.samples
    if layout.bits_allocated == 1:
        # frames of single bits follow each other without padding (PS3.5, 8.1.1)
        start = index * bits
        packed = np.frombuffer(value[start // 8 : (start + bits + 7) // 8], np.uint8)
        flat = np.unpackbits(packed, bitorder="little")[start % 8 : start % 8 + bits]
    else:
        part = value[index * bits // 8 : (index + 1) * bits // 8]
        if layout.bits_allocated == 8 and not layout.transfer_syntax.is_little_endian:
            part = _swapped(dataset, value, part, index * bits // 8)
        flat = np.frombuffer(part, layout.dtype)
    if layout.subsampled:
        flat = _upsampled(flat)
    samples = _shaped(flat[:count], layout, planar=layout.planar and not layout.subsampled)
    return Decoded(samples, layout.bits_stored, layout.high_bit + 1 - layout.bits_stored, layout.photometric)


def _swapped(dataset: FileDataset, value: memoryview, part: memoryview, start: int) -> memoryview:
    """Bytes that big endian wrote as 16-bit words come in pairs, the second one first (PS3.5, A.3)."""
    if dataset[0x7FE00010].VR != "OW":
        return part
    begin, end = start // 2 * 2, (start + len(part) + 1) // 2 * 2
    pairs = np.frombuffer(value[begin:end], np.uint8)
    if len(pairs) % 2:
        raise DicomDamaged("pixels in words have an odd length")
    swapped = pairs.reshape(-1, 2)[:, ::-1].reshape(-1)
    return swapped[start - begin : start - begin + len(part)].data


def _upsampled(flat: Array) -> Array:
    """Y1 Y2 Cb Cr for two pixels to their own samples (PS3.3, C.7.6.3.1.2, YBR_FULL_422)."""
    pairs = flat.reshape(-1, 4)
    return pairs[:, [0, 2, 3, 1, 2, 3]].reshape(-1)


def _shaped(flat: Array, layout: PixelLayout, planar: bool) -> Array:
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if planar:
        return flat.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0)
    return flat.reshape(layout.rows, layout.columns, layout.samples)


def _from_buffer(buffer: bytes | bytearray, layout: PixelLayout, bits: int, planar: bool = False) -> Array:
    size = next(size for size in (1, 2, 4, 8) if 8 * size >= bits)
    if len(buffer) != layout.rows * layout.columns * layout.samples * size:
        raise DicomDamaged("a decoded frame has another length than the data set makes")
    return _shaped(np.frombuffer(buffer, f"<u{size}"), layout, planar)


def _rle(data: bytes, layout: PixelLayout) -> Decoded:
    from rle.utils import decode_pixel_data

    if layout.bits_allocated not in (8, 16, 32):
        raise DicomUnsupported("RLE with single bits")
    check_rle(data, layout)
    shape: dict[str, Any] = {"rows": layout.rows, "columns": layout.columns, "bits_allocated": layout.bits_allocated}
    try:
        buffer = cast(bytearray, decode_pixel_data(data, version=2, **shape))
    except BaseException as error:
        # a bounds check in its Rust code panics, which Python sees as an exception beside Exception
        if type(error).__name__ != "PanicException":
            raise
        raise DicomDamaged("an RLE segment does not end where it should") from None
    samples = _from_buffer(buffer, layout, layout.bits_allocated, planar=True)
    return Decoded(samples, layout.bits_stored, layout.high_bit + 1 - layout.bits_stored, layout.photometric)


def _jpeg(data: bytes, layout: PixelLayout) -> Decoded:
    from PIL import Image

    stream = read_jpeg(data)
    stream.check(layout)
    if stream.precision != 8 or stream.process not in (0xC0, 0xC1, 0xC2):
        raise DicomUnsupported(f"JPEG with {stream.precision} bits per sample in process {stream.process:#x}")
    photometric = layout.photometric if stream.samples == 1 else _jpeg_colour(stream, layout)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if stream.samples == 3 and stream.adobe is None:
                # libjpeg converts to RGB unless it is asked for what is stored
                image.draft("YCbCr", image.size)
            samples = _from_buffer(image.tobytes(), layout, 8)
    except Image.DecompressionBombError:
        raise DicomTooLarge("a JPEG frame has more pixels than Pillow decodes") from None
    return Decoded(samples, 8, 0, photometric)


def _jpeg_colour(stream: Codestream, layout: PixelLayout) -> str:
    """What libjpeg leaves: its own markers say more about a codestream than the data set around it does."""
    if stream.adobe is not None or stream.components in ((82, 71, 66), (114, 103, 98)):
        return "RGB"
    return "YBR_FULL" if stream.jfif else layout.photometric


def _lossless(data: bytes, layout: PixelLayout) -> Decoded:
    stream = read_jpeg(data)
    stream.check(layout)
    return Decoded(lossless_jpeg.decode(data, stream), stream.precision, 0, layout.photometric)


def _jpeg_ls(data: bytes, layout: PixelLayout) -> Decoded:
    import jpeg_ls

    stream = read_jpeg(data)
    stream.check(layout)
    if stream.process != 0xF7:
        raise DicomDamaged("a compressed frame is not a JPEG-LS codestream")
    if not data[-10:].rstrip(b"\0").endswith(END_OF_IMAGE):
        # past a missing end CharLS reads zero bits for many seconds, and half a picture is none
        raise DicomDamaged("a JPEG-LS codestream has no end")
    buffer, info = jpeg_ls.decode_pixel_data(data)
    planar = layout.samples > 1 and info["interleave_mode"] == 0
    return Decoded(_from_buffer(buffer, layout, stream.precision, planar), stream.precision, 0, layout.photometric)


def _jpeg_2000(data: bytes, layout: PixelLayout) -> Decoded:
    from openjpeg.utils import decode_pixel_data

    stream = read_jpeg2000(data)
    stream.check(layout)
    buffer = cast(bytearray, decode_pixel_data(data, version=2))
    # the decoder undoes the component transformation, which is what these two names stand for
    photometric = "RGB" if layout.photometric in ("YBR_ICT", "YBR_RCT") else layout.photometric
    return Decoded(_from_buffer(buffer, layout, stream.precision), stream.precision, 0, photometric)


_DECODERS: dict[str, Callable[[bytes, PixelLayout], Decoded]] = {
    uid.RLELossless: _rle,
    uid.JPEGBaseline8Bit: _jpeg,
    uid.JPEGExtended12Bit: _jpeg,
    uid.JPEGLossless: _lossless,
    uid.JPEGLosslessSV1: _lossless,
    uid.JPEGLSLossless: _jpeg_ls,
    uid.JPEGLSNearLossless: _jpeg_ls,
    uid.JPEG2000Lossless: _jpeg_2000,
    uid.JPEG2000: _jpeg_2000,
    uid.HTJ2KLossless: _jpeg_2000,
    uid.HTJ2KLosslessRPCL: _jpeg_2000,
    uid.HTJ2K: _jpeg_2000,
}

SUPPORTED = frozenset(
    {
        *_DECODERS,
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    }
)
