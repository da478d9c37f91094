"""Signed model packages: one JSON Web Signature over the digests of every file of a package.

``model.jws`` is a JWS in compact form (RFC 7515, 7.1). Its payload lists the package's name and version and the SHA-256
of each other file of the folder, so that a model, its contract, its terminology, its card or its report cannot be
changed, taken away or added to without notice. One algorithm is accepted, whatever a header says; a key is looked up
by its ``kid`` among the publishers a deployment trusts, and never taken from the signature itself (RFC 8725, 3.1 and
3.10).

Nothing here reads a contract, so that reading a contract can begin with :func:`verify_package`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson
import yaml

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import SigningKey, algorithm_of, keys_of, parse_keys, public_set
from functions.serving.errors import ModelRefused

__all__ = [
    "ALGORITHM",
    "PUBLISHERS",
    "SIGNATURE",
    "Publishers",
    "Signed",
    "demanded",
    "digests",
    "sign_package",
    "verify_package",
]

ALGORITHM: Final = "ES384"
SIGNATURE = "model.jws"
# RFC 8725, 3.11: a token that a publisher signed for another purpose is not a signature of a package.
TYPE = "bedside-package+jws"
# Travels with the functions; a deployment puts the public keys of those it trusts here.
PUBLISHERS = Path(__file__).with_name("publishers.json")
LIMIT_BYTES = 256 * 1024
HEADER = frozenset({"alg", "kid", "typ"})


@dataclass(frozen=True)
class Signed:
    """What a publisher signed.

    Parameters
    ----------
    name, version : str
        Of the package.
    kid : str
        The publisher's key.
    files : mapping of str to str
        Hexadecimal SHA-256 by path in the folder, with ``/``.
    """

    name: str
    version: str
    kid: str
    files: Mapping[str, str]


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


def digests(folder: Path, rule: str = "file") -> dict[str, str]:
    """Return the SHA-256 of every file of a package but its signature, by path, in order.

    Raises
    ------
    ModelRefused
        By `rule`: something in the folder is not a plain file, or cannot be read.
    """
    found: dict[str, str] = {}
    for path in sorted(_walk(folder)):
        name = path.relative_to(folder).as_posix()
        if name == SIGNATURE:
            continue
        if path.is_symlink() or not path.is_file():
            raise ModelRefused(folder.name, rule, f"{name} is not a plain file")
        try:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            raise ModelRefused(folder.name, rule, f"{name} is not readable") from None
    return found


def _walk(folder: Path) -> list[Path]:
    """Return everything below a folder that is not a folder; a link to a folder is not followed."""
    found = []
    for root, folders, files in os.walk(folder):
        here = Path(root)
        found += [here / name for name in files]
        found += [here / name for name in folders if (here / name).is_symlink()]
    return found


def sign_package(folder: Path, key: SigningKey) -> Signed:
    """Sign a package: write its ``model.jws``.

    Parameters
    ----------
    folder : Path
        With ``model.yaml``.
    key : SigningKey
        The publisher's private key.

    Raises
    ------
    ModelRefused
        ``contract``: no name and version in ``model.yaml``; ``algorithm``: the key is not one of ES384; ``file``: the
        folder holds something that is not a plain file, or a hidden one that got there by accident.
    """
    if key.alg != ALGORITHM:
        raise ModelRefused(folder.name, "algorithm", f"packages are signed with {ALGORITHM}, not {key.alg}")
    name, version = _identity(folder)
    files = digests(folder)
    hidden = next((path for path in files if any(part.startswith(".") for part in path.split("/"))), None)
    if hidden:
        raise ModelRefused(folder.name, "file", f"{hidden} is a hidden file; remove it before signing")
    payload = orjson.dumps({"name": name, "version": version, "files": files}, option=orjson.OPT_SORT_KEYS)
    token = _serialize({"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}, payload, key)
    beside = folder / f".{SIGNATURE}.{os.getpid()}"
    try:
        beside.write_text(token + "\n", encoding="ascii")
        beside.replace(folder / SIGNATURE)
    finally:
        beside.unlink(missing_ok=True)
    return Signed(name, version, key.kid, MappingProxyType(files))


def _identity(folder: Path) -> tuple[str, str]:
    try:
        data = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
        return str(data["name"]), str(data["version"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise ModelRefused(folder.name, "contract", "model.yaml does not give a name and a version") from None


def _serialize(header: dict[str, str], payload: bytes, key: SigningKey) -> str:
    from joserfc import jws
    from joserfc.jwk import ECKey

    return jws.serialize_compact(header, payload, ECKey.import_key(key.jwk), algorithms=[ALGORITHM])


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
        raise ModelRefused(name, "key", f"{SIGNATURE} was made with key {kid!r:.80}, which no trusted publisher has")
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
        raise ModelRefused(folder.name, "unsigned", f"it has no {SIGNATURE}") from None
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
        raise ConfigurationError(f"REQUIRE_SIGNED_PACKAGES is true, and {PUBLISHERS.name} trusts nobody")
    return publishers
