"""What comes back in Bundles and OperationOutcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
import orjson

from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected

__all__ = ["BatchAnswer", "batch_answers", "batch_of", "issue_codes", "matches"]


@dataclass(frozen=True)
class BatchAnswer:
    """One entry of a batch-response.

    Parameters
    ----------
    status : int
        HTTP status of this entry.
    resource : dict or None
        The resource, when there is one.
    """

    status: int
    resource: Json | None


def batch_of(urls: Sequence[str]) -> Json:
    """Return the batch Bundle that reads many URLs (FHIR R4 http.html#transaction)."""
    return {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": url}} for url in urls],
    }


def batch_answers(bundle: Json, asked: int) -> list[BatchAnswer]:
    """Return the entries of a batch-response.

    Raises
    ------
    FhirRejected
        When there are not as many as were asked for.
    """
    entries = bundle.get("entry") or []
    if len(entries) != asked:
        raise FhirRejected(f"the batch of {asked} requests was answered with {len(entries)} responses")
    return [
        BatchAnswer(
            status=int(str((entry.get("response") or {}).get("status", "200"))[:3]),
            resource=entry.get("resource"),
        )
        for entry in entries
    ]


def matches(bundle: Json) -> Iterator[Json]:
    """Yield the resources of a searchset that matched; outcomes and includes are passed over."""
    for entry in bundle.get("entry") or []:
        if (entry.get("search") or {}).get("mode", "match") == "match" and isinstance(entry.get("resource"), dict):
            yield entry["resource"]


def issue_codes(response: httpx.Response) -> str:
    """Return the issue codes of an OperationOutcome; its texts may quote patient data and are left out."""
    try:
        outcome = orjson.loads(response.content)
        codes = sorted({str(issue.get("code")) for issue in outcome.get("issue", [])})
    except (orjson.JSONDecodeError, AttributeError):
        return ""
    return f" ({', '.join(codes)})" if codes else ""
