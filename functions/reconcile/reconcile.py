"""Finding what notifications did not tell, one subscription of one tenant at a time.

Notifications get lost: the EHR was down, we were, a proxy was; nothing is sent when a resource stops matching or is
deleted (FHIR R4 subscription.html). The clock brings us here, and in this order we

1. ask how the subscription fares: its status, its event numbers, its last sign of life;
2. fetch what a gap in the numbers hides, by ``$events`` where the server has it (Subscriptions R5 Backport);
3. sweep what changed since the last sweep, with overlap: this finds everything that still matches;
4. hold our live results against the record: what they are about is gone, cancelled or no longer matches, and they
   are marked ``entered-in-error`` with the reason; there are two where one belongs, or none: it is answered again;
5. ask a subscription in error for activation again. One that is ``off`` was switched off by a person, and stays.

Each step may be cut short by its bound or by a death in between; the next run goes on, and doing things twice does
no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected
from fhir_adapter.features.record import moment
from fhir_adapter.notifications import Kind
from fhir_adapter.subscriptions import State, Subscriptions, subscription_id, wanted_of
from fhir_adapter.tenants import SubscriptionEntry, Tenant
from functions.reconcile.results import CHUNK, Results, chunks, doubled, lost, mark, predictions, results_of
from functions.serving.cloud import EventQueue, Ledger, PassedOver
from functions.serving.events import Event, new_event
from functions.serving.marks import Marks, Seen, channel_of
from functions.serving.routes import WITHOUT_PACKAGE
from functions.serving.sweep import MOST, changed, event_for, sweep_since

__all__ = ["Reconciler", "Report"]

WINDOW = timedelta(days=30)
# A younger change is still on its way through the queue.
GRACE = timedelta(minutes=10)
SILENT_PERIODS = 2


@dataclass(frozen=True)
class Report:
    """What one run found and did for one subscription. Holds counts only, no patient data.

    Parameters
    ----------
    tenant, subscription : str
    status : str
        Of the Subscription at the EHR; ``unwatched`` when it could not be asked.
    silent : bool
        Nothing was heard for longer than two heartbeat periods.
    missing : int
        Event numbers that never came, to one model at least.
    fetched : int
        Events that ``$events`` gave back, queued.
    swept : int
        Changed resources that match the criteria, queued.
    unanswered, doubled : int
        Matching resources without a result, or with two live ones; queued. Each model counts for itself.
    withdrawn : int
        Results marked ``entered-in-error``.
    repaired : bool
        Whether activation was asked for again.
    cut : bool
        Whether a bound cut the run short; the next one goes on.
    """

    tenant: str
    subscription: str
    status: str = "unwatched"
    silent: bool = False
    missing: int = 0
    fetched: int = 0
    swept: int = 0
    unanswered: int = 0
    doubled: int = 0
    withdrawn: int = 0
    repaired: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Reconciler:
    """Reconciles one tenant.

    Parameters
    ----------
    tenant : Tenant
    client : FhirClient
    queue : EventQueue
        Where events go that were missed.
    ledger : Ledger
        How far sweeps came.
    marks : Marks
        Which event numbers came.
    now : datetime
        The time of this run, with a time zone.
    endpoint : str or None
        Base of the receiver's endpoints; without it a subscription is repaired with the endpoint it has.
    """

    tenant: Tenant
    client: FhirClient
    queue: EventQueue
    ledger: Ledger
    marks: Marks
    now: datetime
    endpoint: str | None = None

    def run(self, since: datetime | None = None) -> list[Report]:
        """Reconcile every subscription.

        Parameters
        ----------
        since : datetime, optional
            Look back to here, further than the last sweep and the usual window.

        Raises
        ------
        FhirUnavailable, FhirRejected, QueueError
            What was done until then stays done.
        """
        return [self._one(entry, since) for entry in self.tenant.subscriptions.values()]

    def _one(self, entry: SubscriptionEntry, since: datetime | None) -> Report:
        subscriptions = Subscriptions(self.client)
        reference = f"Subscription/{subscription_id(self.tenant, entry)}"
        state, status = self._state(subscriptions, reference)
        heard, newest = self._heard(entry, state)
        gaps = {model: seen.gaps(newest) for model, seen in heard.items()}
        fetched = self._fetch(subscriptions, entry, reference, gaps)
        swept = sweep_since(self.tenant.name, entry, self.client, self.queue, self.ledger, since)
        for model, seen in heard.items():
            if seen.numbers or state.events is not None:
                # whatever the gaps hid is queued by now
                channel = channel_of(entry.name, model)
                self.marks.repaired(self.tenant.name, channel, max(seen.highest, newest))
        start = min(since or self.now - WINDOW, self.now - WINDOW)
        unanswered = twice = withdrawn = 0
        cut = False
        for model in dict.fromkeys(entry.models):
            if model in WITHOUT_PACKAGE:
                continue  # answers for wards: no result belongs to one resource that matches the criteria
            results = results_of(self.client, model, start)
            withdrawn += self._withdraw(model, results)
            twice += self._again(entry, model, doubled(results))
            unanswered += self._unanswered(entry, model, {*results.answered, *swept}, start)
            cut |= results.cut
        repaired = status == "error" and self._repair(subscriptions, entry, reference)
        return Report(
            tenant=self.tenant.name,
            subscription=entry.name,
            status=status,
            silent=self._silent(entry, state, heard.values()),
            missing=_count(gaps.values()),
            fetched=fetched,
            swept=len(swept),
            unanswered=unanswered,
            doubled=twice,
            withdrawn=withdrawn,
            repaired=repaired,
            cut=cut or len(swept) >= MOST,
        )

    # -- the subscription --

    def _state(self, subscriptions: Subscriptions, reference: str) -> tuple[State, str]:
        """An EHR that lets nobody read its Subscriptions is swept all the same."""
        try:
            state = subscriptions.state(reference)
        except FhirRejected:
            return State(reference, ""), "unwatched"
        return state, state.status

    def _heard(self, entry: SubscriptionEntry, state: State) -> tuple[dict[str | None, Seen], int]:
        """What came so far, for each model, and the number of the newest event that anybody knows of."""
        found = {model: self._seen(entry, model, state) for model in _models(entry)}
        newest = max([state.events or 0, *(seen.highest for seen in found.values())])
        for model, seen in found.items():
            if model is not None and seen == Seen():
                # a model that was added lately: what was told before is found by looking for what it did not answer
                found[model] = Seen(floor=newest)
        return found, newest

    def _seen(self, entry: SubscriptionEntry, model: str | None, state: State) -> Seen:
        """What came so far; from nothing when the server's own count has started again."""
        channel = channel_of(entry.name, model)
        seen = self.marks.state(self.tenant.name, channel)
        if state.events is not None and state.events < seen.base:
            self.marks.restart(self.tenant.name, channel)
            seen = self.marks.state(self.tenant.name, channel)
        return seen

    def _silent(self, entry: SubscriptionEntry, state: State, heard: Iterable[Seen]) -> bool:
        period = state.heartbeat or entry.heartbeat_seconds
        if not period:
            return False
        # heartbeats are noted for the subscription, events for each of several models
        alive = self.marks.state(self.tenant.name, entry.name)
        last = moment(max((seen.last or "" for seen in (alive, *heard)), default=""))
        return last is None or self.now - last > timedelta(seconds=SILENT_PERIODS * period)

    def _fetch(
        self,
        subscriptions: Subscriptions,
        entry: SubscriptionEntry,
        reference: str,
        gaps: Mapping[str | None, Sequence[tuple[int, int]]],
    ) -> int:
        """Ask for each gap once, whichever models it is one for."""
        events: list[Event] = []
        for first, last in sorted({gap for found in gaps.values() for gap in found})[:CHUNK]:
            found = subscriptions.events(reference, first, last)
            for notification in found.events if found else ():
                if notification.kind is Kind.FOCUS and notification.focus:
                    event = new_event(
                        self.tenant.name,
                        entry.name,
                        "focus",
                        notification.focus,
                        notification.version,
                        notification.patient,
                        event_number=notification.event_number,
                        deleted=notification.deleted,
                    )
                    missed = [model for model, own in gaps.items() if (first, last) in own]
                    events += [replace(event, id=str(uuid4()), model=model) for model in missed]
        self.queue.send(events, entry.models)
        return len(events)

    def _repair(self, subscriptions: Subscriptions, entry: SubscriptionEntry, reference: str) -> bool:
        """An EHR that refuses is told of by the status in the report, which stays in error."""
        wanted = wanted_of(self.tenant, entry, self.endpoint) if self.endpoint else None
        try:
            subscriptions.repair(reference, wanted)
        except FhirRejected:
            return False
        return True

    # -- the results --

    def _withdraw(self, model: str, results: Results) -> int:
        """Mark predictions about what is gone; an abstention says that there is none, and may stay.

        What matches any subscription that asks the model still has its ground.
        """
        asking = [entry.criteria for entry in self.tenant.subscriptions.values() if model in entry.models]
        about = sorted(key for key, found in results.live.items() if predictions(found))
        withdrawn = 0
        for chunk in chunks(about):
            for encounter, reason in lost(self.client, asking, chunk):
                doomed = results.live.pop(encounter)
                done = mark(self.client, doomed, reason, self.tenant.organization, self.now)
                withdrawn += len(doomed) if done else 0
        return withdrawn

    def _unanswered(self, entry: SubscriptionEntry, model: str, known: set[str], start: datetime) -> int:
        found: dict[PassedOver, Json] = {}
        for resource in changed(entry.criteria, self.client, start):
            at = moment((resource.get("meta") or {}).get("lastUpdated"))
            if at is not None and at > self.now - GRACE:
                break  # sorted: only younger ones follow
            focus = f"{resource.get('resourceType')}/{resource.get('id')}"
            if focus not in known:
                version = str((resource.get("meta") or {}).get("versionId"))
                found[PassedOver(self.tenant.name, model, focus, version)] = resource
        # without a result in the EHR because the model does not apply: asked again, it would say so again
        for settled in self.ledger.passed_over(list(found)):
            del found[settled]
        return self._queue(entry, model, list(found.values()))

    def _again(self, entry: SubscriptionEntry, model: str, encounters: Iterable[str]) -> int:
        found = []
        for chunk in chunks(sorted(encounters)):
            answers = self.client.batch(chunk)
            found += [answer.resource for answer in answers if answer.status == 200 and answer.resource]
        return self._queue(entry, model, found)

    def _queue(self, entry: SubscriptionEntry, model: str, resources: Sequence[Json]) -> int:
        """Ask for an answer anew: that a version was answered once is no reason, its answer is not here."""
        found = (event_for(self.tenant.name, entry, self.client, resource, again=True) for resource in resources)
        asked = model if model in _models(entry) else None
        events = [replace(event, model=asked) for event in found if event]
        self.queue.send(events, entry.models)
        return len(events)


def _models(entry: SubscriptionEntry) -> tuple[str | None, ...]:
    """The models that events name: each of several, or none where the subscription says which."""
    named = tuple(dict.fromkeys(entry.models))
    return named if len(named) > 1 else (None,)


def _count(gaps: Iterable[Sequence[tuple[int, int]]]) -> int:
    """Count the numbers that lie in any of the gaps."""
    total, behind = 0, 0
    for first, last in sorted(gap for found in gaps for gap in found):
        total += max(0, last - max(first - 1, behind))
        behind = max(behind, last)
    return total
