"""The AuditEvents themselves, one method for every kind of thing that is audited."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid5

from fhir_adapter.audit import parts
from fhir_adapter.codes import (
    APPLICATION,
    AUDIT_EVENT_TYPE,
    AUDIT_SOURCE_TYPE,
    BEDSIDE,
    DICOM,
    IHE_TRANSACTION,
    RESTFUL_INTERACTION,
    V3_ACT_REASON,
    Json,
    coding,
    concept,
)
from fhir_adapter.errors import NotificationError

__all__ = ["Auditor"]

SUCCESS, MINOR, SERIOUS = "0", "4", "8"
REST = coding(AUDIT_EVENT_TYPE, "rest", "Restful Operation")
TREATMENT = [concept(V3_ACT_REASON, "TREAT", "treatment")]
NETWORK_NAME, NETWORK_IP, NETWORK_URI = "1", "2", "5"
OAUTH_CODE = re.compile(r"[a-z_]{1,40}\Z")


@dataclass(frozen=True)
class Auditor:
    """Builds the AuditEvents of one tenant.

    Parameters
    ----------
    tenant, organization : str
        Whose EHR; who operates Bedside.
    fhir_base : str
        The EHR's FHIR base URL.
    machine : str
        Name of the function or host.
    device : str or None
        ``Device/{id}`` of the model that acts, where one does.
    check : callable, optional
        Looks at every AuditEvent before it leaves: :func:`fhir_adapter.evidence.check`, where it goes to an EHR. It
        is handed in, because the receiver carries no library that validates FHIR.
    """

    tenant: str
    organization: str
    fhir_base: str
    machine: str = "bedside"
    device: str | None = None
    check: Callable[[Json], None] | None = None

    def read(self, event_id: str, patient: str | Sequence[str], queries: Sequence[str], now: datetime) -> Json:
        """A batch of searches in a patient's record (BALP PatientQuery), or in those of a house's patients.

        Parameters
        ----------
        event_id : str
            Id of the event that made us look.
        patient : str or sequence of str
            ``Patient/{id}``; each is an entity of the one event.
        queries : sequence of str
            What was asked for, relative to the FHIR base. Kept in base64 as BALP has it: codes and ids, no values.
        """
        asked = "\n".join(f"GET {query}" for query in queries)
        subtypes = [coding(RESTFUL_INTERACTION, code, code) for code in ("search-type", "batch")]
        agents = [self._client(parts.SENDS), self._server(parts.RECEIVES)]
        entities = [*parts.patients(patient), parts.query(asked)]
        return self._event("read", event_id, now, REST, subtypes, "E", agents, entities)

    def write(
        self, event_id: str, patient: str | Sequence[str], result: str, others: Sequence[str], now: datetime
    ) -> Json:
        """A result written back (BALP PatientCreate).

        Parameters
        ----------
        result : str
            Reference of the main resource.
        others : sequence of str
            References of what was written with it.
        """
        subtypes = [coding(RESTFUL_INTERACTION, code, code) for code in ("create", "transaction")]
        agents = [self._client(parts.SENDS), self._server(parts.RECEIVES)]
        entities = [*parts.patients(patient), parts.data(result), *(parts.beside(reference) for reference in others)]
        return self._event("write", event_id, now, REST, subtypes, "C", agents, entities)

    def shown(self, request_id: str, patient: str, result: str, user: str, now: datetime) -> Json:
        """A prediction shown to a person (BALP PatientRead): `user` is ``Practitioner/{id}``."""
        agents = [self._client(parts.RECEIVES, requestor=False), self._server(parts.SENDS), parts.user(user)]
        subtypes = [coding(RESTFUL_INTERACTION, "read", "read")]
        return self._event(
            "shown", request_id, now, REST, subtypes, "R", agents, [parts.patient(patient), parts.data(result)]
        )

    def cds_call(self, hook_instance: str, patient: str, user: str | None, now: datetime, *, failed: bool) -> Json:
        """A CDS Hooks call (CDS Hooks 2.0, Calling a CDS Service): the EHR asks, we answer."""
        person = [parts.user(user)] if user else []
        asks = {**self._server(parts.SENDS), "requestor": not person}
        agents = [asks, self._client(parts.RECEIVES, requestor=False), *person]
        subtypes = [coding(RESTFUL_INTERACTION, "operation", "operation")]
        outcome = SERIOUS if failed else SUCCESS
        return self._event(
            "cds-call", hook_instance, now, REST, subtypes, "E", agents, [parts.patient(patient)], outcome=outcome
        )

    def launch(self, launch_id: str, patient: str | None, user: str | None, now: datetime, *, failed: bool) -> Json:
        """A SMART App Launch that succeeded or was refused; `launch_id` is ours and not the EHR's launch token."""
        person = [parts.user(user)] if user else []
        agents = [self._client(parts.RUNS, requestor=not person), self._server(parts.RECEIVES), *person]
        entities = [parts.patient(patient)] if patient else []
        return self._event(
            "launch",
            launch_id,
            now,
            coding(DICOM, "110114", "User Authentication"),
            [coding(DICOM, "110122", "Login")],
            "E",
            agents,
            entities,
            outcome=MINOR if failed else SUCCESS,
        )

    def token_failed(self, request_id: str, error: str | None, now: datetime) -> Json:
        """An access token that was not given (IHE IUA ITI-71).

        Parameters
        ----------
        error : str or None
            Code of RFC 6749, 5.2, such as ``invalid_client``; anything else is left out.
        """
        code = error if error and OAUTH_CODE.match(error) else "no answer"
        agents = [self._client(parts.RUNS), self._server(parts.RECEIVES)]
        return self._event(
            "token",
            request_id,
            now,
            coding(DICOM, "110114", "User Authentication"),
            [coding(IHE_TRANSACTION, "ITI-71", "Get Access Token")],
            "E",
            agents,
            [],
            outcome=SERIOUS,
            description=code,
        )

    def notification_rejected(
        self, request_id: str, error: NotificationError, now: datetime, *, address: str | None = None
    ) -> Json:
        """A notification that was refused; says how and nothing of what it held.

        Parameters
        ----------
        error : NotificationError
            Its status and issue code are told, its words are not.
        address : str, optional
            IP address of the sender; who it says it is has not been shown.
        """
        asks: Json = {"type": parts.SENDS, "who": {"display": "a sender that was refused"}, "requestor": True}
        if address:
            asks["network"] = {"address": address, "type": NETWORK_IP}
        stranger = error.status in (401, 404)
        kind, subtype = (
            (coding(DICOM, "110113", "Security Alert"), coding(DICOM, "110126", "Node Authentication"))
            if stranger
            else (REST, coding(RESTFUL_INTERACTION, "create", "create"))
        )
        agents = [asks, self._client(parts.RECEIVES, requestor=False)]
        said = f"{error.status} {error.issue_code}"
        return self._event(
            "rejected", request_id, now, kind, [subtype], "E", agents, [], outcome=MINOR, description=said
        )

    def _event(
        self,
        name: str,
        request_id: str,
        now: datetime,
        kind: Json,
        subtypes: list[Json],
        action: str,
        agents: list[Json],
        entities: list[Json],
        *,
        outcome: str = SUCCESS,
        description: str = "",
    ) -> Json:
        """One AuditEvent. Its id depends on what it is about, so that a second try is the same event."""
        resource: Json = {
            "resourceType": "AuditEvent",
            "id": str(uuid5(BEDSIDE, f"AuditEvent|{name}|{self.tenant}|{request_id}")),
            "type": kind,
            "subtype": subtypes,
            "action": action,
            "recorded": now.isoformat(timespec="milliseconds"),
            "outcome": outcome,
            "purposeOfEvent": TREATMENT,
            "agent": agents,
            "source": {
                "site": self.organization,
                "observer": self._who(),
                "type": [coding(AUDIT_SOURCE_TYPE, "4", "Application Server")],
            },
            "entity": [*entities, parts.request(request_id)],
        }
        if description:
            resource["outcomeDesc"] = description
        if self.check is not None:
            self.check(resource)
        return resource

    def _who(self) -> Json:
        who: Json = {"identifier": {"system": APPLICATION, "value": self.machine}, "display": "Bedside"}
        return {"reference": self.device, **who} if self.device else who

    def _client(self, role: Json, *, requestor: bool = True) -> Json:
        network = {"address": self.machine, "type": NETWORK_NAME}
        return {"type": role, "who": self._who(), "requestor": requestor, "network": network}

    def _server(self, role: Json) -> Json:
        network = {"address": self.fhir_base, "type": NETWORK_URI}
        who = {"identifier": {"value": self.fhir_base}, "display": self.organization}
        return {"type": role, "who": who, "requestor": False, "network": network}
