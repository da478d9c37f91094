"""The body of a call, checked: hook, context, the way to the FHIR server (CDS Hooks 2.0, Calling a CDS Service)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fhir_adapter.cds_hooks.errors import ForeignServer, MalformedRequest, RequestTooLarge
from fhir_adapter.codes import Json
from fhir_adapter.errors import NotificationError, NotificationTooLarge
from fhir_adapter.notifications.body import check_media_type, decode_body, parse_object

__all__ = ["MAX_BODY", "FhirAuthorization", "HookContext", "HookRequest", "parse_request", "request_object"]

# Prefetch brings a patient's record along; a synchronous Lambda call takes 6 MB, in base64 a third less.
MAX_BODY = 4 * 1_048_576
# FHIR R4 datatypes.html#id
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
_USER = re.compile(r"(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9\-.]{1,64}\Z")
_ORDER = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}\Z")
# RFC 6750, 2.1; also keeps a token from carrying a line break into a header.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{1,8192}=*\Z")
MOST = 1000


@dataclass(frozen=True)
class FhirAuthorization:
    """A token for this call alone: used for no other, kept nowhere, shown nowhere.

    Parameters
    ----------
    token : str
        Bearer token (RFC 6750).
    expires_in : float
        Seconds.
    """

    token: str = field(repr=False)
    expires_in: float


@dataclass(frozen=True)
class HookContext:
    """Where the user is.

    Parameters
    ----------
    user : str
        ``Practitioner/id`` and the like.
    patient, encounter : str, str or None
        Ids at the EHR.
    selections : tuple of str
        ``Type/id`` of the orders just selected (order-select).
    drafts : tuple of dict
        Orders not yet signed (order-select).
    appointments : tuple of dict
        Proposed Appointments (appointment-book).
    """

    user: str
    patient: str
    encounter: str | None = None
    selections: tuple[str, ...] = ()
    drafts: tuple[Json, ...] = field(default=(), repr=False)
    appointments: tuple[Json, ...] = field(default=(), repr=False)

    @property
    def selected(self) -> tuple[Json, ...]:
        """The drafts that were just selected."""
        chosen = set(self.selections)
        return tuple(item for item in self.drafts if f"{item.get('resourceType')}/{item.get('id')}" in chosen)


@dataclass(frozen=True)
class HookRequest:
    """One call.

    Parameters
    ----------
    hook : str
    instance : str
        UUID of this call of the hook.
    context : HookContext
    authorization : FhirAuthorization or None
        For the tenant's own FHIR server, which the call named.
    prefetch : mapping of str to (dict or None)
        As sent; None says that the client has no data.
    """

    hook: str
    instance: str
    context: HookContext
    authorization: FhirAuthorization | None = None
    prefetch: Mapping[str, Json | None] = field(default_factory=dict, repr=False)


def request_object(body: bytes | None, content_type: str = "", encoding: str = "") -> Json:
    """Read the JSON object of a request.

    Raises
    ------
    MalformedRequest, RequestTooLarge
    """
    if body is None:
        raise MalformedRequest("the body is not text in UTF-8, nor base64, as its event says")
    try:
        check_media_type(content_type)
        return parse_object(decode_body(body, encoding, MAX_BODY))
    except NotificationTooLarge as error:
        raise RequestTooLarge(str(error)) from None
    except NotificationError as error:
        raise MalformedRequest(str(error)) from None


def parse_request(data: Json, hook: str, fhir_base: str) -> HookRequest:
    """Check a call against the hook of the service that was called.

    Parameters
    ----------
    data : dict
        The body.
    hook : str
        The service's.
    fhir_base : str
        The tenant's.

    Raises
    ------
    MalformedRequest
        Naming the field.
    ForeignServer
        ``fhirServer`` is another than the tenant's; its token is not looked at.
    """
    if data.get("hook") != hook:
        raise MalformedRequest(f"hook must be {hook}, the hook of this service")
    context = data.get("context")
    if not isinstance(context, dict):
        raise MalformedRequest("context must be an object")
    prefetch = data.get("prefetch", {})
    if not isinstance(prefetch, dict) or not all(
        value is None or isinstance(value, dict) for value in prefetch.values()
    ):
        raise MalformedRequest("prefetch must be an object of resources")
    read = _context(context, hook)
    return HookRequest(
        hook=hook,
        instance=_uuid(data.get("hookInstance")),
        context=read,
        authorization=_authorization(data, fhir_base, read.patient),
        prefetch=prefetch,
    )


def _uuid(value: object) -> str:
    try:
        if isinstance(value, str) and len(value) <= 45:
            return str(UUID(value))
    except ValueError:
        pass
    raise MalformedRequest("hookInstance must be a UUID")


def _context(context: Json, hook: str) -> HookContext:
    drafts: tuple[Json, ...] = ()
    selections: tuple[str, ...] = ()
    appointments: tuple[Json, ...] = ()
    if hook == "order-select":
        selections = _selections(context.get("selections"))
        drafts = _resources(context.get("draftOrders"), "draftOrders")
    elif hook == "appointment-book":
        appointments = _resources(context.get("appointments"), "appointments")
    return HookContext(
        user=_matching(context.get("userId"), _USER, "userId must name a user, such as Practitioner/example"),
        patient=_matching(context.get("patientId"), _ID, "patientId must be the id of a Patient"),
        encounter=_encounter(context.get("encounterId"), hook),
        selections=selections,
        drafts=drafts,
        appointments=appointments,
    )


def _matching(value: object, pattern: re.Pattern[str], told: str) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise MalformedRequest(f"context.{told}")
    return value


def _encounter(value: object, hook: str) -> str | None:
    # an optional field without a value is to be left out, and some clients send it empty all the same
    if value in (None, "") and hook != "encounter-discharge":
        return None
    return _matching(value, _ID, "encounterId must be the id of an Encounter")


def _selections(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST:
        raise MalformedRequest("context.selections must be an array")
    return tuple(
        _matching(item, _ORDER, "selections must name orders, such as ServiceRequest/example") for item in value
    )


def _resources(value: Any, name: str) -> tuple[Json, ...]:
    """Resources of a Bundle, or of an array, as the examples of appointment-book have it."""
    if isinstance(value, dict):
        entries = value.get("entry", [])
        value = (
            [item.get("resource") if isinstance(item, dict) else None for item in entries] if _list(entries) else None
        )
    if not _list(value) or not all(isinstance(item, dict) for item in value):
        raise MalformedRequest(f"context.{name} must be a Bundle")
    return tuple(value)


def _list(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MOST


def _authorization(data: Json, fhir_base: str, patient: str) -> FhirAuthorization | None:
    server, given = data.get("fhirServer"), data.get("fhirAuthorization")
    if server is not None and (not isinstance(server, str) or server.rstrip("/") != fhir_base):
        raise ForeignServer(
            "fhirServer is not the FHIR server that is registered for this tenant; nothing was sent there"
        )
    if given is None:
        return None
    if server is None:
        raise MalformedRequest("fhirServer must be given beside fhirAuthorization")
    if not isinstance(given, dict) or str(given.get("token_type")).lower() != "bearer":
        raise MalformedRequest("fhirAuthorization.token_type must be Bearer")
    token, lifetime = given.get("access_token"), given.get("expires_in")
    if not isinstance(token, str) or not _TOKEN.match(token):
        raise MalformedRequest("fhirAuthorization.access_token must be a bearer token")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float):
        raise MalformedRequest("fhirAuthorization.expires_in must be a number of seconds")
    for key in ("scope", "subject"):
        if not isinstance(given.get(key), str):
            raise MalformedRequest(f"fhirAuthorization.{key} must be text")
    if given.get("patient") not in (None, "", patient):
        raise MalformedRequest("fhirAuthorization.patient is another than context.patientId")
    return FhirAuthorization(token, float(lifetime)) if lifetime > 0 else None
