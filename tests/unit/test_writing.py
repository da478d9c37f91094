"""Writing to servers that can do less: which requests are made, in which order, and what is remembered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fhir_adapter.client import FhirClient, RetryPolicy
from fhir_adapter.errors import FhirRejected
from fhir_adapter.evidence.supersede import Earlier, superseding
from fhir_adapter.writing import habits_of, write
from functions.serving.events import new_event
from functions.serving.worker import answer_event
from functions.survival.app import handler as survival
from tests.fakes import BASE
from tests.samples import admission, encounter, observation, tenant
from tests.strict_ehr import Offers, StrictEhr

ALL = [(True, True), (True, False), (False, True), (False, False)]


def client_of(ehr: StrictEhr) -> FhirClient:
    return FhirClient(BASE, transport=ehr.transport, retry=RetryPolicy(attempts=1), sleep=lambda _seconds: None)


def answer(ehr: StrictEhr, client: FhirClient) -> Any:
    event = new_event("general", "admissions", "focus", "Encounter/e1", None, "Patient/p1")
    return answer_event(event, tenant(), client, survival.models["whas500"])


def of_model(ehr: StrictEhr, kind: str) -> list[dict[str, Any]]:
    return [item for item in ehr.of_type(kind) if item["meta"].get("tag")]


@pytest.mark.conformance("G30", "G32", "G35")
@pytest.mark.parametrize(("transaction", "update_create"), ALL)
def test_every_server_ends_with_the_same_evidence(transaction: bool, update_create: bool) -> None:
    ehr = StrictEhr(*admission(), offers=Offers(transaction=transaction, update_create=update_create))
    client = client_of(ehr)
    outcome = answer(ehr, client)
    (risk,), (seen,), (device,) = (of_model(ehr, kind) for kind in ("RiskAssessment", "Observation", "Device"))
    (provenance,) = ehr.of_type("Provenance")
    assert outcome.outcome == "predicted"
    assert outcome.result == f"RiskAssessment/{risk['id']}", "as the server calls it"
    assert {"reference": f"Observation/{seen['id']}"} in risk["basis"]
    assert risk["performer"] == {"reference": f"Device/{device['id']}"}
    assert {item["reference"] for item in provenance["target"]} == {
        f"RiskAssessment/{risk['id']}",
        f"Observation/{seen['id']}",
    }
    assert provenance["agent"][0]["who"] == {"reference": f"Device/{device['id']}"}
    assert (habits_of(client).transaction, habits_of(client).update_create) == (transaction, update_create)
    assert answer(ehr, client).outcome == "duplicate"
    assert len(of_model(ehr, "RiskAssessment")) == len(ehr.of_type("Provenance")) == 1


@pytest.mark.conformance("G34", "G35")
@pytest.mark.parametrize(("transaction", "update_create"), ALL)
def test_every_server_supersedes(transaction: bool, update_create: bool) -> None:
    ehr = StrictEhr(*admission(), offers=Offers(transaction=transaction, update_create=update_create))
    client = client_of(ehr)
    answer(ehr, client)
    ehr.put(observation("hr", "8867-4", 120, "/min"))
    ehr.put(encounter())
    assert answer(ehr, client).replaced == 2
    assert sorted(item["status"] for item in of_model(ehr, "RiskAssessment")) == ["entered-in-error", "preliminary"]
    assert answer(ehr, client).outcome == "duplicate"


@pytest.mark.conformance("G35")
def test_one_by_one_in_the_order_of_reference_and_asked_once() -> None:
    ehr = StrictEhr(*admission(), offers=Offers(transaction=False))
    client = client_of(ehr)
    answer(ehr, client)
    written = [str(request.url).removeprefix(BASE + "/").partition("/")[0] for request in ehr.requests]
    puts = [kind for kind, request in zip(written, ehr.requests, strict=True) if request.method == "PUT"]
    kinds = [kind for kind in puts if kind in ("Device", "Observation", "RiskAssessment", "Provenance")]
    assert kinds == ["Device", "Observation", "RiskAssessment", "Provenance"]
    assert puts[-1] == "Provenance"
    ehr.put(encounter())
    ehr.requests.clear()
    answer(ehr, client)
    urls = [str(request.url) for request in ehr.requests]
    assert f"{BASE}/metadata" not in urls, "what a server cannot do is learned once"
    assert (
        sum(
            url == BASE and b'"transaction"' in request.content for url, request in zip(urls, ehr.requests, strict=True)
        )
        == 0
    )


def test_a_server_that_searches_only_outside_transactions_costs_two_more() -> None:
    ehr = StrictEhr(*admission(), offers=Offers(searches_inside=False))
    client = client_of(ehr)
    assert answer(ehr, client).outcome == "predicted"
    assert not habits_of(client).searches
    ehr.put(encounter())
    ehr.requests.clear()
    answer(ehr, client)
    assert [request.method for request in ehr.requests] == ["POST", "POST", "GET", "GET"]


@pytest.mark.conformance("G30")
def test_a_refused_transaction_leaves_nothing_and_is_raised() -> None:
    ehr = StrictEhr(*admission())

    def refuse(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(422) if b'"transaction"' in request.content else None

    ehr.before = refuse
    client = client_of(ehr)
    with pytest.raises(FhirRejected) as caught:
        answer(ehr, client)
    assert caught.value.status == 422
    assert habits_of(client).transaction
    assert ehr.of_type("RiskAssessment") == []


@pytest.mark.conformance("G31")
def test_a_condition_that_matches_several_is_an_error_in_the_data() -> None:
    offers = Offers(transaction=False, update_create=False)
    ehr = StrictEhr(*admission(), offers=offers)
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:d",
                "resource": {
                    "resourceType": "Device",
                    "id": "d",
                    "identifier": [{"system": "urn:oid:2.25.1", "value": "a|b"}],
                },
                "request": {"method": "POST", "url": "Device", "ifNoneExist": "identifier=urn:oid:2.25.1|a\\|b"},
            }
        ],
    }
    client = client_of(ehr)
    write(client, bundle)
    write(client, bundle)
    (device,) = ehr.of_type("Device")
    ehr.put({**device, "id": "second"})
    with pytest.raises(FhirRejected) as caught:
        write(client, bundle)
    assert caught.value.status == 412


@pytest.mark.conformance("G34")
def test_a_mark_over_another_version_is_refused_with_all_the_rest() -> None:
    ehr = StrictEhr(*admission())
    client = client_of(ehr)
    answer(ehr, client)
    results = [*of_model(ehr, "Observation"), *ehr.of_type("RiskAssessment")]
    older = Earlier(tuple(results)).replaced_by((), "Encounter/e1")
    assert len(older) == 2
    (risk,) = ehr.of_type("RiskAssessment")
    ehr.put({**risk, "note": [{"text": "looked at"}]})
    patient = ehr.resources["Patient/p1"]
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": patient, "request": {"method": "PUT", "url": "Patient/p1"}}],
    }
    with pytest.raises(FhirRejected) as caught:
        write(client, superseding(bundle, older))
    assert caught.value.status == 412
    assert ehr.resources["Patient/p1"]["meta"]["versionId"] == "1"
    assert {item["status"] for item in ehr.of_type("RiskAssessment")} == {"preliminary"}


def test_who_read_an_older_version_than_a_result_was_made_from_reads_again() -> None:
    ehr = StrictEhr(*admission())
    client = client_of(ehr)
    ehr.put(encounter())
    answer(ehr, client)
    (risk,) = ehr.of_type("RiskAssessment")
    batches = iter([True, False])
    old = ehr.history["Encounter/e1"][0]

    def stale(request: httpx.Request) -> httpx.Response | None:
        """The batch is no snapshot: it shows the newer result beside the older encounter."""
        if b'"batch"' in request.content and next(batches, False):
            now = ehr.resources["Encounter/e1"]
            ehr.resources["Encounter/e1"] = old
            try:
                return ehr._answer(request)
            finally:
                ehr.resources["Encounter/e1"] = now
        return None

    ehr.before = stale
    assert answer(ehr, client).outcome == "duplicate"
    assert [item["id"] for item in ehr.live()] == [risk["id"]]
