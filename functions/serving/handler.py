"""What every model function does with an SQS batch: answer, retry, or put aside with the cause.

Powertools Batch reports partial failures, Idempotency (DynamoDB) answers a repeated event from its record. An
event that failed for the last time, or can never succeed, goes to the dead-letter queue with its cause as an
attribute, from where ``bedside redrive`` sends it again.

One function may hold several models. An event is answered by one of them: retry, dead letter, idempotency record,
ledger entry and event number belong to an event and its model, and one model's trouble is none of the others'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from fhir_adapter.audit import LogAudit
from fhir_adapter.client import FhirClient
from fhir_adapter.tenants import SubscriptionEntry, Tenant
from functions.serving.closing import Closing
from functions.serving.cloud import PassedOver, SqsQueue, TableLedger, setting
from functions.serving.connect import Connections
from functions.serving.errors import EventRejected, StudyNotReady
from functions.serving.events import Event, for_models
from functions.serving.marks import TableMarks, channels
from functions.serving.package import Model
from functions.serving.routes import RoutedQueue, routed_queue
from functions.serving.steps import Checkpoint, Step, go_on
from functions.serving.sweep import sweep
from functions.serving.tenants import SecretTenants
from functions.serving.trying import Trying
from functions.serving.worker import answer_event

if TYPE_CHECKING:
    from fhir_adapter.dicomweb import ImageStore
    from functions.serving.imaging import Images

__all__ = ["ModelFunction"]

REMEMBER_SECONDS = 3600


class ModelFunction:
    """The Lambda handler of one or several models.

    Parameters
    ----------
    models : mapping of str to Model
        By the names that subscriptions use.
    connect : callable, optional
        Opens the FHIR client of a tenant; one is kept per tenant.
    checkpoint : callable, optional
        Told of each step (:class:`~functions.serving.steps.Step`), for tests.
    connect_images : callable, optional
        Opens the image store of a tenant at a DICOMweb root; one is kept per tenant and root.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        connect: Callable[[Tenant], FhirClient] | None = None,
        checkpoint: Checkpoint = go_on,
        connect_images: Callable[[Tenant, str], ImageStore] | None = None,
    ) -> None:
        self.models = dict(models)
        self._connections = Connections(connect, connect_images)
        self._checkpoint = checkpoint
        self._logger = Logger()
        self._audit = LogAudit(lambda event: self._logger.info("audit", audit=event))
        self._metrics = Metrics()
        self._trying = Trying(lambda: self._dead_letters, self._failed, self._logger, self._metrics)
        self._processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    @cached_property
    def _tenants(self) -> SecretTenants:
        return SecretTenants(setting("TENANT_SECRET_PREFIX"))

    @cached_property
    def _queue(self) -> RoutedQueue:
        return routed_queue()

    @cached_property
    def _ledger(self) -> TableLedger:
        return TableLedger(setting("LEDGER_TABLE"))

    @cached_property
    def _marks(self) -> TableMarks:
        return TableMarks(setting("LEDGER_TABLE"))

    @cached_property
    def _close(self) -> Closing:
        return Closing(self._ledger, self._marks, self._logger, self._metrics, self._checkpoint)

    @cached_property
    def _dead_letters(self) -> SqsQueue:
        return SqsQueue(setting("DEAD_LETTER_QUEUE_URL"))

    @cached_property
    def _images(self) -> Images | None:
        """Where images are, for models that look at them; the others do without what reads DICOM."""
        if not any(model.package.looks for model in self.models.values()):
            return None
        from functions.serving.imaging import Images, TableStudies

        return Images(self._connections.store, TableStudies(setting("LEDGER_TABLE")))

    @cached_property
    def _idempotency(self) -> IdempotencyConfig:
        return IdempotencyConfig(event_key_jmespath="key", expires_after_seconds=REMEMBER_SECONDS)

    @cached_property
    def _answer_once(self) -> Any:
        """`_answer`, remembered by (tenant, focus, version, model digest)."""
        return idempotent_function(
            data_keyword_argument="job",
            persistence_store=DynamoDBPersistenceLayer(table_name=setting("IDEMPOTENCY_TABLE")),
            config=self._idempotency,
        )(self._answer)

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
        """Answer an SQS batch; returns the items to be tried again."""
        self._idempotency.register_lambda_context(context)
        try:
            answer = process_partial_response(
                event=event, record_handler=self._record, processor=self._processor, context=context
            )
            self._checkpoint(Step.BEFORE_ANSWER)
            return answer
        finally:
            self._metrics.flush_metrics()

    def close(self) -> None:
        """Close the connections to EHRs and image stores; Lambda ends without it, a process that goes on should not."""
        self._connections.close()

    def _record(self, record: SQSRecord) -> None:
        """Answer one message. An exception that leaves here sends the message back to the queue."""
        self._checkpoint(Step.RECEIVED)
        try:
            event = Event.from_json(record.body)
        except EventRejected as error:
            self._trying.unreadable(record, error)
            return
        self._trying(event, record, lambda: self._handle(event))

    def _failed(self, event: Event, entry: dict[str, Any]) -> None:
        self._close(event, entry)

    def _handle(self, event: Event) -> None:
        tenant, subscription = self._origin(event)
        if event.kind == "sweep":
            found = sweep(event, subscription, self._connections.client(tenant), self._queue, self._ledger)
            self._close(event, {"outcome": "sweep", "found": found}, channels(subscription.name, subscription.models))
            return
        several = for_models(event, subscription.models)
        if len(several) > 1:
            # sent when the subscription named one model: which one is no longer said
            self._queue.send(several, subscription.models)
            self._close(event, {"outcome": "split", "found": len(several)}, ())
            return
        model = self._model(event, subscription)
        # a deletion has no version of its own, and is no repetition of the event of the version before
        version = event.version if event.version and not event.deleted else event.id
        key = [event.tenant, event.focus, version, model.package.identity.digest]
        job = {"key": "|".join(map(str, key)), "event": asdict(event)}
        try:
            answered = self._answer_once(job=job)
        except StudyNotReady as waiting:
            self._wait(event, subscription, waiting)
            return
        names = ("outcome", "result", "reason", "written", "replaced")
        entry = {"model": model.package.identity.name, **{name: answered.get(name) for name in names}}
        if answered["event_id"] != event.id:
            entry |= {"outcome": "duplicate", "written": 0, "replaced": 0}
        self._close(event, entry)

    def _wait(self, event: Event, subscription: SubscriptionEntry, waiting: StudyNotReady) -> None:
        """Send the event again, to arrive later: as a new message, since waiting is no failure to be counted."""
        self._queue.send_later([event], waiting.seconds, subscription.models)
        model = event.model or next(iter(subscription.models))
        self._ledger.record(event, {"outcome": "waiting", "model": model, "reason": "study-not-ready"})
        self._metrics.add_metric("Waiting", MetricUnit.Count, 1)
        self._logger.info("event waits for its study", event_id=event.id, tenant=event.tenant, model=model)

    def _answer(self, job: dict[str, Any]) -> dict[str, Any]:
        event = Event(**job["event"])
        tenant, subscription = self._origin(event)
        outcome = answer_event(
            event,
            tenant,
            self._connections.client(tenant),
            self._model(event, subscription),
            self._checkpoint,
            self._audit,
            shared=len(set(subscription.models)) > 1,
            images=self._images,
        )
        if outcome.focus_version and event.focus:
            name = self._model(event, subscription).package.identity.name
            self._ledger.pass_over(PassedOver(event.tenant, name, event.focus, outcome.focus_version))
        self._checkpoint(Step.BEFORE_REMEMBER)
        return {**asdict(outcome), "event_id": event.id}

    def _model(self, event: Event, subscription: SubscriptionEntry) -> Model:
        """Return the model that is to answer; what cannot be answered here says so in the dead letter."""
        if event.model is not None and event.model not in subscription.models:
            raise EventRejected(f"the subscription does not name the model {event.model} any more")
        name = event.model or next(iter(subscription.models), None)
        if name is None:
            raise EventRejected("the subscription names no model")
        if name not in self.models:
            raise EventRejected(f"no model {name} here; this function has {', '.join(sorted(self.models))}")
        return self.models[name]

    def _origin(self, event: Event) -> tuple[Tenant, SubscriptionEntry]:
        tenant = self._tenants.get(event.tenant)
        subscription = tenant.subscriptions.get(event.subscription) if tenant else None
        if tenant is None or subscription is None:
            raise EventRejected("the event's tenant or subscription is not known any more")
        return tenant, subscription
