"""The way back from the authorization server: one code for one flow, or an error (RFC 6749, 4.1.2; RFC 9207)."""

from __future__ import annotations

from dataclasses import dataclass, field

from fhir_adapter.smart.configuration import SmartConfiguration
from fhir_adapter.smart.errors import AuthorizationDenied, CallbackRefused
from fhir_adapter.smart.launch import FLOW_SECONDS, Flow, Query, once
from fhir_adapter.tenants import Tenant

__all__ = ["Callback", "callback_of", "code_of"]

# RFC 6749, 4.1.2.1; OpenID Connect Core 1.0, 3.1.2.6: what each means for the person in front of it.
ERRORS = {
    "access_denied": ("authorization-denied", 403),
    "login_required": ("authorization-denied", 403),
    "interaction_required": ("authorization-denied", 403),
    "consent_required": ("authorization-denied", 403),
    "temporarily_unavailable": ("ehr-silent", 503),
    "server_error": ("authorization-failed", 502),
    "invalid_request": ("authorization-failed", 502),
    "invalid_scope": ("authorization-failed", 502),
    "unauthorized_client": ("authorization-failed", 502),
    "unsupported_response_type": ("authorization-failed", 502),
}


@dataclass(frozen=True)
class Callback:
    """What came back to the redirect URI.

    Parameters
    ----------
    state : str
        To be looked up; worth nothing by itself.
    code, error, iss : str or None
    """

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = field(default=None, repr=False)
    iss: str | None = None


def callback_of(query: Query) -> Callback:
    """Read a callback, successful or not.

    Raises
    ------
    CallbackRefused
        When it has no one ``state``, or a parameter that is read is repeated.
    """
    state = once(query, "state")
    if state is None:
        raise CallbackRefused("the callback has no state, or more than one")
    names = [name for name, _ in query]
    if any(names.count(name) > 1 for name in ("code", "error", "iss")):
        raise CallbackRefused("a parameter of the callback is repeated")
    return Callback(state, once(query, "code"), once(query, "error"), once(query, "iss"))


def code_of(tenant: Tenant, flow: Flow, configuration: SmartConfiguration, callback: Callback, now: float) -> str:
    """Return the code of a callback that answers a flow.

    Parameters
    ----------
    flow : Flow
        Found by the callback's state and the browser's cookie, and removed from where it was kept, so that it is
        answered once.
    now : float
        Seconds since the epoch.

    Raises
    ------
    CallbackRefused
        The flow is another tenant's or too old, or the answer comes from another authorization server.
    AuthorizationDenied
        The answer is an error.
    """
    if flow.tenant != tenant.name or flow.iss.removesuffix("/") != tenant.fhir_base or flow.state != callback.state:
        raise CallbackRefused("the flow belongs to another EHR")
    if not 0 <= now - flow.started < FLOW_SECONDS:
        raise CallbackRefused("the flow was started too long ago")
    # The issuer as it was when the user was sent there: mix-up is about who answers (RFC 9207, 2.4).
    if callback.iss not in (None, flow.issuer) or configuration.issuer != flow.issuer:
        raise CallbackRefused("the answer names another authorization server", "mixed-up")
    if callback.iss is None and configuration.iss_in_callback:
        raise CallbackRefused("the answer does not name its authorization server, which says that it does", "mixed-up")
    if callback.error is not None or callback.code is None:
        error = callback.error if callback.error in ERRORS else "no registered error"
        code, status = ERRORS.get(error, ("authorization-failed", 502))
        raise AuthorizationDenied(f"tenant {tenant.name!r}: the authorization server answered {error}", code, status)
    return callback.code
