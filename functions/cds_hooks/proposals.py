"""What a person may be offered to do beside reading: suggestions, by whoever has some to make.

A :class:`Proposer` looks at one prediction in one call. The one here is for planning visits; a proposal of the
allocation of wards is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fhir_adapter.cds_hooks import Action, HookRequest, Suggestion
from fhir_adapter.cds_hooks.cards import Indicator
from fhir_adapter.codes import AI_ASSERTED, MODEL_TAG, RESULT_CODE, Json, coding, concept
from fhir_adapter.evidence import check, device_id
from fhir_adapter.tenants import Tenant
from functions.cds_hooks.identifiers import card_uuid
from functions.cds_hooks.told import Told
from functions.cds_hooks.words import Words

__all__ = ["Asked", "PlanVisits", "Proposer"]

FLAG_CATEGORY = "http://terminology.hl7.org/CodeSystem/flag-category"


@dataclass(frozen=True)
class Asked:
    """One prediction in one call.

    Parameters
    ----------
    tenant : Tenant
    service : str
        Id of the service.
    request : HookRequest
    told : Told
    indicator : {"info", "warning", "critical"}
        What the card will say of it.
    summary : str
    words : Words
    now : datetime
    """

    tenant: Tenant
    service: str
    request: HookRequest
    told: Told
    indicator: Indicator
    summary: str
    words: Words
    now: datetime

    def uuid(self, name: str) -> str:
        """Return the uuid of one of its suggestions."""
        return card_uuid(self.told.model, self.tenant.name, self.service, self.request.instance, name)


class Proposer(Protocol):
    """Whoever has suggestions to make."""

    def propose(self, asked: Asked) -> Sequence[Suggestion]:
        """Return suggestions, none where there is nothing to suggest."""


class PlanVisits:
    """While a visit is booked, and only where the hospital calls the risk high: a flag, and the prediction attached.

    Neither changes when or where the visit will be: a model that recommends no action leaves that to people.
    """

    def propose(self, asked: Asked) -> Sequence[Suggestion]:
        """Suggest a Flag (FHIR R4 flag.html), and supporting information of the Appointments that are proposed."""
        if asked.request.hook != "appointment-book" or asked.indicator == "info":
            return ()
        text = asked.words.flag_text(asked.summary)
        flag = Suggestion(asked.words.flag_label(), asked.uuid("flag"), (Action("create", text, _flag(asked, text)),))
        label, updates = asked.words.attach_label(), _attached(asked)
        if not updates:
            return (flag,)
        actions = tuple(Action("update", label, appointment) for appointment in updates)
        return (flag, Suggestion(label, asked.uuid("attach"), actions))


def _flag(asked: Asked, text: str) -> Json:
    """A Flag as the EHR may store it; labelled as made by AI, as everything of ours is."""
    told, context = asked.told, asked.request.context
    flag: Json = {
        "resourceType": "Flag",
        "meta": {"security": [AI_ASSERTED], "tag": [coding(MODEL_TAG, told.model.name)]},
        "status": "active",
        "category": [concept(FLAG_CATEGORY, "clinical", "Clinical")],
        "code": concept(RESULT_CODE, told.model.name, told.model.title, text),
        "subject": {"reference": f"Patient/{context.patient}"},
        "period": {"start": asked.now.isoformat(timespec="seconds")},
    }
    if context.encounter:
        flag["encounter"] = {"reference": f"Encounter/{context.encounter}"}
    if told.result:
        # the Device came into the record with the result
        flag["author"] = {"reference": f"Device/{device_id(told.model)}"}
    check(flag)
    return flag


def _attached(asked: Asked) -> list[Json]:
    """The proposed Appointments as they came, with the stored prediction among their supporting information."""
    if asked.told.result is None:
        return []
    reference = {"reference": asked.told.result}
    found = []
    for appointment in asked.request.context.appointments:
        there = appointment.get("supportingInformation") or []
        named = appointment.get("resourceType") == "Appointment" and isinstance(appointment.get("id"), str)
        if named and isinstance(there, list) and reference not in there:
            found.append({**appointment, "supportingInformation": [*there, reference]})
    return found
