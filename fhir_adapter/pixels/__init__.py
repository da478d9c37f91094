"""Pixels as a model wants them: decoding, modality and VOI transformations, colour, resizing, normalising, gates."""

from __future__ import annotations

from fhir_adapter.pixels.decoding import SUPPORTED, Decoded, decode_frame
from fhir_adapter.pixels.gate import ImageGate
from fhir_adapter.pixels.spec import PixelSpec, Window
from fhir_adapter.pixels.tensor import Picture, picture, pictures

__all__ = [
    "SUPPORTED",
    "Decoded",
    "ImageGate",
    "Picture",
    "PixelSpec",
    "Window",
    "decode_frame",
    "picture",
    "pictures",
]
