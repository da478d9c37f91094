"""The proxy in front of FHIR: an app's token opens what its scopes say, in the open chart, and nothing else.

The backend's own token passes to the server behind untouched. An app's request is checked before it is sent on, with
each entry of a batch for itself and a transaction as a whole; and what comes back is checked again, since a search may
find more than it should.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.ehrfront.authority import Authority, Grant
from infra.local.ehrfront.compartment import PATIENT_PARAMETERS, SHARED, belongs, relative
from infra.local.ehrfront.scopes import level_of

__all__ = ["FhirGuard"]

FHIR_JSON = "application/fhir+json"
LONGEST = 4 * 1_048_576
PASSED_ON = ("if-match", "if-none-exist", "if-none-match", "prefer", "accept")
SENT_BACK = ("etag", "last-modified", "location")
LETTERS = {"POST": "c", "PUT": "u", "PATCH": "u", "DELETE": "d"}


class _Refused(Exception):
    """An interaction that the token does not open."""

    def __init__(self, why: str, status: int = 403) -> None:
        super().__init__(why)
        self.status = status


class FhirGuard:
    """An ASGI application around a FHIR server.

    Parameters
    ----------
    inner : ASGI application
    authority : Authority
    backend_token : str
        What the server behind accepts; passed through.
    """

    def __init__(self, inner: ASGIApp, authority: Authority, backend_token: str) -> None:
        self._inner = inner
        self._authority = authority
        self._base = authority.fhir_base
        self._backend = backend_token
        self._root = urlsplit(self._base).path
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _bearer(scope)
        open_to_all = scope["path"].startswith(f"{self._root}/metadata")
        if not token or open_to_all or hmac.compare_digest(token, self._backend):
            await self._inner(scope, receive, send)
            return
        response = await self._answer(Request(scope, receive), token)
        self.refused += response.status_code in (401, 403)
        await response(scope, receive, send)

    async def _answer(self, request: Request, token: str) -> Response:
        grant = self._authority.grant_of(token)
        if grant is None:
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return _outcome(401, "login", "the token is not known, not any more, or not yet", headers)
        if grant.delay:
            await asyncio.sleep(grant.delay)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST:
                return _outcome(413, "too-long", "the body is too large")
        path = request.url.path.removeprefix(self._root).strip("/")
        url = f"{path}?{request.url.query}" if request.url.query else path
        headers = {name: value for name, value in request.headers.items() if name in PASSED_ON}
        try:
            resource = json.loads(body) if body else None
            if request.method == "POST" and not path:
                return await self._bundle(grant, resource or {})
            await self._permit(grant, request.method, url, resource)
            answered = await self._send(request.method, url, body, headers)
            return await self._checked(grant, request.method, answered)
        except ValueError:
            return _outcome(400, "structure", "the body is not JSON")
        except _Refused as refusal:
            return _outcome(refusal.status, "forbidden", str(refusal))

    async def _bundle(self, grant: Grant, bundle: Mapping[str, Any]) -> Response:
        entries = bundle.get("entry") or []
        within = {entry.get("fullUrl"): entry.get("resource") for entry in entries if entry.get("fullUrl")}
        for entry in entries:
            if entry.get("request", {}).get("method") == "PUT":
                within[entry["request"].get("url")] = entry.get("resource")
        refusals: dict[int, _Refused] = {}
        for index, entry in enumerate(entries):
            asked = entry.get("request", {})
            try:
                await self._permit(grant, asked.get("method"), asked.get("url", ""), entry.get("resource"), within)
            except _Refused as refusal:
                if bundle.get("type") != "batch":
                    raise
                refusals[index] = refusal
        allowed = [entry for index, entry in enumerate(entries) if index not in refusals]
        body = json.dumps({**bundle, "entry": allowed}).encode()
        answered = await self._send("POST", "", body, {}) if allowed else None
        if answered is not None and answered.status_code >= 300:
            return Response(answered.content, answered.status_code, media_type=FHIR_JSON)
        given = iter(answered.json().get("entry", []) if answered is not None else [])
        whole = [
            _entry(refusals[index]) if index in refusals else await self._checked_entry(grant, entry, next(given, {}))
            for index, entry in enumerate(entries)
        ]
        kind = f"{bundle.get('type')}-response"
        return JSONResponse({"resourceType": "Bundle", "type": kind, "entry": whole}, media_type=FHIR_JSON)

    async def _permit(
        self,
        grant: Grant,
        method: str | None,
        url: str,
        resource: Mapping[str, Any] | None,
        within: Mapping[Any, Any] | None = None,
    ) -> None:
        """Refuse what the scopes do not open; `within` are the resources of the same transaction."""
        parts = urlsplit(relative(url, self._base))
        pieces = parts.path.strip("/").split("/")
        kind, identifier = pieces[0], pieces[1] if len(pieces) > 1 else ""
        if parts.scheme or identifier.startswith("_") or method not in ("GET", *LETTERS):
            raise _Refused("not offered to apps", 405)
        letter = LETTERS.get(method, "r" if identifier else "s")
        level = level_of(grant.scopes, kind, letter)
        if level is None:
            raise _Refused(f"no scope opens {kind}.{letter}")
        if level == "user":
            return
        if letter == "s":
            self._permit_search(grant, kind, parts.query)
        if letter in "cud":
            await self._permit_write(grant, kind, identifier, letter, resource, within or {})

    def _permit_search(self, grant: Grant, kind: str, query: str) -> None:
        pairs = parse_qsl(query, keep_blank_values=True)
        if any(":" in name or "." in name or name in ("_has", "_include", "_revinclude") for name, _ in pairs):
            raise _Refused("chained and including searches are not offered to apps")
        whose = {f"Patient/{grant.patient}", grant.patient}
        names = ("_id",) if kind == "Patient" else PATIENT_PARAMETERS
        values = [relative(value, self._base) for name, value in pairs if name in names]
        if kind in SHARED or kind == "DocumentReference":
            values = values or [grant.patient]
        # a Provenance is found by what it is of, and each one found is checked
        if kind == "Provenance" and any(name == "target" for name, _ in pairs):
            values = values or [grant.patient]
        if not values or not whose.issuperset(values):
            raise _Refused("the search must name the patient whose chart is open")

    async def _permit_write(
        self,
        grant: Grant,
        kind: str,
        identifier: str,
        letter: str,
        resource: Mapping[str, Any] | None,
        within: Mapping[Any, Any],
    ) -> None:
        async def read(reference: str) -> Mapping[str, Any] | None:
            known = within.get(reference)
            return known if known is not None else await self._stored(reference)

        if identifier:
            before = await self._stored(f"{kind}/{identifier}")
            if before is None and level_of(grant.scopes, kind, "c") is None:
                raise _Refused(f"no scope opens {kind}.c")
            if before is not None and not await belongs(before, grant.patient, self._base, read, writing=True):
                raise _Refused("another patient's, or nobody's")
        if letter == "d":
            return
        if resource is None or resource.get("resourceType") != kind or resource.get("id", "") != identifier:
            raise _Refused("type and id of the body are not those of the address", 400)
        if not await belongs(resource, grant.patient, self._base, read, writing=True):
            raise _Refused("it would be another patient's, or nobody's")

    async def _visible(self, grant: Grant, resource: Mapping[str, Any]) -> bool:
        kind = str(resource.get("resourceType"))
        level = level_of(grant.scopes, kind, "r") or level_of(grant.scopes, kind, "s")
        if kind == "OperationOutcome" or level == "user":
            return True
        return level is not None and await belongs(resource, grant.patient, self._base, self._stored)

    async def _checked(self, grant: Grant, method: str, answered: httpx.Response) -> Response:
        headers = {name: answered.headers[name] for name in SENT_BACK if name in answered.headers}
        found = answered.json() if answered.content else None
        # the answer to a write is what was written, and that was looked at before
        if isinstance(found, dict) and answered.status_code < 300 and method == "GET":
            if found.get("resourceType") == "Bundle":
                found = await self._filtered(grant, found)
            elif not await self._visible(grant, found):
                raise _Refused("another patient's")
        if found is None:
            return Response(status_code=answered.status_code, headers=headers)
        return JSONResponse(found, answered.status_code, headers, media_type=FHIR_JSON)

    async def _checked_entry(
        self, grant: Grant, asked: Mapping[str, Any], entry: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        found = entry.get("resource")
        if not isinstance(found, dict) or asked["request"]["method"] != "GET":
            return entry
        if found.get("resourceType") == "Bundle":
            return {**entry, "resource": await self._filtered(grant, found)}
        return entry if await self._visible(grant, found) else _entry(_Refused("another patient's"))

    async def _filtered(self, grant: Grant, bundle: Mapping[str, Any]) -> dict[str, Any]:
        entries = [entry for entry in bundle.get("entry", []) if await self._visible(grant, entry.get("resource", {}))]
        return {**bundle, "entry": entries}

    async def _stored(self, reference: str) -> Mapping[str, Any] | None:
        answered = await self._send("GET", reference, b"", {})
        found = answered.json() if answered.status_code == 200 else None
        return found if isinstance(found, dict) else None

    async def _send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        sent = {**headers, "authorization": f"Bearer {self._backend}", "content-type": FHIR_JSON}
        sent.setdefault("accept", FHIR_JSON)
        transport = httpx.ASGITransport(app=self._inner)
        async with httpx.AsyncClient(transport=transport, timeout=60.0) as http:
            return await http.request(method, f"{self._base}/{url}".rstrip("/"), content=body, headers=sent)


def _bearer(scope: Scope) -> str:
    found: bytes = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, token = found.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.isascii() else ""


def _outcome(status: int, code: str, why: str, headers: Mapping[str, str] | None = None) -> Response:
    issue = {"severity": "error", "code": code, "diagnostics": why}
    return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, status, headers, media_type=FHIR_JSON)


def _entry(refusal: _Refused) -> dict[str, Any]:
    issue = {"severity": "error", "code": "forbidden", "diagnostics": str(refusal)}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    return {"response": {"status": str(refusal.status), "outcome": outcome}, "resource": outcome}
