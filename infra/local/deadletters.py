"""Dead letters: listing them with their causes, and sending them back. For any SQS, local or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

UNKNOWN_CAUSE = "not recorded (the queue gave up on it)"
HIDDEN_SECONDS = 60


@dataclass(frozen=True)
class DeadLetter:
    """One message of a dead-letter queue.

    Parameters
    ----------
    message_id : str
    cause : str
        Why it could not be handled; carries no patient data.
    event : str
        Id of the event, empty when the message is no event of ours.
    sent : str
        When it was first sent, in milliseconds since 1970, as SQS writes it.
    body : str
        The message itself. Not for logs.
    receipt_handle : str
    """

    message_id: str
    cause: str
    event: str
    sent: str
    body: str = field(repr=False)
    receipt_handle: str = field(repr=False)


def read_dead_letters(sqs: Any, queue_url: str) -> list[DeadLetter]:
    """Receive every dead letter; they stay hidden from others for a minute, or until :func:`put_back`.

    Parameters
    ----------
    sqs : boto3 SQS client
    queue_url : str
        The dead-letter queue.
    """
    found: dict[str, DeadLetter] = {}
    while True:
        messages = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=0,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return sorted(found.values(), key=lambda letter: letter.sent)
        for message in messages:
            attributes = message.get("MessageAttributes", {})
            found[message["MessageId"]] = DeadLetter(
                message_id=message["MessageId"],
                cause=attributes.get("cause", {}).get("StringValue", UNKNOWN_CAUSE),
                event=attributes.get("event", {}).get("StringValue", ""),
                sent=message.get("Attributes", {}).get("SentTimestamp", ""),
                body=message["Body"],
                receipt_handle=message["ReceiptHandle"],
            )


def put_back(sqs: Any, queue_url: str, letters: list[DeadLetter]) -> None:
    """Make dead letters visible to others again."""
    for letter in letters:
        sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=letter.receipt_handle, VisibilityTimeout=0)


def redrive(sqs: Any, dead_letter_queue_url: str, queue_url: str, letters: list[DeadLetter]) -> int:
    """Send dead letters to the event queue again, and remove each only when it was sent.

    Returns
    -------
    int
        How many were sent. A crash in between leaves a letter in both queues; events may come twice.
    """
    for sent, letter in enumerate(letters):
        try:
            sqs.send_message(QueueUrl=queue_url, MessageBody=letter.body)
        except Exception:
            put_back(sqs, dead_letter_queue_url, letters[sent:])
            raise
        sqs.delete_message(QueueUrl=dead_letter_queue_url, ReceiptHandle=letter.receipt_handle)
    return len(letters)
