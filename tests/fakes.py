"""An EHR in memory, behind httpx's transport: batch, transaction, read, and the searches the functions send.

Whatever is put into it must be valid FHIR R4. What a test puts there raises where it is put; what our code sends is
answered with 422, as a strict server does, and fails the test at its end whatever became of the answer.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests import validator
from tests.validator.sent import SENT

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
    strict : bool
        Whether what arrives must be valid FHIR R4; a test that writes something invalid on purpose switches it off.
    """

    def __init__(self, *resources: Json) -> None:
        self.strict = True
        self.resources: dict[str, Json] = {}
        self.requests: list[httpx.Request] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] | None = None
        for resource in resources:
            self.put(resource)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def put(self, resource: Json) -> Json:
        """Store a resource as a new version.

        Raises
        ------
        tests.validator.Invalid
            It is not valid FHIR R4; :meth:`put_raw` takes it all the same.
        """
        if self.strict:
            validator.assert_valid(resource)
        return self.put_raw(resource)

    def put_raw(self, resource: Json) -> Json:
        """Store what a real server would not: for tests of what we do with it."""
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
        if request.method in {"POST", "PUT"} and not self._acceptable(request):
            return httpx.Response(422, json=outcome("invalid", "not valid FHIR R4"))
        if request.method == "POST" and not path:
            return httpx.Response(200, json=self._bundle(json.loads(request.content)))
        if request.method == "GET":
            status, body = self._get(path)
            return httpx.Response(status, json=body)
        if request.method == "PUT":
            return httpx.Response(200, json=self.put_raw(json.loads(request.content)))
        return httpx.Response(405, json=outcome("not-supported", "no such interaction"))

    def _acceptable(self, request: httpx.Request) -> bool:
        if not self.strict or "json" not in request.headers.get("Content-Type", ""):
            return True
        return SENT.check(json.loads(request.content))

    def _bundle(self, bundle: Json) -> Json:
        entries = []
        for entry in bundle["entry"]:
            request = entry["request"]
            if request["method"] == "GET":
                status, body = self._get(request["url"])
            else:
                status, body = 201, self.put_raw(entry["resource"])
            entries.append({"response": {"status": str(status)}, "resource": body})
        return {"resourceType": "Bundle", "type": f"{bundle['type']}-response", "entry": entries}

    def _get(self, path: str) -> tuple[int, Json]:
        parts = urlsplit(path)
        if "/" in parts.path:
            found = self.resources.get(parts.path)
            return (200, found) if found else (404, outcome("not-found", "no such resource"))
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


def outcome(code: str, text: str) -> Json:
    """Return an OperationOutcome of one error."""
    issue = {"severity": "error", "code": code, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
