"""What a person does with a result, through the handler, against a strict server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fhir_adapter.codes import OVERRIDE_REASON, REVIEW
from functions.serving.cloud import MemoryQueue
from functions.smart_app.desk import Means
from tests.samples import encounter, patient
from tests.smart import NAME, Hospital, declined, predicted, written

pytestmark = pytest.mark.usefixtures("namespace")

Json = dict[str, Any]
READS = "launch openid fhirUser patient/Patient.r patient/RiskAssessment.rs patient/Observation.rs"
RECORDS = f"{READS} patient/Provenance.cu"
CHANGES = f"{RECORDS} patient/RiskAssessment.u patient/Observation.u"


class Page:
    """A hospital whose page is open."""

    def __init__(self, granted: str, resources: list[Json] | None = None, **hospital: Any) -> None:
        self.queue = MemoryQueue()
        chart = resources if resources is not None else predicted()
        self.hospital = Hospital(
            {"scopes": granted.split()[3:]},
            resources=[patient(name=[NAME]), encounter(), *chart],
            means=hospital.pop("means", Means(queue=self.queue)),
            **hospital,
        )
        self.hospital.server.grants = granted
        self.path = self.hospital.signed_in()
        self.body = str(self.hospital.page(self.path)["body"])

    def link(self, what: str) -> str:
        """Return the address of a page about the result."""
        found = re.search(rf'href="({self.path}/{what}/[0-9a-f]{{20}})"', self.body)
        assert found, f"no link to {what}"
        return found[1]

    def form(self) -> dict[str, str]:
        """Return the hidden fields of the review page."""
        self.review = str(self.hospital.page(self.link("review"))["body"])
        return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', self.review))

    def decide(self, **fields: str) -> Json:
        return self.hospital.browser.post(self.link("review"), {**self.form(), **fields})

    def stored(self, kind: str) -> Json:
        (found,) = self.hospital.ehr.of_type(kind)
        return found


def test_a_confirmed_result_is_final_and_a_provenance_says_who_confirmed_which_version() -> None:
    page = Page(CHANGES)
    risk = page.stored("RiskAssessment")
    answer = page.decide(decision="confirm")
    assert answer["statusCode"] == 303 and answer["headers"]["Location"] == f"{page.path}?done=confirmed"
    assert page.stored("RiskAssessment")["status"] == page.stored("Observation")["status"] == "final"
    record = page.stored("Provenance")
    (agent,) = record["agent"]
    assert agent["who"]["reference"] == "Practitioner/dr1" and agent["type"]["coding"][0]["code"] == "verifier"
    seen = f"RiskAssessment/{risk['id']}/_history/{risk['meta']['versionId']}"
    assert seen in [entity["what"]["reference"] for entity in record["entity"]]
    assert f"RiskAssessment/{risk['id']}" in [target["reference"] for target in record["target"]]
    body = page.hospital.page(answer["headers"]["Location"])["body"]
    assert "Recorded: you confirmed this result." in body and "by you" in body
    assert "confirmed by a clinician" in body and "not confirmed by a clinician" not in body


def test_where_results_may_not_be_changed_only_the_provenance_is_written() -> None:
    page = Page(RECORDS)
    page.form()
    assert "the status stays" in page.review
    assert page.decide(decision="confirm")["statusCode"] == 303
    assert page.stored("RiskAssessment")["status"] == "preliminary"
    assert page.stored("Provenance")["meta"]["tag"] == [{"system": REVIEW, "code": "confirmed"}]


def test_an_ehr_that_takes_no_transaction_gets_one_after_the_other() -> None:
    page = Page(CHANGES, transactions=False)
    assert page.decide(decision="confirm")["statusCode"] == 303
    assert page.stored("RiskAssessment")["status"] == "final" and page.stored("Provenance")["agent"]
    writes = [request for request in page.hospital.server.fhir if request.method == "PUT"]
    assert next(str(write.url).split("/")[4] for write in writes) == "Provenance", "who said it comes first"


def test_a_rejection_keeps_its_reason_where_monitoring_finds_it(capsys: pytest.CaptureFixture[str]) -> None:
    page = Page(CHANGES)
    answer = page.decide(decision="reject", reason="data-wrong", comment="Canary creatinine is of another person")
    assert answer["statusCode"] == 303
    record, risk = page.stored("Provenance"), page.stored("RiskAssessment")
    (reason,) = record["reason"]
    assert reason["coding"][0]["system"] == OVERRIDE_REASON and reason["coding"][0]["code"] == "data-wrong"
    assert reason["text"].startswith("Rejected. ") and "Canary creatinine" in reason["text"]
    assert risk["status"] == "preliminary" and {"system": REVIEW, "code": "rejected"} in risk["meta"]["tag"]
    body = page.hospital.page(answer["headers"]["Location"])["body"]
    assert "Rejected" in body and "Canary creatinine" in body
    told = capsys.readouterr().out
    assert '"ResultsRejected":[1.0]' in told and '"reason":"data-wrong"' in told and "creatinine" not in told


@pytest.mark.parametrize("fields", [{"decision": "reject", "reason": "<b>"}, {"decision": "delete"}, {}])
def test_what_is_not_offered_is_not_done(fields: dict[str, str]) -> None:
    page = Page(CHANGES)
    answer = page.decide(**fields)
    assert answer["statusCode"] == 400 and "Nothing was done" in answer["body"] and "<b>" not in answer["body"]
    assert page.hospital.ehr.of_type("Provenance") == []


def test_sent_twice_it_is_done_once() -> None:
    page = Page(CHANGES)
    form = page.form()
    first, second = (page.hospital.browser.post(page.link("review"), {**form, "decision": "confirm"}) for _ in range(2))
    assert first["statusCode"] == 303 and second["statusCode"] == 409 and "has changed" in second["body"]
    assert (
        page.stored("RiskAssessment")["status"] == "final" and page.stored("RiskAssessment")["meta"]["versionId"] == "2"
    )


def test_sent_twice_where_nothing_changes_it_is_one_record() -> None:
    page = Page(RECORDS)
    form = page.form()
    for _ in range(2):
        page.hospital.browser.post(page.link("review"), {**form, "decision": "confirm"})
    assert page.stored("Provenance")["id"]


def test_a_result_that_changed_since_it_was_seen_is_not_confirmed() -> None:
    page = Page(CHANGES)
    form = page.form()
    page.hospital.ehr.put(page.stored("RiskAssessment"))
    answer = page.hospital.browser.post(page.link("review"), {**form, "decision": "confirm"})
    assert answer["statusCode"] == 409 and page.hospital.ehr.of_type("Provenance") == []


def test_a_result_that_changes_between_reading_and_writing_is_not_confirmed() -> None:
    page = Page(CHANGES)
    server = page.hospital.server
    write = server._transaction

    def changed(bundle: Json, grant: Any) -> Any:
        page.hospital.ehr.put(page.stored("Observation"))
        return write(bundle, grant)

    server._transaction = changed  # type: ignore[method-assign]
    assert page.decide(decision="confirm")["statusCode"] == 409
    assert page.stored("RiskAssessment")["status"] == "preliminary" and not page.hospital.ehr.of_type("Provenance")


@pytest.mark.parametrize("change", [{"token": "x"}, {"token": ""}])
def test_a_form_of_somebody_else_does_nothing(change: dict[str, str]) -> None:
    page = Page(CHANGES)
    assert page.decide(decision="confirm", **change)["statusCode"] == 403
    elsewhere = page.hospital.browser.post(
        page.link("review"), {**page.form(), "decision": "confirm"}, origin="https://evil.test"
    )
    assert elsewhere["statusCode"] == 403
    crossed = page.hospital.browser.post(
        page.link("review"), {**page.form(), "decision": "confirm"}, sec_fetch_site="cross-site"
    )
    assert crossed["statusCode"] == 403 and page.hospital.ehr.of_type("Provenance") == []


def test_without_the_scope_the_page_says_why_and_nothing_is_taken() -> None:
    page = Page(READS)
    assert "patient/Provenance.cu" in page.body
    page.form()
    assert 'value="confirm"' not in page.review and 'value="rerun"' in page.review
    assert page.decide(decision="confirm")["statusCode"] == 400


def test_who_is_no_practitioner_does_not_confirm() -> None:
    page = Page(CHANGES, id_claims={"fhirUser": "https://ehr.test/fhir/Patient/p1"})
    assert "did not say which practitioner" in page.body
    assert page.decide(decision="confirm")["statusCode"] == 400


def test_what_the_ehr_refuses_in_spite_of_the_scope_is_told() -> None:
    page = Page(CHANGES)
    page.hospital.server._may_write = lambda *_: (403, {"resourceType": "OperationOutcome"})  # type: ignore[method-assign]
    assert page.decide(decision="confirm")["statusCode"] == 403


def test_an_abstention_is_not_confirmed_but_can_be_asked_again() -> None:
    page = Page(CHANGES, declined())
    page.form()
    assert 'value="confirm"' not in page.review
    assert page.decide(decision="confirm")["statusCode"] == 400


def test_running_again_puts_one_event_on_the_queue_and_writes_nothing() -> None:
    page = Page(READS)
    before = json.dumps(page.hospital.ehr.resources)
    answer = page.decide(decision="rerun")
    assert answer["statusCode"] == 303 and "run again" in page.hospital.page(answer["headers"]["Location"])["body"]
    (event,) = page.queue.events
    assert (event.tenant, event.kind, event.focus, event.patient) == ("general", "focus", "Encounter/e1", "Patient/p1")
    assert event.subscription in page.hospital.tenant.subscriptions
    assert json.dumps(page.hospital.ehr.resources) == before


def test_without_a_queue_nothing_is_run_again() -> None:
    page = Page(CHANGES, means=Means())
    page.form()
    assert 'value="rerun"' not in page.review
    assert page.decide(decision="rerun")["statusCode"] == 400


def test_a_key_of_another_session_leads_nowhere() -> None:
    page = Page(CHANGES)
    other = page.hospital.signed_in()
    for what in ("review", "sources", "model", "picture"):
        key = page.link("review").rpartition("/")[2] + ("/film.png" if what == "picture" else "")
        assert page.hospital.page(f"{other}/{what}/{key}")["statusCode"] == 404


def test_looking_writes_nothing_and_addresses_hold_no_id() -> None:
    page = Page(CHANGES, written())
    for what in ("review", "sources", "model"):
        answer = page.hospital.page(page.link(what))
        assert answer["statusCode"] == 200 and answer["headers"]["Cache-Control"] == "no-store"
    addresses = re.findall(r'(?:href|src|action)="([^"]*)"', page.body)
    ids = [resource["id"] for resource in page.hospital.ehr.resources.values()]
    assert not [address for address in addresses if set(ids) & set(re.split(r"[/?=&#]", address))]
    assert not [request for request in page.hospital.server.fhir if request.method == "PUT"]


def test_the_sources_are_shown_with_values_and_the_contributions_lead_to_them() -> None:
    heart_rate = {
        "resourceType": "Observation",
        "id": "hr",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}], "text": "Heart rate"},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-01-10T08:10:00Z",
        "valueQuantity": {"value": 92, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }
    risk = next(resource for resource in predicted() if resource["resourceType"] == "RiskAssessment")
    risk["prediction"][0]["rationale"] = (
        "Heart rate 92 /min raises the risk (+0.30); Age 81 years raises the risk (+0.2)"
    )
    page = Page(READS, [heart_rate, risk])
    assert re.search(r'/sources/[0-9a-f]+#i-heart_rate">Heart rate</a>', page.body)
    body = page.hospital.page(page.link("sources"))["body"]
    row = re.search(r'<tr id="i-heart_rate">(.*?)</tr>', body, re.DOTALL)
    assert row and "92 /min" in row[1] and "2026-01-10 08:10" in row[1]
    assert "may not be read here" in body, "the encounter, for which there is no scope"


def test_a_source_of_another_patient_is_not_shown() -> None:
    foreign = {"resourceType": "Observation", "id": "hr", "status": "final", "code": {"text": "Canary value"}}
    page = Page(READS, [*predicted(), {**foreign, "subject": {"reference": "Patient/p2"}}])
    server = page.hospital.server
    server._one = lambda url, grant: server.ehr._get(url.partition("/_history/")[0])  # type: ignore[method-assign]
    body = page.hospital.page(page.link("sources"))["body"]
    assert "may not be read here" in body and "Canary value" not in body


def test_model_card_and_source_attributes() -> None:
    page = Page(READS)
    body = page.hospital.page(page.link("model"))["body"]
    for text in ("Intended use", "Training data", "SHA-256 of the model file", "Model card", "WHAS500"):
        assert text in body


def test_a_card_opens_its_model_first_and_its_result() -> None:
    other = json.loads(json.dumps(predicted()).replace('"whas500"', '"pbc"'))
    for resource in other:
        resource["id"] = f"pbc-{resource['id'][4:]}"
        resource.pop("basis", None)
        resource["status"] = "preliminary"
    results = [*predicted(), *[item for item in other if item["resourceType"] == "RiskAssessment"]]
    asked = json.dumps({"view": "result", "model": "pbc", "hook": "patient-view"})
    for context, first in (({}, "whas500"), ({"appContext": asked}, "pbc"), ({"appContext": "[}"}, "whas500")):
        opened = {"patient": "p1", "encounter": "e1", **context}
        page = Page(READS, results, tenant={"subscriptions": {}}, context=opened)
        order = re.findall(r'/model/([0-9a-f]{20})"', page.body)
        bodies = [page.hospital.page(f"{page.path}/model/{key}")["body"] for key in order]
        assert ("biliary" in bodies[0]) is (first == "pbc"), first
