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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected
from fhir_adapter.features.record import moment
from fhir_adapter.notifications import Kind
from fhir_adapter.subscriptions import State, Subscriptions, subscription_id, wanted_of
from fhir_adapter.tenants import SubscriptionEntry, Tenant
from functions.reconcile.results import CHUNK, Results, chunks, doubled, lost, mark, predictions, results_of
from functions.serving.cloud import EventQueue, Ledger
from functions.serving.events import new_event
from functions.serving.marks import Marks, Seen
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
        Event numbers that never came.
    fetched : int
        Events that ``$events`` gave back, queued.
    swept : int
        Changed resources that match the criteria, queued.
    unanswered, doubled : int
        Matching resources without a result, or with two live ones; queued.
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
        seen = self._seen(entry, state)
        gaps = seen.gaps(state.events)
        fetched = self._fetch(subscriptions, entry, reference, gaps)
        swept = sweep_since(self.tenant.name, entry, self.client, self.queue, self.ledger, since)
        if seen.numbers or state.events is not None:
            # whatever the gaps hid is queued by now
            self.marks.repaired(self.tenant.name, entry.name, max(seen.highest, state.events or 0))
        start = min(since or self.now - WINDOW, self.now - WINDOW)
        unanswered = twice = withdrawn = 0
        cut = False
        for model in entry.models:
            results = results_of(self.client, model, start)
            withdrawn += self._withdraw(entry, results)
            twice += self._again(entry, doubled(results))
            unanswered += self._unanswered(entry, {*results.answered, *swept}, start)
            cut |= results.cut
        repaired = status == "error" and self._repair(subscriptions, entry, reference)
        return Report(
            tenant=self.tenant.name,
            subscription=entry.name,
            status=status,
            silent=self._silent(entry, state, seen),
            missing=sum(last - first + 1 for first, last in gaps),
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

    def _seen(self, entry: SubscriptionEntry, state: State) -> Seen:
        """What came so far; from nothing when the server's own count has started again."""
        seen = self.marks.state(self.tenant.name, entry.name)
        if state.events is not None and state.events < seen.base:
            self.marks.restart(self.tenant.name, entry.name)
            seen = self.marks.state(self.tenant.name, entry.name)
        return seen

    def _silent(self, entry: SubscriptionEntry, state: State, seen: Seen) -> bool:
        period = state.heartbeat or entry.heartbeat_seconds
        if not period:
            return False
        last = moment(seen.last)
        return last is None or self.now - last > timedelta(seconds=SILENT_PERIODS * period)

    def _fetch(
        self,
        subscriptions: Subscriptions,
        entry: SubscriptionEntry,
        reference: str,
        gaps: Sequence[tuple[int, int]],
    ) -> int:
        events = []
        for first, last in gaps[:CHUNK]:
            found = subscriptions.events(reference, first, last)
            for notification in found.events if found else ():
                if notification.kind is Kind.FOCUS and notification.focus:
                    events.append(
                        new_event(
                            self.tenant.name,
                            entry.name,
                            "focus",
                            notification.focus,
                            notification.version,
                            notification.patient,
                            event_number=notification.event_number,
                            deleted=notification.deleted,
                        )
                    )
        self.queue.send(events)
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

    def _withdraw(self, entry: SubscriptionEntry, results: Results) -> int:
        """Mark predictions about what is gone; an abstention says that there is none, and may stay."""
        about = sorted(key for key, found in results.live.items() if predictions(found))
        withdrawn = 0
        for chunk in chunks(about):
            for encounter, reason in lost(self.client, entry.criteria, chunk):
                doomed = results.live.pop(encounter)
                done = mark(self.client, doomed, reason, self.tenant.organization, self.now)
                withdrawn += len(doomed) if done else 0
        return withdrawn

    def _unanswered(self, entry: SubscriptionEntry, known: set[str], start: datetime) -> int:
        found = []
        for resource in changed(entry.criteria, self.client, start):
            at = moment((resource.get("meta") or {}).get("lastUpdated"))
            if at is not None and at > self.now - GRACE:
                break  # sorted: only younger ones follow
            if f"{resource.get('resourceType')}/{resource.get('id')}" not in known:
                found.append(resource)
        return self._queue(entry, found)

    def _again(self, entry: SubscriptionEntry, encounters: Iterable[str]) -> int:
        found = []
        for chunk in chunks(sorted(encounters)):
            answers = self.client.batch(chunk)
            found += [answer.resource for answer in answers if answer.status == 200 and answer.resource]
        return self._queue(entry, found)

    def _queue(self, entry: SubscriptionEntry, resources: Sequence[Json]) -> int:
        """Ask for an answer anew: that a version was answered once is no reason, its answer is not here."""
        found = (event_for(self.tenant.name, entry, self.client, resource, again=True) for resource in resources)
        events = [event for event in found if event]
        self.queue.send(events)
        return len(events)
