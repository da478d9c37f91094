"""How Bedside signs in at a tenant: not at all, with a static token, or as a SMART backend service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants.urls import checked_url

__all__ = ["ALGORITHMS", "Auth", "BackendServicesAuth", "BearerAuth", "NoAuth", "read_auth"]

Algorithm = Literal["ES384", "RS384"]
ALGORITHMS: tuple[Algorithm, ...] = ("ES384", "RS384")
# SMART App Launch 2.2, Scopes for requesting FHIR resources; version 1 (.read, .write, .*) is still spoken by servers.
SYSTEM_SCOPE = re.compile(
    r"system/([A-Z][A-Za-z]{1,63}|\*)\.(?!\?|\Z)(c?r?u?d?s?(\?[A-Za-z_][^\s?\"\\]*)?|read|write|\*)\Z"
)


@dataclass(frozen=True)
class NoAuth:
    """An open server."""


@dataclass(frozen=True)
class BearerAuth:
    """A static token (RFC 6750).

    Parameters
    ----------
    token : str
        Never shown.
    """

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        # RFC 6750, section 2.1: b64token; anything else would also be a header of our own making.
        if not re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", self.token):
            raise ConfigurationError("auth.token is not a bearer token (RFC 6750, 2.1)")


@dataclass(frozen=True)
class BackendServicesAuth:
    """SMART Backend Services: an asymmetric key instead of a shared secret (SMART App Launch 2.2).

    Parameters
    ----------
    client_id : str
        As the EHR registered Bedside.
    scopes : tuple of str
        ``system/...`` scopes to ask for; each must be granted.
    alg : {"ES384", "RS384"}
        How assertions are signed.
    key : str
        Name of the secret that holds the private key, a JWK or a JWK Set.
    kid : str or None
        Which key of the set signs; by default the first of `alg`.
    token_url : str or None
        Token endpoint; None discovers it at the FHIR base.
    jwks_url : str or None
        Where the EHR was told to find our public keys; when given, assertions name it (``jku``).
    """

    client_id: str
    scopes: tuple[str, ...]
    alg: Algorithm
    key: str
    kid: str | None = None
    token_url: str | None = None
    jwks_url: str | None = None

    def __post_init__(self) -> None:
        for name in ("client_id", "key"):
            if not getattr(self, name):
                raise ConfigurationError(f"auth.{name} is empty")
        if self.alg not in ALGORITHMS:
            raise ConfigurationError(f"auth.alg must be one of {', '.join(ALGORITHMS)}")
        if not self.scopes:
            raise ConfigurationError("auth.scopes is empty")
        for scope in self.scopes:
            if not SYSTEM_SCOPE.match(scope):
                raise ConfigurationError(
                    f"auth.scopes: {scope!r} is not a SMART system scope such as system/Patient.rs"
                )


Auth = NoAuth | BearerAuth | BackendServicesAuth

_KEYS = {
    "none": frozenset[str](),
    "bearer": frozenset({"token"}),
    "backend-services": frozenset({"client_id", "scopes", "alg", "key", "kid", "token_url", "jwks_url"}),
}


def read_auth(data: Mapping[str, Any], where: str, allow_private: bool) -> Auth:
    """Read ``auth`` of a tenant's JSON form.

    Raises
    ------
    KeyError, ConfigurationError
        Naming the key; never a value that may be secret.
    """
    kind = data["type"]
    if kind not in _KEYS:
        raise ConfigurationError(f"{where}: auth.type must be one of {', '.join(_KEYS)}")
    unknown = sorted(set(data) - _KEYS[kind] - {"type"})
    if unknown:
        raise ConfigurationError(f"{where}: auth has keys that are not known: {', '.join(map(str, unknown))}")
    try:
        return _read(kind, data, where, allow_private)
    except ConfigurationError as error:
        raise error if str(error).startswith(where) else ConfigurationError(f"{where}: {error}") from None


def _read(kind: str, data: Mapping[str, Any], where: str, allow_private: bool) -> Auth:
    if kind == "none":
        return NoAuth()
    if kind == "bearer":
        return BearerAuth(data["token"])
    scopes = data["scopes"]
    urls = {
        key: checked_url(where, f"auth.{key}", data[key], allow_private) if data.get(key) else None
        for key in ("token_url", "jwks_url")
    }
    return BackendServicesAuth(
        client_id=_text(data["client_id"], where, "auth.client_id"),
        scopes=tuple(scopes.split() if isinstance(scopes, str) else scopes),
        alg=cast(Algorithm, data.get("alg", "ES384")),
        key=_text(data["key"], where, "auth.key"),
        kid=None if data.get("kid") is None else _text(data["kid"], where, "auth.kid"),
        **urls,
    )


def _text(value: object, where: str, key: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{where}: {key} must be text")
    return value
