"""What a model looked at, drawn over the image: warm where a place speaks for the finding, cold where against it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset

from fhir_adapter.pixels import PixelSpec, picture
from fhir_adapter.prediction import Saliency

__all__ = ["overlay"]

LONGEST_SIDE = 512
STRONGEST = 0.55
FOR, AGAINST = np.array([255.0, 64.0, 0.0]), np.array([0.0, 96.0, 255.0])

Float64 = npt.NDArray[np.float64]


def overlay(dataset: FileDataset, spec: PixelSpec, saliency: Saliency) -> npt.NDArray[np.uint8]:
    """Return the picture.

    Parameters
    ----------
    dataset : FileDataset
        The image.
    spec : PixelSpec
        How the model saw it; the picture shows the same part, in more pixels.
    saliency : Saliency

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
        RGB; the longest side has `LONGEST_SIDE` pixels.
    """
    shown = picture(dataset, _display(dataset, spec)).tensor
    grey = np.moveaxis(np.asarray(shown, dtype=np.float64), 0, -1) * 255.0
    values = np.array(saliency.values).reshape(saliency.rows, saliency.columns)
    strength = _enlarged(values, grey.shape[0], grey.shape[1])
    peak = float(np.abs(values).max())
    alpha = STRONGEST * np.abs(strength)[..., np.newaxis] / peak if peak > 0 else np.zeros((*strength.shape, 1))
    colour = np.where(strength[..., np.newaxis] > 0, FOR, AGAINST)
    return np.asarray(np.clip(np.rint((1.0 - alpha) * grey + alpha * colour), 0, 255), dtype=np.uint8)


def _display(dataset: FileDataset, spec: PixelSpec) -> PixelSpec:
    """The same part of the image as on a screen; what the window of the model hides is hidden here, too."""
    rows, columns = spec.size or (int(dataset.Rows), int(dataset.Columns))
    factor = LONGEST_SIDE / max(rows, columns)
    size = (max(1, round(rows * factor)), max(1, round(columns * factor)))
    fallback = spec.fallback or PixelSpec.fallback
    window = spec.window if spec.intensity == "voi" else None
    return replace(
        PixelSpec(), size=size, fit=spec.fit, filter="bilinear", window=window, fallback=fallback, channels=3
    )


def _enlarged(values: Float64, rows: int, columns: int) -> Float64:
    """Interpolate linearly between the centres of the map's cells."""
    wide = np.stack([np.interp(_centres(columns, values.shape[1]), np.arange(values.shape[1]), row) for row in values])
    tall = [np.interp(_centres(rows, values.shape[0]), np.arange(values.shape[0]), column) for column in wide.T]
    return np.stack(tall, axis=1)


def _centres(many: int, few: int) -> Float64:
    return np.asarray((np.arange(many) + 0.5) * few / many - 0.5, dtype=np.float64)
