"""An EHR in memory, behind httpx's transport: batch, transaction, read, and the searches the functions send."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

Json = dict[str, Any]
BASE = "https://ehr.test/fhir"


class FakeEhr:
    """Keeps resources by ``Type/id``; counts requests; can be told to fail.

    Attributes
    ----------
    requests : list of httpx.Request
        Everything that arrived.
    before : callable or None
        Called with each request first; a response it returns is sent instead.
    """

    def __init__(self, *resources: Json) -> None:
        self.resources: dict[str, Json] = {}
        self.requests: list[httpx.Request] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] | None = None
        for resource in resources:
            self.put(resource)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def put(self, resource: Json) -> Json:
        key = f"{resource['resourceType']}/{resource['id']}"
        version = int(self.resources.get(key, {}).get("meta", {}).get("versionId", 0)) + 1
        stored = copy.deepcopy(resource)
        stored["meta"] = {**stored.get("meta", {}), "versionId": str(version), "lastUpdated": "2026-01-01T00:00:00Z"}
        self.resources[key] = stored
        return stored

    def of_type(self, kind: str) -> list[Json]:
        return [found for found in self.resources.values() if found["resourceType"] == kind]

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        instead = self.before(request) if self.before else None
        if instead is not None:
            return instead
        path = str(request.url).removeprefix(BASE).lstrip("/")
        if request.method == "POST" and not path:
            return httpx.Response(200, json=self._bundle(json.loads(request.content)))
        if request.method == "GET":
            status, body = self._get(path)
            return httpx.Response(status, json=body)
        if request.method == "PUT":
            return httpx.Response(200, json=self.put(json.loads(request.content)))
        return httpx.Response(405, json={"resourceType": "OperationOutcome", "issue": []})

    def _bundle(self, bundle: Json) -> Json:
        entries = []
        for entry in bundle["entry"]:
            request = entry["request"]
            if request["method"] == "GET":
                status, body = self._get(request["url"])
            else:
                status, body = 201, self.put(entry["resource"])
            entries.append({"response": {"status": str(status)}, "resource": body})
        return {"resourceType": "Bundle", "type": f"{bundle['type']}-response", "entry": entries}

    def _get(self, path: str) -> tuple[int, Json]:
        parts = urlsplit(path)
        if "/" in parts.path:
            found = self.resources.get(parts.path)
            return (200, found) if found else (404, {"resourceType": "OperationOutcome", "issue": []})
        query = dict(parse_qsl(parts.query))
        matches = [found for found in self.of_type(parts.path) if self._matches(found, query)]
        entry = [{"resource": found, "search": {"mode": "match"}} for found in matches]
        return 200, {"resourceType": "Bundle", "type": "searchset", "entry": entry}

    @staticmethod
    def _matches(resource: Json, query: dict[str, str]) -> bool:
        if "patient" in query and resource.get("subject", {}).get("reference") != f"Patient/{query['patient']}":
            return False
        tags = [f"{tag['system']}|{tag['code']}" for tag in resource.get("meta", {}).get("tag", [])]
        if "_tag" in query and query["_tag"] not in tags:
            return False
        codes = [f"{item['system']}|{item['code']}" for item in resource.get("code", {}).get("coding", [])]
        return "code" not in query or any(code in query["code"].split(",") for code in codes)
