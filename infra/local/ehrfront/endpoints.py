"""Where programs come: discovery, token, revocation, keys, in front of the guarded FHIR server."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.ehrfront.authority import SPOKEN, Authority, OAuthError
from infra.local.ehrfront.guard import FhirGuard

__all__ = ["configuration_of", "guarded"]

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
LONGEST_FORM = 20_000
FORM = "application/x-www-form-urlencoded"


def guarded(inner: ASGIApp, authority: Authority, backend_token: str) -> ASGIApp:
    """Return a FHIR server with its authorization server around it.

    Parameters
    ----------
    inner : ASGI application
        Serves the FHIR base.
    authority : Authority
    backend_token : str
        What `inner` accepts.
    """
    fhir = urlsplit(authority.fhir_base).path

    async def configuration(_request: Request) -> Response:
        return JSONResponse(configuration_of(authority))

    async def jwks(_request: Request) -> Response:
        return JSONResponse(authority.jwks)

    async def token(request: Request) -> Response:
        try:
            return JSONResponse(authority.token(await _form(request)), headers=NO_STORE)
        except OAuthError as error:
            return _refusal(error)

    async def revoke(request: Request) -> Response:
        try:
            authority.revoke(await _form(request))
        except OAuthError as error:
            return _refusal(error)
        return Response(status_code=200, headers=NO_STORE)

    return Starlette(
        routes=[
            Route(f"{fhir}/.well-known/smart-configuration", configuration),
            Route("/auth/jwks", jwks),
            Route("/auth/token", token, methods=["POST"]),
            Route("/auth/revoke", revoke, methods=["POST"]),
            Mount("/", _Bare(FhirGuard(inner, authority, backend_token))),
        ]
    )


def configuration_of(authority: Authority) -> dict[str, Any]:
    """The SMART configuration (SMART App Launch 2.2, Conformance)."""
    scopes = sorted({scope for client in authority.clients for scope in client.scopes} | SPOKEN)
    return {
        "issuer": authority.issuer,
        "jwks_uri": authority.jwks_url,
        "authorization_endpoint": authority.authorize_url,
        "token_endpoint": authority.token_url,
        "revocation_endpoint": authority.revoke_url,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES384", "RS384"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": scopes,
        "capabilities": [
            *("launch-ehr", "client-confidential-asymmetric", "sso-openid-connect", "permission-v2"),
            *("context-ehr-patient", "context-ehr-encounter", "context-banner", "permission-patient"),
            *("permission-user", "permission-online"),
        ],
    }


class _Bare:
    """Undo what a Mount does to the scope: the server behind knows its own paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "root_path": "", "app_root_path": ""}, receive, send)


async def _form(request: Request) -> dict[str, str]:
    """Read a form, each parameter once (RFC 6749, 3.2); nothing is taken from the address."""
    body = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM or request.url.query:
        raise OAuthError("invalid_request", "parameters come in a form, in the body")
    if "authorization" in request.headers:
        raise OAuthError("invalid_client", "two ways of client authentication", 401)
    try:
        pairs = parse_qsl(body[:LONGEST_FORM].decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise OAuthError("invalid_request", "the form cannot be read") from None
    if len(dict(pairs)) != len(pairs):
        raise OAuthError("invalid_request", "a parameter is there more than once")
    return dict(pairs)


def _refusal(error: OAuthError) -> Response:
    body = {"error": error.code, "error_description": error.description}
    return JSONResponse(body, error.status, headers=NO_STORE)
