"""A radiograph of 2048 x 2048 pixels, from the bytes of its file to the tensor of a model.

Peers in the same run: the decoder alone, which nothing can be faster than, and the plain way: pydicom's
``pixel_array``, a window in double precision, Pillow's resizing.
"""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any, cast

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

from fhir_adapter.dicomfile import Limits, PixelLayout, read_dicom
from fhir_adapter.pixels import PixelSpec, picture
from fhir_adapter.pixels.fragments import encoded_frame

__all__ = ["measure"]

SIDE, SIZE = 2048, 224
CENTER, WIDTH = 2000, 3000
SPEC = PixelSpec(size=(SIZE, SIZE))
Array = np.ndarray[Any, np.dtype[Any]]


def measure(rounds: int = 7) -> dict[str, Any]:
    """Time and trace memory for four encodings of one image.

    Returns
    -------
    dict
        For each encoding, medians over `rounds`: ``decoder_ms`` (of the bare codec; for uncompressed pixels, which need
        none, of pydicom's decoder), ``ours_ms`` and ``plain_ms`` (from bytes to tensor), ``ratio_decoder`` and
        ``ratio_plain`` (ours over theirs, medians of ratios in the same round), ``memory_frames`` and
        ``plain_memory_frames`` (traced peak over the decoded frame's bytes), ``difference`` (largest, of tensors).
    """
    return {
        "pixels": f"{SIDE} x {SIDE} x 12 bits to {SIZE} x {SIZE}",
        "rounds": rounds,
        **{name: _row(_file(syntax), rounds) for name, syntax in _SYNTAXES.items()},
    }


_SYNTAXES = {
    "uncompressed": uid.ExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg_ls": uid.JPEGLSLossless,
    "jpeg_2000": uid.JPEG2000Lossless,
}


def _row(data: bytes, rounds: int) -> dict[str, float]:
    dataset = read_dicom(data)
    decode = _decoder(dataset)
    for warm in (_ours, _plain):
        warm(data)
    times = [
        [_milliseconds(call) for call in (decode, lambda: _ours(data), lambda: _plain(data))] for _ in range(rounds)
    ]
    frame = SIDE * SIDE * 2
    return {
        **{
            name: round(median(column), 2)
            for name, column in zip(("decoder_ms", "ours_ms", "plain_ms"), zip(*times, strict=True), strict=True)
        },
        "ratio_decoder": round(median(ours / decoder for decoder, ours, _ in times), 2),
        "ratio_plain": round(median(ours / plain for _, ours, plain in times), 3),
        "memory_frames": round(_peak(lambda: _ours(data)) / frame, 2),
        "plain_memory_frames": round(_peak(lambda: _plain(data)) / frame, 2),
        "difference": float(np.abs(_ours(data)[0] - _plain(data)).max()),
    }


def _ours(data: bytes) -> Array:
    return picture(read_dicom(data), SPEC).tensor


def _plain(data: bytes) -> Array:
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = dataset.pixel_array.astype(np.float64)
    shown = np.clip((values - (CENTER - 0.5)) / (WIDTH - 1) + 0.5, 0, 1)
    small = Image.fromarray(shown.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(small)


def _decoder(dataset: FileDataset) -> Callable[[], Any]:
    """The codec as its package offers it, on the codestream alone."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        from pydicom.pixels.decoders.base import get_decoder

        pixels = get_decoder(syntax)
        return lambda: pixels.as_array(dataset, raw=True)
    frame = encoded_frame(dataset, PixelLayout.of(dataset, Limits()), 0)
    if syntax == uid.RLELossless:
        import rle.utils

        shape: dict[str, Any] = {"rows": SIDE, "columns": SIDE, "bits_allocated": 16}
        return lambda: rle.utils.decode_pixel_data(frame, version=2, **shape)
    if syntax == uid.JPEGLSLossless:
        import jpeg_ls

        return lambda: jpeg_ls.decode_pixel_data(frame)
    import openjpeg.utils

    return lambda: openjpeg.utils.decode_pixel_data(frame, version=2)


def _milliseconds(call: Callable[[], Any]) -> float:
    began = perf_counter()
    call()
    return 1000 * (perf_counter() - began)


def _peak(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _file(syntax: str) -> bytes:
    """A film that looks like none, but compresses like one: slow shades, and noise in the last four bits."""
    down, across = np.mgrid[:SIDE, :SIDE]
    shades = 2000 + 1500 * np.sin(across / 200) * np.cos(down / 150)
    noise = np.random.default_rng(0).normal(0, 8, (SIDE, SIDE))
    pixels = np.clip(shades + noise, 0, 4095).astype(np.uint16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    dataset.Rows = dataset.Columns = SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = CENTER, WIDTH
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    _compress(dataset, pixels, syntax)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _compress(dataset: Dataset, pixels: Array, syntax: str) -> None:
    if syntax == uid.RLELossless:
        dataset.compress(uid.RLELossless, encoding_plugin="pydicom")
    elif syntax == uid.JPEGLSLossless:
        dataset.compress(uid.JPEGLSLossless, encoding_plugin="pyjpegls")
    elif syntax == uid.JPEG2000Lossless:
        from openjpeg.utils import encode_array

        grey = cast(Any, 2)
        dataset.PixelData = encapsulate([bytes(encode_array(pixels, bits_stored=12, photometric_interpretation=grey))])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
