"""What an API Gateway HTTP API does: real HTTP in, an event of payload format 2.0 to the function, and back.

Shapes as in "Working with AWS Lambda proxy integrations for HTTP APIs".
"""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

logger = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES = 10 * 1024 * 1024
ACCOUNT = "123456789012"
API_ID = "twin"
# Everything else travels as base64, application/fhir+json too.
TEXT = re.compile(r"text/|application/(json|xml|javascript)(;|$)", re.IGNORECASE)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

NOTIFY_ROUTES = (
    *(
        f"{method} /notify/{{tenant}}/{{subscription}}{rest}"
        for method in ("POST", "PUT", "DELETE")
        for rest in ("", "/{type}/{id}")
    ),
    "GET /.well-known/jwks.json",
)
SMART_ROUTES = (
    "GET /smart/{tenant}/{name}",
    "GET /smart/{tenant}/app/{view}",
    "GET /smart/{tenant}/app/{view}/{what}/{key}",
    "GET /smart/{tenant}/app/{view}/{what}/{key}/{name}",
    "POST /smart/{tenant}/app/{view}/close",
    "POST /smart/{tenant}/app/{view}/{what}/{key}",
)
CDS_ROUTES = tuple(
    f"{method} /cds/{{tenant}}/cds-services{rest}"
    for method, rests in (
        ("GET", ("",)),
        ("POST", ("/{service}", "/{service}/feedback")),
        ("OPTIONS", ("", "/{service}", "/{service}/feedback")),
    )
    for rest in rests
)

Invoker = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class MatchedRoute:
    """A route of the API, the path parameters that a request gave it, and who answers it."""

    key: str
    path_parameters: dict[str, str]
    invoke: Invoker


class Gateway:
    """The HTTP API as an ASGI application.

    Parameters
    ----------
    invoke : callable
        Takes the event, returns the function's answer; runs in a worker thread.
    routes : sequence of str
        Route keys, ``METHOD /path/{parameter}``.
    """

    def __init__(self, invoke: Invoker, routes: Sequence[str] = NOTIFY_ROUTES) -> None:
        self._routes: list[tuple[str, str, re.Pattern[str], Invoker]] = []
        self.add(invoke, routes)
        self._lock = threading.Lock()
        self.accepted = 0
        self.refused = 0
        self.app = Starlette(routes=[Route("/{path:path}", self._handle, methods=METHODS)])

    def add(self, invoke: Invoker, routes: Sequence[str]) -> None:
        """Have a further function answer routes; what an earlier one answers stays with it."""
        self._routes += [(key, *_pattern(key), invoke) for key in routes]

    async def _handle(self, request: Request) -> Response:
        route = self._match(request.method, request.scope["path"])
        if route is None:
            return JSONResponse({"message": "Not Found"}, 404)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_PAYLOAD_BYTES:
                return JSONResponse({"message": "Request Entity Too Large"}, 413)
        response = await run_in_threadpool(self._respond, to_event(request, body, route), route.invoke)
        with self._lock:
            if response.status_code < 300:
                self.accepted += 1
            else:
                self.refused += 1
        return response

    def _match(self, method: str, path: str) -> MatchedRoute | None:
        for key, wanted, pattern, invoke in self._routes:
            found = pattern.fullmatch(path) if wanted in (method, "ANY") else None
            if found:
                return MatchedRoute(key, found.groupdict(), invoke)
        return None

    def _respond(self, event: dict[str, Any], invoke: Invoker) -> Response:
        try:
            return to_response(invoke(event))
        except Exception as error:  # noqa: BLE001 - the edge: a handler that raises is a 500, as in the cloud
            logger.warning("the function raised %s", type(error).__name__)
            return JSONResponse({"message": "Internal Server Error"}, 500)


def to_event(request: Request, body: bytes, route: MatchedRoute) -> dict[str, Any]:
    """Return the event of payload format 2.0 for a request."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():  # lower-case; repeated ones are joined
        if name != "cookie":
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.url.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    now = datetime.now(UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.scope["path"],
        "rawQueryString": request.url.query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "domainName": headers.get("host", ""),
            "domainPrefix": headers.get("host", "").partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.scope["path"],
                "protocol": "HTTP/1.1",
                "sourceIp": request.client.host if request.client else "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": uuid.uuid4().hex,
            "routeKey": route.key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = query
    if route.path_parameters:
        event["pathParameters"] = route.path_parameters
    if "cookie" in request.headers:
        jar = SimpleCookie(request.headers["cookie"])
        event["cookies"] = [f"{name}={morsel.value}" for name, morsel in jar.items()]
    if body:
        text = bool(TEXT.match(headers.get("content-type", "")))
        event["isBase64Encoded"] = not text
        event["body"] = body.decode("utf-8", "replace") if text else base64.b64encode(body).decode("ascii")
    return event


def to_response(answer: dict[str, Any] | str | None) -> Response:
    """Return the HTTP response for what a function answered; without a status code it is a JSON body."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(json.dumps(answer), 200, media_type="application/json")
    body = answer.get("body") or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else str(body).encode()
    response = Response(content, int(answer["statusCode"]))
    for name, value in (answer.get("headers") or {}).items():
        response.headers[name] = str(value)
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        response.headers[name] = ",".join(str(value) for value in values)
    for cookie in answer.get("cookies") or []:
        response.headers.append("set-cookie", cookie)
    if content and "content-type" not in response.headers:
        response.headers["content-type"] = "application/json"
    return response


def _pattern(key: str) -> tuple[str, re.Pattern[str]]:
    method, _, path = key.partition(" ")
    pieces = re.split(r"\{(\w+)\}", path)
    expression = "".join(f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    return method, re.compile(expression)
