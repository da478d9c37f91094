"""The CDS services on their whole road: discovery, each hook, feedback, deadline, languages."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import httpx
import pytest
from moto import mock_aws

from fhir_adapter.cds_hooks import Action, CallerUnknowable, Suggestion
from fhir_adapter.evidence.components import CURVE
from functions.cds_hooks import app
from functions.cds_hooks.proposals import Asked
from functions.cds_hooks.stores import TableFeedback, TableReplays
from tests import cds, validator
from tests.cds import PATIENT_VIEW, URL, Hospital, body, claims, tenant, token
from tests.fakes import BASE
from tests.samples import LOINC, SNOMED, admission, condition, encounter, observation, patient
from tests.strict_ehr import Offers, StrictEhr

Json = dict[str, Any]
CANARY = "Canary-Patient-Name"
DISCHARGE = "risk-encounter-discharge"


def hospital(*resources: Json, offers: Offers | None = None, parts: Any = None, **described: Any) -> Hospital:
    ehr = StrictEhr(*(resources or admission()), offers=offers)
    return Hospital(ehr, tenant(**described), **(parts or {}))


def documents(found: Hospital, **request: Any) -> list[Json]:
    answer = found.request("/cds-services", method="GET", **request)
    assert answer["statusCode"] == 200
    services: list[Json] = json.loads(answer["body"])["services"]
    return services


def empties(value: Any, path: str = "") -> Iterator[str]:
    if value in (None, "", [], {}):
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else []):
        yield from empties(item, f"{path}.{key}")


# -- discovery --


@pytest.mark.conformance("F01")
def test_discovery_lists_a_service_for_every_hook() -> None:
    services = documents(hospital())
    assert [service["hook"] for service in services] == [
        "patient-view",
        "order-select",
        "encounter-discharge",
        "appointment-book",
    ]
    for service in services:
        assert service["id"] == f"risk-{service['hook']}"
        assert service["title"] and service["description"] and service["usageRequirements"]


@pytest.mark.conformance("F01")
def test_groups_and_hooks_are_the_tenants_choice() -> None:
    found = hospital(groups={"heart": ["whas500"], "clinic": ["pbc", "mgus2"]}, hooks=["patient-view"])
    assert [service["id"] for service in documents(found)] == ["heart-patient-view", "clinic-patient-view"]
    elsewhere = hospital(groups={"pictures": ["cxr-pneumonia-paediatric"]})
    assert documents(elsewhere) == [], "a model of another function is not offered here"


@pytest.mark.conformance("F02")
def test_prefetch_keeps_to_the_recommended_searches() -> None:
    for service in documents(hospital(groups={"all": ["whas500", "pbc", "mgus2", "nafld"]}, abstentions=True)):
        for template in service["prefetch"].values():
            tokens = re.findall(r"\{\{(.*?)\}\}", template)
            assert tokens and set(tokens) <= {"context.patientId", "context.encounterId"}
            path, _, query = template.partition("?")
            names = {part.partition("=")[0] for part in query.split("&") if part}
            assert names <= {"patient", "code", "_tag", "_sort", "_count"}
            assert re.fullmatch(r"[A-Za-z]+(/\{\{context\.[a-zA-Z]+\}\})?", path)


@pytest.mark.conformance("F02")
def test_prefetch_brings_what_the_worker_reads() -> None:
    found = hospital()
    asked = found.prefetch()
    assert set(asked) == {"patient", "encounter", "observations", "conditions", "results"}
    assert {item["resource"]["id"] for item in asked["observations"]["entry"]} == {"bp", "hr", "bmi"}
    assert {item["resource"]["id"] for item in asked["conditions"]["entry"]} == {"mi", "chf"}
    (discharge,) = [one for one in documents(found) if one["hook"] == "encounter-discharge"]
    assert "answers" in discharge["prefetch"]


@pytest.mark.conformance("F40")
def test_discovery_asks_who_is_there_unless_it_is_public() -> None:
    found = hospital()
    assert found.request("/cds-services", method="GET", bearer=None)["statusCode"] == 401
    assert documents(hospital(public_discovery=True), bearer=None)
    path = f"/cds-services/{PATIENT_VIEW}"
    assert hospital(public_discovery=True).request(path, body(), bearer=None)["statusCode"] == 401


# -- patient-view --


@pytest.mark.conformance("F10", "F11", "F20", "F22", "F23", "F24")
def test_a_stored_prediction_is_told_from_one_read() -> None:
    found = hospital()
    found.predict()
    answer = found.request(f"/cds-services/{PATIENT_VIEW}", body())
    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    whole = json.loads(answer["body"])
    assert set(whole) == {"cards"}
    (card,) = whole["cards"]
    (risk,) = found.ehr.of_type("RiskAssessment")
    first = risk["prediction"][0]["probabilityDecimal"]
    assert card["summary"].startswith(f"Death from any cause: {first:.0f}% within 30 days")
    assert len(card["summary"]) < 140
    assert card["indicator"] == "info"
    assert card["source"]["label"].startswith("Bedside") and card["source"]["topic"]["code"] == "whas500"
    assert "95% interval" in card["detail"] and "Congestive heart failure" in card["detail"]
    assert "Preliminary" in card["detail"] and "not a medical device" in card["detail"]
    (link,) = card["links"]
    assert (link["type"], link["url"]) == ("smart", cds.LAUNCH)
    assert json.loads(link["appContext"]) == {
        "view": "result",
        "model": "whas500",
        "hook": "patient-view",
        "result": f"RiskAssessment/{risk['id']}",
    }
    for reason in card["overrideReasons"]:
        assert reason["code"] and reason["system"] and reason["display"]
    assert [request.method for request in found.ehr.requests] == ["POST"], "one batch: results and encounter"
    asked = [entry["request"]["url"] for entry in json.loads(found.ehr.requests[0].content)["entry"]]
    assert sorted(url.partition("?")[0] for url in asked) == ["Encounter/e1", "RiskAssessment"]


@pytest.mark.conformance("F12")
def test_what_is_worked_out_equals_what_the_worker_would_store() -> None:
    found = hospital()
    (computed,) = found.cards(body())
    assert "Worked out just now" in computed["detail"]
    assert len(found.ehr.requests) == 2
    found.predict()
    (stored,) = found.cards(body())
    assert computed["summary"] == stored["summary"]
    percentages = re.compile(r"within .*")
    assert percentages.findall(computed["detail"]) == percentages.findall(stored["detail"])
    assert computed["uuid"] == stored["uuid"], "the same call gives the same card"


@pytest.mark.conformance("F12")
def test_with_everything_sent_along_nothing_is_read() -> None:
    found = hospital()
    sent = found.prefetch()
    (card,) = found.cards(body(prefetch=sent, authorized=False))
    assert "Worked out just now" in card["detail"]
    found.predict()
    (card,) = found.cards(body(prefetch=found.prefetch(), authorized=False))
    assert "Worked out" not in card["detail"]
    assert found.ehr.requests == []


@pytest.mark.conformance("F12")
def test_what_is_missing_is_read_with_the_token_of_the_call() -> None:
    found = hospital()
    sent = found.prefetch()
    del sent["conditions"]
    (card,) = found.cards(body(prefetch=sent))
    (request,) = found.ehr.requests
    assert (request.method, request.url.path) == ("GET", "/fhir/Condition")
    assert request.headers["Authorization"] == f"Bearer {cds.TOKEN}"
    assert "Congestive heart failure" in card["detail"]


@pytest.mark.conformance("F13")
def test_a_token_is_used_for_its_own_call_only(capsys: pytest.CaptureFixture[str]) -> None:
    found = hospital()
    found.cards(body())
    found.ehr.requests.clear()
    other = cds.authorization(access_token="another-token-canary")
    found.cards(body(fhirAuthorization=other, authorized=False))
    assert {request.headers["Authorization"] for request in found.ehr.requests} == {"Bearer another-token-canary"}
    # a call without one does not borrow it
    found.ehr.requests.clear()
    answer = found.request(f"/cds-services/{PATIENT_VIEW}", body(authorized=False))
    assert (answer["statusCode"], found.ehr.requests) == (412, [])
    assert "canary" not in capsys.readouterr().out
    assert "canary" not in repr(vars(found.api))


@pytest.mark.conformance("F13")
def test_a_token_that_has_ended_is_not_used() -> None:
    found = hospital()
    ended = body(fhirAuthorization=cds.authorization(expires_in=0), authorized=False)
    assert found.request(f"/cds-services/{PATIENT_VIEW}", ended)["statusCode"] == 412
    assert found.ehr.requests == []


def test_every_call_is_audited_without_who_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    found = hospital()
    found.cards(body())
    found.request(f"/cds-services/{PATIENT_VIEW}", body(authorized=False))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = [line["audit"] for line in lines if "audit" in line]
    assert [(event["resourceType"], event["outcome"]) for event in events] == [("AuditEvent", "0"), ("AuditEvent", "8")]
    assert not re.search(r"Patient/|Practitioner/", json.dumps(events))


def test_a_prediction_of_an_earlier_version_of_the_encounter_is_stale() -> None:
    found = hospital()
    found.predict()
    found.ehr.put(encounter(status="finished", period={"start": "2026-01-10T09:00:00+00:00"}))
    (card,) = found.cards(body())
    assert "Worked out just now" in card["detail"]


@pytest.mark.parametrize("change", [{"status": "entered-in-error"}, {"method": {"text": "an older version"}}])
def test_results_that_were_taken_back_or_are_of_another_version_are_not_told(change: Json) -> None:
    found = hospital()
    found.predict()
    (risk,) = found.ehr.of_type("RiskAssessment")
    found.ehr.put({**risk, **change})
    (card,) = found.cards(body())
    assert "Worked out just now" in card["detail"]


def test_a_result_that_a_person_confirmed_says_so() -> None:
    found = hospital()
    found.predict()
    (risk,) = found.ehr.of_type("RiskAssessment")
    found.ehr.put({**risk, "status": "final"})
    (card,) = found.cards(body())
    assert "confirmed by a clinician" in card["detail"] and "Preliminary" not in card["detail"]


def test_a_server_that_drops_versions_is_believed_by_its_time_stamps() -> None:
    found = hospital()
    found.predict()
    (risk,) = found.ehr.of_type("RiskAssessment")
    plain = [{"reference": item["reference"].partition("/_history/")[0]} for item in risk["basis"]]
    found.ehr.put({**risk, "basis": plain})
    (card,) = found.cards(body())
    assert "Worked out" not in card["detail"]
    found.ehr.clock.forward(seconds=1)
    found.ehr.put(encounter())
    (card,) = found.cards(body())
    assert "Worked out just now" in card["detail"]


@pytest.mark.conformance("F11")
def test_without_an_encounter_recent_stored_predictions_are_told_and_nothing_is_worked_out() -> None:
    found = hospital(stored_days=3650)
    nowhere = body(context={"encounterId": None})
    assert found.cards(nowhere) == []
    found.predict()
    (card,) = found.cards(nowhere)
    assert "2026-01-10" in card["summary"]
    old = hospital(stored_days=0)
    old.predict()
    assert old.cards(nowhere) == []


@pytest.mark.conformance("F15")
def test_a_patient_who_is_none_of_the_models_gets_no_card() -> None:
    found = hospital(patient(), encounter())
    answer = found.request(f"/cds-services/{PATIENT_VIEW}", body())
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"cards": []})


def test_the_silence_of_a_model_that_was_asked_together_with_another_is_its_answer() -> None:
    models = ("whas500", "pbc", "mgus2", "nafld")
    found = hospital(models=models)
    found.predict()
    (card,) = found.cards(body())
    assert card["source"]["topic"]["code"] == "whas500"
    assert len(found.ehr.requests) == 1, "the others were asked by the subscription, and passed over"
    # nothing on record: every model is asked now
    fresh = hospital(models=models)
    assert [card["source"]["topic"]["code"] for card in fresh.cards(body())] == ["whas500"]


def test_both_events_of_a_model_with_a_competing_one_are_told() -> None:
    clinic = [patient(), encounter(), condition("m", "277577000"), observation("s", "33358-3", 1.4, "g/dL")]
    found = hospital(*clinic, models=("mgus2",))
    for _ in range(2):
        (card,) = found.cards(body())
        assert card["summary"].startswith("Progression to a plasma cell malignancy:")
        assert "Competing event: Death without progression" in card["detail"]
        assert card["detail"].count("within 5 years") == 2
        found.predict()


# -- what models do not answer --


def test_an_abstention_is_told_where_the_hospital_wants_it() -> None:
    gap = [item for item in admission() if item["id"] != "hr"]
    assert hospital(*gap).cards(body()) == []
    found = hospital(*gap, abstentions=True)
    for worked_out in (True, False):
        (card,) = found.cards(body())
        assert (card["indicator"], card["summary"]) == (
            "info",
            "No prediction: Death after acute myocardial infarction",
        )
        assert "heart rate" in card["detail"]
        assert len(found.ehr.requests) == (2 if worked_out else 1)
        found.predict()
    chinese = hospital(*gap, abstentions=True, locale="zh-CN")
    (card,) = chinese.cards(body())
    assert card["summary"].startswith("无预测") and "心率" in card["detail"]


# -- order-select --


def order(code: Json, **more: Any) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": "o1",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [code]},
        **more,
    }


def selected(*drafts: Json, selections: Sequence[str] = ("ServiceRequest/o1",)) -> Json:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": item} for item in drafts]}
    return body("order-select", {"selections": list(selections), "draftOrders": bundle})


HEART_RATE = {"system": LOINC, "code": "8867-4"}
INFARCTION = {"coding": [{"system": SNOMED, "code": "22298006"}]}


@pytest.mark.conformance("F11", "F15")
def test_an_order_that_has_nothing_to_do_with_a_model_is_passed_over_unread() -> None:
    found = hospital()
    other = order({"system": LOINC, "code": "2345-7"})
    assert found.cards(selected(other), "risk-order-select") == []
    # the order that matters is among the drafts and was not selected now
    more = {**other, "id": "o2"}
    assert found.cards(selected(order(HEART_RATE), more, selections=["ServiceRequest/o2"]), "risk-order-select") == []
    assert found.ehr.requests == []


@pytest.mark.parametrize(
    ("draft", "named"),
    [
        (order(HEART_RATE), "Heart rate"),
        (order({"system": LOINC, "code": "1"}, reasonCode=[INFARCTION]), "Death after acute myocardial infarction"),
    ],
)
def test_an_order_that_bears_on_a_model_brings_its_card(draft: Json, named: str) -> None:
    found = hospital()
    found.predict()
    (card,) = found.cards(selected(draft), "risk-order-select")
    assert f"The selected order bears on this prediction: {named}." in card["detail"]


# -- encounter-discharge --


def stay(days: int) -> Json:
    return encounter(period={"start": "2026-01-10T08:00:00+00:00", "end": f"2026-01-{10 + days}T08:00:00+00:00"})


def test_at_discharge_the_risks_are_those_after_the_stay() -> None:
    found = hospital()
    found.ehr.put(stay(14))
    found.predict()
    sent = body("encounter-discharge")
    (card,) = found.cards(sent, DISCHARGE)
    assert card["summary"].endswith("of the end of the stay")
    assert "Of patients who lived to the end of the stay" in card["detail"] and "95% interval" not in card["detail"]
    (curve,) = [
        part["valueSampledData"]["data"].split()
        for item in found.ehr.of_type("Observation")
        for part in item.get("component", [])
        if part["code"]["coding"][0]["code"] == CURVE
    ]
    # weekly points: a stay of two weeks ends on one, and 180 days later lies between two
    survival = [float(value) / 100 for value in curve]
    after = survival[27] + (survival[28] - survival[27]) * (194 / 7 - 27)
    wanted = 100 * (1 - after / survival[2])
    (told,) = re.findall(r"within 180 days: \*\*([0-9.]+)%", card["detail"])
    assert float(told) == pytest.approx(wanted, abs=0.5)
    # worked out, it is the same
    for kind in ("RiskAssessment", "Observation"):
        for item in [one for one in found.ehr.of_type(kind) if one["status"] == "preliminary"]:
            found.ehr.delete(f"{kind}/{item['id']}")
    (computed,) = found.cards(sent, DISCHARGE)
    assert computed["summary"] == card["summary"] and "Worked out just now" in computed["detail"]


@pytest.mark.conformance("F11")
def test_a_discharge_names_its_encounter() -> None:
    answer = hospital().request(
        f"/cds-services/{DISCHARGE}", body("encounter-discharge", {"encounterId": None}), bearer=""
    )
    assert (answer["statusCode"], cds.issue(answer)["code"]) == (400, "invalid")


# -- appointment-book --


def appointment(**more: Any) -> Json:
    return {
        "resourceType": "Appointment",
        "id": "a1",
        "status": "proposed",
        "participant": [{"actor": {"reference": "Patient/p1"}, "status": "tentative"}],
        **more,
    }


def booking() -> Json:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": appointment()}]}
    return body("appointment-book", {"appointments": bundle})


def test_without_a_threshold_a_booking_is_only_informed() -> None:
    (card,) = hospital().cards(booking(), "risk-appointment-book")
    assert card["indicator"] == "info" and "suggestions" not in card


@pytest.mark.conformance("F21")
@pytest.mark.parametrize(("level", "indicator"), [({"warning": 0.05}, "warning"), ({"critical": 0.05}, "critical")])
def test_a_booking_of_a_patient_at_high_risk_is_offered_a_flag(level: Json, indicator: str) -> None:
    found = hospital(thresholds={"whas500": {"days": 30, **level}})
    (card,) = found.cards(booking(), "risk-appointment-book")
    assert card["indicator"] == indicator
    assert card["selectionBehavior"] == "any"
    (only,) = card["suggestions"]
    (action,) = only["actions"]
    assert action["type"] == "create" and action["description"]
    validator.assert_valid(action["resource"])
    assert action["resource"]["meta"]["security"][0]["code"] == "AIAST"
    # a stored prediction can be attached as well
    found.predict()
    (card,) = found.cards(booking(), "risk-appointment-book")
    flag, attach = card["suggestions"]
    assert flag["uuid"] == only["uuid"] != attach["uuid"]
    validator.assert_valid(flag["actions"][0]["resource"])
    (action,) = attach["actions"]
    (risk,) = found.ehr.of_type("RiskAssessment")
    assert action["type"] == "update"
    assert action["resource"] == appointment(supportingInformation=[{"reference": f"RiskAssessment/{risk['id']}"}])


@pytest.mark.conformance("F11")
def test_appointments_may_come_as_an_array() -> None:
    found = hospital(thresholds={"whas500": {"days": 30, "warning": 0.01}})
    (card,) = found.cards(body("appointment-book", {"appointments": [appointment()]}), "risk-appointment-book")
    assert card["indicator"] == "warning"


class Wards:
    """Proposes a bed, as the allocation of wards will."""

    def propose(self, asked: Asked) -> Sequence[Suggestion]:
        if asked.request.hook != "patient-view":
            return ()
        action = Action("delete", "Cancel the request for a bed", resource_id="ServiceRequest/bed")
        return (Suggestion("Keep the bed", asked.uuid("ward"), (action,), recommended=True),)


@pytest.mark.conformance("F21")
def test_others_may_add_their_proposals() -> None:
    (card,) = hospital(parts={"proposers": (Wards(),)}).cards(body())
    (suggestion,) = card["suggestions"]
    assert suggestion["isRecommended"] is True
    (action,) = suggestion["actions"]
    assert action == {
        "type": "delete",
        "description": "Cancel the request for a bed",
        "resourceId": "ServiceRequest/bed",
    }


@pytest.mark.conformance("F03")
def test_no_answer_has_a_member_without_a_value() -> None:
    found = hospital(thresholds={"whas500": {"days": 30, "warning": 0.01}}, launch_url=None)
    assert list(empties(documents(found))) == []
    for sent, service in ((body(), PATIENT_VIEW), (booking(), "risk-appointment-book")):
        cards = found.cards(sent, service)
        assert cards and list(empties(cards)) == []
        assert "links" not in cards[0]


# -- languages --


@pytest.mark.parametrize(("locale", "chinese"), [("zh-CN", True), ("zh", True), ("zh-TW", False), ("de", False)])
def test_cards_speak_the_language_of_the_hospital(locale: str, chinese: bool) -> None:
    found = hospital(locale=locale, thresholds={"whas500": {"days": 30, "warning": 0.01}})
    (card,) = found.cards(booking(), "risk-appointment-book")
    labels = [item["label"] for item in (*card["suggestions"], *card["links"])]
    told = json.dumps([documents(found), card["summary"], card["detail"], labels], ensure_ascii=False)
    assert ("全因死亡" in told, "Death" in told) == (chinese, not chinese)
    if chinese:
        texts = [card["summary"], card["detail"], *labels, *(item["display"] for item in card["overrideReasons"])]
        assert not re.search(r"[A-Za-z]{4,}", "".join(texts).replace("Bedside", ""))
        assert len(card["summary"]) < 140


# -- feedback --


def feedback(card: str, **more: Any) -> Json:
    return {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-01-10T09:00:00Z", **more}


def give(found: Hospital, *entries: Json) -> Json:
    return found.request(f"/cds-services/{PATIENT_VIEW}/feedback", {"feedback": list(entries)})


@pytest.mark.conformance("F30")
def test_feedback_is_kept_with_the_model_whose_card_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    found = hospital()
    (card,) = found.cards(body())
    reason = card["overrideReasons"][2]
    comment = {"reason": reason, "userComment": f"{CANARY} was moved"}
    answer = give(found, feedback(card["uuid"], overrideReason=comment))
    assert answer["statusCode"] == 200
    (item,) = found.feedback.items.values()
    assert (item["model"], item["version"], item["outcome"]) == ("whas500", "1.1.0", "overridden")
    assert item["reason_code"] == "data-wrong" and item["commented"] is True
    assert CANARY not in json.dumps(item) + capsys.readouterr().out


@pytest.mark.conformance("F30")
def test_comments_are_kept_where_the_hospital_wants_it() -> None:
    found = hospital(comments=True)
    (card,) = found.cards(body())
    give(found, feedback(card["uuid"], overrideReason={"userComment": "too late"}))
    (item,) = found.feedback.items.values()
    assert item["comment"] == "too late"


@pytest.mark.conformance("F30")
def test_feedback_told_again_or_late_changes_nothing_and_an_unknown_card_is_no_error() -> None:
    found = hospital()
    (card,) = found.cards(body())
    accepted = {"outcome": "accepted", "acceptedSuggestions": [{"id": "e56e1945-20b3-4393-8503-a1a20fd73152"}]}
    later = feedback(card["uuid"], **accepted, outcomeTimestamp="2026-01-10T11:00:00+01:00")
    assert give(found, later)["statusCode"] == 200
    assert give(found, later, feedback(card["uuid"]))["statusCode"] == 200
    (item,) = found.feedback.items.values()
    assert (item["outcome"], item["at"]) == ("accepted", "2026-01-10T10:00:00.000+00:00")
    assert item["suggestions"] == ["e56e1945-20b3-4393-8503-a1a20fd73152"]
    assert give(found, feedback("4e0a3a1e-3283-4575-ab82-028d55fe2719"))["statusCode"] == 200
    assert len(found.feedback.items) == 2


# -- the deadline --


@pytest.mark.conformance("F46")
def test_an_ehr_that_does_not_answer_gets_an_empty_list_at_the_deadline(capsys: pytest.CaptureFixture[str]) -> None:
    found = hospital(deadline_ms=100)
    opened, entered = threading.Event(), threading.Event()

    def hang(_request: httpx.Request) -> None:
        entered.set()
        opened.wait(60)

    found.ehr.before = hang
    answer = found.request(f"/cds-services/{PATIENT_VIEW}", body())
    assert entered.is_set() and not opened.is_set(), "the answer came while the EHR was still silent"
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"cards": []})
    assert '"CdsDeadline":[1.0]' in capsys.readouterr().out
    opened.set()
    for thread in threading.enumerate():
        if thread.name == "cds-hooks":
            thread.join(60)


@pytest.mark.conformance("F12")
def test_an_ehr_that_cannot_be_reached_while_there_is_time_is_412() -> None:
    found = hospital()
    found.ehr.down = True
    answer = found.request(f"/cds-services/{PATIENT_VIEW}", body())
    assert answer["statusCode"] == 412
    assert "could not be read with fhirAuthorization" in cds.issue(answer)["diagnostics"]


# -- servers as they are --


def test_a_server_without_batch_is_read_one_by_one() -> None:
    found = hospital()

    def no_batch(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(405, json={}) if request.method == "POST" else None

    found.ehr.before = no_batch
    (card,) = found.cards(body())
    assert "Worked out just now" in card["detail"]


def test_results_that_may_not_be_read_are_worked_out() -> None:
    found = hospital()
    found.predict()
    prefetch = found.prefetch()
    del prefetch["results"]
    found.ehr.before = lambda request: httpx.Response(403, json={}) if "RiskAssessment" in str(request.url) else None
    (card,) = found.cards(body(prefetch=prefetch))
    assert "Worked out just now" in card["detail"]


# -- in the cloud --


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.resource("dynamodb").create_table(
            TableName="cds-hooks",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )


@pytest.mark.conformance("F30", "F44")
def test_tokens_and_feedback_in_dynamodb(table: Any) -> None:
    stores = {"replays": TableReplays("cds-hooks"), "feedback": TableFeedback("cds-hooks")}
    found = Hospital(StrictEhr(*admission()), tenant(comments=True), **stores)
    bearer = token(claims())
    path = f"/cds-services/{PATIENT_VIEW}"
    answer = found.request(path, body(), bearer=bearer)
    (card,) = json.loads(answer["body"])["cards"]
    assert found.request(path, body(), bearer=bearer)["statusCode"] == 401
    for at in ("2026-01-10T09:00:00Z", "2026-01-10T08:00:00Z"):
        reason = {"userComment": at}
        assert give(found, feedback(card["uuid"], outcomeTimestamp=at, overrideReason=reason))["statusCode"] == 200
    items = {item["pk"].partition("#")[0]: item for item in table.scan()["Items"]}
    assert items["feedback"]["comment"] == "2026-01-10T09:00:00Z"
    assert items["token"]["expires"] > 0 and items["feedback"]["expires"] > 0
    assert "p1" not in json.dumps(items, default=str)


@pytest.mark.conformance("F44")
def test_a_token_counts_once_until_it_ends_whether_or_not_the_table_dropped_it(table: Any) -> None:
    replays = TableReplays("cds-hooks")
    assert replays.first("k", until=1000.0, now=900.0)
    assert not replays.first("k", until=1000.0, now=999.0)
    # its time to live has passed, and the item is still there
    assert replays.first("k", until=2000.0, now=1500.0)


def test_nobody_is_let_in_when_used_tokens_cannot_be_looked_up(table: Any) -> None:
    table.delete()
    found = Hospital(StrictEhr(*admission()), tenant(), replays=TableReplays("cds-hooks"))
    answer = found.request(f"/cds-services/{PATIENT_VIEW}", body())
    assert (answer["statusCode"], cds.issue(answer)["code"]) == (503, "transient")
    assert found.ehr.requests == []
    with pytest.raises(CallerUnknowable):
        TableReplays("cds-hooks").first("k", 2.0, 1.0)


def test_feedback_that_cannot_be_kept_is_to_be_sent_again(table: Any) -> None:
    table.delete()
    found = Hospital(StrictEhr(*admission()), tenant(), feedback=TableFeedback("cds-hooks"))
    assert give(found, feedback("4e0a3a1e-3283-4575-ab82-028d55fe2719"))["statusCode"] == 503


def test_without_an_address_of_its_own_aud_is_the_address_that_was_called() -> None:
    found = hospital(url=None)
    path = f"/cds-services/{PATIENT_VIEW}"
    assert len(found.cards(body())) == 1
    other = token(claims(aud=f"https://other.test/cds/general{path}"))
    assert found.request(path, body(), bearer=other)["statusCode"] == 401


def test_the_handler_is_made_from_its_environment(
    table: Any, monkeypatch: pytest.MonkeyPatch, lambda_context: Any
) -> None:
    from aws_lambda_powertools.utilities import parameters

    parameters.clear_caches()
    monkeypatch.setattr(parameters.base, "DEFAULT_PROVIDERS", {})
    described = {**cds.tenant_json(), "cds_hooks": cds.settings(public_discovery=True)}
    secret = boto3.client("secretsmanager", region_name="eu-central-1")
    secret.create_secret(Name="bedside/tenants/general", SecretString=json.dumps(described))
    monkeypatch.setenv("TENANT_SECRET_PREFIX", "bedside/tenants/")
    monkeypatch.setenv("CDS_HOOKS_TABLE", "cds-hooks")
    monkeypatch.setattr(app, "_api", None)
    event = {
        "version": "2.0",
        "rawPath": "/cds/general/cds-services",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/cds/general/cds-services"}, "stage": "$default"},
        "isBase64Encoded": False,
    }
    answer = app.handler(event, lambda_context)
    assert len(json.loads(answer["body"])["services"]) == 4


# -- nobody's name --


def test_no_name_of_a_patient_is_in_logs_metrics_or_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    named = patient(name=[{"family": CANARY}])
    found = hospital(named, *admission()[1:])
    found.predict()
    cards = found.cards(body(prefetch=found.prefetch(), context={"patientName": CANARY}))
    assert cards and CANARY not in json.dumps(cards)
    found.request(f"/cds-services/{PATIENT_VIEW}", body(hook=CANARY))
    found.request(f"/cds-services/{CANARY}", body())
    told = capsys.readouterr()
    assert CANARY not in told.out + told.err
    assert not any(CANARY in str(request.url) for request in found.ehr.requests)
    assert not re.search(r"\bp1\b", told.out), "nor is any id of a patient"
    assert URL.startswith("https://") and BASE.startswith("https://")
