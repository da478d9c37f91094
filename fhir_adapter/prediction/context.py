"""Which model answered, about whom, and from what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from fhir_adapter.references import Source

__all__ = ["ImageSource", "ModelIdentity", "ResultContext"]


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered: what a result must say about it.

    Parameters
    ----------
    name, version, title : str
        As in its contract.
    digest : str
        SHA-256 of the model file, hexadecimal.
    kind : str
        ``diagnosis``, ``survival`` or ``allocation``.
    outcome : dict
        CodeableConcept of the predicted event.
    outcome_text : str
        The event in words.
    status : str
        Regulatory status, shown with every result.
    mitigation : str
        What may be done about the risk, in neutral words; empty when the contract says nothing.
    manufacturer : str
        Who made the model.
    ai_kinds : tuple of str
        Codes of the kind of AI (AI Transparency on FHIR, AIdeviceTypeCS); by `kind` when empty.
    card : str
        The model card, Markdown; empty when there is none.
    competing : dict
        CodeableConcept of the event after which the predicted one can no longer happen; empty when there is no code.
    competing_text : str
        That event in words; empty when the model knows of none.
    """

    name: str
    version: str
    title: str
    digest: str
    kind: str
    outcome: dict[str, object]
    outcome_text: str
    status: str
    mitigation: str = ""
    manufacturer: str = "Bedside"
    ai_kinds: tuple[str, ...] = ()
    card: str = ""
    competing: dict[str, object] = field(default_factory=dict)
    competing_text: str = ""


@dataclass(frozen=True)
class ImageSource:
    """An image or waveform that was read.

    Parameters
    ----------
    study, series, sop_class, sop_instance : str
        DICOM UIDs.
    sha256 : str
        Of the file as it was read, hexadecimal.
    """

    study: str
    series: str
    sop_class: str
    sop_instance: str
    sha256: str

    @property
    def fingerprint(self) -> str:
        """Changes whenever the file does."""
        return f"{self.sop_instance}@{self.sha256}"


@dataclass(frozen=True)
class ResultContext:
    """What a result is about: who, when, and from which resource versions.

    Parameters
    ----------
    tenant : str
        Name of the EHR the patient belongs to.
    organization : str
        Who operates the model.
    patient : str
        Relative reference, ``Patient/{id}``.
    encounter : str or None
        Relative reference, ``Encounter/{id}``.
    index_time : datetime or None
        Time zero of the prediction, with a time zone.
    sources : tuple of Source
        Every resource a value was taken from, at the version read.
    fingerprints : tuple of str
        Everything the answer depends on; equal fingerprints mean the same result.
    condition : str or None
        ``Condition/{id}`` that put the patient into the model's population.
    data_until : datetime or None
        Data cut-off: the clinical time of the newest source; None when no source has one.
    about : str or None
        What the result is about, where that is not the encounter: ``ImagingStudy/{id}``, ``DiagnosticReport/{id}``,
        or a name made of several parts.
    study : str or None
        ``ImagingStudy/{id}`` that the images are of.
    images : tuple of ImageSource
        What was looked at for the answer.
    """

    tenant: str
    organization: str
    patient: str
    encounter: str | None
    index_time: datetime | None
    sources: tuple[Source, ...]
    fingerprints: tuple[str, ...]
    condition: str | None = None
    data_until: datetime | None = None
    about: str | None = None
    study: str | None = None
    images: tuple[ImageSource, ...] = ()

    @property
    def scope(self) -> str | None:
        """What it is about: a newer result about the same takes this one's place."""
        return self.about or self.encounter
