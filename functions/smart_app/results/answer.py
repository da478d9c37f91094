"""One answer of one model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from functions.smart_app.chart import Curve
from functions.smart_app.findings import Finding, Measured, study_of
from functions.smart_app.lenient import object_of

__all__ = ["Answer", "Review", "Risk"]


@dataclass(frozen=True)
class Risk:
    """One probability.

    Parameters
    ----------
    outcome : str
        Of what.
    days : float or None
        Within how many days; None for what is present now.
    percent : float
    interval : (float, float) or None
        95% interval in percent, where the model states one.
    """

    outcome: str
    days: float | None
    percent: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Review:
    """What a person said about an answer.

    Parameters
    ----------
    decision : str
        ``confirmed`` or ``rejected``.
    who : str
        ``Practitioner/id``.
    when : datetime or None
    text : str
    """

    decision: str
    who: str = ""
    when: datetime | None = None
    text: str = ""


@dataclass(frozen=True)
class Answer:
    """One answer of one model.

    Parameters
    ----------
    model, title : str
    status : str
        FHIR status; ``preliminary`` until a person has confirmed it.
    when : datetime or None
        What it is about: the admission, the study, the sample.
    risks : tuple of Risk
    curve, band, competing : Curve, (Curve, Curve), Curve or None
        Probability of being free of the event, its bounds, and the incidence of the event that may come first.
    median_days : float or None
        When the probability of the event reaches one half.
    drivers : tuple of str
        What moved the prediction, largest first, as it was written.
    findings : tuple of Finding
    measurements : tuple of Measured
    declined : str or None
        Code of the reason for which there is no answer.
    remarks : tuple of str
    review : Review or None
    method : str
        Model and version.
    sources : tuple of str
        ``Type/id``, with a version where it was recorded, at this EHR, of what it was made from.
    reference : str
        ``Type/id`` of the result.
    written : datetime or None
        When the EHR stored it.
    parts : tuple of dict
        The resources themselves, the one of `reference` first.
    """

    model: str
    title: str
    status: str
    when: datetime | None
    risks: tuple[Risk, ...] = ()
    curve: Curve | None = None
    band: tuple[Curve, Curve] | None = None
    competing: Curve | None = None
    median_days: float | None = None
    drivers: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    measurements: tuple[Measured, ...] = ()
    declined: str | None = None
    remarks: tuple[str, ...] = ()
    review: Review | None = None
    method: str = ""
    sources: tuple[str, ...] = ()
    reference: str = ""
    written: datetime | None = None
    parts: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)

    @property
    def study(self) -> str:
        """Id of the ImagingStudy that was looked at, empty when there is none."""
        return study_of(self.sources)

    @property
    def report(self) -> str:
        """Id of the DiagnosticReport, empty when there is none or it may not be read."""
        found = (part for part in self.parts if part.get("resourceType") == "DiagnosticReport")
        return next((str(part.get("id") or "") for part in found), "")

    @property
    def main(self) -> Risk | None:
        """The risk that stands for all: of the outcome itself, at the middle horizon, which is the one explained."""
        own = [risk for risk in self.risks if risk.outcome == self.risks[0].outcome and risk.days is not None]
        return own[len(own) // 2] if own else None

    @property
    def references(self) -> tuple[str, ...]:
        """``Type/id`` of all its resources."""
        return tuple(f"{part.get('resourceType')}/{part.get('id')}" for part in self.parts)

    @property
    def seen(self) -> str:
        """Changes with the version of any of its resources."""
        versions = (str(object_of(part.get("meta")).get("versionId") or "") for part in self.parts)
        told = "|".join(sorted(f"{name}@{version}" for name, version in zip(self.references, versions, strict=True)))
        return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:32]
