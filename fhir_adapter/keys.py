"""Private keys that sign for Bedside, and the public halves that EHRs check with (RFC 7517, RFC 7518, RFC 7638).

A secret holds one private JWK, or a JWK Set while keys are being rotated: all of its public halves are published,
and the first key of an algorithm signs unless the tenant names another one.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants.auth import ALGORITHMS, Algorithm

__all__ = ["FileKeys", "KeyStore", "MemoryKeys", "SigningKey", "new_key", "public_set", "signing_key"]

RSA_BITS = 3072
RSA_LEAST = 2048
# What each algorithm signs with (RFC 7518, 3.3 and 3.4), and what is public of it.
KEY_TYPES = {"ES384": ("EC", "P-384"), "RS384": ("RSA", None)}
PUBLIC = {"EC": ("crv", "x", "y"), "RSA": ("n", "e")}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")


@dataclass(frozen=True)
class SigningKey:
    """A private key bound to one algorithm.

    Parameters
    ----------
    kid : str
        Its name in the published set.
    alg : {"ES384", "RS384"}
        The only algorithm it signs with.
    jwk : dict
        The private JWK; never shown.
    """

    kid: str
    alg: Algorithm
    jwk: Json = field(repr=False, hash=False, compare=False)

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Return the signed JWT (RFC 7519).

        Raises
        ------
        ConfigurationError
            When the JWK is not a key of its algorithm.
        """
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            protected = {**header, "alg": self.alg, "kid": self.kid}
            return jwt.encode(protected, dict(claims), self._key(), algorithms=[self.alg])
        except (JoseError, ValueError, TypeError) as error:
            raise ConfigurationError(f"key {self.kid!r} cannot sign {self.alg} ({type(error).__name__})") from None

    def _key(self) -> Any:
        from joserfc.jwk import ECKey, RSAKey

        return (ECKey if self.alg == "ES384" else RSAKey).import_key(self.jwk)


class KeyStore(Protocol):
    """Where private keys are kept, by the name a tenant gives in ``auth.key``."""

    def get(self, name: str) -> Json:
        """Return the private JWK or JWK Set.

        Raises
        ------
        ConfigurationError
            When there is none, or it is not JSON; never its content.
        """


class MemoryKeys:
    """Keys in memory, for tests."""

    def __init__(self, **keys: Json) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return f"MemoryKeys({', '.join(sorted(self._keys))})"

    def get(self, name: str) -> Json:
        """Return the JWK or JWK Set."""
        if name not in self._keys:
            raise ConfigurationError(f"key {name!r} does not exist")
        return self._keys[name]


class FileKeys:
    """Keys in files ``{directory}/{name}.json`` that only their owner can read.

    Parameters
    ----------
    directory : Path
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, name: str) -> Json:
        """Return the JWK or JWK Set; read anew each time, so that a rotated key is seen."""
        if not _NAME.match(name):
            raise ConfigurationError(f"key {name!r} is not the name of a key file")
        return read_key_file(self._directory / f"{name}.json")


def read_key_file(path: Path) -> Json:
    """Read a private JWK or JWK Set.

    Raises
    ------
    ConfigurationError
        When it is missing, others than the owner may read it, or it is not JSON.
    """
    try:
        with path.open("rb") as file:
            shared = os.name == "posix" and os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            content = file.read()
    except OSError as error:
        raise ConfigurationError(f"key file {path} cannot be read ({type(error).__name__})") from None
    if shared:
        raise ConfigurationError(f"key file {path} can be read by others; run: chmod 600 {path}")
    return parse_keys(content, f"key file {path}")


def parse_keys(content: bytes | str, where: str) -> Json:
    """Parse a JWK or JWK Set; parsers quote what they cannot read, so their errors are left out."""
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError:
        data = None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{where} is not a JWK")
    return data


def keys_of(stored: Json) -> list[Json]:
    """Return the JWKs of a JWK or JWK Set, in order."""
    keys = stored["keys"] if isinstance(stored.get("keys"), list) else [stored]
    return [key for key in keys if isinstance(key, dict)]


def signing_key(stored: Json, alg: Algorithm, kid: str | None, name: str) -> SigningKey:
    """Choose the key that signs.

    Parameters
    ----------
    stored : dict
        A private JWK or JWK Set.
    alg : {"ES384", "RS384"}
        The algorithm registered at the EHR.
    kid : str or None
        The key to take; None takes the first of `alg`.
    name : str
        Of the secret, for errors.

    Raises
    ------
    ConfigurationError
        When there is no such key, or it is no private key of this algorithm (RFC 8725, 3.1: a key is used with one
        algorithm only).
    """
    for key in keys_of(stored):
        if (kid is None and algorithm_of(key) == alg) or (kid is not None and key.get("kid") == kid):
            _check(key, alg, name)
            return SigningKey(key["kid"], alg, key)
    raise ConfigurationError(f"key {name!r} holds no key {'of ' + alg if kid is None else repr(kid)}")


def _check(key: Json, alg: Algorithm, name: str) -> None:
    if algorithm_of(key) != alg:
        raise ConfigurationError(f"key {name!r}: its type or alg is not that of {alg}")
    if not isinstance(key.get("d"), str):
        raise ConfigurationError(f"key {name!r} is not a private key")
    if not isinstance(key.get("kid"), str) or not key["kid"]:
        raise ConfigurationError(f"key {name!r} has no kid")
    if alg == "RS384" and len(str(key.get("n", ""))) * 6 < RSA_LEAST:
        raise ConfigurationError(f"key {name!r} is shorter than {RSA_LEAST} bits (RFC 7518, 3.3)")


def algorithm_of(key: Mapping[str, Any]) -> Algorithm | None:
    """Return the one algorithm a JWK may be used with, by its type and, where given, its ``alg`` and ``use``."""
    for alg in ALGORITHMS:
        kty, crv = KEY_TYPES[alg]
        fits = key.get("kty") == kty and crv in (None, key.get("crv"))
        if fits and key.get("alg", alg) == alg and key.get("use", "sig") == "sig":
            return alg
    return None


def new_key(alg: Algorithm) -> Json:
    """Make a private JWK with ``kid`` (from its thumbprint, RFC 7638), ``alg`` and ``use``."""
    from joserfc.jwk import ECKey, RSAKey

    key: Any = ECKey.generate_key("P-384") if alg == "ES384" else RSAKey.generate_key(RSA_BITS)
    jwk: Json = {**key.as_dict(private=True), "kid": f"bedside-{key.thumbprint()[:16]}", "alg": alg, "use": "sig"}
    return jwk


def public_set(stored: Iterable[Json]) -> dict[str, Sequence[Json]]:
    """Return the JWK Set to publish for private or public JWKs and sets (RFC 7517, 5).

    Members are taken by name, so that nothing private can slip through, whatever else a key carries.

    Raises
    ------
    ConfigurationError
        When a key is of neither algorithm, has no ``kid`` or lacks a member, or two keys share a ``kid``.
    """
    published: dict[str, Json] = {}
    for key in (key for entry in stored for key in keys_of(entry)):
        alg = algorithm_of(key)
        kid = key.get("kid")
        if alg is None or not isinstance(kid, str) or not kid:
            raise ConfigurationError("a key to publish has no kid, or is of neither ES384 nor RS384")
        members = {name: key.get(name) for name in PUBLIC[KEY_TYPES[alg][0]]}
        if not all(isinstance(value, str) and value for value in members.values()):
            raise ConfigurationError(f"key {kid!r} lacks a public member")
        jwk = {"kty": KEY_TYPES[alg][0], "kid": kid, "alg": alg, "use": "sig", **members}
        if published.setdefault(kid, jwk) != jwk:
            raise ConfigurationError(f"two keys share the kid {kid!r}")
    return {"keys": list(published.values())}
