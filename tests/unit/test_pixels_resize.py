"""Antialiased resizing: against Pillow's, against averages done by hand, and in what it must keep."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fhir_adapter.pixels.resize import resize, weights

Array = np.ndarray[Any, np.dtype[Any]]
SHAPES = [
    ((300, 501), (64, 64)),
    ((64, 64), (224, 224)),
    ((2048, 1500), (224, 200)),
    ((7, 5), (3, 2)),
    ((100, 100), (100, 37)),
    ((100, 100), (37, 100)),
    ((1, 9), (4, 4)),
    ((448, 448), (224, 224)),
]


def resized(picture: Array, target: tuple[int, int], kind: str) -> Array:
    return resize(lambda first, last: picture[None, first:last], 1, picture.shape, target, kind)[0]


def random(shape: tuple[int, int]) -> Array:
    return np.random.default_rng(7).random(shape, np.float32)


@pytest.mark.parametrize(("source", "target"), SHAPES)
@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_as_pillow_does(source: tuple[int, int], target: tuple[int, int], kind: str) -> None:
    image = pytest.importorskip("PIL.Image")
    picture = random(source)
    theirs = image.fromarray(picture).resize(target[::-1], getattr(image.Resampling, kind.upper()))
    assert np.abs(resized(picture, target, kind) - np.asarray(theirs)).max() < 1e-6


def test_area_is_the_mean_of_what_is_covered() -> None:
    picture = random((12, 20))
    assert np.allclose(resized(picture, (4, 5), "area"), picture.reshape(4, 3, 5, 4).mean(axis=(1, 3)), atol=1e-6)
    # 3 to 2: a whole pixel and half of the middle one
    assert np.allclose(resized(np.array([[1.0, 4.0, 7.0]], np.float32), (1, 2), "area"), [[2.0, 6.0]])


@pytest.mark.parametrize("kind", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize(("source", "target"), SHAPES)
def test_a_flat_picture_stays_flat(source: tuple[int, int], target: tuple[int, int], kind: str) -> None:
    assert np.allclose(resized(np.full(source, 3, np.float32), target, kind), 3, atol=1e-5)


@pytest.mark.parametrize("kind", ["area", "bilinear"])
def test_the_mean_and_the_middle_stay_where_they_are(kind: str) -> None:
    ramp = np.broadcast_to(np.arange(400, dtype=np.float32), (300, 400))
    small = resized(ramp, (60, 80), kind)
    assert small.mean() == pytest.approx(ramp.mean(), abs=1e-3)
    assert np.allclose(small, small[:, ::-1].max() + small.min() - small[:, ::-1], atol=1e-3)


@pytest.mark.parametrize("kind", ["area", "bilinear", "bicubic"])
def test_stripes_finer_than_a_pixel_become_grey(kind: str) -> None:
    stripes = np.zeros((512, 512), np.float32)
    stripes[:, ::2] = 1
    assert np.abs(resized(stripes, (64, 64), kind)[:, 4:-4] - 0.5).max() < 0.02


@pytest.mark.parametrize("kind", ["area", "bilinear", "bicubic"])
def test_weights_sum_to_one_and_stay_inside(kind: str) -> None:
    for source in (1, 2, 3, 50, 1023):
        for target in (1, 2, 7, 64, 1024):
            starts, kernel = weights(source, target, kind)
            reach = starts[:, None] + np.arange(kernel.shape[1])
            assert np.allclose(kernel.sum(axis=1), 1)
            assert not kernel[reach >= source].any()
            assert (np.diff(starts) >= 0).all()


def test_rows_are_asked_for_once_and_in_order() -> None:
    picture, asked = random((1000, 700)), []

    def rows(first: int, last: int) -> Array:
        asked.append((first, last))
        return picture[None, first:last]

    resize(rows, 1, (1000, 700), (100, 70), "bilinear")
    assert asked[0][0] == 0
    assert asked[-1][1] == 1000
    assert all(left[1] == right[0] for left, right in pairwise(asked))
