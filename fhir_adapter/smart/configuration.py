"""What an EHR's authorization server says of itself (SMART App Launch 2.2, Conformance: Using Well-Known).

It is asked for at registered FHIR bases only. Every endpoint it names must be https and on one of the tenant's own
hosts, so that a document that was tampered with cannot lead the user or a code elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_adapter.auth import AuthorizationUnavailable
from fhir_adapter.auth.cache import SingleFlight
from fhir_adapter.auth.wire import json_object, send
from fhir_adapter.egress import origin_of
from fhir_adapter.errors import FhirRejected
from fhir_adapter.smart.errors import EhrSilent, EhrUnsuitable
from fhir_adapter.tenants import SmartApp, Tenant

__all__ = ["Discovery", "SmartConfiguration", "app_of", "read_configuration"]

FRESH_SECONDS = 3600.0
PATH = "/.well-known/smart-configuration"
AUTH_CAPABILITY = {
    "private-key-jwt": "client-confidential-asymmetric",
    "client-secret": "client-confidential-symmetric",
    "public": "client-public",
}
LAUNCH_CAPABILITIES = {
    True: ("launch-ehr", "context-ehr-patient"),
    False: ("launch-standalone", "context-standalone-patient"),
}


@dataclass(frozen=True)
class SmartConfiguration:
    """Checked endpoints of an authorization server.

    Parameters
    ----------
    authorization_endpoint, token_endpoint : str
        Absolute.
    issuer, jwks_uri : str
        Of OpenID Connect.
    revocation_endpoint : str or None
    iss_in_callback : bool
        Whether the server says that its callbacks name it (RFC 9207, 3).
    capabilities : frozenset of str
    """

    authorization_endpoint: str
    token_endpoint: str
    issuer: str
    jwks_uri: str
    revocation_endpoint: str | None = None
    iss_in_callback: bool = False
    capabilities: frozenset[str] = frozenset()

    def require_launch(self, tenant: Tenant, *, from_ehr: bool) -> None:
        """Check that the server offers this kind of launch.

        Raises
        ------
        EhrUnsuitable
        """
        missing = [name for name in LAUNCH_CAPABILITIES[from_ehr] if name not in self.capabilities]
        if missing:
            raise EhrUnsuitable(f"tenant {tenant.name!r}: its EHR does not offer {', '.join(missing)}")


def app_of(tenant: Tenant) -> SmartApp:
    """Return the app's registration at a tenant.

    Raises
    ------
    EhrUnsuitable
        When it has none.
    """
    if tenant.smart is None:
        raise EhrUnsuitable(f"tenant {tenant.name!r}: the app is not registered there; add smart to its description")
    return tenant.smart


def read_configuration(tenant: Tenant, document: Mapping[str, Any]) -> SmartConfiguration:
    """Check a SMART configuration.

    Raises
    ------
    EhrUnsuitable
        Naming the member that is missing, leads elsewhere, or does not offer what the app needs.
    """
    app, where = app_of(tenant), f"tenant {tenant.name!r}: the SMART configuration"
    methods = document.get("code_challenge_methods_supported")
    if not isinstance(methods, list) or "S256" not in methods or "plain" in methods:
        raise EhrUnsuitable(f"{where} must offer the PKCE method S256, and plain never")
    capabilities = frozenset(map(str, _listed(document, "capabilities")))
    levels = sorted({f"permission-{scope.partition('/')[0]}" for scope in app.scopes})
    needed = (AUTH_CAPABILITY[app.auth], "sso-openid-connect", "permission-v2", *levels)
    missing = [name for name in needed if name not in capabilities]
    if missing:
        raise EhrUnsuitable(f"{where} does not offer {', '.join(missing)}")
    offered = _listed(document, "token_endpoint_auth_signing_alg_values_supported")
    if app.auth == "private-key-jwt" and offered and app.alg not in offered:
        raise EhrUnsuitable(f"{where} does not take assertions signed with {app.alg}; change smart.alg")
    return SmartConfiguration(
        authorization_endpoint=_endpoint(tenant, document, "authorization_endpoint"),
        token_endpoint=_endpoint(tenant, document, "token_endpoint"),
        issuer=_issuer(tenant, app, document),
        jwks_uri=_endpoint(tenant, document, "jwks_uri"),
        revocation_endpoint=(
            _endpoint(tenant, document, "revocation_endpoint") if document.get("revocation_endpoint") else None
        ),
        iss_in_callback=document.get("authorization_response_iss_parameter_supported") is True,
        capabilities=capabilities,
    )


def _listed(document: Mapping[str, Any], key: str) -> list[Any]:
    found = document.get(key)
    return found if isinstance(found, list) else []


def _endpoint(tenant: Tenant, document: Mapping[str, Any], key: str) -> str:
    """Return an endpoint as an absolute URL; a relative one is resolved against the FHIR base."""
    where, found = f"tenant {tenant.name!r}: the SMART configuration's {key}", document.get(key)
    if not isinstance(found, str) or not found:
        raise EhrUnsuitable(f"{where} is missing")
    try:
        # The parser that also connects, so that no other reading of the text is checked than the one used.
        url = httpx.URL(tenant.fhir_base + "/").join(found)
        known = origin_of(url) in tenant.origins
    except (httpx.InvalidURL, ValueError):
        raise EhrUnsuitable(f"{where} is not a URL") from None
    if url.scheme != "https" and not (url.scheme == "http" and tenant.allow_private):
        raise EhrUnsuitable(f"{where} is not https")
    if url.userinfo or url.fragment or not known:
        raise EhrUnsuitable(f"{where} is on no host of the tenant; add it to allowed_hosts if it is one")
    return str(url)


def _issuer(tenant: Tenant, app: SmartApp, document: Mapping[str, Any]) -> str:
    """Return the issuer, byte for byte: it is compared with the one in tokens (OpenID Connect Discovery 1.0, 4.3)."""
    issuer = document.get("issuer")
    if app.issuer is None:
        _endpoint(tenant, document, "issuer")
    elif issuer != app.issuer:
        raise EhrUnsuitable(f"tenant {tenant.name!r}: the SMART configuration's issuer is not the registered one")
    return str(issuer)


class Discovery:
    """SMART configurations of registered tenants, kept for an hour; a hundred threads ask once.

    Parameters
    ----------
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._found: SingleFlight[tuple[SmartConfiguration, float]] = SingleFlight()

    def of(self, tenant: Tenant, http: httpx.Client) -> SmartConfiguration:
        """Return the configuration of a tenant's EHR.

        Raises
        ------
        EhrSilent, EhrUnsuitable
        """
        now = self._clock()

        def fetch() -> tuple[SmartConfiguration, float]:
            return read_configuration(tenant, _document(tenant, http)), now

        key = (tenant.connection, tenant.smart)
        return self._found.find(key, lambda kept: 0 <= now - kept[1] < FRESH_SECONDS, fetch)[0]

    def forget(self, tenant: Tenant) -> None:
        """Ask again next time: an endpoint may have moved."""
        self._found.forget((tenant.connection, tenant.smart))


def _document(tenant: Tenant, http: httpx.Client) -> Mapping[str, Any]:
    where = f"tenant {tenant.name!r}: discovery"
    try:
        response = send(http, where, "GET", tenant.fhir_base + PATH)
        if response.is_error:
            raise EhrUnsuitable(f"{where} was answered {response.status_code}")
        return json_object(response, where)
    except AuthorizationUnavailable as error:
        raise EhrSilent(str(error), error.retry_after) from None
    except FhirRejected as error:  # redirects too
        raise EhrUnsuitable(str(error)) from None
