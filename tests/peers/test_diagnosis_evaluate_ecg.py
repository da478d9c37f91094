"""The ECG reading against the package that the model comes from, and against a recorder's own measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fhir_adapter.waveforms import WaveformSpec, recording
from functions.diagnosis.ecg import EcgReading, irregularly_irregular, qrs_widths, r_peaks, rank_normalised, read
from functions.diagnosis.train import PACKAGES, read_contract
from tests.peering import require_peer

RATE = 500
CONTRACT = read_contract(PACKAGES / "ecg")
KINDS = ("even", "uneven", "slow", "fast", "dropped", "noisy", "inverted")


@pytest.fixture(scope="module")
def session() -> Any:
    from onnxruntime import InferenceSession

    return InferenceSession((PACKAGES / "ecg" / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])


def ask(session: Any, signal: Any, suppress: tuple[str, ...] = ()) -> EcgReading:
    # the package itself rounds to single precision before it ranks
    ranked = rank_normalised(np.asarray(signal, dtype=np.float32))
    names = list(CONTRACT["graph"]["outputs"])
    return read(signal, RATE, dict(zip(names, session.run(names, {"signal": ranked[None]}), strict=True)), suppress)


def strip(kind: str, seed: int) -> Any:
    """A synthetic lead of 10 seconds."""
    random = np.random.default_rng(seed)
    mean = {"slow": 1.3, "fast": 0.45}.get(kind, 0.8)
    t, signal, at, number = np.arange(10 * RATE) / RATE, np.zeros(10 * RATE), 0.4 + random.uniform(0, 0.5), 0
    while at < 10:
        number += 1
        if not (kind == "dropped" and number % 4 == 0):
            waves = [(-0.025, 0.008, -0.1), (0, 0.011, 1.0), (0.025, 0.009, -0.2), (0.26, 0.04, 0.3)]
            for offset, width, size in waves if kind == "uneven" else [(-0.16, 0.02, 0.12), *waves]:
                signal += size * np.exp(-0.5 * ((t - at - offset) / width) ** 2)
        at += random.uniform(0.4, 1.2) if kind == "uneven" else mean + random.normal(0, 0.01)
    noise = random.normal(0, 0.08 if kind == "noisy" else 0.01, t.size)
    return (signal + noise + 0.1 * np.sin(2 * np.pi * 0.3 * t)) * (-1 if kind == "inverted" else 1)


@pytest.mark.peer("openecg")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_reading_agrees_with_openecg(session: Any, kind: str, seed: int) -> None:
    require_peer("openecg", "openecg")
    import openecg
    from openecg.afib import afib_score
    from openecg.qrs import detect_qrs

    signal = strip(kind, seed)
    theirs, ours = openecg.report(signal, RATE), ask(session, signal)
    peaks, widths = detect_qrs(signal, RATE, return_widths=True)
    np.testing.assert_array_equal(r_peaks(signal, RATE), peaks)
    np.testing.assert_allclose(qrs_widths(signal, RATE, peaks), widths)
    assert irregularly_irregular(np.diff(peaks) * 1000.0 / RATE, widths) == afib_score(signal, RATE)["is_afib"]
    assert ours.rhythm in (theirs.rhythm["label"], None)
    assert {name: round(share, 3) for name, share in ours.rhythm_shares.items() if share} == pytest.approx(
        theirs.rhythm["distribution"]
    )
    assert round(ours.heart_rate or 0.0) == theirs.heart_rate["bpm"]
    assert round(ours.rr_ms or 0.0) == theirs.heart_rate["rr_mean_ms"]
    assert dict(ours.beat_types) == theirs.beats["by_type"]
    found = {"qrs_duration": ours.qrs_ms, "qt": ours.qt_ms}
    if ours.rhythm != "afib":
        found["pr"] = ours.pr_ms
    for name, value in found.items():
        assert (None if value is None else round(value, 1)) == theirs.intervals_ms[name], name
    assert ("low-amplitude" in ours.flags) == ("low_amplitude" in theirs.flags)


def test_strips_of_every_rhythm_that_matters_are_among_those_compared(session: Any) -> None:
    read_as = {ask(session, strip(kind, seed)).rhythm for kind in KINDS for seed in range(3)}
    assert {"sinus", "afib"} <= read_as


def test_recorders_own_measurements() -> None:
    """The 12-lead ECG of pydicom carries what its recorder measured: RR 982 ms, QT 368 ms."""
    require_peer("pydicom", "pydicom")
    from onnxruntime import InferenceSession
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    path = get_testdata_file("waveform_ecg.dcm")
    dataset = dcmread(str(path))
    measured = {
        str(item.ConceptNameCodeSequence[0].CodeMeaning): float(item.NumericValue)
        for item in dataset.WaveformAnnotationSequence
        if "NumericValue" in item
    }
    lead = recording(dataset, WaveformSpec.of(CONTRACT["waveform"])).millivolts[0]  # type: ignore[union-attr]
    model = InferenceSession((PACKAGES / "ecg" / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    reading = ask(model, lead, tuple(CONTRACT["suppress"]))
    assert measured["RR Interval"] == 982
    assert reading.rr_ms == pytest.approx(measured["RR Interval"], abs=4)
    assert measured["QT Interval"] == 368
    assert reading.qt_ms == pytest.approx(measured["QT Interval"], abs=30)
    assert reading.pr_ms == pytest.approx(measured["PR Interval"], abs=30)
    assert reading.qrs_ms == pytest.approx(measured["QRS Duration"], abs=30)
    assert reading.qtc_bazett_ms == pytest.approx(measured["QTc Interval"], abs=30)
    assert (reading.rhythm, reading.flags) == ("sinus", ())


def test_contract_is_the_models(session: Any) -> None:
    from functions.diagnosis.ecg import BEATS, RHYTHMS, WAVES

    graph = CONTRACT["graph"]["outputs"]
    for name, classes in (("frame_logits", WAVES), ("beat_logits", BEATS), ("rhythm_logits", RHYTHMS)):
        assert tuple(graph[name]["classes"]) == classes
        port = next(item for item in session.get_outputs() if item.name == name)
        assert port.shape[1:] == graph[name]["shape"][1:]
    names = {f"rhythm:{name}" for name in RHYTHMS} | {f"beat:{name}" for name in BEATS}
    assert set(CONTRACT["suppress"]) <= names
    for finding in CONTRACT["findings"]:
        assert f"rhythm:{RHYTHMS[finding['index']]}" not in CONTRACT["suppress"]
    for measurement in CONTRACT["measurements"]:
        assert measurement["name"] in EcgReading.__annotations__
