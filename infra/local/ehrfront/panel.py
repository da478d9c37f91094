"""The panel of advice beside a chart: hooks fire, cards come, and what becomes of them is told back."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from infra.local.ehrfront.authority import Authority
from infra.local.ehrfront.cdsclient import CdsCaller
from infra.local.ehrfront.hooks import body_of, context_of, filled

__all__ = ["CdsPanel", "Shown"]

Json = dict[str, Any]
SERVICE_SCOPES = ("Condition.rs", "Encounter.rs", "Observation.rs", "Patient.rs", "RiskAssessment.rs")
CALL_SECONDS = 300
KEPT = 200


@dataclass
class Shown:
    """What the panel shows of one call.

    Parameters
    ----------
    hook : str
    services : int
        How many were called.
    milliseconds : int
    statuses : tuple of int
        0 where no answer came.
    cards : list of (str, dict)
        Service, card.
    told : dict
        What was done, by card.
    """

    hook: str
    services: int = 0
    milliseconds: int = 0
    statuses: tuple[int, ...] = ()
    cards: list[tuple[str, Json]] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)


class CdsPanel:
    """The panels of all charts.

    Parameters
    ----------
    caller : CdsCaller
    authority : Authority
        Makes the token of each call.
    fhir : httpx.Client
        The EHR's own way to its record.
    """

    def __init__(self, caller: CdsCaller, authority: Authority, fhir: httpx.Client) -> None:
        self._caller = caller
        self._authority = authority
        self._fhir = fhir
        self._shown: dict[tuple[str, str], Shown] = {}
        self._lock = threading.Lock()

    def services(self) -> list[Json]:
        """Return the services as discovered."""
        return self._caller.services()

    def fire(
        self, session: str, user: str, patient: str, encounter: str | None, hook: str, *, prefetch: bool, delay: float
    ) -> Shown:
        """Fire a hook.

        Parameters
        ----------
        prefetch : bool
            Whether the record is sent along; else the services read it.
        delay : float
            Seconds by which the record answers the services late.
        """
        shown, started = Shown(hook), time.monotonic()
        context = context_of(hook, user, patient, encounter)
        statuses = []
        for service in self.services():
            if service.get("hook") != hook:
                continue
            sent = self._prefetched(service.get("prefetch", {}), context) if prefetch else None
            authorization = self._authorization(user, patient, delay)
            body = body_of(hook, context, self._authority.fhir_base, authorization, sent)
            status, answer = self._caller.call(service["id"], body)
            statuses.append(status)
            shown.cards += [(service["id"], card) for card in answer.get("cards", []) if isinstance(card, dict)]
        shown.services, shown.statuses = len(statuses), tuple(statuses)
        shown.milliseconds = round((time.monotonic() - started) * 1000)
        with self._lock:
            while len(self._shown) >= KEPT:
                self._shown.pop(next(iter(self._shown)))
            self._shown[session, patient] = shown
        return shown

    def shown(self, session: str, patient: str) -> Shown | None:
        """Return what a panel shows."""
        return self._shown.get((session, patient))

    def card(self, session: str, patient: str, uuid: str) -> tuple[str, Json] | None:
        """Return a card that the panel shows, with its service."""
        shown = self.shown(session, patient)
        found = (pair for pair in shown.cards if pair[1].get("uuid") == uuid) if shown else iter(())
        return next(found, None)

    def accept(self, session: str, patient: str, uuid: str, suggestion: str) -> bool:
        """Do what a suggestion says and tell the service; returns whether both went well."""
        found = self.card(session, patient, uuid)
        offered = found[1].get("suggestions", []) if found else []
        chosen = next((item for item in offered if item.get("uuid") == suggestion), None)
        if found is None or chosen is None or not all(self._do(action) for action in chosen.get("actions", [])):
            return False
        told = {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestion}]}
        return self._tell(session, patient, found[0], uuid, told)

    def override(self, session: str, patient: str, uuid: str, code: str) -> bool:
        """Tell the service that a card was put aside, for one of its own reasons."""
        found = self.card(session, patient, uuid)
        if found is None:
            return False
        reasons = found[1].get("overrideReasons", [])
        reason = next((item for item in reasons if item.get("code") == code), None)
        told: Json = {"outcome": "overridden"}
        if reason is not None:
            told["overrideReason"] = {"reason": reason}
        return self._tell(session, patient, found[0], uuid, told)

    def _tell(self, session: str, patient: str, service: str, uuid: str, told: Mapping[str, Any]) -> bool:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        went = self._caller.feedback(service, {"card": uuid, "outcomeTimestamp": at, **told}) == 200
        shown = self.shown(session, patient)
        if went and shown is not None:
            shown.told[uuid] = str(told["outcome"])
        return went

    def _do(self, action: Mapping[str, Any]) -> bool:
        """Do one action; what concerns a draft changes the draft, which is on the screen only."""
        resource = action.get("resource")
        if action.get("type") == "create" and isinstance(resource, dict):
            return self._fhir.post(str(resource.get("resourceType")), json=resource).status_code == 201
        return action.get("type") == "update" and isinstance(resource, dict)

    def _prefetched(self, templates: Mapping[str, str], context: Json) -> Json:
        sent: Json = {}
        for key, template in templates.items():
            query = filled(template, context)
            answer = self._fhir.get(query) if query is not None else None
            sent[key] = answer.json() if answer is not None and answer.status_code == 200 else None
        return {key: value for key, value in sent.items() if value is not None}

    def _authorization(self, user: str, patient: str, delay: float) -> Json:
        scopes = tuple(f"patient/{scope}" for scope in SERVICE_SCOPES)
        token = self._authority.issue_for_call(self._caller.url, user, patient, scopes, delay)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": CALL_SECONDS,
            "scope": " ".join(scopes),
            "subject": "bedside",
            "patient": patient,
        }
