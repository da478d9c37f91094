"""What Lambda's event source mapping does for an SQS queue: receive, invoke, delete what succeeded.

Semantics of "Using Lambda with Amazon SQS": batches of up to 10; with ``ReportBatchItemFailures`` only the
named messages stay in the queue; when the function raises, or its answer names an unknown message, the
whole batch stays and reappears after the visibility timeout.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.functions import LambdaFunction

logger = logging.getLogger(__name__)

BATCH_SIZE = 10


class QueuePoller:
    """Feed a function from a queue, in a thread of its own.

    Parameters
    ----------
    sqs : boto3 SQS client
        Used by this thread only, and closed by :meth:`stop`.
    queue_url : str
    function : LambdaFunction
    region : str
        Region written into the records.
    batch_size : int
        Most messages in a batch.
    """

    def __init__(
        self, sqs: Any, queue_url: str, function: LambdaFunction, region: str, batch_size: int = BATCH_SIZE
    ) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._function = function
        self._region = region
        self._batch_size = batch_size
        self._arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-source-mapping", daemon=True)
        self.delivered = 0
        self.failed_batches = 0

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch under way and stop; what was not handled stays in the queue."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._sqs.close()

    def poll_once(self, wait_seconds: int = 0) -> int:
        """Receive one batch and have it handled.

        Parameters
        ----------
        wait_seconds : int
            Long polling: how long to wait for the first message.

        Returns
        -------
        int
            Number of messages received.
        """
        messages = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=self._batch_size,
            WaitTimeSeconds=wait_seconds,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        ).get("Messages", [])
        if messages:
            self._handle(messages)
        return len(messages)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.poll_once(wait_seconds=1)
            except (BotoCoreError, ClientError) as error:
                logger.warning("polling failed: %s", type(error).__name__)
                self._stopping.wait(0.5)

    def _handle(self, messages: list[dict[str, Any]]) -> None:
        event = {"Records": [self._record(message) for message in messages]}
        try:
            answer = self._function.invoke(event)
        except Exception as error:  # noqa: BLE001 - the edge: whatever a handler raises, the batch comes back
            self.failed_batches += 1
            logger.warning("the function raised %s; its batch of %d comes back", type(error).__name__, len(messages))
            return
        failed = _failures(answer, {message["MessageId"] for message in messages})
        self._delete([message for message in messages if message["MessageId"] not in failed])

    def _delete(self, messages: Iterable[dict[str, Any]]) -> None:
        entries = [
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]} for index, message in enumerate(messages)
        ]
        if entries:
            self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)
            self.delivered += len(entries)

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return one record of the event, in the shape and spelling that Lambda uses."""
        record = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._region,
        }
        if "MD5OfMessageAttributes" in message:
            record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
        return record


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    spelled = {name[0].lower() + name[1:]: item for name, item in value.items()}
    return {**spelled, "stringListValues": [], "binaryListValues": []}


def _failures(answer: dict[str, Any] | None, sent: set[str]) -> set[str]:
    """Return the message ids to leave in the queue."""
    items = (answer or {}).get("batchItemFailures") or []
    named = {item.get("itemIdentifier") for item in items}
    return sent if named - sent else named
