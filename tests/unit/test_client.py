from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from tests.fakes import BASE, FakeEhr
from tests.samples import encounter, patient


class Waits(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(ehr: FakeEhr, waits: Waits | None = None, **policy: float) -> FhirClient:
    return FhirClient(
        BASE,
        "secret-token",
        transport=ehr.transport,
        retry=RetryPolicy(**policy),  # type: ignore[arg-type]
        sleep=waits if waits is not None else Waits(),
        uniform=lambda _low, high: high,
    )


def failing(times: int, response: httpx.Response) -> FakeEhr:
    ehr = FakeEhr(patient())
    left = iter(range(times))
    ehr.before = lambda _request: response if next(left, None) is not None else None
    return ehr


@pytest.mark.conformance("A60")
def test_reads_with_the_token_and_fhir_json() -> None:
    ehr = FakeEhr(patient())
    assert client(ehr).read("Patient/p1")["gender"] == "female"
    assert ehr.requests[0].headers["authorization"] == "Bearer secret-token"
    assert ehr.requests[0].headers["accept"] == "application/fhir+json"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_retries_what_may_pass_with_rising_waits(status: int) -> None:
    waits = Waits()
    ehr = failing(2, httpx.Response(status))
    assert client(ehr, waits).read("Patient/p1")["id"] == "p1"
    assert waits == [0.2, 0.4]
    assert len(ehr.requests) == 3


@pytest.mark.conformance("B10")
def test_honours_retry_after() -> None:
    waits = Waits()
    client(failing(1, httpx.Response(429, headers={"retry-after": "3"})), waits).read("Patient/p1")
    assert waits == [3.0]


@pytest.mark.conformance("B10")
def test_gives_up_at_once_when_asked_to_wait_beyond_the_deadline() -> None:
    waits = Waits()
    ehr = failing(1, httpx.Response(503, headers={"retry-after": "120"}))
    with pytest.raises(FhirUnavailable) as caught:
        client(ehr, waits).read("Patient/p1")
    assert caught.value.status == 503
    assert waits == []


def test_attempts_are_bounded() -> None:
    ehr = failing(99, httpx.Response(503))
    with pytest.raises(FhirUnavailable):
        client(ehr, attempts=3).read("Patient/p1")
    assert len(ehr.requests) == 3


@pytest.mark.conformance("B10")
def test_too_much_at_once_is_tried_again_only_when_the_server_says_when() -> None:
    waits = Waits()
    client(failing(1, httpx.Response(413, headers={"retry-after": "2"})), waits).read("Patient/p1")
    assert waits == [2.0]
    ehr = failing(1, httpx.Response(413))
    with pytest.raises(FhirRejected, match="413"):
        client(ehr).read("Patient/p1")
    assert len(ehr.requests) == 1


class Lost(httpx.SyncByteStream):
    """A body whose connection is lost in the middle."""

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"resourceType":'
        raise httpx.ReadError("lost")


@pytest.mark.parametrize(
    "broken",
    [
        {"stream": Lost()},
        {"content": b"no gzip", "headers": {"content-encoding": "gzip"}},
    ],
)
def test_a_body_that_does_not_arrive_whole_is_asked_for_again(broken: dict[str, Any]) -> None:
    ehr = FakeEhr(patient())
    tries = iter([True])
    # made anew: a stream is read once
    ehr.before = lambda _request: httpx.Response(200, **broken) if next(tries, False) else None
    assert client(ehr).read("Patient/p1")["id"] == "p1"
    assert len(ehr.requests) == 2


def test_a_stream_is_opened_with_patience_and_read_by_the_caller() -> None:
    ehr = failing(1, httpx.Response(503))
    with client(ehr).stream(f"{BASE}/Patient/p1", {"Accept": "application/fhir+ndjson"}) as response:
        assert b"".join(response.iter_bytes()).startswith(b"{")
    assert [request.headers["accept"] for request in ehr.requests] == ["application/fhir+ndjson"] * 2
    refused = failing(1, httpx.Response(404, json={"issue": [{"code": "not-found"}]}))
    with pytest.raises(FhirRejected, match=r"404 \(not-found\)"), client(refused).stream(f"{BASE}/Patient/p1"):
        pass


def test_an_update_may_be_bound_to_a_version() -> None:
    ehr = FakeEhr(patient())
    client(ehr).update(patient(), if_match="3")
    client(ehr).update(patient())
    assert [request.headers.get("if-match") for request in ehr.requests] == ['W/"3"', None]


@pytest.mark.conformance("A60", "B09")
@pytest.mark.parametrize("url", [f"{BASE}s/Patient/p1", "https://ehr.test/Patient/p1", f"{BASE}/%2e%2e/admin"])
def test_the_token_stays_at_the_base_on_the_same_host_too(url: str) -> None:
    ehr = FakeEhr()
    ehr.before = lambda _request: httpx.Response(200, json={})
    client(ehr).send("GET", url)
    assert "authorization" not in ehr.requests[0].headers


@pytest.mark.parametrize("url", ["https://ehr.test:port/", "https://xn--/fhir", "https://ehr.test/\x00"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(FhirRejected, match="not valid"):
        client(FakeEhr()).send("GET", url)


def test_a_lost_connection_is_tried_again() -> None:
    ehr = FakeEhr(patient())
    tries = iter([True])

    def lose(_request: httpx.Request) -> httpx.Response | None:
        if next(tries, False):
            raise httpx.ReadTimeout("lost")
        return None

    ehr.before = lose
    assert client(ehr).read("Patient/p1")["id"] == "p1"


@pytest.mark.conformance("A61")
def test_a_refusal_is_final_and_names_codes_but_no_text() -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"code": "forbidden", "diagnostics": "Jane Canary"}]}
    ehr = failing(1, httpx.Response(403, json=outcome))
    with pytest.raises(FhirRejected, match=r"403 \(forbidden\)") as caught:
        client(ehr).read("Patient/p1")
    assert "Canary" not in str(caught.value)
    assert len(ehr.requests) == 1


@pytest.mark.conformance("B09")
def test_no_redirect_is_followed() -> None:
    ehr = failing(1, httpx.Response(302, headers={"location": "https://elsewhere.test/"}))
    with pytest.raises(FhirRejected, match="redirect"):
        client(ehr).read("Patient/p1")
    assert len(ehr.requests) == 1


@pytest.mark.conformance("B09", "B10")
def test_a_next_link_to_another_server_is_refused() -> None:
    page = {
        "resourceType": "Bundle",
        "link": [{"relation": "next", "url": "https://elsewhere.test/fhir?page=2"}],
        "entry": [{"resource": patient()}],
    }
    ehr = failing(1, httpx.Response(200, json=page))
    with pytest.raises(FhirRejected, match="next link"):
        list(client(ehr).search("Patient", {"name": "x"}))
    assert len(ehr.requests) == 1


@pytest.mark.conformance("B10")
def test_a_lookalike_base_is_another_server() -> None:
    assert client(FakeEhr()).next_link({"link": [{"relation": "next", "url": BASE + "?page=2"}]}) is not None
    with pytest.raises(FhirRejected):
        client(FakeEhr()).next_link({"link": [{"relation": "next", "url": BASE + ".evil.test/?page=2"}]})


@pytest.mark.conformance("B10")
def test_search_goes_on_to_the_last_page() -> None:
    pages = [
        {"entry": [{"resource": patient()}], "link": [{"relation": "next", "url": BASE + "?page=2"}]},
        {"entry": [{"resource": patient(id="p2")}, {"resource": {}, "search": {"mode": "outcome"}}]},
    ]
    ehr = FakeEhr()
    answers = iter(pages)
    ehr.before = lambda _request: httpx.Response(200, json={"resourceType": "Bundle", **next(answers)})
    assert [found["id"] for found in client(ehr).search("Patient", {"name": "x"})] == ["p1", "p2"]


def test_batch_answers_in_order_in_one_round_trip() -> None:
    ehr = FakeEhr(patient(), encounter())
    fhir = client(ehr)
    answers = fhir.batch(["Encounter/e1", "Patient/none", "Patient/p1"])
    assert [(answer.status, (answer.resource or {}).get("id")) for answer in answers] == [
        (200, "e1"),
        (404, None),
        (200, "p1"),
    ]
    assert fhir.round_trips == 1


@pytest.mark.conformance("A60", "B09")
@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("Patient/p1", "Patient/p1"),
        (BASE + "/Patient/p1/_history/3", "Patient/p1"),
        ("https://elsewhere.test/fhir/Patient/p1", None),
        ("urn:uuid:1", None),
        ("#contained", None),
        ("Patient/p1?_include=x", None),
        ("Patient/../metadata", None),
        ("Patient/", None),
    ],
)
def test_only_references_into_the_own_server_are_followed(reference: str, expected: str | None) -> None:
    assert client(FakeEhr()).relative(reference) == expected
