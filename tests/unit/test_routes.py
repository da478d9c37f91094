"""Which queue an event belongs on: that of the function that has the model's package."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_adapter.errors import ConfigurationError
from functions.serving.cloud import SqsQueue
from functions.serving.events import Event, for_models, new_event
from functions.serving.routes import WITHOUT_PACKAGE, RoutedQueue, functions_of, routed_queue
from infra.packaging import artefact


class Noting(SqsQueue):
    def __init__(self) -> None:
        super().__init__("https://sqs.test/queue")
        self.sent: list[tuple[str | None, float]] = []

    def send_later(self, events: object, seconds: float) -> None:
        assert isinstance(events, list)
        self.sent += [(event.model, seconds) for event in events]


def event() -> Event:
    return new_event("general", "all", "focus", "ImagingStudy/s1")


def test_each_model_belongs_to_the_function_that_has_its_package() -> None:
    found = functions_of()
    assert found["ecg"] == found["thyroid"] == "diagnosis"
    assert found["whas500"] == "survival"
    assert found["ward"] == "allocation"
    assert artefact.functions_of(artefact.REPOSITORY / "functions") == found


def test_a_package_that_is_added_is_routed_without_a_setting(tmp_path: Path) -> None:
    place = tmp_path / "diagnosis" / "packages" / "mine"
    place.mkdir(parents=True)
    (place / "model.yaml").write_text('schema: 1\nname: "mine"\noutcome:\n  name: other\n', encoding="utf-8")
    assert functions_of(tmp_path) == {"mine": "diagnosis"}
    table = tmp_path / "serving" / "models.json"
    table.parent.mkdir()
    table.write_text('{"theirs": "survival"}', encoding="utf-8")
    assert functions_of(tmp_path) == {"theirs": "survival"}, "what was built with the function counts"


def test_events_go_to_their_functions_queue() -> None:
    default, other = Noting(), Noting()
    queue = RoutedQueue(default, {"diagnosis": other}, {"ecg": "diagnosis", "whas500": "survival"})
    queue.send(for_models(event(), ["ecg", "whas500"]), ["ecg", "whas500"])
    queue.send([event()], ["ecg"])
    queue.send([event()], ["nobodys"])
    queue.send_later([event()], 90, ["ecg"])
    assert other.sent == [("ecg", 0), (None, 0), (None, 90)]
    assert default.sent == [("whas500", 0), (None, 0)]


def test_the_ward_model_needs_no_package_and_both_tables_say_so() -> None:
    assert artefact.WITHOUT_PACKAGE == WITHOUT_PACKAGE
    assert {(artefact.REPOSITORY / "functions" / name / "app.py").is_file() for name in WITHOUT_PACKAGE.values()} == {
        True
    }


def test_a_sweep_goes_to_who_sweeps_for_all_models() -> None:
    default, wards = Noting(), Noting()
    queue = RoutedQueue(default, {"allocation": wards}, {"ward": "allocation", "whas500": "survival"})
    sweep = new_event("general", "all", "sweep")
    queue.send([sweep], ["ward", "whas500"])
    assert (len(default.sent), len(wards.sent)) == (1, 0)
    queue.send([sweep], ["ward"])
    assert (len(default.sent), len(wards.sent)) == (1, 1)
    queue.send(for_models(event(), ["ward", "whas500"]), ["ward", "whas500"])
    assert wards.sent[1:] == [("ward", 0)]


def test_without_a_queue_of_its_own_a_function_shares_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENT_QUEUE_URL", raising=False)
    monkeypatch.delenv("DIAGNOSIS_QUEUE_URL", raising=False)
    monkeypatch.delenv("ALLOCATION_QUEUE_URL", raising=False)
    with pytest.raises(ConfigurationError, match="EVENT_QUEUE_URL"):
        routed_queue()
    monkeypatch.setenv("EVENT_QUEUE_URL", "https://sqs.test/events")
    assert routed_queue()._of("ecg")._url == "https://sqs.test/events"
    monkeypatch.setenv("DIAGNOSIS_QUEUE_URL", "https://sqs.test/diagnosis")
    assert routed_queue()._of("ecg")._url == "https://sqs.test/diagnosis"
    assert routed_queue()._of("whas500")._url == "https://sqs.test/events"
    assert routed_queue()._of("ward")._url == "https://sqs.test/events"
    monkeypatch.setenv("ALLOCATION_QUEUE_URL", "https://sqs.test/allocation")
    assert routed_queue()._of("ward")._url == "https://sqs.test/allocation"
