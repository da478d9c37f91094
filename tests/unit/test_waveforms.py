"""Electrocardiograms: pydicom's own, and synthetic ones whose millivolts are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from fhir_adapter.dicomfile import DicomDamaged, DicomUnsupported, Refusal, RefusalReason, read_dicom
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.waveforms import (
    TWELVE,
    Recording,
    WaveformGate,
    WaveformSpec,
    band,
    measured,
    measurements,
    read_waveforms,
    recording,
    resample,
)
from tests.dicoms import ECG, file_of

Array = np.ndarray[Any, np.dtype[Any]]
TWELVE_LEAD = "1.2.840.10008.5.1.4.1.1.9.1.1"
MDC = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64} | {f"V{n}": 2 + n for n in range(1, 7)}
SPEC = WaveformSpec(sampling_frequency=500, seconds=2)


def coded(value: str, scheme: str, meaning: str = "") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning or value
    return item


def channel(lead: str, **attributes: Any) -> Dataset:
    item = Dataset()
    item.ChannelSourceSequence = [coded(f"2:{MDC[lead]}", "MDC") if lead in MDC else coded("x", "99LOCAL", lead)]
    item.ChannelSensitivity, item.ChannelSensitivityCorrectionFactor, item.ChannelBaseline = 2.5, 1, 0
    item.ChannelSensitivityUnitsSequence = [coded("uV", "UCUM")]
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def group(samples: Array, leads: tuple[str, ...], frequency: float = 500, **attributes: Any) -> Dataset:
    """Samples by lead, shape (leads, samples)."""
    item = Dataset()
    item.WaveformOriginality, item.MultiplexGroupLabel = "ORIGINAL", "Rhythm"
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = samples.shape
    item.SamplingFrequency = frequency
    item.ChannelDefinitionSequence = [channel(lead) for lead in leads]
    item.WaveformBitsAllocated = 8 * samples.dtype.itemsize
    item.WaveformSampleInterpretation = {"i1": "SB", "u1": "UB", "i2": "SS", "u2": "US", "i4": "SL"}[
        samples.dtype.str[1:]
    ]
    item.add_new(0x54001010, "OB" if samples.dtype.itemsize == 1 else "OW", samples.T.tobytes())
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def ecg(*groups: Dataset, syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> Any:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = TWELVE_LEAD, "1.2.3", "ECG"
    dataset.WaveformSequence = list(groups)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return read_dicom(file_of(dataset))


def samples(count: int = 1000, leads: int = 12) -> Array:
    return np.random.default_rng(0).integers(-1000, 1000, (leads, count)).astype(np.int16)


def refusal(found: Recording | Refusal) -> str:
    assert isinstance(found, Refusal)
    return found.reason.value


# ---- pydicom's recording ----


def test_pydicoms_recording() -> None:
    dataset = read_dicom(ECG)
    rhythm, median = read_waveforms(dataset)
    assert (rhythm.label, rhythm.derived, rhythm.sampling_frequency, rhythm.seconds) == ("RHYTHM", False, 1000, 10)
    assert (median.label, median.derived) == ("MEDIAN BEAT", True)
    assert rhythm.leads == median.leads == TWELVE
    theirs = dataset.waveform_array(0)  # microvolts, samples by channel
    assert np.abs(rhythm.millivolts - theirs.T / 1000).max() < 1e-5
    found = recording(dataset, WaveformSpec(sampling_frequency=500, seconds=10))
    assert isinstance(found, Recording)
    assert found.millivolts.shape == (12, 5000)
    assert (found.derived, found.recorded_at) == ((), 1000)
    # Einthoven's law holds for what a device records
    lead = dict(zip(TWELVE, found.millivolts, strict=True))
    assert np.abs(lead["I"] + lead["III"] - lead["II"]).max() < 0.01


def test_what_the_device_measured() -> None:
    dataset = read_dicom(ECG)
    assert [measured(dataset, name) for name in ("rr", "pr", "qrs", "qt", "qtc")] == [982, 161, 75, 368, 370]
    assert measured(dataset, "pp") is None  # written as zero
    onsets = [item.positions[0] for item in measurements(dataset) if item.concept.meaning == "QRS Onset"]
    assert onsets[1:4] == [486, 1485, 2466]
    assert np.median(np.diff(onsets[1:])) == pytest.approx(982, abs=15)
    assert {item.unit for item in measurements(dataset)} == {"ms", "deg", ""}


# ---- synthetic ones ----


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4"])
def test_samples_of_every_size(kind: str, syntax: str) -> None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    values = np.arange(24).reshape(2, 12).astype(order + kind)
    found = read_waveforms(ecg(group(values, ("I", "II")), syntax=syntax))[0]
    assert np.allclose(found.millivolts, values * 0.0025, atol=1e-7)


def test_sensitivity_correction_baseline_and_units() -> None:
    values = samples(100, 3)
    item = group(values, ("I", "II", "V1"))
    one, two, three = item.ChannelDefinitionSequence
    one.ChannelSensitivity, one.ChannelSensitivityCorrectionFactor, one.ChannelBaseline = 5, 1.1, 20
    two.ChannelSensitivity, two.ChannelSensitivityUnitsSequence = 0.01, [coded("mV", "UCUM")]
    del three.ChannelSensitivityCorrectionFactor, three.ChannelBaseline
    found = read_waveforms(ecg(item))[0].millivolts
    assert np.allclose(found[0], (values[0] * 5.5 + 20) / 1000, atol=1e-5)
    assert np.allclose(found[1], values[1] * 0.01, atol=1e-5)
    assert np.allclose(found[2], values[2] * 2.5 / 1000, atol=1e-5)


def test_channels_that_are_no_voltages() -> None:
    item = group(samples(100, 2), ("I", "II"))
    for definition in item.ChannelDefinitionSequence:
        definition.ChannelSensitivityUnitsSequence = [coded("mm[Hg]", "UCUM")]
    assert read_waveforms(ecg(item)) == ()
    assert refusal(recording(ecg(item), SPEC)) == "no-waveform"


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"NumberOfWaveformSamples": 99}, DicomDamaged),
        ({"NumberOfWaveformSamples": 0}, DicomDamaged),
        ({"NumberOfWaveformChannels": 3}, DicomDamaged),
        ({"SamplingFrequency": 0}, DicomDamaged),
        ({"WaveformSampleInterpretation": "MB"}, DicomUnsupported),
        ({"WaveformBitsAllocated": 12}, DicomUnsupported),
    ],
)
def test_a_description_that_lies(attributes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        read_waveforms(ecg(group(samples(100, 2), ("I", "II"), **attributes)))


def test_a_channel_that_cannot_be_scaled() -> None:
    item = group(samples(100, 2), ("I", "II"))
    item.ChannelDefinitionSequence[0].ChannelSensitivity = 0
    with pytest.raises(DicomDamaged, match="sensitivity"):
        read_waveforms(ecg(item))


def test_leads_by_code_by_meaning_and_in_another_order() -> None:
    values = samples(1000)
    reverse = TWELVE[::-1]
    found = recording(ecg(group(values, reverse)), SPEC)
    assert isinstance(found, Recording)
    assert np.allclose(found.millivolts, values[::-1] * 0.0025, atol=1e-6)
    item = group(values, TWELVE)
    for definition, name in zip(item.ChannelDefinitionSequence, TWELVE, strict=True):
        definition.ChannelSourceSequence = [coded("77", "99VENDOR", f"Lead {name.upper()} (Einthoven)")]
    assert read_waveforms(ecg(item))[0].leads == TWELVE


def test_limb_leads_from_two_of_them() -> None:
    eight = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    values = samples(1000, 8)
    dataset = ecg(group(values, eight))
    found = recording(dataset, SPEC)
    assert isinstance(found, Recording)
    assert found.derived == ("III", "aVR", "aVL", "aVF")
    one, two = values[:2] * 0.0025
    for lead, expected in {
        "III": two - one,
        "aVR": -(one + two) / 2,
        "aVL": one - two / 2,
        "aVF": two - one / 2,
    }.items():
        assert np.allclose(found.millivolts[TWELVE.index(lead)], expected, atol=1e-5)
    strict = WaveformSpec(sampling_frequency=500, seconds=2, derive_leads=False)
    refused = recording(dataset, strict)
    assert refused == Refusal(RefusalReason.LEADS, "Leads that the model needs were not recorded: III, aVR, aVL, aVF.")


def test_the_recorded_group_with_all_leads_is_taken() -> None:
    values = samples(1000)
    median = group(samples(1200), TWELVE, WaveformOriginality="DERIVED")
    some = group(samples(3000, 2), ("I", "II"))
    found = recording(ecg(median, some, group(values, TWELVE)), SPEC)
    assert isinstance(found, Recording)
    assert np.allclose(found.millivolts, values * 0.0025, atol=1e-6)


def test_what_a_model_is_not_for() -> None:
    dataset = ecg(group(samples(999), TWELVE), PatientAge="016Y")
    assert refusal(recording(dataset, SPEC)) == "duration"
    assert refusal(recording(dataset, SPEC, WaveformGate(min_age=18))) == "age"
    assert refusal(recording(dataset, SPEC, WaveformGate(sop_classes=frozenset({"1.2.3"})))) == "sop-class"
    slow = ecg(group(samples(1000), TWELVE, 250))
    assert refusal(recording(slow, SPEC, WaveformGate(min_sampling_frequency=500))) == "sampling-frequency"
    assert refusal(recording(slow, SPEC, WaveformGate(max_age=80))) == "age"
    assert isinstance(recording(slow, SPEC, WaveformGate(min_sampling_frequency=250)), Recording)
    assert refusal(recording(ecg(), SPEC)) == "no-waveform"


def test_padding_is_no_voltage() -> None:
    values = samples(1200)
    values[:, :50], values[:, 1100:] = -32768, -32768
    dataset = ecg(group(values, TWELVE, WaveformPaddingValue=np.int16(-32768).tobytes()))
    assert np.isnan(read_waveforms(dataset)[0].millivolts[:, :50]).all()
    found = recording(dataset, SPEC)
    assert isinstance(found, Recording)
    assert np.allclose(found.millivolts, values[:, 50:1050] * 0.0025, atol=1e-6)
    values[3, 600] = -32768
    gap = ecg(group(values, TWELVE, WaveformPaddingValue=np.int16(-32768).tobytes()))
    assert refusal(recording(gap, SPEC)) == "gaps"
    values[:] = -32768
    empty = ecg(group(values, TWELVE, WaveformPaddingValue=np.int16(-32768).tobytes()))
    assert refusal(recording(empty, SPEC)) == "gaps"


# ---- resampling and filters ----


@pytest.mark.parametrize(("source", "target"), [(1000, 500), (500, 1000), (240, 500), (500, 300), (997, 500)])
def test_a_sine_stays_a_sine(source: float, target: float) -> None:
    seconds, hertz = 10, 17.0
    signal = np.sin(2 * np.pi * hertz * np.arange(round(seconds * source)) / source)[None]
    found = resample(signal, source, target)
    assert found.shape[1] == -(-signal.shape[1] * target // source)
    expected = np.sin(2 * np.pi * hertz * np.arange(found.shape[1]) / target)
    inner = slice(int(target), -int(target))
    assert np.abs(found[0, inner] - expected[inner]).max() < 2e-3


def test_what_the_new_frequency_cannot_carry_is_gone() -> None:
    signal = np.sin(2 * np.pi * 180 * np.arange(10_000) / 1000)[None]
    assert np.abs(resample(signal, 1000, 250)[0, 100:-100]).max() < 2e-3


def test_an_offset_survives_to_the_ends() -> None:
    assert np.allclose(resample(np.full((2, 1000), 3.0), 1000, 360), 3, atol=1e-5)


def test_filters_keep_their_band_and_its_place_in_time() -> None:
    time = np.arange(5000) / 500
    slow, middle, fast = (np.sin(2 * np.pi * hertz * time) for hertz in (0.1, 10, 120))
    found = band((slow + middle + fast)[None], 500, 1, 40)[0]
    assert np.abs(found[500:-500] - middle[500:-500]).max() < 0.03
    asked = recording(read_dicom(ECG), WaveformSpec(sampling_frequency=500, seconds=10, high_pass=0.5, low_pass=40))
    assert isinstance(asked, Recording)
    assert np.abs(asked.millivolts.mean(axis=1)).max() < 0.02


# ---- contracts ----


def test_a_contract_in_full() -> None:
    spec = WaveformSpec.of(
        {
            "leads": ["I", "V2"],
            "sampling_frequency": 250,
            "seconds": 5,
            "high_pass": 0.5,
            "low_pass": None,
            "derive_leads": False,
        }
    )
    assert spec == WaveformSpec(("I", "V2"), 250, 5, 0.5, None, False)
    assert spec.samples == 1250
    gate = WaveformGate.of({"sop_classes": [TWELVE_LEAD], "min_sampling_frequency": 250, "age": {"min": 18}})
    assert gate == WaveformGate(frozenset({TWELVE_LEAD}), 250, 18, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leads": ["I", "I"]}, "leads"),
        ({"leads": ["X"]}, "leads"),
        ({"leads": "I"}, "leads"),
        ({"seconds": 0}, "seconds must be positive"),
        ({"sampling_frequency": "fast"}, "sampling_frequency"),
        ({"low_pass": 300}, "low_pass must lie"),
        ({"derive_leads": 1}, "derive_leads"),
        ({"rate": 500}, "not known: rate"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        WaveformSpec.of({"leads": ["I"], "sampling_frequency": 500, "seconds": 10} | change)


@pytest.mark.parametrize("change", [{"age": 18}, {"sop_classes": ["ECG"]}, {"leads": []}])
def test_what_is_wrong_in_a_gate_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="waveforms"):
        WaveformGate.of(change)
