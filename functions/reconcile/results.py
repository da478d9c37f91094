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
from fhir_adapter.evidence.supersede import UNCONFIRMED, WATCHED, encounter_of, withdrawal
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
    """A model's results, by encounter."""

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
            encounter = encounter_of(result)
            if encounter is None:
                continue
            found.answered.add(encounter)
            if result.get("status") in UNCONFIRMED:
                found.live.setdefault(encounter, []).append(result)
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
    """Yield the encounters that are gone, called off or match none of the criteria any more, in one round trip."""
    answers = client.batch([*encounters, *(_matching(one, encounters) for one in criteria)])
    still: set[str] = set()
    for page in answers[len(encounters) :]:
        if page.status != 200 or page.resource is None:
            raise FhirUnavailable(f"the FHIR server answered {page.status} inside a batch", page.status)
        still |= {f"{found.get('resourceType')}/{found.get('id')}" for found in client.complete(page.resource)}
    for encounter, answer in zip(encounters, answers, strict=False):
        if answer.status in GONE:
            yield encounter, "The encounter is no longer in the record."
        elif answer.status != 200 or answer.resource is None:
            continue  # not readable now says nothing
        elif answer.resource.get("status") in CALLED_OFF:
            yield encounter, f"The encounter's status is {answer.resource['status']}."
        elif encounter not in still:
            yield encounter, "The encounter no longer matches what the model is asked about."


def _matching(criteria: str, encounters: Sequence[str]) -> str:
    kind, _, query = criteria.partition("?")
    ids = ",".join(reference.partition("/")[2] for reference in encounters)
    return f"{kind}?" + urlencode([*parse_qsl(query), ("_id", ids), ("_count", str(2 * CHUNK))])


def predictions(results: Sequence[Json]) -> list[Json]:
    """Return the RiskAssessments among results."""
    return [result for result in results if result.get("resourceType") == "RiskAssessment"]


def doubled(results: Results) -> list[str]:
    """Encounters with two live results of one kind: workers that overtook each other and died."""
    found = []
    for encounter, live in results.live.items():
        kinds = [result.get("resourceType") for result in live]
        if any(kinds.count(kind) > 1 for kind in set(kinds)):
            found.append(encounter)
    return found


def chunks(references: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield references in batches."""
    for start in range(0, len(references), CHUNK):
        yield references[start : start + CHUNK]
