"""What the allocation function does with an SQS batch: events become solves, solves become proposals.

Both come by SQS: events by the queue of the function, as to every model, solves by its FIFO queue. A schedule
(EventBridge) asks for a solve of every ward. How each ended is on record as for every model
(:mod:`functions.serving.closing`); who looked at what is in AuditEvents. Messages that failed come back; those that
can never succeed, or failed for the last time, go to the dead-letter queue with their cause.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from fhir_adapter.audit import LogAudit
from fhir_adapter.client import FhirClient
from fhir_adapter.errors import FhirRejected
from fhir_adapter.evidence.supersede import is_ours
from fhir_adapter.tenants import Tenant
from functions.allocation.debounce import SolveQueue, SqsSolves, concerned, solve_from
from functions.allocation.fromfhir import PROPOSAL, HouseRules
from functions.allocation.solving import Solve, solve_ward
from functions.allocation.ward import Limits
from functions.serving.closing import Closing
from functions.serving.cloud import SqsQueue, TableLedger, setting
from functions.serving.connect import Connections
from functions.serving.errors import EventRejected
from functions.serving.events import Event
from functions.serving.marks import TableMarks
from functions.serving.tenants import SecretTenants
from functions.serving.trying import Trying

__all__ = ["AllocationFunction"]

# Of the time that is left when a solve begins, for the solver; the rest is for reading and writing.
SOLVER_SHARE = 0.5
LONGEST = 30.0


class AllocationFunction:
    """The Lambda handler of the ward model.

    Parameters
    ----------
    connect : callable, optional
        Opens the FHIR client of a tenant; one is kept per tenant.
    solves : SolveQueue, optional
        Where solves are asked for; the queue of ``SOLVE_QUEUE_URL`` by default.
    now : callable, optional
        The clock.
    """

    def __init__(
        self,
        connect: Callable[[Tenant], FhirClient] | None = None,
        solves: SolveQueue | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._connections = Connections(connect)
        self._given = solves
        self._now = now or (lambda: datetime.now(UTC))
        self._logger = Logger()
        self._audit = LogAudit(lambda event: self._logger.info("audit", audit=event))
        self._metrics = Metrics()
        self._trying = Trying(lambda: self._dead_letters, self._ended, self._logger, self._metrics)
        self._left: Callable[[], int] = lambda: 60_000

    @cached_property
    def _tenants(self) -> SecretTenants:
        return SecretTenants(setting("TENANT_SECRET_PREFIX"))

    @cached_property
    def _solves(self) -> SolveQueue:
        return self._given or SqsSolves(setting("SOLVE_QUEUE_URL"))

    @cached_property
    def _close(self) -> Closing:
        table = setting("LEDGER_TABLE")
        return Closing(TableLedger(table), TableMarks(table), self._logger, self._metrics)

    @cached_property
    def _dead_letters(self) -> SqsQueue:
        return SqsQueue(setting("DEAD_LETTER_QUEUE_URL"))

    @cached_property
    def _rules(self) -> HouseRules:
        """How the hospital's records are to be understood, from ``ALLOCATION_RULES`` (JSON); the defaults without."""
        text = os.environ.get("ALLOCATION_RULES")
        return HouseRules.from_dict(json.loads(text)) if text else HouseRules()

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
        """Answer an SQS batch or a schedule; returns the items to be tried again."""
        self._left = context.get_remaining_time_in_millis
        try:
            if "Records" not in event:
                return {"asked": self._scheduled()}
            fifo = any(str(record.get("eventSourceARN", "")).endswith(".fifo") for record in event["Records"])
            processor = (
                SqsFifoPartialProcessor()
                if fifo
                else BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
            )
            processor.raise_on_entire_batch_failure = False
            return process_partial_response(
                event=event, record_handler=self._record, processor=processor, context=context
            )
        finally:
            self._metrics.flush_metrics()

    def close(self) -> None:
        """Close the connections to EHRs."""
        self._connections.close()

    def _scheduled(self) -> int:
        """Ask for a solve of every ward of the tenants in ``TENANTS`` (a comma list)."""
        asked = 0
        for name in filter(None, map(str.strip, setting("TENANTS").split(","))):
            for ward in concerned(self._connections.client(self._tenant(name)), {}):
                self._solves.ask(Solve(name, ward), self._now())
                asked += 1
        self._metrics.add_metric("SolvesAsked", MetricUnit.Count, asked)
        return asked

    def _record(self, record: SQSRecord) -> None:
        """Answer one message. An exception that leaves here sends the message back to the queue."""
        try:
            solve = solve_from(record.body)
            event = Event.from_json(record.body) if solve is None else _event_of(solve, record)
        except EventRejected as error:
            self._trying.unreadable(record, error)
            return
        self._trying(event, record, lambda: self._ask(event) if solve is None else self._solve(solve, event))

    def _ended(self, event: Event, entry: dict[str, Any]) -> None:
        """Close an event, or a solve, which no subscription told of and so no number is noted for."""
        self._close(event, {"model": PROPOSAL, **entry}, None if event.subscription else ())

    def _ask(self, event: Event) -> None:
        """An event: which wards does it concern? Ask for a solve of each."""
        tenant = self._tenant(event.tenant)
        if event.subscription not in tenant.subscriptions:
            raise EventRejected("the event's subscription is not known any more")
        client = self._connections.client(tenant)
        focus = self._focus(client, event)
        if is_ours(focus):
            # what we wrote is no reason to plan again
            self._ended(event, {"outcome": "ignored"})
            return
        wards = concerned(client, focus)
        for ward in wards:
            self._solves.ask(Solve(event.tenant, ward), self._now())
        self._metrics.add_metric("SolvesAsked", MetricUnit.Count, len(wards))
        self._ended(event, {"outcome": "asked", "found": len(wards)})

    @staticmethod
    def _focus(client: FhirClient, event: Event) -> dict[str, Any]:
        if event.focus is None or event.deleted:
            return {}
        try:
            return client.read(event.focus)
        except FhirRejected as error:
            if error.status in (404, 410):
                return {}
            raise

    def _solve(self, solve: Solve, event: Event) -> None:
        tenant = self._tenant(solve.tenant)
        seconds = max(1.0, min(LONGEST, self._left() / 1000 * SOLVER_SHARE))
        found = solve_ward(
            solve,
            tenant,
            self._connections.client(tenant),
            rules=self._rules,
            limits=Limits(seconds),
            now=self._now(),
            request=event.id,
            audit=self._audit,
        )
        self._metrics.add_metric("SolveSeconds", MetricUnit.Seconds, found.seconds)
        self._logger.info("ward planned", event_id=event.id, tenant=solve.tenant, ward=solve.ward, **asdict(found))
        self._ended(event, {"outcome": found.outcome, "result": found.result, "written": found.written})

    def _tenant(self, name: str) -> Tenant:
        tenant = self._tenants.get(name)
        if tenant is None:
            raise EventRejected("the message's tenant is not known any more")
        return tenant


def _event_of(solve: Solve, record: SQSRecord) -> Event:
    """The event that a solve is in the records: by the id of its message, which every try of it has."""
    sent = record.raw_event["attributes"].get("SentTimestamp")
    at = datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else datetime.now(UTC)
    return Event(record.message_id, solve.tenant, "", "focus", solve.ward, None, None, at.isoformat())
