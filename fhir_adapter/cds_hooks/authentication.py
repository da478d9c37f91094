"""Is it a CDS client of this tenant? Decided by the token of each call alone (CDS Hooks 2.0, Trusting CDS Clients).

The algorithm follows from the key that is registered, never from the token (RFC 8725, 3.1); the key is found by ``kid``
in the client's own set (3.10); ``aud`` is the very address that was called (3.9); a token counts once (RFC 7519, 4.1.7)
and for five minutes at most. What the token says is in no message: an attacker wrote it.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_adapter.cds_hooks.errors import ClientUnauthorized
from fhir_adapter.cds_hooks.keys import ClientKeys
from fhir_adapter.cds_hooks.replay import Replays, replay_key
from fhir_adapter.codes import Json
from fhir_adapter.keys import RSA_LEAST, algorithm_of
from fhir_adapter.tenants import CdsClient, Tenant

__all__ = ["LIFETIME", "Caller", "authenticate"]

# Seconds: how long a token may last, and by how much the client's clock may be ahead of ours.
LIFETIME = 300
AHEAD = 30
LONGEST = 8192
LONGEST_JTI = 512


@dataclass(frozen=True)
class Caller:
    """Who may check tokens, and how.

    Parameters
    ----------
    keys : ClientKeys
    replays : Replays
    clock : callable
        Seconds since the epoch.
    """

    keys: ClientKeys
    replays: Replays
    clock: Callable[[], float]


def authenticate(headers: Mapping[str, str], tenant: Tenant, endpoint: str, caller: Caller) -> CdsClient:
    """Check the token of one call, and use it up.

    Parameters
    ----------
    headers : mapping
        By lower-case name.
    tenant : Tenant
        With `cds_hooks`.
    endpoint : str
        The URL that was called: what ``aud`` must say.

    Raises
    ------
    ClientUnauthorized
        What is wrong, for whoever connects the EHR.
    CallerUnknowable
        When it cannot be told now.
    """
    token = _bearer(headers)
    header, claims = (_peek(part) for part in token.split(".")[:2])
    kid, alg = _header(header)
    client = _client(tenant, claims, header.get("jku"))
    key = caller.keys.find(tenant, client, kid)
    if key is None:
        raise ClientUnauthorized("the token's kid is not in the key set that is registered for its iss")
    if algorithm_of(key) != alg or alg not in client.algs:
        raise ClientUnauthorized(f"the token's alg is not that of its key; sign with {' or '.join(client.algs)}")
    now = caller.clock()
    verified = _verified(token, key, alg, endpoint, now)
    jti, until = verified["jti"], float(verified["exp"])
    if not caller.replays.first(replay_key(tenant.name, client.iss, jti), until, now):
        raise ClientUnauthorized("the token was used before; each call needs one with a jti of its own")
    return client


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = (headers.get("authorization") or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise ClientUnauthorized("the Authorization header must carry the client's JWT as a Bearer token")
    if len(token) > LONGEST or token.count(".") != 2 or not token.isascii():
        raise ClientUnauthorized("the Bearer token is not a signed JWT")
    return token


def _peek(part: str) -> Json:
    """Read a part of a token before its signature is known to be good: only to find out whose key to check it with."""
    try:
        found = orjson.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ClientUnauthorized("the Bearer token is not a signed JWT")
    return found


def _header(header: Json) -> tuple[str, str]:
    kid, alg = header.get("kid"), header.get("alg")
    if alg not in ("ES384", "RS384"):
        raise ClientUnauthorized("the token's alg is not taken; sign with ES384 or RS384")
    if str(header.get("typ")).upper() != "JWT":
        raise ClientUnauthorized("the token's header must say typ JWT")
    if not isinstance(kid, str) or not kid:
        raise ClientUnauthorized("the token's header must name its key by kid")
    if "crit" in header:
        raise ClientUnauthorized("the token's header demands an extension (crit) that is not known here")
    return kid, alg


def _client(tenant: Tenant, claims: Json, jku: object) -> CdsClient:
    """Find the client a token claims to be of; what is checked later is that it is."""
    assert tenant.cds_hooks is not None
    issued = [client for client in tenant.cds_hooks.clients if client.iss == claims.get("iss")]
    if not issued:
        raise ClientUnauthorized("the token's iss is not registered for this tenant")
    named = [client for client in issued if jku is None or client.jku == jku]
    if not named:
        raise ClientUnauthorized("the token's jku is not the one that is registered for its iss; it was not fetched")
    fitting = [client for client in named if client.tenant in (None, claims.get("tenant"))]
    if not fitting:
        raise ClientUnauthorized("the token's tenant is not the one that is registered for its iss")
    return fitting[0]


def _verified(token: str, key: Json, alg: str, endpoint: str, now: float) -> dict[str, Any]:
    """Return the claims of a token whose signature and claims hold."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    if alg == "RS384" and len(str(key.get("n", ""))) * 6 < RSA_LEAST:
        raise ClientUnauthorized(f"the client's key is shorter than {RSA_LEAST} bits")
    kind: Any = ECKey if alg == "ES384" else RSAKey
    try:
        claims: dict[str, Any] = jwt.decode(token, kind.import_key(key), algorithms=[alg]).claims
    except (JoseError, ValueError, TypeError):
        raise ClientUnauthorized("the token's signature is not good for its key") from None
    wanted: dict[str, Any] = {name: {"essential": True} for name in ("iss", "exp", "iat", "jti")}
    wanted["aud"] = {"essential": True, "value": endpoint}
    try:
        jwt.JWTClaimsRegistry(now=int(now), leeway=0, **wanted).validate({**claims, "iat": _not_ahead(claims, now)})
    except JoseError as error:
        raise ClientUnauthorized(_told(error)) from None
    _check_times(claims, now)
    jti = claims["jti"]
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI:
        raise ClientUnauthorized("the token's jti must be text that no other token has")
    return claims


def _not_ahead(claims: Mapping[str, Any], now: float) -> Any:
    """Return ``iat``, as no later than the present where a client's clock is a little ahead of ours."""
    iat = claims.get("iat")
    slightly = isinstance(iat, int | float) and now < iat <= now + AHEAD
    return int(now) if slightly else iat


def _told(error: Exception) -> str:
    claim = getattr(error, "claim", None) or ("exp" if "expired" in type(error).__name__.lower() else None)
    if claim == "aud":
        return "the token's aud must be the URL of the endpoint that was called, letter by letter"
    if claim == "exp":
        return "the token has expired"
    if claim in ("iss", "iat", "jti"):
        return f"the token's {claim} is missing or wrong"
    return "a claim of the token is missing or wrong"


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    exp, iat = claims["exp"], claims["iat"]
    if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in (exp, iat)):
        raise ClientUnauthorized("the token's iat and exp must be numbers of seconds")
    if exp <= now:
        raise ClientUnauthorized("the token has expired")
    if iat > now + AHEAD or now - iat > LIFETIME or exp - now > LIFETIME + AHEAD or exp - iat > LIFETIME:
        raise ClientUnauthorized(f"the token's iat and exp must lie within {LIFETIME} seconds of the present")
