"""Finding what changed when a notification does not say: search the criteria since the last sweep.

FHIR R4 subscription.html: a rest-hook without payload is only a call to look. The sweep overlaps the one before,
since being told twice does no harm, and is bounded.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from urllib.parse import parse_qsl

from fhir_adapter.client import FhirClient
from fhir_adapter.features.record import moment
from fhir_adapter.notifications import patient_of
from fhir_adapter.tenants import SubscriptionEntry
from functions.serving.cloud import EventQueue, Ledger
from functions.serving.events import Event, new_event

__all__ = ["MOST", "sweep"]

OVERLAP = timedelta(minutes=5)
MOST = 5000
PAGE = 200


def sweep(event: Event, subscription: SubscriptionEntry, client: FhirClient, queue: EventQueue, ledger: Ledger) -> int:
    """Queue one event for every resource that matches the criteria and changed since the last sweep.

    The checkpoint moves only after the events are queued, and when the bound cut the sweep short it moves to where
    it stopped, so that the next sweep goes on from there.

    Returns
    -------
    int
        Events queued, at most `MOST`.
    """
    resource_type, _, query = subscription.criteria.partition("?")
    since = ledger.checkpoint(event.tenant, subscription.name)
    parameters = [*parse_qsl(query), ("_sort", "_lastUpdated"), ("_count", str(PAGE))]
    start = moment(since)
    if start:
        parameters.append(("_lastUpdated", f"ge{(start - OVERLAP).isoformat()}"))
    found = list(islice(client.search(resource_type, parameters, pages=MOST // PAGE), MOST))
    events = []
    for resource in found:
        focus = client.relative(f"{resource.get('resourceType')}/{resource.get('id')}")
        if focus and resource.get("resourceType") == resource_type:
            version = (resource.get("meta") or {}).get("versionId")
            patient = patient_of(resource, client.relative)
            events.append(new_event(event.tenant, subscription.name, "focus", focus, version, patient))
    queue.send(events)
    updated = [moment((resource.get("meta") or {}).get("lastUpdated")) for resource in found]
    latest = max((at for at in updated if at is not None), default=None)
    if latest:
        ledger.advance(event.tenant, subscription.name, latest.isoformat())
    return len(events)
