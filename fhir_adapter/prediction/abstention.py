"""A recorded refusal to guess, and the reasons that may be counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Abstention", "AbstentionReason"]


class AbstentionReason(StrEnum):
    """Why no prediction was made; the codes are stable and may be counted."""

    MISSING_INPUT = "missing-input"
    IMPLAUSIBLE_INPUT = "implausible-input"
    UNIT_NOT_CONVERTIBLE = "unit-not-convertible"
    OUTSIDE_POPULATION = "outside-population"
    NO_INDEX_TIME = "no-index-time"
    NOT_COMPUTABLE = "not-computable"

    # The study: what is there, and what may be read of it.
    STUDY_INCOMPLETE = "study-incomplete"
    NO_SUITABLE_IMAGE = "no-suitable-image"
    TOO_MANY_IMAGES = "too-many-images"
    PATIENT_MISMATCH = "patient-mismatch"

    # An image or recording that the contract does not cover; each is called as the gates call it.
    SOP_CLASS = "sop-class"
    MODALITY = "modality"
    VIEW = "view"
    BODY_PART = "body-part"
    LATERALITY = "laterality"
    AGE = "age"
    FOR_PROCESSING = "for-processing"
    SECONDARY_CAPTURE = "secondary-capture"
    BURNED_IN_ANNOTATION = "burned-in-annotation"
    PHOTOMETRIC = "photometric-interpretation"
    NO_PIXELS = "no-pixels"
    NO_WAVEFORM = "no-waveform"
    LEADS = "leads"
    DURATION = "duration"
    SAMPLING_FREQUENCY = "sampling-frequency"
    GAPS = "gaps"

    # A file that cannot be read, or not safely.
    NOT_DICOM = "not-dicom"
    TOO_LARGE = "too-large"
    DAMAGED = "damaged"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Abstention:
    """A recorded refusal to guess.

    Parameters
    ----------
    reason : AbstentionReason
        The stable code.
    detail : str
        What is missing or out of range, by input name; never a patient's value.
    inputs : tuple of str
        Names of the inputs concerned.
    """

    reason: AbstentionReason
    detail: str
    inputs: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.detail:
            raise ValueError("an abstention says why")
