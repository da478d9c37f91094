"""The authorization server's side of the wire: discovery, assertions, and one exchange for a token.

SMART App Launch 2.2: Backend Services; Client Authentication: Asymmetric (private key JWT); Conformance
(``.well-known/smart-configuration``). RFC 6749, 4.4 and 5; RFC 7523, 2.2 and 3.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from urllib.parse import urlencode

import httpx

from fhir_adapter.auth.errors import AuthorizationRefused
from fhir_adapter.auth.tokens import Token
from fhir_adapter.auth.wire import json_object, seconds_of, send
from fhir_adapter.codes import Json
from fhir_adapter.keys import SigningKey

__all__ = ["ASSERTION_TYPE", "client_assertion", "exchange", "granted_token", "token_answer", "token_endpoint"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# SMART allows five minutes; one is left for a clock of ours that is ahead.
ASSERTION_SECONDS = 240
_CODE = re.compile(r"[a-z_]{1,40}\Z")
# RFC 6750, 2.1; also keeps a token from carrying a line break into a header.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z")


def client_assertion(client_id: str, token_url: str, key: SigningKey, now: float, jwks_url: str | None = None) -> str:
    """Return a signed assertion of who we are, good for one request: its ``jti`` is never used again.

    Parameters
    ----------
    client_id : str
        ``iss`` and ``sub``.
    token_url : str
        ``aud``: the very URL the assertion is posted to.
    key : SigningKey
        Gives ``alg`` and ``kid``.
    now : float
        Seconds since the epoch.
    jwks_url : str, optional
        ``jku``: where the EHR was told to find our keys.
    """
    header = {"typ": "JWT"} | ({"jku": jwks_url} if jwks_url else {})
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "exp": int(now) + ASSERTION_SECONDS,
        "jti": secrets.token_urlsafe(24),
    }
    return key.sign(header, claims)


def token_endpoint(http: httpx.Client, base: str, alg: str, allow_private: bool) -> str:
    """Find the token endpoint of a FHIR server.

    Returns
    -------
    str
        Absolute; a relative one was resolved against the FHIR base. That its host is the tenant's is checked by the
        transport, which lets nothing else out.

    Raises
    ------
    AuthorizationUnavailable, AuthorizationRefused
    """
    response = send(http, "discovery", "GET", f"{base}/.well-known/smart-configuration")
    if response.is_error:
        raise AuthorizationRefused(f"discovery was answered {response.status_code}", response.status_code)
    document = json_object(response, "discovery")
    found = document.get("token_endpoint")
    if not isinstance(found, str) or not found:
        raise AuthorizationRefused("the SMART configuration names no token_endpoint")
    try:
        # The parser that also connects, so that no other reading of the text is checked than the one used.
        url = httpx.URL(base + "/").join(found)
    except (httpx.InvalidURL, ValueError):
        raise AuthorizationRefused("the SMART configuration's token_endpoint is not valid") from None
    if url.scheme != "https" and not (url.scheme == "http" and allow_private):
        raise AuthorizationRefused("the SMART configuration's token_endpoint is not https")
    offered = document.get("token_endpoint_auth_signing_alg_values_supported")
    if isinstance(offered, list) and alg not in offered:
        raise AuthorizationRefused(f"the EHR does not accept assertions signed with {alg}; change auth.alg")
    return str(url)


def exchange(http: httpx.Client, token_url: str, assertion: str, scopes: Sequence[str], now: float) -> Token:
    """Exchange an assertion for an access token.

    Raises
    ------
    AuthorizationUnavailable
        5xx, 429, or no answer.
    AuthorizationRefused
        ``invalid_client``, ``invalid_scope`` and the like, by their code; or an answer that is none.
    """
    form = {
        "grant_type": "client_credentials",
        "scope": " ".join(scopes),
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = send(http, "the token endpoint", "POST", token_url, urlencode(form).encode(), headers)
    return granted_token(token_answer(response), scopes, now)


def token_answer(response: httpx.Response) -> Json:
    """Return what a token endpoint answered (RFC 6749, 5.1).

    Raises
    ------
    AuthorizationRefused
        When it is an error (5.2), with its code and none of its text, or no JSON object.
    """
    if response.is_error:
        code = json_object(response, "the token endpoint", lenient=True).get("error")
        known = code if isinstance(code, str) and _CODE.match(code) else None
        told = f" ({known})" if known else ""
        raise AuthorizationRefused(
            f"the token endpoint answered {response.status_code}{told}", response.status_code, known
        )
    return json_object(response, "the token endpoint")


def granted_token(answer: Json, asked: Sequence[str], now: float) -> Token:
    """Return the access token of an answer.

    Parameters
    ----------
    asked : sequence of str
        Scopes that count as granted where the answer does not say.
    now : float
        Seconds since the epoch, before it was asked for.

    Raises
    ------
    AuthorizationRefused
    """
    value, kind = answer.get("access_token"), answer.get("token_type")
    if not isinstance(value, str) or not _TOKEN.match(value):
        raise AuthorizationRefused("the token endpoint's answer holds no access_token")
    if str(kind).lower() != "bearer":
        raise AuthorizationRefused("the token endpoint's token_type is not Bearer")
    granted = answer.get("scope")
    # RFC 6749, 5.1: scope may be left out when it is what was asked for.
    scopes = frozenset(granted.split()) if isinstance(granted, str) else frozenset(asked)
    return Token(value, now, seconds_of(answer.get("expires_in")), scopes)
