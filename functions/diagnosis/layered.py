"""What a layered ECG model says, as a Diagnosis: shares of rhythm as findings, rate and intervals as measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from fhir_adapter.prediction import Abstention, AbstentionReason, Diagnosis, Finding, Measurement
from functions.diagnosis.ecg import RHYTHMS, EcgReading, read
from functions.serving.package.diagnosis import Contract

__all__ = ["LAYERS", "MEASURED", "read_layers"]

# Outputs that the reading needs.
LAYERS = ("frame_logits", "beat_logits", "rhythm_logits")
# What it measures, by the names of EcgReading.
MEASURED = ("heart_rate", "rr_ms", "pr_ms", "qrs_ms", "qt_ms", "qtc_bazett_ms", "qtc_fridericia_ms")
# What the network says of a line without beats is worth nothing: it calls a flat one a sinus rhythm.
UNREADABLE = {
    "too-few-beats": "Hardly any beat was found in the recording; the lead may be off.",
    "low-amplitude": "The amplitude of the recording is too low; the lead may be off.",
}
NOTES = {
    "atrial-fibrillation-disputed": "The regularity of the beats speaks against what the network says of the rhythm.",
    "rhythm-suppressed": "The commonest rhythm is one the model is not believed in, so no rhythm is reported.",
}


def read_layers(
    contract: Contract, signal: npt.NDArray[Any], rate: float, outputs: Mapping[str, npt.NDArray[Any]]
) -> Diagnosis | Abstention:
    """Read one lead.

    Parameters
    ----------
    contract : Contract
        Its findings name rhythms by their index, its measurements attributes of
        :class:`functions.diagnosis.ecg.EcgReading`.
    signal : ndarray, shape (n,)
        In mV.
    rate : float
        Samples a second.
    outputs : mapping of str to ndarray
        `LAYERS`.
    """
    reading = read(signal, rate, outputs, contract.suppress)
    for flag, detail in UNREADABLE.items():
        if flag in reading.flags:
            return Abstention(AbstentionReason.NOT_COMPUTABLE, detail)
    findings, measurements = _findings(contract, reading), _measurements(contract, reading)
    if not findings and not measurements:
        return Abstention(AbstentionReason.NOT_COMPUTABLE, "Neither rhythm nor intervals could be read.")
    notes = tuple(NOTES.get(flag, flag) for flag in reading.flags)
    return Diagnosis(findings, measurements, notes=notes)


def _findings(contract: Contract, reading: EcgReading) -> tuple[Finding, ...]:
    """Where a suppressed class is the commonest, the shares of the others say little; and none is a probability."""
    if "rhythm-suppressed" in reading.flags:
        return ()
    shares = [(rule, reading.rhythm_shares.get(RHYTHMS[rule.index])) for rule in contract.findings]
    return tuple(
        Finding(rule.name, rule.display, rule.code, float(share), rule.threshold, "share")
        for rule, share in shares
        if share is not None
    )


def _measurements(contract: Contract, reading: EcgReading) -> tuple[Measurement, ...]:
    values = [(rule, getattr(reading, rule.name, None)) for rule in contract.measurements]
    return tuple(
        Measurement(rule.name, rule.display, rule.code, float(value), rule.unit)
        for rule, value in values
        if value is not None
    )
