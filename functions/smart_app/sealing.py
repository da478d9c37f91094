"""Sessions as they lie in the store: encrypted, and bound to the browser they belong to.

Two secrets make the key of a record: one of ours, in Secrets Manager, and the browser's own, which is in its cookie and
nowhere else. Whoever has the table and our key still cannot read a session, and whoever has the cookie and the table
cannot either. AES-256-GCM (NIST SP 800-38D) with a key for each record by HKDF-SHA256 (RFC 5869), so that a nonce is
never used with the same key by chance.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhir_adapter.errors import ConfigurationError

__all__ = ["MasterKey", "Sealer", "master_keys", "secret_keys"]

VERSION = b"\x01"
SALT_BYTES, NONCE_BYTES = 16, 12
LEAST_CHARACTERS = 43
SECONDS_FRESH = 300


@dataclass(frozen=True)
class MasterKey:
    """One of our keys.

    Parameters
    ----------
    kid : str
        Its name, which lies open beside what it sealed; at most 255 bytes.
    secret : bytes
        At least 256 bits of randomness; never shown.
    """

    kid: str
    secret: bytes = field(repr=False)


class Sealer:
    """Seal and open records.

    Parameters
    ----------
    keys : callable
        Returns our keys, the one that seals first; asked each time, so that a rotated key is used at once.
    """

    def __init__(self, keys: Callable[[], Sequence[MasterKey]]) -> None:
        self._keys = keys

    def seal(self, name: str, browser_secret: str, plain: bytes) -> bytes:
        """Encrypt a record.

        Parameters
        ----------
        name : str
            Where it will lie; a record that is moved elsewhere does not open.
        browser_secret : str
            The other half of the key.

        Returns
        -------
        bytes
            version, length of kid, kid, salt, nonce, ciphertext with its tag.
        """
        master = self._keys()[0]
        kid, salt, nonce = master.kid.encode(), os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
        head = VERSION + bytes([len(kid)]) + kid
        cipher = AESGCM(_key(master, browser_secret, salt))
        return head + salt + nonce + cipher.encrypt(nonce, plain, head + name.encode())

    def open(self, name: str, browser_secret: str, sealed: bytes) -> bytes | None:
        """Decrypt a record; None when it is not one of ours, its key is gone, or it was changed or moved."""
        start = 2 + sealed[1] if sealed[:1] == VERSION and len(sealed) > 1 else len(sealed)
        head, rest = sealed[:start], sealed[start:]
        master = next((key for key in self._keys() if key.kid.encode() == head[2:]), None)
        if master is None or len(rest) <= SALT_BYTES + NONCE_BYTES:
            return None
        salt, nonce = rest[:SALT_BYTES], rest[SALT_BYTES : SALT_BYTES + NONCE_BYTES]
        cipher = AESGCM(_key(master, browser_secret, salt))
        try:
            return cipher.decrypt(nonce, rest[SALT_BYTES + NONCE_BYTES :], head + name.encode())
        except InvalidTag:
            return None


def _key(master: MasterKey, browser_secret: str, salt: bytes) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"bedside smart session")
    return derivation.derive(len(master.secret).to_bytes(4, "big") + master.secret + browser_secret.encode())


def master_keys(stored: Mapping[str, Any]) -> tuple[MasterKey, ...]:
    """Read our keys from the JSON of their secret.

    Parameters
    ----------
    stored : mapping
        ``{"kid": ..., "k": ...}``, or ``{"keys": [...]}`` of such while they are being rotated, the one that seals
        first. ``k`` is random text of at least 43 characters, as Secrets Manager generates it.

    Raises
    ------
    ConfigurationError
        Never quoting a key.
    """
    listed = stored["keys"] if isinstance(stored.get("keys"), list) else [stored]
    found = []
    for entry in listed:
        kid, secret = (entry.get("kid"), entry.get("k")) if isinstance(entry, Mapping) else (None, None)
        if not isinstance(kid, str) or not 0 < len(kid.encode()) < 256:
            raise ConfigurationError("the session key has no kid")
        if not isinstance(secret, str) or len(secret) < LEAST_CHARACTERS:
            raise ConfigurationError(f"the session key's k needs at least {LEAST_CHARACTERS} random characters")
        found.append(MasterKey(kid, secret.encode()))
    if not found:
        raise ConfigurationError("the session key's set is empty")
    return tuple(found)


def secret_keys(name: str) -> Callable[[], Sequence[MasterKey]]:
    """Return where our keys come from: a JSON secret in AWS Secrets Manager, at most five minutes old."""

    def keys() -> Sequence[MasterKey]:
        try:
            data: Any = parameters.get_secret(name, transform="json", max_age=SECONDS_FRESH)
        except (GetParameterError, TransformParameterError):
            raise ConfigurationError("the session key cannot be read (SESSION_KEY_SECRET)") from None
        if not isinstance(data, dict):
            raise ConfigurationError("the session key is not a JSON object (SESSION_KEY_SECRET)")
        return master_keys(data)

    return keys
