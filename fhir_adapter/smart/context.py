"""What a token response says beside the token: whose chart is open, and around what (SMART App Launch 2.2, Launch
Context; fhirContext)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_adapter.egress import origin_of
from fhir_adapter.references import relative_reference
from fhir_adapter.tenants import Tenant

__all__ = ["ContextItem", "LaunchContext", "context_of", "fhir_user_of"]

LAUNCH_ROLE = "launch"
USERS = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Person")
# Only the launch parameters say whose chart is open.
OF_THE_LAUNCH = ("Patient", "Encounter")
MOST_ITEMS = 50
LONGEST_APP_CONTEXT = 2000
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}\Z")


@dataclass(frozen=True)
class ContextItem:
    """Something the EHR has open, beside the patient.

    Parameters
    ----------
    type : str or None
        Resource type, where it is told.
    role : str
        ``launch`` where none is told.
    reference : str or None
        ``Type/id`` at the EHR.
    canonical : str or None
        URL of a definition; not followed.
    identifier : (str, str) or None
        System and value.
    """

    type: str | None
    role: str = LAUNCH_ROLE
    reference: str | None = None
    canonical: str | None = None
    identifier: tuple[str, str] | None = None


@dataclass(frozen=True)
class LaunchContext:
    """The context of a session.

    Parameters
    ----------
    patient, encounter : str or None
        Ids.
    need_patient_banner : bool
        Whether the app must show who the patient is; true unless the EHR says that it does so itself.
    intent : str or None
        What the EHR wants shown; one that is not known leads to the default view.
    style_url : str or None
        Where the EHR describes its looks, on one of the tenant's own hosts.
    app_context : str or None
        What a card of ours handed to the launch (CDS Hooks 2.0, Link.appContext); it came through other hands, so that
        it may choose a view and nothing more.
    items : tuple of ContextItem
        What else is open.
    """

    patient: str | None = None
    encounter: str | None = None
    need_patient_banner: bool = True
    intent: str | None = None
    style_url: str | None = None
    app_context: str | None = None
    items: tuple[ContextItem, ...] = ()

    def references(self, kind: str, roles: Iterable[str] = (LAUNCH_ROLE,)) -> tuple[str, ...]:
        """Return the open resources of a type, in the EHR's order, by the roles that the caller understands."""
        wanted = frozenset(roles)
        return tuple(
            item.reference for item in self.items if item.type == kind and item.role in wanted and item.reference
        )


def context_of(tenant: Tenant, answer: Mapping[str, Any]) -> LaunchContext:
    """Read the launch context of a token response; what is not as the standard says is left out."""
    return LaunchContext(
        patient=_id(answer.get("patient")),
        encounter=_id(answer.get("encounter")),
        need_patient_banner=answer.get("need_patient_banner") is not False,
        intent=_short(answer.get("intent")),
        style_url=_style_url(tenant, answer.get("smart_style_url")),
        app_context=_short(answer.get("appContext"), LONGEST_APP_CONTEXT),
        items=tuple(_items(tenant, answer.get("fhirContext"))),
    )


def fhir_user_of(tenant: Tenant, claim: object) -> str | None:
    """Return ``Type/id`` of the claim ``fhirUser``, absolute or relative; None when it leads elsewhere."""
    reference = relative_reference(tenant.fhir_base, claim) if isinstance(claim, str) else None
    return reference if reference and reference.partition("/")[0] in USERS else None


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and _ID.match(value) else None


def _short(value: object, longest: int = 200) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= longest else None


def _style_url(tenant: Tenant, value: object) -> str | None:
    try:
        url = httpx.URL(value) if isinstance(value, str) else None
        known = url is not None and origin_of(url) in tenant.origins and not url.userinfo
    except (httpx.InvalidURL, ValueError):
        return None
    return str(url) if known else None


def _items(tenant: Tenant, found: object) -> Iterator[ContextItem]:
    for entry in found[:MOST_ITEMS] if isinstance(found, list) else []:
        item = _item(tenant, entry) if isinstance(entry, dict) else None
        if item is not None and not (item.type in OF_THE_LAUNCH and item.role == LAUNCH_ROLE):
            yield item


def _item(tenant: Tenant, entry: Mapping[str, Any]) -> ContextItem | None:
    given = entry.get("reference")
    reference = relative_reference(tenant.fhir_base, given) if isinstance(given, str) else None
    named = entry.get("type")
    kind = named if isinstance(named, str) and _TYPE.match(named) else None
    if reference is not None:
        kind = reference.partition("/")[0]
    role = entry.get("role", LAUNCH_ROLE)
    if not isinstance(role, str):
        return None
    canonical = entry.get("canonical")
    found = ContextItem(
        kind, role, reference, canonical if isinstance(canonical, str) else None, _identifier(entry.get("identifier"))
    )
    return found if found.reference or found.canonical or found.identifier else None


def _identifier(value: object) -> tuple[str, str] | None:
    if not isinstance(value, dict) or not isinstance(value.get("value"), str):
        return None
    return str(value.get("system", "")), value["value"]
