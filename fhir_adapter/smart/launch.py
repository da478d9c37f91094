"""The way to the authorization server: a launch, checked, becomes one authorization request.

SMART App Launch 2.2, "Launch App: EHR Launch", "Launch App: Standalone Launch", "Obtain authorization code"; PKCE by
RFC 7636; OpenID Connect Core 1.0, 3.1.2.1 for the nonce.

::

    launch_of(tenant, query) -> Launch --begin--> (Flow, URL of the authorization server)
                                                     |
    callback_of(query) -> Callback --check_callback--+--> code --exchange--> SmartToken
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

import httpx

from fhir_adapter.smart.configuration import SmartConfiguration, app_of
from fhir_adapter.smart.errors import LaunchRefused
from fhir_adapter.smart.scopes import requested_scopes
from fhir_adapter.tenants import Tenant

__all__ = ["FLOW_SECONDS", "Flow", "Launch", "begin", "challenge_of", "launch_of", "query_of", "standalone_launch"]

# A person may have to sign in between; what is older is not answered (SMART App Launch 2.2 leaves it to the app).
FLOW_SECONDS = 600
LONGEST_VALUE = 6000
MOST_PARAMETERS = 30

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Launch:
    """A launch that may go on.

    Parameters
    ----------
    iss : str
        FHIR base as the EHR spelt it, for ``aud``.
    token : str or None
        The EHR's opaque ``launch`` value; None when the app is opened outside an EHR.
    """

    iss: str
    token: str | None = field(default=None, repr=False)

    @property
    def from_ehr(self) -> bool:
        """Whether an EHR launched the app."""
        return self.token is not None


@dataclass(frozen=True)
class Flow:
    """What the app keeps while the user is at the authorization server; nothing of it but `state` leaves.

    Parameters
    ----------
    tenant : str
    iss : str
        FHIR base that tokens of this flow are for.
    issuer : str
        Who answers, by discovery.
    state, nonce, verifier : str
        Random, of this flow alone; never shown.
    from_ehr : bool
    started : float
        Seconds since the epoch.
    """

    tenant: str
    iss: str
    issuer: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    from_ehr: bool = True
    started: float = 0.0


def query_of(text: str) -> Query:
    """Return the parameters of a query in their order, repeated ones as often as they came.

    Raises
    ------
    LaunchRefused
        When it is not a query of few parameters in UTF-8.
    """
    try:
        found = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise LaunchRefused("the query is not one, or has too many parameters") from None
    if any(len(value) > LONGEST_VALUE for _, value in found):
        raise LaunchRefused("a parameter is too long")
    return found


def once(query: Query, name: str) -> str | None:
    """Return the value of a parameter that is there exactly once and not empty."""
    values = [value for key, value in query if key == name]
    return values[0] if len(values) == 1 and values[0] else None


def launch_of(tenant: Tenant, query: Query) -> Launch:
    """Read an EHR launch.

    ``iss`` is compared with the registered FHIR base, and nothing is fetched from it before: a counterfeit EHR learns
    nothing (RFC 6819, 4.6.4).

    Raises
    ------
    LaunchRefused
        ``iss`` or ``launch`` is missing, repeated or empty, or ``iss`` is not the tenant's.
    """
    app_of(tenant)
    iss, token = once(query, "iss"), once(query, "launch")
    if iss is None or token is None:
        raise LaunchRefused(f"tenant {tenant.name!r}: iss and launch must both be there, once", "launch-incomplete")
    if iss.removesuffix("/") != tenant.fhir_base:
        raise LaunchRefused(f"tenant {tenant.name!r}: iss is not the registered FHIR base", "launch-unregistered")
    return Launch(iss, token)


def standalone_launch(tenant: Tenant) -> Launch:
    """Return the launch of an app that is opened outside the EHR.

    Raises
    ------
    LaunchRefused
        Where that is not wanted.
    """
    if not app_of(tenant).standalone:
        raise LaunchRefused(f"tenant {tenant.name!r}: smart.standalone is off; open the app in the EHR", "ehr-only")
    return Launch(tenant.fhir_base)


def challenge_of(verifier: str) -> str:
    """Return the S256 code challenge of a verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def begin(
    tenant: Tenant, configuration: SmartConfiguration, launch: Launch, redirect_uri: str, now: float
) -> tuple[Flow, str]:
    """Start a flow.

    Parameters
    ----------
    redirect_uri : str
        As registered: a constant, never made from a request.
    now : float
        Seconds since the epoch.

    Returns
    -------
    (Flow, str)
        What to keep, bound to the browser; and the authorization request to send the browser to.

    Raises
    ------
    EhrUnsuitable
        When the server does not offer this kind of launch.
    """
    app = app_of(tenant)
    configuration.require_launch(tenant, from_ehr=launch.from_ehr)
    flow = Flow(
        tenant=tenant.name,
        iss=launch.iss,
        issuer=configuration.issuer,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(64),
        from_ehr=launch.from_ehr,
        started=now,
    )
    request = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": redirect_uri,
        **({} if launch.token is None else {"launch": launch.token}),
        "scope": " ".join(requested_scopes(app, from_ehr=launch.from_ehr)),
        "state": flow.state,
        "aud": launch.iss,
        "code_challenge": challenge_of(flow.verifier),
        "code_challenge_method": "S256",
        "nonce": flow.nonce,
    }
    return flow, _with_query(configuration.authorization_endpoint, request)


def _with_query(endpoint: str, request: dict[str, str]) -> str:
    """Add to what the endpoint's own query already says (RFC 6749, 3.1)."""
    url = httpx.URL(endpoint)
    own = url.query.decode("ascii")
    added = urlencode(request)
    return str(url.copy_with(query=(f"{own}&{added}" if own else added).encode("ascii")))
