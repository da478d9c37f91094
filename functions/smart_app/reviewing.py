"""What a person may do with a result: confirm it, reject it with a reason, have the model run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import OVERRIDE_REASON, Json, concept
from fhir_adapter.errors import FhirRejected
from fhir_adapter.smart import SmartError
from fhir_adapter.tenants import Tenant
from functions.serving.cloud import EventQueue
from functions.serving.events import Event, for_models, new_event
from functions.smart_app.models import Contract
from functions.smart_app.reading import Chart, changeable
from functions.smart_app.results import Answer
from functions.smart_app.sessions import Session
from functions.smart_app.words.english_results import ENGLISH_RESULTS

__all__ = ["REASONS", "Offer", "now_of", "offer_of", "record", "rerun_events", "send_again"]

REASONS = ("known", "not-applicable", "data-wrong", "disagree")
LONGEST_COMMENT = 1000
OPEN = frozenset({"preliminary", "registered", "unknown"})
PEOPLE = ("Practitioner", "PractitionerRole")
# "Not like this", in the words of servers that take no transaction, or not from an app.
NO_TRANSACTION = frozenset({404, 405, 415, 501})
CHANGED = frozenset({409, 412})


@dataclass(frozen=True)
class Offer:
    """What may be done with one answer in one session.

    Parameters
    ----------
    confirm, reject, rerun : bool
    final : bool
        Whether confirming makes the result final.
    word : str
        Why neither confirming nor rejecting is possible; empty where one is.
    """

    confirm: bool
    reject: bool
    rerun: bool
    final: bool
    word: str

    @property
    def anything(self) -> bool:
        """Whether anything may be done."""
        return self.confirm or self.reject or self.rerun


def offer_of(
    tenant: Tenant, session: Session, chart: Chart, answer: Answer, contract: Contract | None, *, queue: bool
) -> Offer:
    """Return what may be done with an answer."""
    person = (session.fhir_user or "").partition("/")[0] in PEOPLE
    word = "" if "review" in chart.granted else "review.no-scope"
    word = word or ("" if person else "review.no-user")
    return Offer(
        confirm=not word and not answer.declined and answer.status in OPEN,
        reject=not word and (answer.review is None or answer.review.decision != "rejected"),
        rerun=queue and bool(rerun_events(tenant, session, answer, contract)),
        final=answer.parts[0].get("resourceType") in changeable(session) if answer.parts else False,
        word=word,
    )


def record(
    tenant: Tenant, session: Session, client: FhirClient, answer: Answer, form: Mapping[str, str], now: datetime
) -> str:
    """Write a confirmation or a rejection; returns ``confirmed`` or ``rejected``.

    Parameters
    ----------
    form : mapping
        ``decision``, and for a rejection ``reason`` with an optional ``comment``.

    Raises
    ------
    SmartError
        409 when the result changed since the person saw it; 400 when the form is not complete.
    FhirRejected, FhirUnavailable
    """
    # What checks FHIR before it is written is loaded only here.
    from fhir_adapter.evidence import confirmation, rejection

    results = [_plain(part) for part in answer.parts]
    said: dict[str, Any] = {"organization": tenant.organization, "changeable": changeable(session)}
    who = str(session.fhir_user)
    if form.get("decision") == "confirm":
        bundle = confirmation(results, who, now, **said)
    else:
        bundle = rejection(results, who, now, reason=_reason(form), **said)
    try:
        _write(client, bundle)
    except FhirRejected as error:
        if error.status in CHANGED:
            raise SmartError("the result changed while it was being reviewed", "changed", 409) from None
        raise
    return "confirmed" if form.get("decision") == "confirm" else "rejected"


def _reason(form: Mapping[str, str]) -> Json:
    """The reason with its text in English, whatever the page's language, and the person's own words as they are."""
    code, comment = form.get("reason", ""), form.get("comment", "").strip()[:LONGEST_COMMENT]
    if code not in REASONS:
        raise SmartError("a rejection without one of its reasons", "not-offered", 400)
    display = ENGLISH_RESULTS[f"reason.{code}"]
    display = display[:1].upper() + display[1:]
    # FHIR R4 datatypes.html#string: no control characters but tab, line feed and carriage return
    words = "".join(character for character in comment if character.isprintable() or character in "\t\n\r")
    return concept(OVERRIDE_REASON, code, display, text=f"Rejected. {display}." + (f" {words}" if words else ""))


def _write(client: FhirClient, bundle: Json) -> None:
    """Write all or nothing; where the EHR takes no transaction, the record of who said it first."""
    try:
        client.transaction(bundle)
    except FhirRejected as error:
        if error.status not in NO_TRANSACTION:
            raise
        for entry in reversed(bundle["entry"]):
            version = entry["request"].get("ifMatch")
            client.update(entry["resource"], version[3:-1] if version else None)


def rerun_events(tenant: Tenant, session: Session, answer: Answer, contract: Contract | None) -> list[Event]:
    """Return the event that has a model answer again; empty where no subscription has it, or the focus is not known."""
    focus = _focus(answer, contract)
    for subscription in tenant.subscriptions.values():
        if answer.model in subscription.models and focus:
            patient = f"Patient/{session.context.patient}"
            event = new_event(tenant.name, subscription.name, "focus", focus, None, patient)
            if len(subscription.models) > 1:
                event = replace(event, model=answer.model)
            return for_models(event, subscription.models)
    return []


def _focus(answer: Answer, contract: Contract | None) -> str:
    kind = contract.focus if contract else ""
    found = (source.partition("/_history/")[0] for source in answer.sources if source.startswith(f"{kind}/"))
    encounters = (str((part.get("encounter") or {}).get("reference") or "") for part in answer.parts)
    own = next((reference for reference in encounters if reference), "") if kind == "Encounter" else ""
    return (next(found, "") or own) if kind else ""


def send_again(queue: EventQueue, tenant: Tenant, events: list[Event]) -> None:
    """Put the events on the queue of the function that has the model."""
    models = tenant.subscriptions[events[0].subscription].models
    queue.send(events, models)


def now_of(clock: float) -> datetime:
    """Return a time of the session's clock."""
    return datetime.fromtimestamp(clock, UTC)


def _plain(part: Mapping[str, Any]) -> Json:
    return dict(part)
