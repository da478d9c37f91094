"""How much a DICOM file may ask for; everything is compared before the memory is spent."""

from __future__ import annotations

from dataclasses import dataclass, fields

from fhir_adapter.errors import ConfigurationError

__all__ = ["Limits"]

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one file.

    Parameters
    ----------
    file_bytes : int
        Of the file as it comes.
    inflated_bytes : int
        Of a deflated data set (PS3.5, A.5) once inflated.
    inflate_ratio : int
        Inflated over deflated length. DEFLATE reaches 1032 on zeros; images with empty borders stay under 30.
    decoded_bytes : int
        Rows x Columns x Samples per Pixel x Bits Allocated of all frames.
    frame_bytes : int
        The same of one frame, which is what is ever decoded at once.
    elements : int
        Data elements and items, at every depth.
    depth : int
        Sequences within sequences.
    """

    file_bytes: int = 256 * MIB
    inflated_bytes: int = 256 * MIB
    inflate_ratio: int = 100
    decoded_bytes: int = 2048 * MIB
    frame_bytes: int = 128 * MIB
    elements: int = 100_000
    depth: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ConfigurationError(f"{field.name} must be positive")
