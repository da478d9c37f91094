"""The functions' cloud in memory (moto), and their environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from moto import mock_aws

from tests.samples import tenant_json


@dataclass
class Cloud:
    """Queues and tables the functions use."""

    sqs: Any
    ledger: Any
    queue_url: str
    dead_letter_url: str

    def messages(self, url: str) -> list[dict[str, Any]]:
        """Receive everything on a queue."""
        found: list[dict[str, Any]] = []
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=0
            )
            if not answer.get("Messages"):
                return found
            found += answer["Messages"]

    def entries(self) -> list[dict[str, Any]]:
        """Return the ledger's events."""
        items = self.ledger.scan()["Items"]
        return [item for item in items if item["pk"].startswith("event#")]


@pytest.fixture(autouse=True)
def namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics need a namespace, which the template sets; a logger of its own writes to this test's output."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"test-{uuid4()}")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Bedside")


ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "TENANT_SECRET_PREFIX": "bedside/tenants/",
    "IDEMPOTENCY_TABLE": "idempotency",
    "LEDGER_TABLE": "ledger",
    "MAX_RECEIVE_COUNT": "3",
}


def created(tenant: dict[str, Any]) -> Cloud:
    """Make what the functions use, and the secret of one tenant, where boto3 talks to moto."""
    sqs = boto3.client("sqs")
    queue_url = sqs.create_queue(QueueName="events")["QueueUrl"]
    dead_letter_url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    dynamodb = boto3.resource("dynamodb")
    for table, key in (("idempotency", "id"), ("ledger", "pk")):
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    boto3.client("secretsmanager").create_secret(Name="bedside/tenants/general", SecretString=json.dumps(tenant))
    return Cloud(sqs, dynamodb.Table("ledger"), queue_url, dead_letter_url)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        # Powertools keeps providers and values across tests
        parameters.clear_caches()
        monkeypatch.setattr(parameters.base, "DEFAULT_PROVIDERS", {})
        made = created(tenant_json())
        monkeypatch.setenv("EVENT_QUEUE_URL", made.queue_url)
        monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", made.dead_letter_url)
        yield made


@pytest.fixture
def lambda_context() -> Any:
    return SimpleNamespace(
        function_name="test",
        function_version="$LATEST",
        invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:test",
        memory_limit_in_mb=512,
        aws_request_id="00000000-0000-0000-0000-000000000000",
        log_group_name="/aws/lambda/test",
        log_stream_name="test",
        get_remaining_time_in_millis=lambda: 30_000,
    )
