"""The twin's cloud: moto's server with the queues, tables, bucket and secret the functions expect."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from functions.serving.tenants import KEY_PREFIX, TENANT_PREFIX
from infra.local.server import LOOPBACK

REGION = "eu-central-1"
IDEMPOTENCY_TABLE = "bedside-idempotency"
LEDGER_TABLE = "bedside-ledger"
SESSION_TABLE = "bedside-sessions"
CDS_HOOKS_TABLE = "bedside-cds-hooks"
SESSION_KEY_SECRET = "bedside/session-key"  # noqa: S105 - its name
BUCKET = "bedside-twin"
MAX_RECEIVE_COUNT = 5


@dataclass(frozen=True)
class Queue:
    """A queue of a function that answers events.

    Parameters
    ----------
    url, dead_letter_url : str
        Of the queue, and of that of its dead letters.
    """

    url: str
    dead_letter_url: str


class LocalAws:
    """moto on 127.0.0.1, with what the templates would have created.

    moto keeps one account per process, so a process runs one of these at a time.

    Parameters
    ----------
    visibility_timeout : int
        Seconds until an event whose handling failed is tried again; twice as many for diagnosis models, as in the
        template.
    """

    def __init__(self, visibility_timeout: int = 30) -> None:
        self._visibility_timeout = visibility_timeout
        self._server: ThreadedMotoServer | None = None
        self.endpoint = ""
        self.events = self.diagnosis = Queue("", "")

    @property
    def queue_url(self) -> str:
        """The queue of events, for all functions without one of their own."""
        return self.events.url

    @property
    def dead_letter_queue_url(self) -> str:
        """Where its dead letters go."""
        return self.events.dead_letter_url

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Every queue of events."""
        return (self.events, self.diagnosis)

    def start(self) -> None:
        """Start the server on a free port and create everything, from nothing."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        self._forget()
        self._create_queues()
        self._create_tables()
        self._put_secret(SESSION_KEY_SECRET, {"kid": "1", "k": secrets.token_urlsafe(48)})
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.close()

    def stop(self) -> None:
        """Stop the server; everything in it is gone."""
        if self._server is not None:
            self._server.stop()
            if self._server._server is not None:
                self._server._server.server_close()
            self._server = None

    def client(self, service: str) -> Any:
        """Return a boto3 client of this cloud; close it after use."""
        session: Any = boto3.session.Session()
        return session.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="twin",
            aws_secret_access_key="twin",  # noqa: S106 - moto takes any
            config=Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=30, proxies={}),
        )

    def put_tenant(self, tenant: str, description: Mapping[str, object]) -> None:
        """Store what the functions may know of a tenant, under ``bedside/tenants/{tenant}``."""
        self._put_secret(TENANT_PREFIX + tenant, description)

    def put_key(self, name: str, key: Mapping[str, object]) -> None:
        """Store a private key of ours, a JWK, under ``bedside/keys/{name}``."""
        self._put_secret(KEY_PREFIX + name, key)

    def _put_secret(self, name: str, content: Mapping[str, object]) -> None:
        secretsmanager = self.client("secretsmanager")
        try:
            secretsmanager.create_secret(Name=name, SecretString=json.dumps(content))
        except secretsmanager.exceptions.ResourceExistsException:
            secretsmanager.put_secret_value(SecretId=name, SecretString=json.dumps(content))
        finally:
            secretsmanager.close()

    def environment(self, function: str = "") -> dict[str, str]:
        """Return the environment variables of the functions.

        Parameters
        ----------
        function : str
            ``diagnosis`` puts dead letters into a queue of its own.
        """
        dead = self.diagnosis if function == "diagnosis" else self.events
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "twin",
            "AWS_SECRET_ACCESS_KEY": "twin",
            "EVENT_QUEUE_URL": self.events.url,
            "DIAGNOSIS_QUEUE_URL": self.diagnosis.url,
            "DEAD_LETTER_QUEUE_URL": dead.dead_letter_url,
            # For `bedside redrive`.
            "DIAGNOSIS_DEAD_LETTER_QUEUE_URL": self.diagnosis.dead_letter_url,
            "IDEMPOTENCY_TABLE": IDEMPOTENCY_TABLE,
            "LEDGER_TABLE": LEDGER_TABLE,
            "SESSION_TABLE": SESSION_TABLE,
            "SESSION_KEY_SECRET": SESSION_KEY_SECRET,
            "CDS_HOOKS_TABLE": CDS_HOOKS_TABLE,
            "TENANT_SECRET_PREFIX": TENANT_PREFIX,
            "MAX_RECEIVE_COUNT": str(MAX_RECEIVE_COUNT),
            "POWERTOOLS_METRICS_NAMESPACE": "Bedside",
            "POWERTOOLS_SERVICE_NAME": "bedside",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }

    def _forget(self) -> None:
        """Drop what an earlier server in this process left behind."""
        import urllib.request

        request = urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10):
            pass

    def _create_queues(self) -> None:
        sqs = self.client("sqs")
        self.events = _create_queue(sqs, "bedside-events", self._visibility_timeout)
        self.diagnosis = _create_queue(sqs, "bedside-diagnosis", 2 * self._visibility_timeout)
        sqs.close()

    def _create_tables(self) -> None:
        dynamodb = self.client("dynamodb")
        keyed = [(table, "pk", "expires") for table in (LEDGER_TABLE, SESSION_TABLE, CDS_HOOKS_TABLE)]
        for table, key, expires in ((IDEMPOTENCY_TABLE, "id", "expiration"), *keyed):
            dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            dynamodb.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": expires}
            )
        dynamodb.close()


def _create_queue(sqs: Any, name: str, visibility_timeout: int) -> Queue:
    dead = sqs.create_queue(QueueName=f"{name}-dead-letters", Attributes={"MessageRetentionPeriod": "1209600"})
    arn = sqs.get_queue_attributes(QueueUrl=dead["QueueUrl"], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVE_COUNT}
    attributes = {"VisibilityTimeout": str(visibility_timeout), "RedrivePolicy": json.dumps(redrive)}
    return Queue(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], dead["QueueUrl"])
