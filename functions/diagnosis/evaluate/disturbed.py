"""What may happen to a picture on its way: noise, resampling, compression, another contrast, a shift.

Each disturbance takes pixels of shape (n, 1, rows, columns) in [0, 1] and returns the same. Those that draw have their
own seed. Pillow does compression and resampling, as a viewer or an archive would.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from functions.diagnosis.data.dataset import Float32

__all__ = ["DISTURBANCES"]

Disturb = Callable[[Float32], Float32]

SEED = 20170625
LARGE = 8


def _noise(pixels: Float32, deviation: float) -> Float32:
    drawn = np.random.default_rng(SEED).normal(0.0, deviation, pixels.shape)
    return np.clip(pixels + drawn, 0.0, 1.0).astype(np.float32)


def _shifted(pixels: Float32, down: int, right: int) -> Float32:
    """Move the picture; the rows and columns at the edge are repeated."""
    rows = np.clip(np.arange(pixels.shape[2]) - down, 0, pixels.shape[2] - 1)
    columns = np.clip(np.arange(pixels.shape[3]) - right, 0, pixels.shape[3] - 1)
    return np.ascontiguousarray(pixels[:, :, rows][:, :, :, columns])


def _contrast(pixels: Float32, times: float) -> Float32:
    mean = pixels.mean(axis=(2, 3), keepdims=True)
    return np.asarray(np.clip(mean + times * (pixels - mean), 0.0, 1.0), dtype=np.float32)


def _brightness(pixels: Float32, more: float) -> Float32:
    return np.asarray(np.clip(pixels + more, 0.0, 1.0), dtype=np.float32)


def _gamma(pixels: Float32, power: float) -> Float32:
    return np.power(pixels, power).astype(np.float32)


def _jpeg(pixels: Float32, quality: int) -> Float32:
    from PIL import Image

    def one(image: Float32) -> Float32:
        buffer = io.BytesIO()
        Image.fromarray(np.rint(255.0 * image).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
        with Image.open(io.BytesIO(buffer.getvalue())) as read:
            return np.asarray(read, dtype=np.float32) / np.float32(255.0)

    return np.stack([one(image) for image in pixels[:, 0]])[:, None]


def _resampled(pixels: Float32, name: str) -> Float32:
    """Enlarge eight times, as smoothly as can be, and shrink again with a filter."""
    from PIL import Image

    rows, columns = pixels.shape[2:]

    def one(image: Float32) -> Float32:
        large = Image.fromarray(image).resize((LARGE * columns, LARGE * rows), Image.Resampling.BICUBIC)
        return np.asarray(large.resize((columns, rows), Image.Resampling[name]), dtype=np.float32)

    return np.clip(np.stack([one(image) for image in pixels[:, 0]])[:, None], 0.0, 1.0)


DISTURBANCES: Mapping[str, Disturb] = {
    "noise, standard deviation 0.02": partial(_noise, deviation=0.02),
    "noise, standard deviation 0.05": partial(_noise, deviation=0.05),
    "JPEG, quality 90": partial(_jpeg, quality=90),
    "JPEG, quality 50": partial(_jpeg, quality=50),
    "resampled, box filter": partial(_resampled, name="BOX"),
    "resampled, bilinear filter": partial(_resampled, name="BILINEAR"),
    "resampled, bicubic filter": partial(_resampled, name="BICUBIC"),
    "resampled, nearest neighbour": partial(_resampled, name="NEAREST"),
    "contrast 0.8 times": partial(_contrast, times=0.8),
    "contrast 1.2 times": partial(_contrast, times=1.2),
    "brighter by 0.1": partial(_brightness, more=0.1),
    "darker by 0.1": partial(_brightness, more=-0.1),
    "gamma 0.8": partial(_gamma, power=0.8),
    "gamma 1.25": partial(_gamma, power=1.25),
    "one pixel down and right": partial(_shifted, down=1, right=1),
    "two pixels up and left": partial(_shifted, down=-2, right=-2),
    "black and white exchanged": lambda pixels: np.asarray(1.0 - pixels, dtype=np.float32),
}
