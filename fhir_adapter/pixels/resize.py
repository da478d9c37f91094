"""Antialiased resizing, in two passes of small matrix products.

A shrunken pixel is a weighted mean of what it covers, so a pass is a product with a band matrix. Rows are taken in
blocks that stay in the cache, and are asked for only when their turn comes: the frame is never a floating-point array.
A block is multiplied by bands of it, so that few of the factors are zeros outside the band.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log2
from typing import Any

import numpy as np

__all__ = ["resize", "weights"]

Array = np.ndarray[Any, np.dtype[Any]]
Rows = Callable[[int, int], Array]
# Bytes of floating-point rows in a block: what a second-level cache holds.
BLOCK = 1 << 20
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}


@dataclass(frozen=True)
class _Block:
    """Inputs `start` to `end` add to outputs `first` to `last`; `matrix` has shape (last - first, end - start)."""

    start: int
    end: int
    first: int
    last: int
    matrix: Array


def resize(rows: Rows, channels: int, source: tuple[int, int], target: tuple[int, int], kind: str) -> Array:
    """Resize a picture that is read by rows.

    Parameters
    ----------
    rows : callable
        From `first` and `last` to rows, shape (channels, last - first, columns), dtype float32; may reuse its memory.
    channels : int
        How many.
    source, target : (int, int)
        Rows and columns.
    kind : {"area", "bilinear", "bicubic"}
        ``area``: each input pixel weighs by how much of it is covered. ``bilinear`` and ``bicubic`` (a = -0.5): the
        kernel is widened by the shrinking ratio, and centers of pixels are aligned, as Pillow does.

    Returns
    -------
    numpy.ndarray, shape (channels, target rows, target columns), dtype float32
    """
    height, width = target
    fetch = max(8, BLOCK // (4 * channels * source[1]))
    narrow = np.zeros((channels, height, source[1]), np.float32)
    if height == source[0]:
        for first in range(0, height, fetch):
            last = min(first + fetch, height)
            narrow[:, first:last] = rows(first, last)
    else:
        _shorten(rows, source[0], narrow, kind, fetch)
    if width == source[1]:
        return narrow
    out = np.zeros((channels, height, width), np.float32)
    for block in _blocks(source[1], width, kind, 128):
        out[:, :, block.first : block.last] += narrow[:, :, block.start : block.end] @ block.matrix.T
    return out


def _shorten(rows: Rows, source: int, narrow: Array, kind: str, fetch: int) -> None:
    """Add the rows up in `narrow`, shape (channels, target rows, columns), some bands at a time."""
    height = narrow.shape[1]
    band = min(fetch, max(8, 1 << ceil(log2(max(1.0, 1.5 * source / height)))))
    bands = _blocks(source, height, kind, band)
    several = fetch // band
    for number in range(0, len(bands), several):
        taken = bands[number : number + several]
        start = taken[0].start
        block = rows(start, taken[-1].end)
        for one in taken:
            part = block[:, one.start - start : one.end - start]
            for out, channel in zip(narrow, part, strict=True):
                out[one.first : one.last] += one.matrix @ channel


@lru_cache(maxsize=32)
def _blocks(source: int, target: int, kind: str, fetch: int) -> tuple[_Block, ...]:
    """Inputs in blocks of `fetch`, each with the outputs that it is a part of; no input is read twice."""
    starts, kernel = weights(source, target, kind)
    ends = np.minimum(starts + kernel.shape[1], source)
    blocks = []
    for start in range(0, source, fetch):
        end = min(start + fetch, source)
        # starts and ends never fall, so the outputs that reach into the block are neighbours
        first, last = int(np.searchsorted(ends, start, "right")), int(np.searchsorted(starts, end, "left"))
        matrix = np.zeros((last - first, end - start), np.float32)
        for number in range(first, last):
            low, high = max(int(starts[number]), start), min(int(ends[number]), end)
            matrix[number - first, low - start : high - start] = kernel[
                number, low - starts[number] : high - starts[number]
            ]
        blocks.append(_Block(start, end, first, last, matrix))
    return tuple(blocks)


def weights(source: int, target: int, kind: str) -> tuple[Array, Array]:
    """Return which inputs an output is made of, and how much of each.

    Returns
    -------
    starts : numpy.ndarray, shape (target,), dtype int64
        First input of each output.
    kernel : numpy.ndarray, shape (target, taps), dtype float64
        Weights of the inputs from there; each row sums to one, and is zero past the last input.
    """
    scale = source / target
    half = scale / 2 if kind == "area" else _SUPPORT[kind] * max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    starts = np.maximum(np.floor(centers - half + 1e-9), 0).astype(np.int64)
    taps = int(np.ceil(2 * half)) + 1
    inputs = starts[:, None] + np.arange(taps)
    if kind == "area":
        low, high = (centers - half)[:, None], (centers + half)[:, None]
        kernel = np.clip(np.minimum(inputs + 1, high) - np.maximum(inputs, low), 0, None)
    else:
        distance = np.abs(inputs + 0.5 - centers[:, None]) / max(scale, 1.0)
        kernel = np.clip(1 - distance, 0, None) if kind == "bilinear" else _cubic(distance)
    kernel[inputs >= source] = 0
    kernel /= kernel.sum(axis=1, keepdims=True)
    return starts, kernel


def _cubic(distance: Array) -> Array:
    """Keys' kernel with a = -0.5 (IEEE Transactions on Acoustics, Speech and Signal Processing 29(6), 1981)."""
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))
