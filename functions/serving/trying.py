"""What becomes of a message whose handling fails: tried again, or put aside with the cause."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from botocore.exceptions import BotoCoreError, ClientError

from fhir_adapter.errors import FhirAdapterError, Unavailable
from functions.serving.cloud import QueueError, SqsQueue
from functions.serving.errors import EventRejected, ModelRefused
from functions.serving.events import Event

__all__ = ["Trying"]

# For the last: an event that another copy of the function is answering just now is tried again later.
TRY_AGAIN = (Unavailable, QueueError, BotoCoreError, ClientError, IdempotencyAlreadyInProgressError)
# Whatever else the adapter knows by name: what the EHR or the image store refuses, what is not valid, not configured,
# or not what it says it is. None of it will be otherwise when it is asked again.
NEVER = (EventRejected, ModelRefused, FhirAdapterError)


class Trying:
    """Handles messages, and sends those that failed back to the queue or to the dead letters.

    Parameters
    ----------
    dead_letters : callable
        Opens the queue of dead letters; asked for when one is to be sent.
    close : callable
        Puts on record how an event ended (:class:`functions.serving.closing.Closing`).
    logger : Logger
    metrics : Metrics
    """

    def __init__(
        self,
        dead_letters: Callable[[], SqsQueue],
        close: Callable[[Event, dict[str, Any]], None],
        logger: Logger,
        metrics: Metrics,
    ) -> None:
        self._dead_letters = dead_letters
        self._close = close
        self._logger = logger
        self._metrics = metrics

    def unreadable(self, record: SQSRecord, error: EventRejected) -> None:
        """Put a message aside that is no event."""
        self._dead_letters().send_dead(record.body, str(error), record.message_id)
        self._metrics.add_metric("DeadLetters", MetricUnit.Count, 1)

    def __call__(self, event: Event, record: SQSRecord, handle: Callable[[], None]) -> None:
        """Handle a message's event. An exception that leaves here sends the message back to the queue."""
        last = int(record.attributes.approximate_receive_count or 1) >= int(os.environ.get("MAX_RECEIVE_COUNT", "5"))
        try:
            handle()
        except TRY_AGAIN as error:
            self._again_or_aside(event, record.body, error, last)
        except NEVER as error:
            self._put_aside(event, record.body, error)
        except Exception as error:  # noqa: BLE001 - the handler's edge: nothing may be lost, and the cause is kept
            self._again_or_aside(event, record.body, error, last)

    def _again_or_aside(self, event: Event, body: str, error: Exception, last: bool) -> None:
        if not last:
            self._logger.warning("event goes back to the queue", event_id=event.id, cause=type(error).__name__)
            self._metrics.add_metric("Retries", MetricUnit.Count, 1)
            raise error
        self._put_aside(event, body, error)

    def _put_aside(self, event: Event, body: str, error: Exception) -> None:
        """Dead-letter with the cause. Unknown errors are named by type only: their texts may quote a record."""
        known = isinstance(error, (*NEVER, QueueError))
        cause = f"{type(error).__name__}: {error}" if known else type(error).__name__
        self._dead_letters().send_dead(body, cause, event.id)
        self._logger.error("event put aside", event_id=event.id, tenant=event.tenant, cause=cause)
        self._metrics.add_metric("DeadLetters", MetricUnit.Count, 1)
        self._close(event, {"outcome": "failed", "reason": type(error).__name__, "cause": cause})
