"""What a data set says about its pixels (PS3.3, C.7.6.3), checked before any is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from fhir_adapter.dicomfile.errors import DicomDamaged, DicomTooLarge, DicomUnsupported
from fhir_adapter.dicomfile.limits import Limits

__all__ = ["PIXELS", "PixelLayout"]

# Pixel data elements and their tags; a data set has at most one (PS3.3, C.7.6.24 and C.7.6.25).
PIXELS = {
    "PixelData": BaseTag(0x7FE00010),
    "FloatPixelData": BaseTag(0x7FE00008),
    "DoubleFloatPixelData": BaseTag(0x7FE00009),
}
_FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}


@dataclass(frozen=True)
class PixelLayout:
    """The checked description of the pixels of one data set.

    Parameters
    ----------
    keyword : str
        Of the element that holds them.
    transfer_syntax : pydicom.uid.UID
        How they are encoded.
    rows, columns, frames, samples : int
        Positive.
    bits_allocated, bits_stored, high_bit : int
        Per sample.
    signed : bool
        Two's complement.
    planar : bool
        Whether native samples come plane by plane.
    photometric : str
        Photometric Interpretation (PS3.3, C.7.6.3.1.2).
    """

    keyword: str
    transfer_syntax: UID
    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: bool
    photometric: str

    @classmethod
    def of(cls, dataset: FileDataset, limits: Limits) -> PixelLayout:
        """Read and check the description.

        Raises
        ------
        DicomDamaged
            When something is missing or contradicts something else.
        DicomTooLarge
            When the decoded pixels would pass a limit.
        DicomUnsupported
            For a photometric interpretation or a sample size that is not read here.
        """
        found = [keyword for keyword in PIXELS if keyword in dataset]
        if len(found) != 1:
            raise DicomDamaged("the data set has no pixels, or several kinds of them")
        keyword = found[0]
        allocated = _number(dataset, "BitsAllocated", default=_FLOATS.get(keyword))
        stored = _number(dataset, "BitsStored", default=_FLOATS.get(keyword) or allocated)
        layout = cls(
            keyword=keyword,
            transfer_syntax=dataset.file_meta.TransferSyntaxUID,
            rows=_number(dataset, "Rows"),
            columns=_number(dataset, "Columns"),
            frames=_number(dataset, "NumberOfFrames", default=1) or 1,
            samples=_number(dataset, "SamplesPerPixel", default=1 if keyword in _FLOATS else None),
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=_number(dataset, "HighBit", default=stored - 1),
            signed=_flag(dataset, "PixelRepresentation"),
            planar=_flag(dataset, "PlanarConfiguration"),
            photometric=_text(dataset, "PhotometricInterpretation"),
        )
        layout._check(limits)
        if not layout.transfer_syntax.is_encapsulated:
            layout._check_length(len(dataset[PIXELS[keyword]].value or b""), dataset)
        return layout

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame (PS3.5, 8.1 and 8.2.1: YBR_FULL_422 shares its colour between two pixels)."""
        samples = 2 if self.subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def decoded_frame_bytes(self) -> int:
        """Bytes of one frame as it is decoded; single bits take a byte each."""
        return self.rows * self.columns * self.samples * max(self.bits_allocated // 8, 1)

    @property
    def subsampled(self) -> bool:
        """Whether native pixels share their chrominance."""
        return self.photometric == "YBR_FULL_422" and not self.transfer_syntax.is_encapsulated

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one native sample, in the byte order of the transfer syntax."""
        order = "<" if self.transfer_syntax.is_little_endian else ">"
        if self.keyword in _FLOATS:
            return np.dtype(f"{order}f{self.bits_allocated // 8}")
        return np.dtype(f"{order}{'i' if self.signed else 'u'}{max(self.bits_allocated // 8, 1)}")

    def _check(self, limits: Limits) -> None:
        for name in ("rows", "columns", "samples", "bits_allocated", "bits_stored", "frames"):
            if getattr(self, name) < 1:
                raise DicomDamaged(f"{name} is not positive")
        if self.bits_allocated not in (1, 8, 16, 32, 64):
            raise DicomUnsupported(f"{self.bits_allocated} bits allocated")
        if not self.bits_stored <= self.high_bit + 1 <= self.bits_allocated:
            raise DicomDamaged("bits stored, high bit and bits allocated contradict each other (PS3.5, 8.1.1)")
        if self.photometric not in _SAMPLES:
            raise DicomUnsupported("the photometric interpretation is not one that is read here")
        if _SAMPLES[self.photometric] != self.samples:
            raise DicomDamaged("samples per pixel and photometric interpretation contradict each other")
        if self.decoded_frame_bytes > limits.frame_bytes:
            raise DicomTooLarge(f"one frame has more than {limits.frame_bytes} bytes")
        if self.decoded_frame_bytes * self.frames > limits.decoded_bytes:
            raise DicomTooLarge(f"the frames have more than {limits.decoded_bytes} bytes")
        if self.subsampled and (self.columns % 2 or self.bits_allocated != 8):
            raise DicomUnsupported("YBR_FULL_422 with an odd width or more than 8 bits")

    def _check_length(self, length: int, dataset: Dataset) -> None:
        """Native pixels fill their element: shorter is cut, longer means that the description lies (PS3.5, 8.1.1)."""
        expected = (self.frame_bits * self.frames + 7) // 8
        if length < expected:
            raise DicomDamaged(f"the pixels have {length} bytes, their description makes {expected}")
        rest = memoryview(dataset[PIXELS[self.keyword]].value)[expected:]
        if len(rest) > 1 and np.frombuffer(rest, np.uint8).any():
            raise DicomDamaged(f"the pixels have {length} bytes, their description makes {expected}")


def _number(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value = dataset.get(keyword)
    if value is None or value == "":
        if default is None:
            raise DicomDamaged(f"{keyword} is missing")
        return default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise DicomDamaged(f"{keyword} is not one number") from None


def _flag(dataset: Dataset, keyword: str) -> bool:
    value = _number(dataset, keyword, default=0)
    if value not in (0, 1):
        raise DicomDamaged(f"{keyword} is neither 0 nor 1")
    return value == 1


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    if not isinstance(value, str) or not value:
        raise DicomDamaged(f"{keyword} is missing")
    return value.strip()
