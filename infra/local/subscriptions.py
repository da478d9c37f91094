"""The Subscriptions by which the twin's EHR tells what happened, in R4 and in backport form."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_adapter.codes import Json
from fhir_adapter.subscriptions import Dialect, Wanted, subscription

__all__ = [
    "ADMISSIONS",
    "FEEDS",
    "MODELS",
    "OUTPATIENTS",
    "STUDIES",
    "THYROID_TESTS",
    "Feed",
    "rest_hook",
    "topic_based",
]

# sekmet's own topic: an Encounter moved to in-progress.
ENCOUNTER_START = "http://sekmet.dev/fhir/SubscriptionTopic/encounter-start"


@dataclass(frozen=True)
class Feed:
    """One Subscription of the twin's EHR.

    Parameters
    ----------
    name : str
        In the tenant's record and in the endpoint's path.
    title : str
        What it tells of, in words.
    criteria : str
        ``Type?parameters``.
    models : tuple of str
        Which answer.
    result : {"RiskAssessment", "DiagnosticReport"}
        What each of their answers is, one resource an answer.
    """

    name: str
    title: str
    criteria: str
    models: tuple[str, ...]
    result: str = "RiskAssessment"

    @property
    def id(self) -> str:
        """FHIR id of the Subscription."""
        return f"bedside-{self.name}"


ADMISSIONS = Feed("admissions", "admissions", "Encounter?class=IMP", ("whas500",))
# Follow-up consultations of whatever clinic: which of the models applies to a patient, the models find out.
OUTPATIENTS = Feed(
    "outpatients",
    "visits of outpatients",
    "Encounter?class=AMB&type=http://snomed.info/sct|281036007",
    ("pbc", "mgus2", "nafld"),
)
# What the archive has of the kinds that a model is for; which of them it is, the models find out.
STUDIES = Feed(
    "studies",
    "electrocardiograms and chest films",
    "ImagingStudy?status=available&modality=ECG,CR",
    ("ecg", "cxr-pneumonia-paediatric"),
    "DiagnosticReport",
)
# Only final ones: drafts, such as those that Bedside writes, are nobody's values.
THYROID_TESTS = Feed(
    "thyroid-tests",
    "thyroid tests",
    "DiagnosticReport?status=final&code=http://loinc.org|90224-7",
    ("thyroid",),
    "DiagnosticReport",
)
FEEDS = (ADMISSIONS, OUTPATIENTS, STUDIES, THYROID_TESTS)
MODELS = tuple(name for feed in FEEDS for name in feed.models)


def rest_hook(feed: Feed, endpoint: str, secret: str) -> Json:
    """Return an R4 Subscription with criteria (FHIR R4 subscription.html).

    Parameters
    ----------
    endpoint : str
        Where notifications go.
    secret : str
        Sent with each of them, as a bearer token.
    """
    return subscription(_wanted(feed, endpoint, secret), Dialect.CRITERIA)


def topic_based(feed: Feed, endpoint: str, secret: str, content: str) -> Json:
    """Return a topic-based Subscription (Subscriptions R5 Backport, R4 profile).

    Parameters
    ----------
    endpoint, secret : str
        As in :func:`rest_hook`.
    content : str
        ``empty``, ``id-only`` or ``full-resource``.
    """
    return subscription(_wanted(feed, endpoint, secret, content), Dialect.BACKPORT)


def _wanted(feed: Feed, endpoint: str, secret: str, content: str = "id-only") -> Wanted:
    return Wanted(
        id=feed.id,
        name=feed.name,
        endpoint=endpoint,
        secret=secret,
        criteria=feed.criteria,
        topic=ENCOUNTER_START,
        content=content,
        timeout=None,
        max_count=None,
    )
