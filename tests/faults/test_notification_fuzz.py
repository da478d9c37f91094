"""Whatever is sent: the documented answers, and nothing queued that was not accepted (Hypothesis).

tests/faults/fuzz_notifications.py says what is checked, and fuzzes the same with coverage guidance.
"""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hypothesis", reason="Hypothesis is not here (make setup-test)")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_adapter.errors import MalformedNotification, UnknownSubscription
from fhir_adapter.notifications import Origin, parse_status
from fhir_adapter.references import relative_reference
from tests.faults.fuzz_notifications import BASE, DATA, METHODS, PATHS, STATUSES, Target, check_parser
from tests.functional.conftest import namespace
from tests.samples import SECRET

__all__ = ["namespace"]

pytestmark = pytest.mark.conformance("C13", "C17", "C18")
# The same examples in every run: a build that fails must fail again.
fuzz = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def vectors() -> list[Any]:
    """HL7's examples; where they are not here, one of each dialect."""
    found = [json.loads(path.read_bytes()) for path in sorted((DATA / "notifications").rglob("*.json"))]
    event = {"eventNumber": "2", "focus": {"reference": f"{BASE}/Encounter/e1"}}
    status = {
        "resourceType": "SubscriptionStatus",
        "status": "active",
        "type": "event-notification",
        "subscription": {"reference": f"{BASE}/Subscription/admission"},
        "notificationEvent": [event],
    }
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subscription", "valueReference": status["subscription"]},
            {"name": "type", "valueCode": "event-notification"},
            {"name": "notification-event", "part": [{"name": "event-number", "valueString": "2"}]},
        ],
    }
    bundles = [("history", status), ("history", parameters), ("subscription-notification", status)]
    own = [{"resourceType": "Bundle", "type": kind, "entry": [{"resource": first}]} for kind, first in bundles]
    return [*found, *own]


VECTORS = vectors()
NAMES = st.sampled_from(["resourceType", "id", "entry", "resource", "parameter", "part", "name", "valueString", "type"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(
        ["Bundle", "history", "Encounter/e1", "Patient/p1", f"{BASE}/Encounter/e1", "https://elsewhere.test/Patient/1"]
    ),
    st.sampled_from(
        ["9" * 30, "2", "error", "notification-event", "event-number", "focus", "\x00", "\ud7ff", "a" * 70]
    ),
)
TREES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(NAMES | st.text(max_size=8), below, max_size=4)
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An example with some of its nodes replaced, removed, doubled or renamed."""
    tree = json.loads(json.dumps(draw(st.sampled_from(VECTORS))))
    for _ in range(draw(st.integers(0, 4))):
        nodes = [(holder, key) for holder in _holders(tree) for key in _keys(holder)]
        if not nodes:
            break
        holder, key = draw(st.sampled_from(nodes))
        how = draw(st.sampled_from(["replace", "remove", "double", "rename"]))
        if how == "replace":
            holder[key] = draw(TREES)
        elif how == "double" and isinstance(holder, list):
            holder.append(holder[key])
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(NAMES)] = holder.pop(key)
        else:
            del holder[key]
    return json.dumps(tree).encode()


def _holders(tree: Any) -> list[Any]:
    if not isinstance(tree, dict | list):
        return []
    return [tree, *(found for key in _keys(tree) for found in _holders(tree[key]))]


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


BODIES = st.one_of(
    mutated(),
    mutated().map(gzip.compress),
    TREES.map(lambda tree: json.dumps(tree).encode()),
    st.binary(max_size=200),
    st.integers(0, 3000).map(lambda depth: b'{"resourceType":"Bundle","x":' + b"[" * depth + b"]" * depth + b"}"),
)
CODINGS = st.sampled_from(["", "gzip", "identity", "br", "GZIP ", "gzip, gzip"])
PLACES = st.sampled_from(PATHS)
TEXTS = st.text(max_size=30)


@fuzz
@given(st.sampled_from(METHODS), PLACES, CODINGS, BODIES)
def test_the_parser(method: str, path: tuple[str, ...], coding: str, body: bytes) -> None:
    check_parser(method, path, coding, body)


@pytest.fixture
def target() -> Target:
    return Target()


@fuzz
@given(
    method=st.sampled_from([*METHODS, "PATCH", "OPTIONS"]),
    path=st.one_of(
        PLACES.map(lambda parts: "/".join(["/notify/general/admissions", *parts])),
        st.lists(TEXTS, max_size=4).map(lambda parts: "/notify/" + "/".join(parts)),
        TEXTS.map(lambda text: "/" + text),
    ),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "authorization": st.just(f"Bearer {SECRET}") | TEXTS,
            "content-type": st.sampled_from(["application/fhir+json", "application/json; charset=utf-16"]) | TEXTS,
            "content-encoding": CODINGS | TEXTS,
        },
    ),
    body=BODIES,
    coded=st.booleans(),
)
def test_the_receiver(
    target: Target, method: str, path: str, headers: dict[str, str], body: bytes, coded: bool
) -> None:
    text = base64.b64encode(body).decode() if coded else body.decode("utf-8", "replace")
    assert target.check(method, path, headers, text, coded) in STATUSES


@fuzz
@given(body=mutated(), coding=st.sampled_from(["", "gzip"]))
def test_the_receiver_past_its_door(target: Target, body: bytes, coding: str) -> None:
    sent = gzip.compress(body) if coding else body
    headers = {"authorization": f"Bearer {SECRET}", "content-encoding": coding, "content-type": "application/json"}
    where = "/notify/general/admissions"
    status = target.check("POST", where, headers, base64.b64encode(sent).decode(), True)
    assert status in {202, 400, 404}


@fuzz
@given(body=st.text(max_size=60), coded=st.booleans())
def test_an_event_with_any_text_as_its_body(target: Target, body: str, coded: bool) -> None:
    headers = {"authorization": f"Bearer {SECRET}"}
    target.check("POST", "/notify/general/admissions", headers, body, coded)
    target.check("POST", "/notify/general/admissions", headers, body + "\ud800", coded)


@pytest.mark.conformance("C12")
@fuzz
@given(mutated())
def test_a_status(body: bytes) -> None:
    tree = json.loads(body)
    if not isinstance(tree, dict):
        return
    with suppress(MalformedNotification, UnknownSubscription):
        parse_status(tree, Origin(BASE))


@fuzz
@given(st.lists(st.sampled_from(["", "/", "\n", "Encounter", "1", BASE, "_history", "é", "x"]), max_size=8), TEXTS)
def test_references_one_by_one_and_all_at_once(parts: list[str], text: str) -> None:
    references = ["".join(parts), "/".join(parts), text]
    origin = Origin(BASE)
    one_by_one = [relative_reference(BASE, reference) for reference in references]
    assert origin.all(references) == one_by_one
    assert [origin(reference) for reference in references] == one_by_one


def test_the_examples_are_here_or_their_likes() -> None:
    assert len(VECTORS) >= 3 and Path(DATA).name == "data"
