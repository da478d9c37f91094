"""Finding what changed when a notification does not say: search the criteria since the last sweep.

FHIR R4 subscription.html: a rest-hook without payload is only a call to look. The sweep overlaps the one before,
since being told twice does no harm, and is bounded. What Bedside itself wrote is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from urllib.parse import parse_qsl

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.evidence.supersede import is_ours
from fhir_adapter.features.record import moment
from fhir_adapter.notifications import patient_of
from fhir_adapter.tenants import SubscriptionEntry
from functions.serving.cloud import EventQueue, Ledger
from functions.serving.events import Event, for_models, new_event

__all__ = ["MOST", "changed", "event_for", "sweep", "sweep_since"]

OVERLAP = timedelta(minutes=5)
MOST = 5000
PAGE = 200


def sweep(event: Event, subscription: SubscriptionEntry, client: FhirClient, queue: EventQueue, ledger: Ledger) -> int:
    """Queue what matches the criteria and changed since the last sweep: one event a resource and model.

    Returns
    -------
    int
        Resources found, at most `MOST`.
    """
    return len(sweep_since(event.tenant, subscription, client, queue, ledger))


def sweep_since(
    tenant: str,
    subscription: SubscriptionEntry,
    client: FhirClient,
    queue: EventQueue,
    ledger: Ledger,
    since: datetime | None = None,
) -> list[str]:
    """Sweep from the checkpoint, or from an earlier instant that is asked for.

    The checkpoint is the EHR's own ``lastUpdated``, so its clock and ours need not agree. It moves only after the
    events are queued, and when the bound cut the sweep short it moves to where it stopped, so that the next sweep
    goes on from there, without the overlap that it would stop in again.

    Returns
    -------
    list of str
        What was queued, ``Type/id`` each, at most `MOST`.
    """
    kept = moment(ledger.checkpoint(tenant, subscription.name))
    start = kept - OVERLAP if kept else None
    if since is not None:
        start = min(since, start) if start else since
    found = list(islice(changed(subscription.criteria, client, start), MOST))
    events = [event for event in (event_for(tenant, subscription, client, resource) for resource in found) if event]
    queue.send([one for event in events for one in for_models(event, subscription.models)], subscription.models)
    updated = [at for at in (_updated(resource) for resource in found) if at is not None]
    if updated:
        cut = len(found) == MOST
        # cut short, only what a sorted answer has shown is behind us
        until = updated[-1] if cut and updated == sorted(updated) else max(updated)
        if not cut or updated == sorted(updated):
            ledger.advance(tenant, subscription.name, _instant(until + OVERLAP if cut else until))
    return [event.focus for event in events if event.focus]


def changed(criteria: str, client: FhirClient, start: datetime | None = None, most: int = MOST) -> Iterator[Json]:
    """Yield what matches the criteria and changed since an instant, oldest change first, at most so many."""
    resource_type, _, query = criteria.partition("?")
    parameters = [*parse_qsl(query), ("_sort", "_lastUpdated"), ("_count", str(PAGE))]
    if start:
        parameters.append(("_lastUpdated", f"ge{start.isoformat()}"))
    yield from islice(client.search(resource_type, parameters, pages=-(-most // PAGE)), most)


def event_for(
    tenant: str, subscription: SubscriptionEntry, client: FhirClient, resource: Json, *, again: bool = False
) -> Event | None:
    """Return the event that a resource found by searching stands for; None for one of our own.

    Parameters
    ----------
    again : bool
        Have it answered anew even if this version was answered before.
    """
    kind = subscription.criteria.partition("?")[0]
    focus = client.relative(f"{resource.get('resourceType')}/{resource.get('id')}")
    if not focus or resource.get("resourceType") != kind or is_ours(resource):
        return None
    version = None if again else (resource.get("meta") or {}).get("versionId")
    return new_event(tenant, subscription.name, "focus", focus, version, patient_of(resource, client.relative))


def _updated(resource: Json) -> datetime | None:
    return moment((resource.get("meta") or {}).get("lastUpdated"))


def _instant(at: datetime) -> str:
    """One spelling, so that checkpoints compare as text."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
