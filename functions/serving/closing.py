"""How an event ends: on record, counted and told, in this order, without patient data."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from functions.serving.cloud import Ledger
from functions.serving.events import Event
from functions.serving.marks import Marks, channel_of
from functions.serving.steps import Checkpoint, Step, go_on

__all__ = ["Closing"]


class Closing:
    """Writes the ledger, the marks, the metrics and one log line.

    Parameters
    ----------
    ledger : Ledger
    marks : Marks
    logger : Logger
    metrics : Metrics
    checkpoint : callable
        Told of each step, for tests.
    """

    def __init__(
        self, ledger: Ledger, marks: Marks, logger: Logger, metrics: Metrics, checkpoint: Checkpoint = go_on
    ) -> None:
        self._ledger = ledger
        self._marks = marks
        self._logger = logger
        self._metrics = metrics
        self._checkpoint = checkpoint

    def __call__(self, event: Event, entry: dict[str, Any], heard: Iterable[str] | None = None) -> None:
        """Close an event.

        Parameters
        ----------
        entry : dict
            With its ``outcome``; no number in it has a fraction (DynamoDB takes none).
        heard : iterable of str, optional
            Where to note the event's number; with the event's own model when it is not said.
        """
        now = datetime.now(UTC)
        latency = event.age_ms(now)
        entry = {
            "model": event.model,
            "latency_ms": latency,
            "finished": now.isoformat(),
            **entry,
        }
        self._checkpoint(Step.BEFORE_LEDGER)
        self._ledger.record(event, entry)
        self._checkpoint(Step.BEFORE_MARK)
        # a number counts once its event's end is on record, so that a lost event leaves a gap
        for channel in (channel_of(event.subscription, event.model),) if heard is None else heard:
            self._marks.seen(event.tenant, channel, event.event_number, now.isoformat())
        outcome = str(entry["outcome"])
        self._metrics.add_metric(outcome.title().replace("-", ""), MetricUnit.Count, 1)
        self._metrics.add_metric("Latency", MetricUnit.Milliseconds, latency)
        self._logger.info(
            "event answered",
            event_id=event.id,
            tenant=event.tenant,
            model=entry["model"],
            outcome=outcome,
            reason=entry.get("reason"),
            latency_ms=latency,
        )
