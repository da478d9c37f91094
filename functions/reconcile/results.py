"""Our results held against the record: what they are about, and whether it is still there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from urllib.parse import parse_qsl, urlencode

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import MODEL_TAG, Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.evidence.supersede import UNCONFIRMED, WATCHED, about_of, says_about, withdrawal
from fhir_adapter.writing import write
from functions.serving.sweep import MOST

__all__ = ["CHUNK", "Results", "chunks", "doubled", "lost", "mark", "predictions", "results_of"]

CHUNK = 50
# Enough to see what is live; what is to be marked is read whole.
LISTED = f"{WATCHED},device,performer"
GONE = frozenset({404, 410})
CALLED_OFF = frozenset({"cancelled", "entered-in-error"})


@dataclass
class Results:
    """A model's results, by what they are about: an encounter, a study, a report."""

    live: dict[str, list[Json]] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    cut: bool = False


def results_of(client: FhirClient, model: str, start: datetime) -> Results:
    """Results of a model, newest first, within the window and the bound."""
    found = Results()
    for kind in ("RiskAssessment", "Observation"):
        parameters = [
            ("_tag", f"{MODEL_TAG}|{model}"),
            ("_lastUpdated", f"ge{start.isoformat()}"),
            ("_sort", "-_lastUpdated"),
            ("_count", "200"),
            ("_elements", LISTED),
        ]
        results = list(islice(client.search(kind, parameters, pages=MOST // 200), MOST))
        found.cut |= len(results) >= MOST
        for result in results:
            about = about_of(result)
            if about is None:
                continue
            found.answered.add(about)
            if result.get("status") in UNCONFIRMED:
                found.live.setdefault(about, []).append(result)
    return found


def mark(client: FhirClient, listed: Sequence[Json], reason: str, organization: str, now: datetime) -> bool:
    """Mark results as entered in error; returns whether it was done."""
    answers = client.batch([f"{result['resourceType']}/{result['id']}" for result in listed])
    found = [answer.resource for answer in answers if answer.status == 200 and answer.resource]
    results = [result for result in found if result.get("status") in UNCONFIRMED]
    if not results:
        return False
    bundle = withdrawal(results, reason, organization, now)
    try:
        write(client, bundle)
    except FhirRejected as error:
        if error.status not in (409, 412):
            raise
        return False  # a worker was there first; the next run looks again
    return True


def lost(client: FhirClient, criteria: Sequence[str], encounters: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what is gone, called off or matches none of the criteria any more, in one round trip.

    A result about something of another type than is asked about was asked for by a resource that led there: whether
    that one still matches says nothing of the result, and it is passed over. So is what is made of several parts.
    """
    kinds = {one.partition("?")[0] for one in criteria}
    encounters = [
        reference for reference in encounters if reference.partition("/")[0] in kinds and "@" not in reference
    ]
    if not encounters:
        return
    answers = client.batch([*encounters, *(_matching(one, encounters) for one in criteria)])
    still: set[str] = set()
    for page in answers[len(encounters) :]:
        if page.status != 200 or page.resource is None:
            raise FhirUnavailable(f"the FHIR server answered {page.status} inside a batch", page.status)
        still |= {f"{found.get('resourceType')}/{found.get('id')}" for found in client.complete(page.resource)}
    for encounter, answer in zip(encounters, answers, strict=False):
        if answer.status in GONE:
            yield encounter, f"The {_named(encounter)} is no longer in the record."
        elif answer.status != 200 or answer.resource is None:
            continue  # not readable now says nothing
        elif answer.resource.get("status") in CALLED_OFF:
            yield encounter, f"The {_named(encounter)}'s status is {answer.resource['status']}."
        elif encounter not in still:
            yield encounter, f"The {_named(encounter)} no longer matches what the model is asked about."


def _named(reference: str) -> str:
    kind = reference.partition("/")[0]
    return {"ImagingStudy": "study", "DiagnosticReport": "report"}.get(kind, kind.lower())


def _matching(criteria: str, encounters: Sequence[str]) -> str:
    kind, _, query = criteria.partition("?")
    ids = ",".join(reference.partition("/")[2] for reference in encounters)
    return f"{kind}?" + urlencode([*parse_qsl(query), ("_id", ids), ("_count", str(2 * CHUNK))])


def predictions(results: Sequence[Json]) -> list[Json]:
    """Return the RiskAssessments among results."""
    return [result for result in results if result.get("resourceType") == "RiskAssessment"]


def doubled(results: Results) -> list[str]:
    """What has two live results of one kind: workers that overtook each other and died.

    A diagnosis says itself what it is about, has an Observation for each finding, and one RiskAssessment at most; what
    is made of several parts cannot be read and asked for again.
    """
    found = []
    for about, live in results.live.items():
        kinds = [result.get("resourceType") for result in live]
        counted = {"RiskAssessment"} if any(map(says_about, live)) else set(kinds)
        if "@" not in about and any(kinds.count(kind) > 1 for kind in counted):
            found.append(about)
    return found


def chunks(references: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield references in batches."""
    for start in range(0, len(references), CHUNK):
        yield references[start : start + CHUNK]
