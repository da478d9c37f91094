"""Bedside's public keys, where EHRs fetch them (RFC 7517, 5; SMART App Launch 2.2, Client Authentication: Asymmetric).

The document is made when keys are made and kept in Parameter Store, so that the receiver, which the internet can reach,
needs no access to a private key. Its members are taken by name once more before they are shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import public_set

__all__ = ["CACHE_SECONDS", "jwks_document", "jwks_response"]

# A key is retired no sooner than so long after its successor was published.
CACHE_SECONDS = 3600
SECONDS_FRESH = 300


def jwks_document(keys: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JWK Set of JWKs and JWK Sets, private or public; only public members get in.

    Raises
    ------
    ConfigurationError
        When a key is not one that Bedside signs with.
    """
    return dict(public_set(dict(key) for key in keys))


def jwks_response() -> Response[str]:
    """Answer ``GET /.well-known/jwks.json`` from the parameter that ``JWKS_PARAMETER`` names.

    Without one there are no keys, and the set is empty.

    Raises
    ------
    ConfigurationError
        When the parameter cannot be read or is no JWK Set.
    """
    name = os.environ.get("JWKS_PARAMETER")
    body = orjson.dumps(jwks_document([_published(name)] if name else [])).decode()
    headers: dict[str, str | list[str]] = {"Cache-Control": f"public, max-age={CACHE_SECONDS}"}
    return Response(200, content_type="application/json", body=body, headers=headers)


def _published(name: str) -> dict[str, Any]:
    try:
        data: Any = parameters.get_parameter(name, transform="json", max_age=SECONDS_FRESH)
    except (GetParameterError, TransformParameterError):
        raise ConfigurationError("the published keys cannot be read (JWKS_PARAMETER)") from None
    if not isinstance(data, dict):
        raise ConfigurationError("the published keys are not a JWK Set (JWKS_PARAMETER)")
    return data
