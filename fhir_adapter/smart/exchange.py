"""The token endpoint as the app uses it: a code for a token, a refresh token for the next, and an end to both.

SMART App Launch 2.2, "Obtain access token", "Refresh access token", "Client Authentication"; RFC 6749, 4.1.3, 5, 6;
RFC 7009 for the revocation. Each request is sent once: a code, an assertion and a rotated refresh token are spent by
the first one that arrives.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import httpx

from fhir_adapter.auth import AuthorizationRefused, AuthorizationUnavailable, Token
from fhir_adapter.auth.endpoint import ASSERTION_TYPE, client_assertion, granted_token, token_answer
from fhir_adapter.auth.wire import send
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected
from fhir_adapter.keys import KeyStore, signing_key
from fhir_adapter.smart.configuration import SmartConfiguration, app_of
from fhir_adapter.smart.errors import EhrSilent, SessionEnded, TokenRefused
from fhir_adapter.tenants import Tenant

__all__ = ["Granted", "TokenEndpoint"]

FORM = "application/x-www-form-urlencoded"
# RFC 6749, appendix A: codes and tokens are visible ASCII, spaces included.
_VISIBLE = re.compile(r"[\x20-\x7e]{1,8192}\Z")


@dataclass(frozen=True)
class Granted:
    """A token response that is what the standard says.

    Parameters
    ----------
    token : Token
        The access token, with the scopes as granted.
    refresh_token, id_token : str or None
        Never shown.
    answer : dict
        All of it, for the launch context; never shown.
    """

    token: Token
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    answer: Json = field(repr=False)


class TokenEndpoint:
    """One tenant's token endpoint.

    Parameters
    ----------
    tenant : Tenant
    configuration : SmartConfiguration
        Of its EHR.
    keys : KeyStore
        Where our private keys are; asked each time, so that a rotated key is used at once.
    http : httpx.Client
        Guarded for this tenant.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self,
        tenant: Tenant,
        configuration: SmartConfiguration,
        keys: KeyStore,
        http: httpx.Client,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app_of(tenant)
        self._where = f"tenant {tenant.name!r}"
        self._configuration = configuration
        self._keys = keys
        self._http = http
        self._clock = clock

    def redeem(self, code: str, verifier: str, redirect_uri: str) -> Granted:
        """Exchange a code, once (RFC 6749, 4.1.3; RFC 7636, 4.5).

        Raises
        ------
        EhrSilent, TokenRefused
            Either way the launch has to start again.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        asked = self._clock()
        return self._granted(self._token_request(form), asked, None)

    def refresh(self, refresh_token: str, granted: frozenset[str]) -> Granted:
        """Exchange a refresh token (RFC 6749, 6); for the scopes as they were granted, so none is asked for.

        Parameters
        ----------
        granted : frozenset of str
            Scopes in force, which an answer that names none keeps.

        Raises
        ------
        EhrSilent
            `may_have_acted` tells whether the token may be spent.
        SessionEnded
            The refresh token is not good any more.
        TokenRefused
        """
        asked = self._clock()
        try:
            answer = self._token_request({"grant_type": "refresh_token", "refresh_token": refresh_token})
        except TokenRefused as error:
            if error.oauth_error == "invalid_grant":
                raise SessionEnded(f"{self._where}: the EHR ended the session (invalid_grant)") from None
            raise
        return self._granted(answer, asked, granted)

    def revoke(self, token: str, hint: str) -> bool:
        """Take back a token where the EHR offers that (RFC 7009, 2.1).

        Parameters
        ----------
        hint : {"refresh_token", "access_token"}

        Returns
        -------
        bool
            Whether it was taken back. A sign-out goes on in any case.
        """
        url = self._configuration.revocation_endpoint
        if url is None:
            return False
        try:
            return self._send({"token": token, "token_type_hint": hint}, url).is_success
        except (AuthorizationUnavailable, FhirRejected):
            return False

    def _token_request(self, form: Mapping[str, str]) -> Json:
        try:
            return token_answer(self._send(form, self._configuration.token_endpoint))
        except AuthorizationUnavailable as error:
            raise EhrSilent(f"{self._where}: {error}", error.retry_after, may_have_acted=error.may_have_acted) from None
        except AuthorizationRefused as error:
            raise TokenRefused(f"{self._where}: {error}", error.code) from None
        except FhirRejected as error:  # a redirect, or a host that is not the tenant's
            raise TokenRefused(f"{self._where}: {error}") from None

    def _send(self, form: Mapping[str, str], url: str) -> httpx.Response:
        proof, headers = self._authentication(url)
        body = urlencode({**form, **proof}).encode("ascii")
        return send(self._http, "the token endpoint", "POST", url, body, {"Content-Type": FORM, **headers})

    def _authentication(self, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return what shows who we are, for the body and for the header; each assertion has a ``jti`` of its own."""
        app = self._app
        if app.auth == "private-key-jwt":
            name = str(app.key)
            key = signing_key(self._keys.get(name), app.alg, app.kid, name)
            # no client_id beside it: iss and sub say it
            assertion = client_assertion(app.client_id, url, key, self._clock(), app.jwks_url)
            return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}, {}
        if app.auth == "client-secret":
            pair = f"{quote_plus(app.client_id)}:{quote_plus(str(app.client_secret))}"
            return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"}
        return {"client_id": app.client_id}, {}

    def _granted(self, answer: Json, asked: float, before: frozenset[str] | None) -> Granted:
        """Check a token response; `before` are the scopes in force, None for a new session."""
        if before is None and not isinstance(answer.get("scope"), str):
            # Required by SMART: what is not said to be granted is not guessed from what was asked for.
            raise TokenRefused(f"{self._where}: the token response does not say which scopes were granted")
        try:
            token = granted_token(answer, tuple(before or ()), asked)
        except AuthorizationRefused as error:
            raise TokenRefused(f"{self._where}: {error}") from None
        return Granted(token, self._text(answer, "refresh_token"), self._text(answer, "id_token"), answer)

    def _text(self, answer: Json, name: str) -> str | None:
        value = answer.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not _VISIBLE.match(value):
            raise TokenRefused(f"{self._where}: the token response's {name} is not text")
        return value
