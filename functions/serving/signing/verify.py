"""Verifying a package, before anything in it is read."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from fhir_adapter.codes import Json
from functions.serving.errors import ModelRefused
from functions.serving.signing.manifest import SIGNATURE, TYPE, Signed, digests
from functions.serving.signing.publishers import ALGORITHM, Publishers

__all__ = ["verify_package"]

LIMIT_BYTES = 256 * 1024
HEADER = frozenset({"alg", "kid", "typ"})


def verify_package(folder: Path, publishers: Publishers) -> Signed:
    """Check that a package is, file by file, what a trusted publisher signed.

    Parameters
    ----------
    folder : Path
        A package.
    publishers : Publishers
        Who is trusted.

    Returns
    -------
    Signed
        With the digests, to compare with what is read later.

    Raises
    ------
    ModelRefused
        Naming the rule: ``unsigned``; ``algorithm``, it is not ES384; ``key``, it names no key, or one that is not
        trusted; ``signature``, it is damaged or not made by that key; ``altered``, naming the file that was changed,
        removed or added since.
    """
    name = folder.name
    token = _token(folder)
    kid = _checked_header(name, token)
    jwk = publishers.key(kid)
    if jwk is None:
        detail = f"{SIGNATURE} was made with key {kid!r:.80}, which no trusted publisher has"
        raise ModelRefused(name, "key", f"{detail}; `bedside package trust` adds a publisher's keys")
    signed = _manifest(name, kid, _payload(name, token, jwk))
    found = digests(folder, "altered")
    for path in sorted(signed.files.keys() | found.keys()):
        if path not in found:
            raise ModelRefused(name, "altered", f"{path} was signed and is missing")
        if path not in signed.files:
            raise ModelRefused(name, "altered", f"{path} is not among the files that were signed")
        if found[path] != signed.files[path]:
            raise ModelRefused(name, "altered", f"{path} differs from what was signed")
    return signed


def _token(folder: Path) -> str:
    try:
        with (folder / SIGNATURE).open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise ModelRefused(
            folder.name, "unsigned", f"it has no {SIGNATURE}; `bedside package sign` makes one"
        ) from None
    except OSError as error:
        raise ModelRefused(folder.name, "signature", f"{SIGNATURE} is not readable ({type(error).__name__})") from None
    if len(content) > LIMIT_BYTES or not content.isascii():
        raise ModelRefused(folder.name, "signature", f"{SIGNATURE} is not a JWS")
    return content.decode("ascii").strip()


def _checked_header(name: str, token: str) -> str:
    """Return the ``kid``; everything else in the header is either as it must be, or refused."""
    from joserfc.util import urlsafe_b64decode

    try:
        header = orjson.loads(urlsafe_b64decode(token.split(".", 1)[0].encode()))
    except ValueError:  # binascii.Error and JSONDecodeError are of this kind
        header = None
    if not isinstance(header, dict) or token.count(".") != 2:
        raise ModelRefused(name, "signature", f"{SIGNATURE} is not a JWS in compact form")
    if header.get("alg") != ALGORITHM:
        raise ModelRefused(
            name, "algorithm", f"{SIGNATURE} says alg {header.get('alg')!r:.40}; only {ALGORITHM} is taken"
        )
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise ModelRefused(name, "key", f"{SIGNATURE} names no key (kid)")
    if header.get("typ") != TYPE:
        raise ModelRefused(name, "signature", f"{SIGNATURE} is not the signature of a package (typ)")
    if set(header) != HEADER:
        more = ", ".join(sorted(set(header) - HEADER))
        raise ModelRefused(name, "signature", f"{SIGNATURE} has header members that are not taken: {more:.80}")
    return kid


def _payload(name: str, token: str, jwk: Json) -> bytes:
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    try:
        key = ECKey.import_key(jwk)
    except (JoseError, ValueError):
        raise ModelRefused(name, "key", f"the trusted key {jwk['kid']!r} is not a key on P-384") from None
    try:
        return jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload
    except (JoseError, ValueError):
        raise ModelRefused(
            name, "signature", f"{SIGNATURE} was not made by key {jwk['kid']!r}, or is damaged"
        ) from None


def _manifest(name: str, kid: str, payload: bytes) -> Signed:
    try:
        data: Any = orjson.loads(payload)
        files = {str(path): str(digest) for path, digest in data["files"].items()}
        return Signed(str(data["name"]), str(data["version"]), kid, MappingProxyType(files))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelRefused(name, "signature", f"{SIGNATURE} lists no files") from None
