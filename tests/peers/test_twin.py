"""The twin: a real FHIR server, a real HTTP gateway, an AWS stand-in and the real functions, together."""

from __future__ import annotations

import argparse
import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from fhir_adapter.codes import MODEL_TAG
from fhir_adapter.evidence import horizon_days
from infra.cli import redrive
from infra.local.bundles import patient_bundle
from infra.local.clinic import Outpatient
from infra.local.cohort import draw_cohort
from infra.local.gateway import Gateway
from infra.local.outpatients import draw_outpatients
from infra.local.poller import QueuePoller
from infra.local.server import ThreadedServer, bind
from infra.local.subscriptions import MODELS, OUTPATIENTS
from tests.peering import require_peer

if TYPE_CHECKING:
    from infra.local.twin import Twin

VALUES = {
    "age": 81.0,
    "female": 1.0,
    "bmi": 24.2,
    "heart_rate": 104.0,
    "systolic_bp": 118.0,
    "diastolic_bp": 70.0,
    "congestive_heart_failure": 1.0,
    "q_wave_mi": 0.0,
}
TIMEOUT = 60.0


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    require_peer("sekmet-fhir", module="sekmet")
    require_peer("moto", module="moto")
    from infra.local.twin import Twin

    with Twin(tmp_path_factory.mktemp("twin"), visibility_timeout=1) as twin:
        twin.register_subscription()
        yield twin


@pytest.fixture
def page(twin: Twin) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=twin.page_url, trust_env=False) as page:
        yield page


def until(condition: Callable[[], bool], timeout: float = TIMEOUT) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def admit(twin: Twin, patient_id: str, **changed: float | None) -> list[dict[str, Any]]:
    """Admit a patient; returns the ledger entries that this made."""
    before = {entry["pk"] for entry in twin.ledger()}
    values = {name: value for name, value in {**VALUES, **changed}.items() if value is not None}
    twin.post_bundle(patient_bundle(values, patient_id, datetime.now(UTC)))
    assert twin.drain(TIMEOUT, len(before) + 1)
    return [entry for entry in twin.ledger() if entry["pk"] not in before]


def results(twin: Twin, kind: str, patient_id: str) -> list[dict[str, Any]]:
    bundle = twin.fhir.get(kind, params={"subject": f"Patient/{patient_id}", "_count": "100"}).json()
    return [entry["resource"] for entry in bundle.get("entry", [])]


def test_an_admission_becomes_a_prediction_in_the_record(twin: Twin) -> None:
    (entry,) = admit(twin, "predicted")
    assert entry["outcome"] == "predicted"
    (assessment,) = results(twin, "RiskAssessment", "predicted")
    assert entry["result"] == f"RiskAssessment/{assessment['id']}"
    assert [horizon_days(item) for item in assessment["prediction"]] == [30, 180, 365, 1095]
    assert assessment["status"] == "preliminary"


def test_a_missing_measurement_becomes_a_recorded_abstention(twin: Twin) -> None:
    (entry,) = admit(twin, "abstained", heart_rate=None)
    assert (entry["outcome"], entry["reason"]) == ("abstained", "missing-input")
    assert results(twin, "RiskAssessment", "abstained") == []
    recorded = [item for item in results(twin, "Observation", "abstained") if "dataAbsentReason" in item]
    assert len(recorded) == 1


def test_everything_written_is_valid_as_the_ehr_gives_it_back(twin: Twin) -> None:
    require_peer("fhirkit-rs", module="fhirkit")
    import fhirkit

    from fhir_adapter.evidence import check

    admit(twin, "valid")
    admit(twin, "valid-abstained", systolic_bp=None)
    query = {"_tag": f"{MODEL_TAG}|whas500", "_count": "200"}
    kinds = ("Device", "Observation", "RiskAssessment", "Provenance")
    found = {kind: [entry["resource"] for entry in twin.fhir.get(kind, params=query).json()["entry"]] for kind in kinds}
    assert len(found["Device"]) == 1
    assert len(found["Provenance"]) == len(found["Observation"]) > len(found["RiskAssessment"]) > 0
    for resource in (item for items in found.values() for item in items):
        assert fhirkit.validate(resource) == []
        check(resource)


def test_an_empty_notification_finds_everything_answered(twin: Twin) -> None:
    admit(twin, "swept")
    before = {entry["pk"] for entry in twin.ledger()}
    count = len(results(twin, "RiskAssessment", "swept"))
    twin.ping()
    assert twin.drain(TIMEOUT, len(before) + 2)
    outcomes = {entry["outcome"] for entry in twin.ledger() if entry["pk"] not in before}
    assert outcomes == {"sweep", "duplicate"}
    assert len(results(twin, "RiskAssessment", "swept")) == count == 1


def test_a_sweep_finds_what_a_lost_notification_left(twin: Twin) -> None:
    path = "Subscription/bedside-admissions"
    twin.fhir.put(path, json={**twin.fhir.get(path).json(), "status": "off"})
    before = {entry["pk"] for entry in twin.ledger()}
    twin.post_bundle(patient_bundle(VALUES, "unheard", datetime.now(UTC)))
    assert not twin.drain(0.5, len(before) + 1)
    twin.register_subscription()
    twin.ping()
    assert twin.drain(TIMEOUT, len(before) + 2)
    assert "predicted" in {entry["outcome"] for entry in twin.ledger() if entry["pk"] not in before}
    assert len(results(twin, "RiskAssessment", "unheard")) == 1


@pytest.mark.parametrize("content", ["id-only", "full-resource"])
def test_topic_based_subscriptions_do_the_same(twin: Twin, content: Any) -> None:
    twin.register_subscription(backport=content)
    try:
        (entry,) = admit(twin, f"topic-{content}")
        assert entry["outcome"] == "predicted"
    finally:
        twin.register_subscription()


@pytest.mark.parametrize(
    ("method", "path", "secret", "status"),
    [
        ("POST", "/notify/twin/admissions", "wrong", 401),
        ("POST", "/notify/twin/admissions", "", 401),
        ("POST", "/notify/twin/discharges", "right", 404),
        ("POST", "/notify/nowhere/admissions", "right", 404),
        ("GET", "/notify/twin/admissions", "right", 404),
        ("POST", "/", "right", 404),
    ],
)
def test_the_gateway_lets_nobody_else_in(twin: Twin, method: str, path: str, secret: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {twin.secret if secret == 'right' else secret}"} if secret else {}
    waiting = twin.waiting()
    response = httpx.request(method, twin.gateway_url + path, headers=headers, trust_env=False)
    assert response.status_code == status
    assert twin.waiting() == waiting


@pytest.mark.parametrize(("path", "status"), [("/ui", 404), ("/api/docs", 404), ("/fhir/Patient", 401)])
def test_the_ehr_shows_nothing_without_its_token(twin: Twin, path: str, status: int) -> None:
    root = twin.ehr.base_url.removesuffix("/fhir")
    assert httpx.get(root + path, trust_env=False).status_code == status


def test_the_gateway_takes_ten_megabytes_at_most(twin: Twin) -> None:
    response = httpx.post(twin.endpoint, content=b" " * (10 * 1024 * 1024 + 1), trust_env=False)
    assert response.status_code == 413


def test_dead_letters_are_listed_with_their_cause_and_sent_back(
    twin: Twin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs = twin.aws.client("sqs")
    for queue in twin.aws.queues:
        sqs.send_message(QueueUrl=queue.url, MessageBody="not an event")
    until(lambda: twin.dead_letter_count() == 2)
    assert [left(sqs, queue.dead_letter_url) for queue in twin.aws.queues] == [1, 1]
    for name, value in twin.environment.items():
        monkeypatch.setenv(name, value)
    listed = command(capsys, list=True)
    causes = [letter["cause"] for letter in listed["dead_letters"]]
    assert listed["redriven"] == 0
    assert len(causes) == 2
    assert all(causes)
    assert twin.dead_letter_count() == 2
    assert command(capsys, list=False)["redriven"] == 2
    until(lambda: twin.dead_letter_count() == 2)  # they are still no events
    assert [left(sqs, queue.dead_letter_url) for queue in twin.aws.queues] == [1, 1]
    assert [again.cause for again in twin.dead_letters()] == causes
    for queue in twin.aws.queues:
        sqs.purge_queue(QueueUrl=queue.dead_letter_url)
    sqs.close()


def command(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    arguments = argparse.Namespace(json=True, queue_url=None, dead_letter_queue_url=None, **options)
    assert redrive.run(arguments) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


class Scripted:
    """A function that answers from a script and remembers what it was sent."""

    def __init__(self, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.events: list[dict[str, Any]] = []
        self._answer = answer

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        self.events.append(event)
        return self._answer(event)


@pytest.fixture
def gateway() -> Iterator[tuple[Scripted, str]]:
    created = {"statusCode": 201, "headers": {"X-Seen": "yes"}, "cookies": ["a=b"], "body": "ok"}
    function = Scripted(lambda event: created)
    server = ThreadedServer(Gateway(function.invoke).app, bind())
    server.start()
    yield function, f"{server.url}/notify/h%C3%B4pital/admissions"
    server.stop()


def test_a_request_becomes_an_event_of_payload_format_2(gateway: tuple[Scripted, str]) -> None:
    function, url = gateway
    headers = [("Authorization", "Bearer x"), ("X-Two", "1"), ("X-Two", "2"), ("Cookie", "k=v; l=w")]
    headers.append(("Content-Type", "application/fhir+json"))
    body = '{"resourceType": "Encounter", "id": "é"}'.encode()
    answer = httpx.put(f"{url}/Encounter/e1?a=1&a=2&b=", headers=headers, content=body, trust_env=False)
    assert (answer.status_code, answer.text, answer.headers["x-seen"]) == (201, "ok", "yes")
    assert answer.headers["set-cookie"] == "a=b"
    (event,) = function.events
    assert event["version"] == "2.0"
    assert event["routeKey"] == "PUT /notify/{tenant}/{subscription}/{type}/{id}"
    assert event["rawPath"] == "/notify/hôpital/admissions/Encounter/e1"
    assert event["rawQueryString"] == "a=1&a=2&b="
    assert event["queryStringParameters"] == {"a": "1,2", "b": ""}
    assert event["pathParameters"]["id"] == "e1"
    assert event["cookies"] == ["k=v", "l=w"]
    assert event["headers"]["x-two"] == "1,2"
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"]["method"] == "PUT"
    assert event["isBase64Encoded"] is True
    assert b64decode(event["body"]) == body


def test_text_travels_as_text_and_nothing_as_nothing(gateway: tuple[Scripted, str]) -> None:
    function, url = gateway
    httpx.post(url, json={"a": 1}, trust_env=False)
    httpx.post(url, trust_env=False)
    written, empty = function.events
    assert (written["isBase64Encoded"], json.loads(written["body"])) == (False, {"a": 1})
    assert (empty["isBase64Encoded"], "body" in empty) == (False, False)


def test_a_function_that_raises_is_a_500_that_says_nothing() -> None:
    server = ThreadedServer(Gateway(Scripted(raising).invoke).app, bind())
    server.start()
    answer = httpx.post(f"{server.url}/notify/a/b", trust_env=False)
    server.stop()
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})


@pytest.fixture
def queue(twin: Twin) -> Iterator[tuple[Any, str]]:
    sqs = twin.aws.client("sqs")
    url = sqs.create_queue(QueueName="scripted", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    yield sqs, url
    sqs.delete_queue(QueueUrl=url)
    sqs.close()


def left(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(int(n) for n in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())


def raising(event: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("the function failed")


def first_fails(event: dict[str, Any]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}


@pytest.mark.parametrize(
    ("answer", "remaining"),
    [
        (lambda event: {"batchItemFailures": []}, 0),
        (lambda event: {}, 0),
        (first_fails, 1),
        (lambda event: {"batchItemFailures": [{"itemIdentifier": "nobody"}]}, 3),
        (raising, 3),
    ],
    ids=["success", "no answer", "one failed", "unknown message named", "raised"],
)
def test_the_poller_keeps_what_was_not_handled(
    twin: Twin, queue: tuple[Any, str], answer: Callable[[dict[str, Any]], dict[str, Any]], remaining: int
) -> None:
    sqs, url = queue
    attributes = {"colour": {"DataType": "String", "StringValue": "blue"}}
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number), MessageAttributes=attributes)
    function = Scripted(answer)
    poller = QueuePoller(twin.aws.client("sqs"), url, function, "eu-central-1", batch_size=3)
    assert poller.poll_once() == 3
    poller.stop()
    assert left(sqs, url) == remaining
    record = function.events[0]["Records"][0]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(":scripted")
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["colour"]["stringValue"] == "blue"
    assert {"messageId", "receiptHandle", "body", "md5OfBody", "awsRegion"} <= set(record)


def test_the_page_lists_patients_by_risk_and_says_why_there_is_none(twin: Twin, page: httpx.Client) -> None:
    for patient in draw_cohort(5, reference=datetime.now(UTC)):
        twin.post_bundle(patient.bundle())
    until(lambda: "synthetic-005" in page.get("/").text and "synthetic-004" in page.get("/").text)
    text = page.get("/").text
    assert "heart rate" in text[text.index("synthetic-005") :]
    response = page.get("/patients/synthetic-001")
    assert response.status_code == 200
    assert "Within" in response.text
    assert '<svg class="curve"' in response.text
    assert "preliminary" in response.text
    assert "/fhir/Observation/" in response.text


def test_everything_a_result_was_answered_from_can_be_opened(twin: Twin, page: httpx.Client) -> None:
    admit(twin, "traced")
    text = page.get("/patients/traced").text
    addresses = [part.partition('"')[0] for part in text.split('href="')[1:] if part.startswith("/fhir/")]
    assert len(addresses) > 3
    for address in addresses:
        assert page.get(address).status_code == 200, address


@pytest.fixture(scope="module")
def outpatients(twin: Twin) -> list[Outpatient]:
    """Patients of three clinics, each visit answered by three models; the last patient has two of the diseases."""
    twin.register_subscription(OUTPATIENTS)
    cohort = draw_outpatients(1, reference=datetime.now(UTC))
    before = len(twin.ledger())
    for patient in cohort:
        twin.post_bundle(patient.bundle())
    assert twin.drain(TIMEOUT, before + len(cohort) * len(OUTPATIENTS.models))
    return cohort


def test_a_visit_is_put_to_three_models_and_only_those_that_apply_write(
    twin: Twin, outpatients: list[Outpatient]
) -> None:
    told = {
        patient.patient_id: {
            tag["code"] for item in results(twin, "RiskAssessment", patient.patient_id) for tag in item["meta"]["tag"]
        }
        for patient in outpatients
    }
    assert told == {patient.patient_id: set(patient.diseases) for patient in outpatients}
    for patient in outpatients:
        observed = results(twin, "Observation", patient.patient_id)
        assert [item for item in observed if "dataAbsentReason" in item] == []


def test_a_patient_of_two_models_has_both_on_one_page(page: httpx.Client, outpatients: list[Outpatient]) -> None:
    (both,) = [patient for patient in outpatients if len(patient.diseases) == 2]
    text = page.get(f"/patients/{both.patient_id}").text
    assert 'aria-labelledby="curve-mgus2-title' in text
    assert 'aria-labelledby="curve-nafld-title' in text
    assert "Death without progression" in text
    assert "What may come first" in text
    assert "Years since the visit" in text
    assert text.index('id="mgus2"') < text.index('id="nafld"')
    listed = page.get("/").text
    for model in ("pbc", "mgus2", "nafld"):
        assert f'<h2 id="{model}">' in listed
        assert f'href="/models/{model}/card"' in listed


def test_a_competing_event_is_told_apart_in_the_record(twin: Twin, outpatients: list[Outpatient]) -> None:
    (assessment,) = results(twin, "RiskAssessment", "outpatient-mgus2-01")
    told = [(item["outcome"]["text"], horizon_days(item)) for item in assessment["prediction"]]
    days = (1825, 3650, 5475)
    assert told == [
        *(("Progression to a plasma cell malignancy", day) for day in days),
        *(("Death without progression", day) for day in days),
    ]
    (observation,) = [item for item in results(twin, "Observation", "outpatient-mgus2-01") if "device" in item]
    codes = {part["code"]["coding"][0]["code"] for part in observation["component"]}
    assert {f"competing-risk-{day}d" for day in days} | {"competing-incidence-curve", "survival-curve"} <= codes


@pytest.mark.parametrize("model", MODELS)
def test_every_model_s_card_and_what_is_linked_can_be_opened(page: httpx.Client, model: str) -> None:
    response = page.get(f"/models/{model}/card")
    assert response.status_code == 200
    assert len(response.text) > 1000
    linked = f'href="/models/{model}/report"' in page.get("/nothing").text
    report = page.get(f"/models/{model}/report")
    assert report.status_code == (200 if linked else 404)
    assert linked or model == "ecg", "the maker of ecg evaluated it, and no report of ours is there"


@pytest.mark.parametrize(
    "path",
    [
        "/models/nobody/card",
        "/models/..%2Fwhas500/card",
        "/models/*/card",
        "/studies/nobody/film.png",
        "/studies/..%2f..%2fetc/film.png",
        "/reports/nobody/picture.png",
        "/patients/nobody",
        "/patients/..%2f..%2fetc",
        "/patients/a'b",
        "/fhir/Subscription/bedside-admissions",
        "/nothing",
    ],
)
def test_the_page_shows_nothing_else(page: httpx.Client, path: str) -> None:
    assert page.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/patients/predicted", "/nothing", "/static/page.css"])
def test_every_answer_of_the_page_is_kept_out_of_caches_and_frames(page: httpx.Client, path: str) -> None:
    headers = page.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.get(path, headers={"Host": "evil.example"}).status_code == 400


def test_a_name_is_text_on_the_page_and_never_markup(twin: Twin, page: httpx.Client) -> None:
    bundle = patient_bundle(VALUES, "marked", datetime.now(UTC), given="<script>alert(1)</script>")
    before = len(twin.ledger())
    twin.post_bundle(bundle)
    assert twin.drain(TIMEOUT, before + 1)
    for path in ("/", "/patients/marked"):
        text = page.get(path).text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "<script" not in text


def test_the_functions_log_knows_no_patient(twin: Twin) -> None:
    admit(twin, "canary-7f3a")
    text = (twin.data_dir / "functions.log").read_text(encoding="utf-8")
    assert "event answered" in text
    for secret in ("canary-7f3a", "Synthetic", "birthDate", twin.secret, twin.ehr.token):
        assert secret not in text
