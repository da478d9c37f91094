"""Whose packages are served, and whether a signature is demanded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import algorithm_of, keys_of, parse_keys, public_set

__all__ = ["ALGORITHM", "PUBLISHERS", "Publishers", "demanded"]

ALGORITHM: Final = "ES384"
# Travels with the functions; a deployment puts the public keys of those it trusts here.
PUBLISHERS = Path(__file__).parents[1] / "publishers.json"


class Publishers:
    """The public keys of the publishers whose packages are served.

    Parameters
    ----------
    stored : dict
        A JWK Set (RFC 7517, 5) or one JWK.
    where : str
        Where it comes from, for errors.

    Raises
    ------
    ConfigurationError
        A key is private, is not of ES384 or has no ``kid``, or two share one.
    """

    def __init__(self, stored: Json, where: str = "the publishers' keys") -> None:
        keys = keys_of(stored)
        for key in keys:
            if "d" in key or "k" in key:
                raise ConfigurationError(f"{where}: holds a private key; trusted publishers are public keys only")
            if algorithm_of(key) != ALGORITHM:
                raise ConfigurationError(f"{where}: key {key.get('kid')!r} is not one of {ALGORITHM}")
        try:
            published = public_set(keys)["keys"]
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
        self._keys: Mapping[str, Json] = {str(key["kid"]): key for key in published}

    def __repr__(self) -> str:
        return f"Publishers({', '.join(sorted(self._keys))})"

    def __len__(self) -> int:
        return len(self._keys)

    @classmethod
    def from_file(cls, path: Path) -> Publishers:
        """Read a JWK Set; without the file no publisher is trusted.

        Raises
        ------
        ConfigurationError
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls({"keys": []})
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read ({type(error).__name__})") from None
        return cls(parse_keys(content, str(path)), str(path))

    def key(self, kid: str) -> Json | None:
        """Return a publisher's public JWK."""
        return self._keys.get(kid)


def demanded() -> Publishers | None:
    """Return whose signature packages must bear in this deployment, None where it demands none.

    The environment variable ``REQUIRE_SIGNED_PACKAGES`` says so (``true`` or ``false``); the keys are those in
    `PUBLISHERS`.

    Raises
    ------
    ConfigurationError
        The variable is neither, or signatures are demanded and nobody is trusted.
    """
    said = os.environ.get("REQUIRE_SIGNED_PACKAGES", "false").lower()
    if said not in ("true", "false"):
        raise ConfigurationError("REQUIRE_SIGNED_PACKAGES must be true or false")
    if said == "false":
        return None
    publishers = Publishers.from_file(PUBLISHERS)
    if not len(publishers):
        detail = f"REQUIRE_SIGNED_PACKAGES is true, and {PUBLISHERS.name} trusts nobody"
        raise ConfigurationError(f"{detail}; `bedside package trust` adds a publisher's keys before deploying")
    return publishers
