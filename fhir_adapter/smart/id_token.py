"""Who the user is: an id_token, verified before a claim of it is believed (OpenID Connect Core 1.0, 3.1.3.7; RFC 8725).

The algorithm is one of a fixed list and must be that of the issuer's key; the header's own ``jwk``, ``jku`` and ``x5u``
are never looked at.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_adapter.auth import AuthorizationUnavailable
from fhir_adapter.auth.cache import SingleFlight
from fhir_adapter.auth.wire import json_object, send
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected
from fhir_adapter.smart.configuration import SmartConfiguration
from fhir_adapter.smart.errors import EhrSilent, IdTokenRefused

__all__ = ["IdentityKeys", "verified_claims"]

# RFC 7518, 3.1: what each algorithm is signed with. Nothing symmetric, and never "none".
ALGORITHMS: dict[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
}
LEEWAY_SECONDS = 60
OLDEST_SECONDS = 600
FRESH_SECONDS = 600.0
# A key that is not known is looked for again, at most so often: keys rotate, and strangers may make up names.
AGAIN_SECONDS = 30.0
LONGEST_TOKEN = 16_384


@dataclass(frozen=True)
class _Kept:
    keys: tuple[Json, ...]
    since: float


class IdentityKeys:
    """The public keys of issuers, from their ``jwks_uri``, kept for ten minutes.

    Parameters
    ----------
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: SingleFlight[_Kept] = SingleFlight()

    def of(self, configuration: SmartConfiguration, http: httpx.Client, kid: str | None = None) -> tuple[Json, ...]:
        """Return the keys, fetched again when none of them is called `kid`.

        Raises
        ------
        EhrSilent, IdTokenRefused
        """
        now = self._clock()

        def usable(kept: _Kept) -> bool:
            age = now - kept.since
            known = kid is None or any(key.get("kid") == kid for key in kept.keys)
            return 0 <= age < (FRESH_SECONDS if known else AGAIN_SECONDS)

        return self._kept.find(configuration.jwks_uri, usable, lambda: _Kept(_fetch(configuration, http), now)).keys


def _fetch(configuration: SmartConfiguration, http: httpx.Client) -> tuple[Json, ...]:
    where = "the issuer's jwks_uri"
    try:
        response = send(http, where, "GET", configuration.jwks_uri)
        found = json_object(response, where).get("keys")
    except AuthorizationUnavailable as error:
        raise EhrSilent(str(error), error.retry_after) from None
    except FhirRejected as error:
        raise IdTokenRefused(str(error)) from None
    if response.is_error or not isinstance(found, list):
        raise IdTokenRefused(f"{where} holds no JWK Set")
    return tuple(key for key in found if isinstance(key, dict))


def verified_claims(
    token: str,
    configuration: SmartConfiguration,
    client_id: str,
    nonce: str,
    keys: Callable[[str | None], Sequence[Json]],
    now: float,
) -> Json:
    """Return the claims of an id_token.

    Parameters
    ----------
    nonce : str
        That of the authorization request.
    keys : callable
        Returns the issuer's keys; told the ``kid`` that is looked for.
    now : float
        Seconds since the epoch.

    Raises
    ------
    IdTokenRefused
        Naming what is wrong, never a value of the token.
    """
    claims = _signed(token, keys)
    _check_audience(claims, client_id)
    if claims.get("iss") != configuration.issuer:
        raise IdTokenRefused("id_token: iss is not the issuer")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise IdTokenRefused("id_token: nonce is not that of the request")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise IdTokenRefused("id_token: sub is missing")
    expires, issued = _instant(claims, "exp"), _instant(claims, "iat")
    if expires <= now - LEEWAY_SECONDS:
        raise IdTokenRefused("id_token: exp is past")
    if issued > now + LEEWAY_SECONDS or issued < now - OLDEST_SECONDS:
        raise IdTokenRefused("id_token: iat is not now; check the clocks")
    if "nbf" in claims and _instant(claims, "nbf") > now + LEEWAY_SECONDS:
        raise IdTokenRefused("id_token: nbf is still to come")
    return claims


def _signed(token: str, keys: Callable[[str | None], Sequence[Json]]) -> Json:
    """Return the claims of a token whose signature is right."""
    from joserfc import jws, jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    try:
        if len(token) > LONGEST_TOKEN:
            raise ValueError
        header: Mapping[str, Any] = jws.extract_compact(token.encode("ascii")).headers()
        alg, kid = header.get("alg"), header.get("kid")
    except (JoseError, ValueError, TypeError, AttributeError):
        raise IdTokenRefused("id_token: not a JWT") from None
    if not isinstance(alg, str) or alg not in ALGORITHMS or "crit" in header:
        raise IdTokenRefused(f"id_token: alg is none of {', '.join(ALGORITHMS)}")
    if kid is not None and not isinstance(kid, str):
        raise IdTokenRefused("id_token: kid is not text")
    found = [key for key in keys(kid) if _fits(key, alg) and kid in (None, key.get("kid"))]
    if len(found) != 1:
        raise IdTokenRefused(f"id_token: {'no key' if not found else 'more than one key'} of the issuer fits")
    try:
        key = (RSAKey if found[0]["kty"] == "RSA" else ECKey).import_key(found[0])
        claims = jwt.decode(token, key, algorithms=[alg]).claims
    except (JoseError, ValueError, TypeError, KeyError):
        raise IdTokenRefused("id_token: the signature is wrong") from None
    return dict(claims)


def _fits(key: Json, alg: str) -> bool:
    kty, crv = ALGORITHMS[alg]
    return (
        key.get("kty") == kty
        and crv in (None, key.get("crv"))
        and key.get("alg", alg) == alg
        and key.get("use", "sig") == "sig"
    )


def _check_audience(claims: Json, client_id: str) -> None:
    audience = claims.get("aud")
    for_us = audience == client_id or (isinstance(audience, list) and client_id in audience)
    if not for_us:
        raise IdTokenRefused("id_token: aud is not this app")
    azp = claims.get("azp")
    if azp not in (None, client_id) or (azp is None and isinstance(audience, list) and len(audience) > 1):
        raise IdTokenRefused("id_token: azp is not this app")


def _instant(claims: Json, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise IdTokenRefused(f"id_token: {name} is not a time")
    return float(value)
