"""A small DICOMweb server over an image store: what Bedside asks a PACS for, and nothing more (DICOM PS3.18)."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import (
    ImageNotFound,
    ImageStore,
    ImageStoreError,
    InstancePath,
    InvalidUid,
    Limits,
    NotAnInstance,
    StoreOutcome,
)
from fhir_adapter.dicomweb.multipart import boundary_of, parts_of
from infra.local.pacs import rows

__all__ = ["DicomwebApp"]

MAX_BODY = 512 * 1024 * 1024
SERIES = "/studies/{study}/series/{series}"
INSTANCE = SERIES + "/instances/{instance}"
Answered = Callable[[Request], Response]


class DicomwebApp:
    """The server.

    Parameters
    ----------
    store : ImageStore
        What is served.
    token : str
        Bearer token to ask for.
    prefix : str
        Path of the root.
    """

    def __init__(self, store: ImageStore, token: str, prefix: str = "/dicom-web") -> None:
        self._store = store
        self._token = token
        self._prefix = prefix
        gets: dict[str, Answered] = {
            "/studies": self._studies,
            "/studies/{study}/series": self._series,
            "/studies/{study}/instances": self._instances,
            SERIES + "/instances": self._instances,
            SERIES + "/metadata": self._metadata,
            INSTANCE + "/metadata": self._metadata,
            INSTANCE: self._instance,
            INSTANCE + "/frames/{frames}": self._frames,
            INSTANCE + "/bulk/{bulk:path}": self._bulk,
        }
        routes = [Route(prefix + path, self._guarded(answer), methods=["GET"]) for path, answer in gets.items()]
        self.app = Starlette(routes=[*routes, Route(prefix + "/studies", self._stow, methods=["POST"])])

    def _guarded(self, answer: Answered) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if not self._authorized(request):
                return _refusal(401)
            return await run_in_threadpool(_answered, answer, request)

        return endpoint

    def _authorized(self, request: Request) -> bool:
        sent = request.headers.get("authorization", "")
        return hmac.compare_digest(sent.encode("utf-8"), f"Bearer {self._token}".encode())

    def _studies(self, request: Request) -> Response:
        study = request.query_params.get("StudyInstanceUID")
        if study is None:
            return _refusal(400)
        return _page(request, map(rows.study, self._store.studies(study)))

    def _series(self, request: Request) -> Response:
        found = self._store.series(request.path_params["study"], request.query_params.get("SeriesInstanceUID"))
        return _page(request, map(rows.series, found))

    def _instances(self, request: Request) -> Response:
        at = request.path_params
        found = self._store.instances(at["study"], at.get("series"), request.query_params.get("SOPInstanceUID"))
        return _page(request, map(rows.instance, found))

    def _metadata(self, request: Request) -> Response:
        at = request.path_params
        found = self._store.metadata(at["study"], at["series"], at.get("instance"))
        root = str(request.base_url).rstrip("/") + self._prefix
        for dataset in found:
            resource = InstancePath(at["study"], at["series"], rows.sop_instance(dataset)).resource
            rows.make_absolute(dataset, f"{root}/{resource}/")
        return _json(found)

    def _instance(self, request: Request) -> Response:
        return _multipart("application/dicom", [("application/dicom", self._store.instance(_path_of(request)))])

    def _frames(self, request: Request) -> Response:
        try:
            numbers = [int(number) for number in request.path_params["frames"].split(",")]
        except ValueError:
            return _refusal(400)
        frames = self._store.frames(_path_of(request), numbers)
        kind = "application/octet-stream"
        return _multipart(kind, [(f"{kind}; transfer-syntax={frame.transfer_syntax}", frame.data) for frame in frames])

    def _bulk(self, request: Request) -> Response:
        value = self._store.bulk(_path_of(request), f"bulk/{request.path_params['bulk']}")
        return _multipart("application/octet-stream", [("application/octet-stream", value)])

    async def _stow(self, request: Request) -> Response:
        if not self._authorized(request):
            return _refusal(401)
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY:
                return _refusal(413)
        return await run_in_threadpool(self._stored, request.headers.get("content-type", ""), bytes(body))

    def _stored(self, content_type: str, body: bytes) -> Response:
        try:
            boundary = boundary_of(content_type)
            if boundary is None:
                return _refusal(415)
            outcomes, unreadable = [], 0
            for part in parts_of([body], boundary, Limits()):
                try:
                    outcomes.append(self._store.store([part.body]))
                except NotAnInstance:
                    unreadable += 1
        except ImageStoreError:
            return _refusal(400)
        outcome = StoreOutcome.together(outcomes)
        failed = bool(outcome.failed) or unreadable > 0
        # PS3.18, Table 10.5.3-1
        status = 200 if not failed else 202 if outcome.stored else 409
        return _json(rows.store_response(outcome), status)


def _answered(answer: Answered, request: Request) -> Response:
    try:
        return answer(request)
    except ImageNotFound:
        return _refusal(404)
    except InvalidUid:
        return _refusal(400)
    except ImageStoreError:
        return _refusal(406)


def _path_of(request: Request) -> InstancePath:
    at = request.path_params
    return InstancePath(at["study"], at["series"], at["instance"])


def _page(request: Request, found: Iterable[Json]) -> Response:
    try:
        offset, limit = (
            int(request.query_params.get(name, default)) for name, default in (("offset", 0), ("limit", 0))
        )
    except ValueError:
        return _refusal(400)
    every = list(found)
    page = every[offset : offset + limit] if limit else every[offset:]
    return _json(page) if page else Response(status_code=204)


def _json(found: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(found), status, media_type="application/dicom+json")


def _multipart(kind: str, parts: list[tuple[str, bytes]]) -> Response:
    boundary = secrets.token_hex(16)
    pieces: list[bytes] = []
    for content_type, body in parts:
        pieces += [f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode("ascii"), body, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return Response(b"".join(pieces), media_type=f'multipart/related; type="{kind}"; boundary={boundary}')


def _refusal(status: int) -> Response:
    return Response(status_code=status)
