"""Functions under AWS's own runtime and runtime interface emulator."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.aws import LocalAws
from infra.local.emulator import (
    EmulatedFunction,
    EmulatorError,
    EmulatorInvocationError,
    EmulatorUnavailable,
    find_emulator,
)
from infra.packaging.artefact import build, local_target
from tests.peering import require_peer

EVENTS = Path(__file__).parents[1] / "events"

HANDLER = """
import os
import time

def echo(event, context):
    return {"event": event, "name": context.function_name, "said": os.environ.get("SAID")}

def fail(event, context):
    raise ValueError("no such ward")

def sleep(event, context):
    time.sleep(event["seconds"])
    return {"slept": event["seconds"]}

def die(event, context):
    os._exit(3)

def pid(event, context):
    return {"pid": os.getpid(), "parent": os.getppid()}

def seek(event, context):
    import importlib.util
    return {name: importlib.util.find_spec(name) is not None for name in event["names"]}

def say_nothing(event, context):
    return None
"""


@pytest.fixture(scope="module", autouse=True)
def peer() -> None:
    require_peer("Lambda runtime interface emulator", "samcli")
    require_peer("Lambda runtime client", "awslambdaric")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "ward.py").write_text(HANDLER)
    return tmp_path


def event(name: str) -> dict[str, Any]:
    loaded = json.loads((EVENTS / f"{name}.json").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.peer("lambda-emulator")
class TestEmulatedFunction:
    def test_returns_what_the_handler_returns_with_its_environment(self, code: Path) -> None:
        with EmulatedFunction("ward.echo", {"SAID": "yes"}, code) as function:
            assert function.init_ms is None
            assert function.invoke({"a": "ä"}) == {"event": {"a": "ä"}, "name": "ward-echo", "said": "yes"}
            assert function.invoke({"a": 2})["event"] == {"a": 2}
            assert function.init_ms is not None
            assert 0 < function.init_ms < 10_000

    def test_none_is_an_empty_result(self, code: Path) -> None:
        with EmulatedFunction("ward.say_nothing", {}, code) as function:
            assert function.invoke({}) == {}

    def test_raises_what_the_handler_raised_and_goes_on(self, code: Path) -> None:
        with EmulatedFunction("ward.fail", {}, code) as function:
            for _ in range(2):
                with pytest.raises(EmulatorInvocationError, match="no such ward") as caught:
                    function.invoke({})
                assert (caught.value.type, caught.value.message) == ("ValueError", "no such ward")
            assert "no such ward" in function.log
        assert "no such ward" in function.log

    def test_a_handler_that_cannot_be_imported(self, code: Path) -> None:
        with (
            EmulatedFunction("missing.handler", {}, code) as function,
            pytest.raises(EmulatorInvocationError) as caught,
        ):
            function.invoke({})
        assert caught.value.type == "Runtime.ImportModuleError"

    def test_ends_what_takes_too_long_and_starts_it_anew(self, code: Path) -> None:
        with EmulatedFunction("ward.sleep", {}, code, timeout=1) as function:
            with pytest.raises(EmulatorInvocationError, match="timed out") as caught:
                function.invoke({"seconds": 30})
            assert caught.value.type == "Sandbox.Timedout"
            assert function.invoke({"seconds": 0}) == {"slept": 0}

    def test_reports_a_process_that_ended(self, code: Path) -> None:
        with EmulatedFunction("ward.die", {}, code) as function, pytest.raises(EmulatorInvocationError) as caught:
            function.invoke({})
        assert caught.value.type == "Runtime.ExitError"

    def test_stops_every_process_and_can_start_again(self, code: Path) -> None:
        function = EmulatedFunction("ward.pid", {}, code)
        function.start()
        pids = function.invoke({})
        with pytest.raises(EmulatorError, match="already started"):
            function.start()
        function.stop()
        function.stop()
        for pid in pids.values():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        with pytest.raises(EmulatorError, match="not started"):
            function.invoke({})
        with function:
            assert function.invoke({})["pid"] not in pids.values()

    def test_a_packaged_function_sees_no_other_package(self, code: Path) -> None:
        (code / "own.py").touch()
        with EmulatedFunction("ward.seek", {}, code) as function:
            found = function.invoke({"names": ["own", "json", "pytest", "numpy", "boto3", "infra"]})
        assert found == {
            "own": True,
            "json": True,
            "pytest": False,
            "numpy": False,
            "boto3": False,
            "infra": False,
        }

    def test_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(EmulatorUnavailable, match="no interpreter"):
            EmulatedFunction("a.b", {}, python="/nowhere/python")
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(EmulatorUnavailable, match="runs on Linux"):
            find_emulator()


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalAws]:
    cloud = LocalAws()
    cloud.start()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both functions, built for this machine as they are for Lambda."""
    arch, python_version = local_target()
    folder = tmp_path_factory.mktemp("artefacts")
    return {
        function: build(function, folder / function, arch, python_version).folder
        for function in ("receiver", "survival")
    }


@pytest.mark.peer("lambda-emulator")
def test_the_receiver_as_built_refuses_an_unknown_tenant(artefacts: dict[str, Path], cloud: LocalAws) -> None:
    with EmulatedFunction("functions.receiver.app.handler", cloud.environment(), artefacts["receiver"]) as function:
        for name in ("receiver_put_encounter", "receiver_post_handshake", "receiver_post_empty"):
            answer = function.invoke(event(name))
            outcome = json.loads(answer["body"])
            assert answer["statusCode"] == 404, name
            assert outcome["resourceType"] == "OperationOutcome"
            assert outcome["issue"][0]["code"] == "not-found"


@pytest.mark.peer("lambda-emulator")
def test_the_receiver_as_built_queues_golden_events(artefacts: dict[str, Path], cloud: LocalAws) -> None:
    cloud.put_tenant("twin", tenant_description("http://127.0.0.1:9/fhir"))
    with EmulatedFunction("functions.receiver.app.handler", cloud.environment(), artefacts["receiver"]) as function:
        assert function.invoke(event("receiver_post_handshake"))["statusCode"] == 202
        for name in ("receiver_put_encounter", "receiver_post_event_notification", "receiver_post_empty"):
            assert function.invoke(event(name))["statusCode"] == 202, name
    sqs = cloud.client("sqs")
    messages = sqs.receive_message(QueueUrl=cloud.queue_url, MaxNumberOfMessages=10)["Messages"]
    sqs.purge_queue(QueueUrl=cloud.queue_url)
    sqs.close()
    bodies = [json.loads(message["Body"]) for message in messages]
    assert sorted(body["kind"] for body in bodies) == ["focus", "focus", "sweep"]
    assert {body["focus"] for body in bodies} == {"Encounter/enc-001", None}


@pytest.mark.peer("lambda-emulator")
def test_the_survival_function_as_built_tries_again_when_the_ehr_is_away(
    artefacts: dict[str, Path], cloud: LocalAws
) -> None:
    cloud.put_tenant("twin", tenant_description("http://127.0.0.1:9/fhir"))
    batch = event("survival_sqs_batch")
    with EmulatedFunction(
        "functions.survival.app.handler", cloud.environment(), artefacts["survival"], timeout=60
    ) as function:
        failures = function.invoke(batch)["batchItemFailures"]
    assert [failure["itemIdentifier"] for failure in failures] == [record["messageId"] for record in batch["Records"]]


def tenant_description(fhir_base: str) -> dict[str, Any]:
    return {
        "name": "twin",
        "fhir_base": fhir_base,
        "allow_private": True,
        "auth": {"type": "bearer", "token": "token-for-the-tests-only"},
        "organization": "Golden Hospital",
        "subscriptions": {
            "admissions": {
                "secret": "secret-of-the-golden-events",
                "criteria": "Encounter?class=IMP",
                "models": ["whas500"],
            }
        },
    }
