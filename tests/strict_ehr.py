"""A stricter EHR in memory: versions, If-Match, conditional create, atomic transactions, history, a clock.

What a FHIR R4 server must do to several writers at once (http.html#concurrency, #ccreate, #transaction), behind
httpx's transport and one lock. What it offers can be taken away, one thing at a time.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import httpx

from tests import validator
from tests.fakes import BASE

Json = dict[str, Any]
ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "GET": 3}


class Clock:
    """A clock that only moves when told to."""

    def __init__(self, now: datetime = datetime(2026, 1, 10, 9, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


class Refused(Exception):
    def __init__(self, status: int, code: str = "processing") -> None:
        super().__init__(status)
        self.status = status
        self.code = code


@dataclass
class Offers:
    """What the server does, and says that it does."""

    transaction: bool = True
    update_create: bool = True
    searches_inside: bool = True
    backport: bool = False
    events: bool = False
    subscriptions: bool = True
    topics: tuple[str, ...] = ()


class StrictEhr:
    """Resources by ``Type/id``, every version kept.

    Attributes
    ----------
    before, committed : callable or None
        Called with each request before it is looked at, and after its writes are stored but before it is answered;
        may raise, as a lost connection does. Never called under the lock.
    """

    def __init__(self, *resources: Json, clock: Clock | None = None, offers: Offers | None = None) -> None:
        self.clock = clock or Clock()
        self.offers = offers or Offers()
        self.resources: dict[str, Json] = {}
        self.history: dict[str, list[Json]] = {}
        self.gone: set[str] = set()
        self.requests: list[httpx.Request] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] | None = None
        self.committed: Callable[[httpx.Request], None] | None = None
        self.down = False
        self.activates = "active"
        self.event_log: list[tuple[int, str]] = []
        self._lock = threading.RLock()
        for resource in resources:
            self.put(resource)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    # -- for tests --

    def put(self, resource: Json) -> Json:
        validator.assert_valid(resource)
        with self._lock:
            return self._store(resource)

    def delete(self, reference: str) -> None:
        with self._lock:
            self.resources.pop(reference)
            self.gone.add(reference)

    def of_type(self, kind: str) -> list[Json]:
        with self._lock:
            return [found for key, found in self.resources.items() if key.startswith(kind + "/")]

    def live(self, kind: str = "RiskAssessment") -> list[Json]:
        return [found for found in self.of_type(kind) if found["status"] != "entered-in-error"]

    # -- HTTP --

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.down:
            raise httpx.ConnectError("down")
        instead = self.before(request) if self.before else None
        if instead is not None:
            return instead
        try:
            with self._lock:
                answer = self._answer(request)
        except Refused as refused:
            issue = [{"severity": "error", "code": refused.code}]
            return httpx.Response(refused.status, json={"resourceType": "OperationOutcome", "issue": issue})
        if self.committed and request.method != "GET":
            self.committed(request)
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = str(request.url).removeprefix(BASE).lstrip("/")
        if request.method == "POST" and not path:
            return httpx.Response(200, json=self._bundle(json.loads(request.content)))
        body = json.loads(request.content) if request.content else None
        none_exist, match = request.headers.get("if-none-exist"), request.headers.get("if-match")
        status, found = self._do(request.method, path, body, none_exist, match)
        headers = {}
        if request.method in ("POST", "PUT"):
            headers["Location"] = _location(found)
        return httpx.Response(status, json=found, headers=headers)

    def _bundle(self, bundle: Json) -> Json:
        if bundle["type"] == "transaction":
            return self._transaction(bundle)
        entries = []
        for entry in bundle["entry"]:
            try:
                status, found = self._do(entry["request"]["method"], entry["request"]["url"])
                entries.append({"response": {"status": str(status)}, "resource": found})
            except Refused as refused:
                entries.append({"response": {"status": str(refused.status)}})
        return {"resourceType": "Bundle", "type": "batch-response", "entry": entries}

    def _transaction(self, bundle: Json) -> Json:
        """All or nothing; in the order of the standard, whatever the order sent."""
        if not self.offers.transaction:
            raise Refused(405, "not-supported")
        entries: list[Json] = copy.deepcopy(bundle["entry"])
        if not self.offers.searches_inside and any(entry["request"]["method"] == "GET" for entry in entries):
            raise Refused(400, "not-supported")
        before = (dict(self.resources), {key: list(found) for key, found in self.history.items()}, set(self.gone))
        answers: dict[int, Json] = {}
        try:
            names = self._names(entries)
            for index in sorted(range(len(entries)), key=lambda index: ORDER[entries[index]["request"]["method"]]):
                request = entries[index]["request"]
                resource = _renamed(entries[index].get("resource"), names)
                status, found = self._do(
                    request["method"], request["url"], resource, request.get("ifNoneExist"), request.get("ifMatch")
                )
                if request["method"] == "POST" and names.get(entries[index].get("fullUrl", "")):
                    # the id was promised to the references before
                    assert names[entries[index]["fullUrl"]] == f"{found['resourceType']}/{found['id']}"
                response = {"status": str(status)}
                if request["method"] != "GET":
                    response["location"] = _location(found)
                answers[index] = {"response": response, "resource": found}
        except Refused:
            self.resources, self.history, self.gone = before
            raise
        return {
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": [answers[index] for index in range(len(entries))],
        }

    def _names(self, entries: list[Json]) -> dict[str, str]:
        names = {}
        for entry in entries:
            request = entry["request"]
            if request["method"] == "POST" and entry.get("fullUrl"):
                found = self._matching(request["url"], request["ifNoneExist"]) if "ifNoneExist" in request else []
                identifier = found[0]["id"] if found else str(uuid4())
                names[entry["fullUrl"]] = f"{request['url']}/{identifier}"
                entry["resource"]["id"] = identifier
        return names

    # -- interactions --

    def _do(
        self,
        method: str,
        path: str,
        resource: Json | None = None,
        none_exist: str | None = None,
        match: str | None = None,
    ) -> tuple[int, Json]:
        if method == "GET":
            return 200, self._get(path)
        assert resource is not None
        if method == "PUT":
            return self._update(path, resource, match)
        return self._create(path, resource, none_exist)

    def _update(self, path: str, resource: Json, match: str | None) -> tuple[int, Json]:
        assert path == f"{resource['resourceType']}/{resource['id']}"
        current = self.resources.get(path)
        if match is not None and (current is None or match != f'W/"{current["meta"]["versionId"]}"'):
            raise Refused(412, "conflict")
        if current is None and not self.offers.update_create:
            raise Refused(405, "not-supported")
        return (200 if current else 201), self._store(resource)

    def _create(self, kind: str, resource: Json, none_exist: str | None) -> tuple[int, Json]:
        if none_exist is not None:
            found = self._matching(kind, none_exist)
            if len(found) > 1:
                raise Refused(412, "multiple-matches")
            if found:
                return 200, found[0]
        identifier = resource.get("id")
        if identifier is None or f"{kind}/{identifier}" in self.resources:
            identifier = str(uuid4())
        return 201, self._store({**resource, "id": identifier})

    def _store(self, resource: Json) -> Json:
        key = f"{resource['resourceType']}/{resource['id']}"
        versions = self.history.setdefault(key, [])
        stored: Json = copy.deepcopy(resource)
        stored["meta"] = {
            **stored.get("meta", {}),
            "versionId": str(len(versions) + 1),
            "lastUpdated": self.clock().isoformat(),
        }
        if stored["resourceType"] == "Subscription" and stored["status"] == "requested":
            stored["status"] = self.activates
        versions.append(stored)
        self.resources[key] = stored
        self.gone.discard(key)
        return stored

    def _get(self, path: str) -> Json:
        parts = urlsplit(path)
        if parts.path == "metadata":
            return self._statement()
        segments = parts.path.split("/")
        if segments[-1].startswith("$"):
            return self._operation(segments, dict(parse_qsl(parts.query)))
        if len(segments) == 4:
            versions = self.history.get("/".join(segments[:2]), [])
            found = next((item for item in versions if item["meta"]["versionId"] == segments[3]), None)
            if found is None:
                raise Refused(404, "not-found")
            return found
        if len(segments) == 2:
            if parts.path in self.gone:
                raise Refused(410, "deleted")
            if parts.path not in self.resources:
                raise Refused(404, "not-found")
            return self.resources[parts.path]
        return self._search(parts.path, parts.query)

    def _search(self, kind: str, query: str) -> Json:
        parameters = parse_qsl(query)
        control = {key: value for key, value in parameters if key.startswith("_") and key not in ("_id", "_tag")}
        found = self._matching(kind, query)
        sort = control.get("_sort", "")
        if sort.lstrip("-") == "_lastUpdated":
            found.sort(key=lambda item: str(item["meta"]["lastUpdated"]), reverse=sort.startswith("-"))
        start, count = int(control.get("_offset", 0)), int(control.get("_count", 50))
        bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "link": []}
        bundle["entry"] = [{"resource": item, "search": {"mode": "match"}} for item in found[start : start + count]]
        if start + count < len(found):
            rest = [(key, value) for key, value in parameters if key != "_offset"]
            url = f"{BASE}/{kind}?" + urlencode([*rest, ("_offset", str(start + count))])
            bundle["link"] = [{"relation": "next", "url": url}]
        return bundle

    def _matching(self, kind: str, query: str) -> list[Json]:
        wanted = parse_qsl(query)
        prefix = kind + "/"
        return [
            found
            for key, found in self.resources.items()
            if key.startswith(prefix) and all(_fits(found, name, value) for name, value in wanted)
        ]

    # -- what it says of itself --

    def _statement(self) -> Json:
        kinds = ["Device", "DocumentReference", "Encounter", "Observation", "Patient", "Provenance", "RiskAssessment"]
        resources: list[Json] = [{"type": kind, "updateCreate": self.offers.update_create} for kind in kinds]
        if self.offers.subscriptions:
            resources.append(self._subscription_statement())
        interactions = [{"code": "batch"}, *([{"code": "transaction"}] if self.offers.transaction else [])]
        return {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "fhirVersion": "4.0.1",
            "rest": [{"mode": "server", "resource": resources, "interaction": interactions}],
        }

    def _subscription_statement(self) -> Json:
        backport = "http://hl7.org/fhir/uv/subscriptions-backport"
        subscription: Json = {"type": "Subscription", "updateCreate": self.offers.update_create}
        if self.offers.backport:
            subscription["supportedProfile"] = [f"{backport}/StructureDefinition/backport-subscription"]
            canonical = f"{backport}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
            subscription["extension"] = [{"url": canonical, "valueCanonical": topic} for topic in self.offers.topics]
            names = ["status", *(["events"] if self.offers.events else [])]
            subscription["operation"] = [
                {"name": name, "definition": f"{backport}/OperationDefinition/backport-subscription-{name}"}
                for name in names
            ]
        return subscription

    def _operation(self, segments: list[str], query: dict[str, str]) -> Json:
        subscription = self.resources.get("/".join(segments[:2]))
        if subscription is None or not self.offers.backport:
            raise Refused(404, "not-found")
        if segments[-1] == "$events":
            if not self.offers.events:
                raise Refused(404, "not-supported")
            since, until = int(query["eventsSinceNumber"]), int(query.get("eventsUntilNumber", 10**9))
            numbered = [(number, focus) for number, focus in self.event_log if since <= number <= until]
            status = self._status(subscription, "query-event", numbered)
            return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}]}
        status = self._status(subscription, "query-status", [])
        return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": status}]}

    def _status(self, subscription: Json, kind: str, numbered: list[tuple[int, str]]) -> Json:
        events: list[Json] = [
            {
                "name": "notification-event",
                "part": [
                    {"name": "event-number", "valueString": str(number)},
                    {"name": "focus", "valueReference": {"reference": f"{BASE}/{focus}"}},
                ],
            }
            for number, focus in numbered
        ]
        total = max((number for number, _ in self.event_log), default=0)
        return {
            "resourceType": "Parameters",
            "parameter": [
                {
                    "name": "subscription",
                    "valueReference": {"reference": f"{BASE}/Subscription/{subscription['id']}"},
                },
                {"name": "status", "valueCode": subscription["status"]},
                {"name": "type", "valueCode": kind},
                {"name": "events-since-subscription-start", "valueString": str(total)},
                *events,
            ],
        }


def _location(resource: Json) -> str:
    version = resource["meta"]["versionId"]
    return f"{BASE}/{resource['resourceType']}/{resource['id']}/_history/{version}"


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: names.get(item, item) if key == "reference" and isinstance(item, str) else _renamed(item, names)
            for key, item in value.items()
        }
    return [_renamed(item, names) for item in value] if isinstance(value, list) else value


def _fits(resource: Json, name: str, value: str) -> bool:
    return bool(_FITS[name](resource, value)) if name in _FITS else name in ("_sort", "_count", "_offset", "_elements")


def _names(reference: Json | None, value: str) -> bool:
    return str((reference or {}).get("reference")).rpartition("/")[2] == value.rpartition("/")[2]


_FITS: dict[str, Callable[[Json, str], bool]] = {
    "_id": lambda found, value: found["id"] in value.split(","),
    "_tag": lambda found, value: not set(_tokens(found["meta"].get("tag", []))).isdisjoint(value.split(",")),
    "_lastUpdated": lambda found, value: _in_time(datetime.fromisoformat(found["meta"]["lastUpdated"]), value),
    "identifier": lambda found, value: (
        value.replace("\\", "") in [f"{item['system']}|{item['value']}" for item in found.get("identifier", [])]
    ),
    "patient": lambda found, value: _names(found.get("subject"), value),
    "encounter": lambda found, value: _names(found.get("encounter"), value),
    "code": lambda found, value: not set(_tokens(found.get("code", {}).get("coding", []))).isdisjoint(value.split(",")),
    "class": lambda found, value: found.get("class", {}).get("code") == value,
    "url": lambda found, value: found.get("channel", {}).get("endpoint") == value,
}


def _tokens(codings: list[Json]) -> Iterator[str]:
    return iter([f"{item.get('system')}|{item.get('code')}" for item in codings])


def _in_time(at: datetime, value: str) -> bool:
    bound = datetime.fromisoformat(value[2:])
    return {"ge": at >= bound, "gt": at > bound, "le": at <= bound, "lt": at < bound}[value[:2]]
