"""Trusting a publisher: its public keys go beside the functions, where they look before they serve a package."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import parse_keys, public_set
from functions.serving.signing import Publishers
from infra.cli.package.report import Report, Step

__all__ = ["trust"]


def trust(keys: Path, publishers: Path) -> Report:
    """Add a publisher's public keys to those that are trusted.

    Parameters
    ----------
    keys : Path
        A JWK Set or JWK, or what ``bedside keys ... --json`` printed. Of private keys the public half is taken.
    publishers : Path
        A JWK Set; made where there is none. Keys that are there already stay.

    Raises
    ------
    ConfigurationError
        A file cannot be read, a key is not one of ES384 or has no ``kid``, or another key has its name.
    """
    added = _public(keys)
    there = _public(publishers) if publishers.exists() else []
    fresh = [key for key in added if key not in there]
    everyone = {"keys": [*there, *fresh]}
    Publishers({"keys": added}, str(keys))
    Publishers(everyone, f"{publishers} with {keys}")
    report = Report(str(publishers), place=str(publishers))
    for key in added:
        words = "is trusted" if key in fresh else "was trusted already"
        report.steps.append(Step("key", "passed", f"{key['kid']} {words}"))
    if fresh:
        beside = publishers.with_name(f".{publishers.name}.{os.getpid()}")
        try:
            beside.write_text(json.dumps(everyone, indent=2) + "\n", encoding="utf-8")
            beside.replace(publishers)
        finally:
            beside.unlink(missing_ok=True)
    return report


def _public(path: Path) -> list[Json]:
    try:
        stored = parse_keys(path.read_bytes(), str(path))
        inner = stored.get("jwks")
        found = list(public_set([inner if isinstance(inner, dict) else stored])["keys"])
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__})") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path} is not a set of public keys: {error}") from None
    return found
