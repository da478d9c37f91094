"""Signing a package, as its publisher."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType

import orjson
import yaml

from fhir_adapter.keys import SigningKey
from functions.serving.errors import ModelRefused
from functions.serving.signing.manifest import SIGNATURE, TYPE, Signed, digests
from functions.serving.signing.publishers import ALGORITHM

__all__ = ["sign_package"]


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
