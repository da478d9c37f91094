"""An ECG model's output, read: by hand-made layers, and signals whose beats are where they were put."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from functions.diagnosis.ecg import (
    BEATS,
    RHYTHMS,
    WAVES,
    Layers,
    bazett,
    fridericia,
    irregularly_irregular,
    qrs_widths,
    r_peaks,
    rank_normalised,
    read,
)
from functions.diagnosis.ecg.beats import local_maxima, prominences
from functions.diagnosis.ecg.signal import _filtered, boxcar, high_pass

RATE = 500
Array = np.ndarray[Any, np.dtype[Any]]


def strip(at: Array, seconds: float = 10.0, height: float = 1.0, noise: float = 0.005) -> Array:
    """A lead with a P wave, a QRS complex and a T wave at each time in seconds."""
    t = np.arange(round(seconds * RATE)) / RATE
    signal = np.random.default_rng(0).normal(0.0, noise, t.size) + 0.1 * np.sin(2 * np.pi * 0.25 * t)
    for beat in at:
        for offset, width, size in ((-0.16, 0.02, 0.12), (-0.025, 0.008, -0.1), (0, 0.011, 1.0), (0.26, 0.04, 0.3)):
            signal += height * size * np.exp(-0.5 * ((t - beat - offset) / width) ** 2)
    return signal


def outputs(at: Array, rhythm: str = "sinus", beat: str = "sinus", samples: int = 5000) -> dict[str, Array]:
    """What a perfect model says: P 160 to 60 ms before the beat, QRS 40 ms around it, T from 200 to 340 ms after."""
    wave = np.zeros(samples, dtype=int)
    for middle in np.round(at * RATE).astype(int):
        for name, start, end in (("P", -80, -30), ("QRS", -20, 20), ("T", 100, 170)):
            wave[max(0, middle + start) : middle + end] = WAVES.index(name)
    return {
        "frame_logits": np.eye(4, dtype=np.float32)[wave][None],
        "beat_logits": np.eye(6, dtype=np.float32)[np.full(samples, BEATS.index(beat))][None],
        "rhythm_logits": np.eye(6, dtype=np.float32)[np.full(samples, RHYTHMS.index(rhythm))][None],
    }


EVEN = np.arange(0.5, 9.9, 0.8)


@pytest.mark.parametrize("height", [1.0, -1.0, 0.2])
def test_beats_are_found_where_they_are(height: float) -> None:
    found = r_peaks(strip(EVEN, height=height), RATE)
    np.testing.assert_allclose(found / RATE, EVEN, atol=0.004)


def test_beats_are_found_at_another_rate_and_across_gaps() -> None:
    signal = strip(EVEN)[::2].copy()
    signal[300:310] = np.nan
    np.testing.assert_allclose(r_peaks(signal, RATE / 2) / (RATE / 2), EVEN, atol=0.008)


@pytest.mark.parametrize("signal", [[], [0.0] * 5, [np.nan] * 5000, np.zeros(5000)])
def test_no_signal_has_no_beats(signal: Any) -> None:
    assert r_peaks(signal, RATE).size == 0


def test_width_of_a_complex_grows_with_it() -> None:
    t = np.arange(5000) / RATE
    noise = np.random.default_rng(1).normal(0, 0.001, t.size)
    peaks = np.array([2500])
    narrow, wide = (
        qrs_widths(noise + np.exp(-0.5 * ((t - 5) / width) ** 2), RATE, peaks)[0] for width in (0.01, 0.025)
    )
    assert 40 <= narrow < wide <= 200
    assert qrs_widths(np.zeros(5000), RATE, peaks).tolist() == [80.0]


def test_ranks_are_spread_evenly_and_ties_share() -> None:
    np.testing.assert_allclose(rank_normalised([3.0, 1.0, 2.0]), [1.0, -1.0, 0.0])
    np.testing.assert_allclose(rank_normalised([5.0, 5.0, 9.0]), [-0.5, -0.5, 1.0])
    assert rank_normalised([5.0, 5.0]).dtype == np.float32


def test_filter_takes_wander_and_leaves_beats() -> None:
    t = np.arange(5000) / RATE
    assert np.abs(high_pass(np.sin(2 * np.pi * 0.05 * t) + 3.0, RATE))[1000:4000].max() < 0.02
    fast = np.sin(2 * np.pi * 10 * t)
    np.testing.assert_allclose(high_pass(fast, RATE)[1000:4000], fast[1000:4000], atol=0.01)


@pytest.mark.parametrize("size", [2, 63, 64, 65, 1000])
def test_the_filter_in_blocks_is_the_filter_sample_by_sample(size: int) -> None:
    signal, b, a = np.random.default_rng(size).normal(5.0, 1.0, size), (0.9, -1.8, 0.9), (-1.9, 0.91)
    one, two, expected = -b[0] * signal[0], b[2] * signal[0], []
    for x in signal:
        expected.append(b[0] * x + one)
        one, two = b[1] * x - a[0] * expected[-1] + two, b[2] * x - a[1] * expected[-1]
    np.testing.assert_allclose(_filtered(signal, b, a), expected, atol=1e-11)


@pytest.mark.parametrize("width", [2, 3, 8])
def test_moving_average(width: int) -> None:
    signal = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(
        boxcar(signal, width), np.convolve(signal, np.full(width, 1 / width), mode="same"), atol=1e-13
    )
    assert boxcar(np.ones(4), 9).tolist() == pytest.approx([4 / 9] * 4), "wider than the signal"


def test_summits_and_their_prominences() -> None:
    line = np.array([0.0, 2.0, 1.0, 3.0, 3.0, 0.5, 1.0, 0.0])
    assert local_maxima(line).tolist() == [1, 3, 6]
    assert prominences(line, local_maxima(line)).tolist() == [1.0, 3.0, 0.5]


def test_irregular_beats_are_told_from_even_ones_and_from_wide_ones() -> None:
    random = np.random.default_rng(3)
    uneven = random.uniform(400, 1200, 14)
    narrow = np.full(15, 85.0)
    assert irregularly_irregular(uneven, narrow)
    assert not irregularly_irregular(800 + random.normal(0, 15, 14), narrow)
    assert not irregularly_irregular(uneven, np.full(15, 130.0))
    assert not irregularly_irregular(uneven[:3], narrow[:4])


def test_a_missed_beat_alone_is_not_irregularly_irregular() -> None:
    assert not irregularly_irregular(np.array([800.0] * 6 + [1600.0] + [800.0] * 4), np.full(12, 85.0))


def test_reading_of_a_perfect_model() -> None:
    reading = read(strip(EVEN), RATE, outputs(EVEN))
    assert (reading.rhythm, reading.regular, reading.flags) == ("sinus", True, ())
    assert reading.heart_rate == pytest.approx(75, abs=0.5)
    assert reading.rr_ms == pytest.approx(800, abs=2)
    assert (reading.pr_ms, reading.qrs_ms, reading.qt_ms) == (120.0, 80.0, 380.0)
    assert reading.qtc_bazett_ms == pytest.approx(380 / 0.8**0.5, abs=0.5)
    assert reading.qtc_fridericia_ms == pytest.approx(380 / 0.8 ** (1 / 3), abs=0.5)
    assert (reading.beats, reading.beat_types) == (12, {"sinus": 12})
    assert not reading.atrial_fibrillation
    assert not reading.av_block


def test_corrections_leave_qt_alone_at_60_a_minute() -> None:
    assert bazett(400.0, 1000.0) == fridericia(400.0, 1000.0) == 400.0
    assert bazett(400.0, 600.0) > fridericia(400.0, 600.0) > 400.0


def test_atrial_fibrillation_has_no_pr_interval_and_is_disputed_by_even_beats() -> None:
    reading = read(strip(EVEN), RATE, outputs(EVEN, "afib"))
    assert reading.atrial_fibrillation
    assert reading.pr_ms is None
    assert "atrial-fibrillation-disputed" in reading.flags


def test_atrial_fibrillation_of_both_opinions_is_not_disputed() -> None:
    at = 0.4 + np.cumsum([0.0, 0.68, 0.97, 0.44, 0.97, 0.55, 0.63, 0.89, 0.62, 0.71, 0.37, 0.84, 0.7, 0.56])
    reading = read(strip(at), RATE, outputs(at, "afib"))
    assert reading.irregularly_irregular
    assert reading.regular is False
    assert reading.flags == ()


def test_a_suppressed_rhythm_is_not_reported() -> None:
    reading = read(strip(EVEN), RATE, outputs(EVEN, "bbb", "paced"), ["rhythm:bbb", "beat:paced"])
    assert reading.rhythm is None
    assert "bbb" not in reading.rhythm_shares
    assert reading.beat_types == {}
    assert reading.flags == ("rhythm-suppressed",)


def test_ends_of_the_strip_do_not_decide_the_rhythm() -> None:
    given = outputs(EVEN)
    given["rhythm_logits"][0, :1000] = np.eye(6)[RHYTHMS.index("afib")]
    given["rhythm_logits"][0, 4000:] = np.eye(6)[RHYTHMS.index("afib")]
    assert read(strip(EVEN), RATE, given).rhythm_shares["afib"] == 0.0


def test_a_mixed_strip_has_no_rhythm() -> None:
    given = outputs(EVEN)
    for start, name in ((2000, "afib"), (3000, "avb")):
        given["rhythm_logits"][0, start : start + 1000] = np.eye(6)[RHYTHMS.index(name)]
    reading = read(strip(EVEN), RATE, given)
    assert reading.rhythm is None
    assert max(reading.rhythm_shares.values()) < 0.5


def test_a_flat_line_is_not_measured() -> None:
    reading = read(np.zeros(5000), RATE, outputs(np.array([])))
    assert (reading.heart_rate, reading.rr_ms, reading.pr_ms, reading.qt_ms) == (None, None, None, None)
    assert reading.qtc_bazett_ms is None
    assert reading.regular is None
    assert reading.flags == ("too-few-beats", "low-amplitude")


def test_padding_behind_a_short_strip_is_not_read() -> None:
    given = outputs(EVEN)
    given["rhythm_logits"][0, 3000:] = np.eye(6)[RHYTHMS.index("afib")]
    layers = Layers.of(given, RATE, 3000)
    assert layers.wave.size == 3000
    assert layers.rhythm_shares()["sinus"] == 1.0


def test_intervals_are_not_made_up_over_long_pauses() -> None:
    layers = Layers.of(outputs(np.array([5.0])), RATE, 5000)
    assert layers.interval_ms("QRS", "T", 600.0, to_end=True) == 380.0
    assert layers.interval_ms("T", "P", 600.0, to_end=False) is None
    assert layers.interval_ms("QRS", "T", 100.0, to_end=True) is None
