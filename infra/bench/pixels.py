"""A radiograph of 2048 x 2048 pixels, from the bytes of its file to the tensor of a model.

Peers in the same run: the decoder alone, which nothing can be faster than, and the plain way: pydicom's
``pixel_array``, a window in double precision, Pillow's resizing.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, cast

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

from fhir_adapter.dicomfile import Limits, PixelLayout, read_dicom
from fhir_adapter.dicomweb import DirectoryImageStore, ImageStore, InstancePath, fetch
from fhir_adapter.pixels import PixelSpec, picture
from fhir_adapter.pixels.fragments import encoded_frame
from infra.bench.processes import child, memory_mb, reported

__all__ = ["film", "measure"]

SIDE, SIZE = 2048, 224
# Of a picture that is decoded first, so that everything is imported.
SMALL = 64
FRAME = SIDE * SIDE * 2
CENTER, WIDTH = 2000, 3000
SPEC = PixelSpec(size=(SIZE, SIZE))
Array = np.ndarray[Any, np.dtype[Any]]


def measure(rounds: int = 9) -> dict[str, Any]:
    """Time four encodings of one image, and their memory, in processes with the deployed function's environment.

    Times are of the processor, which others on the machine do not lengthen, and the ways take turns.

    Returns
    -------
    dict
        For each encoding, medians over `rounds`: ``decoder_ms`` (of the bare codec; for uncompressed pixels, which need
        none, of the copy that pydicom's decoder makes), ``ours_ms`` and ``plain_ms`` (from the bytes of a file to the
        tensor), ``store_ms`` (from a store to the tensor as the function does it, with the digest of the file),
        ``fetch_ms`` (fetching and digest alone); ``ratio_decoder`` (ours over the decoder), ``ratio_store`` (from the
        store, over fetching and decoder), ``ratio_plain`` (ours over plain): medians of ratios in the same round;
        ``memory_frames`` and ``plain_memory_frames`` (traced peak over the decoded frame's bytes); ``rss_frames``,
        ``codec_rss_frames`` and ``plain_rss_frames`` (how much the resident set grew over that, in a process of its
        own: with what the codec takes beside Python; the codec's is of the bare codec); ``difference`` (largest, of
        tensors).
    """
    return {
        "pixels": f"{SIDE} x {SIDE} x 12 bits to {SIZE} x {SIZE}",
        "rounds": rounds,
        **{name: _row(name, rounds) for name in _SYNTAXES},
    }


_SYNTAXES = {
    "uncompressed": uid.ExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg_ls": uid.JPEGLSLossless,
    "jpeg_2000": uid.JPEG2000Lossless,
}
_WAYS = {"rss_frames": "ours", "codec_rss_frames": "codec", "plain_rss_frames": "plain"}


def _row(name: str, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        for side in (SIDE, SMALL):
            (Path(place) / f"{side}.dcm").write_bytes(film(_SYNTAXES[name], side))
        DirectoryImageStore(Path(place) / "images").store([(Path(place) / f"{SIDE}.dcm").read_bytes()]).require_all()
        found = child("infra.bench.pixels", "times", place, str(rounds))
        found |= {key: child("infra.bench.pixels", way, place)["frames"] for key, way in _WAYS.items()}
    del found["started"]
    return found


# --- what the processes run ----------------------------------------------------------------------------------------


def _times(folder: Path, rounds: int) -> dict[str, float]:
    data = (folder / f"{SIDE}.dcm").read_bytes()
    dataset = read_dicom(data)
    store = DirectoryImageStore(folder / "images")
    path = InstancePath(str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID))
    calls: dict[str, Callable[[], Any]] = {
        "decoder": _decoder(dataset),
        "ours": lambda: _ours(data),
        "store": lambda: _ours(_fetched(store, path)),
        "fetch": lambda: _fetched(store, path),
        "plain": lambda: _plain(data),
    }
    for call in calls.values():
        call()
    times = [{name: _milliseconds(call) for name, call in calls.items()} for _ in range(rounds)]
    return {
        **{f"{name}_ms": round(median(one[name] for one in times), 2) for name in calls},
        "ratio_decoder": round(median(one["ours"] / one["decoder"] for one in times), 2),
        "ratio_store": round(median(one["store"] / (one["fetch"] + one["decoder"]) for one in times), 2),
        "ratio_plain": round(median(one["ours"] / one["plain"] for one in times), 3),
        "memory_frames": round(_peak(lambda: _ours(data)) / FRAME, 2),
        "plain_memory_frames": round(_peak(lambda: _plain(data)) / FRAME, 2),
        "difference": float(np.abs(_ours(data)[0] - _plain(data)).max()),
    }


def _grown(way: str, folder: Path) -> float:
    """How many decoded frames the resident set grows by, once all is imported."""
    small, data = ((folder / f"{side}.dcm").read_bytes() for side in (SMALL, SIDE))
    call: Callable[[bytes], Any] = {"ours": _ours, "plain": _plain, "codec": lambda data: _decoder(read_dicom(data))}[
        way
    ]
    first, then = call(small), call(data) if way == "codec" else None
    if callable(first) and callable(then):
        first()
        before = memory_mb(reset=True)
        then()
    else:
        before = memory_mb(reset=True)
        call(data)
    return round((memory_mb() - before) * 1024 * 1024 / FRAME, 2)


def _fetched(store: ImageStore, path: InstancePath) -> bytes:
    """As the function does it: its digest is part of the evidence."""
    ((_, data),) = fetch(store, [path], workers=1)
    hashlib.sha256(data).hexdigest()
    return data


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

        shape: dict[str, Any] = {"rows": dataset.Rows, "columns": dataset.Columns, "bits_allocated": 16}
        return lambda: rle.utils.decode_pixel_data(frame, version=2, **shape)
    if syntax == uid.JPEGLSLossless:
        import jpeg_ls

        return lambda: jpeg_ls.decode_pixel_data(frame)
    import openjpeg.utils

    return lambda: openjpeg.utils.decode_pixel_data(frame, version=2)


def _milliseconds(call: Callable[[], Any]) -> float:
    began = process_time()
    call()
    return 1000 * (process_time() - began)


def _peak(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def film(syntax: str, side: int, number: int = 1, **attributes: Any) -> bytes:
    """A film that looks like none, but compresses like one: slow shades, and noise in the last four bits."""
    down, across = np.mgrid[:side, :side].astype(np.float32)
    shades = 2000 + 1500 * np.sin(across / 200) * np.cos(down / 150)
    noise = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32) * 8
    pixels = np.clip(shades + noise, 0, 4095).astype(np.uint16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.DigitalXRayImageStorageForPresentation, f"1.2.3.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = "1.2.1", "1.2.2", "DX"
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = CENTER, WIDTH
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
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


if __name__ == "__main__":
    if sys.argv[1] == "times":
        reported(**_times(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        reported(frames=_grown(sys.argv[1], Path(sys.argv[2])))
