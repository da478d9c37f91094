"""The one path of an event: read (one batch), features or images, model, evidence, write (one transaction).

Two round trips to the EHR when the notification tells whose record it is; one more when it does not, and one for
every further page of a long record.

Effectively once, without a lock: what is written follows from what was read (ids from input versions), older results
are marked under ``If-Match`` in the same transaction, and that transaction ends with a look at who else wrote
meanwhile. Whoever was overtaken reads again and decides anew; whatever order events and workers come in, the result
of the newest state is the one that stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from fhir_adapter.audit import AuditSink, MemoryAudit
from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError, FhirRejected, FhirUnavailable
from fhir_adapter.evidence import Evidence, check, evidence_of
from fhir_adapter.evidence.supersede import Earlier, key_of, superseding, withdrawal
from fhir_adapter.prediction import Abstention
from fhir_adapter.tenants import Tenant
from fhir_adapter.writing import is_whole, renamed, write
from functions.serving.answering import Answered, from_record
from functions.serving.endings import (
    Outcome,
    is_result,
    moved,
    pass_over,
    passes_over,
    rivals,
    version_of,
    watched,
    withdraw,
)
from functions.serving.events import Event
from functions.serving.package import Model, ModelPackage
from functions.serving.reading import Gone, Ours, Read, read_for
from functions.serving.steps import Checkpoint, Step, go_on
from functions.serving.trail import Trail

if TYPE_CHECKING:
    from functions.serving.imaging import Images

__all__ = ["Outcome", "answer_event"]

# Somebody else changed what was read: FHIR R4 http.html#concurrency; 409 is what some servers say instead.
OVERTAKEN = frozenset({409, 412})
ATTEMPTS = 4


@dataclass(frozen=True)
class _Work:
    """What stays the same from attempt to attempt."""

    event: Event
    tenant: Tenant
    client: FhirClient
    model: Model
    checkpoint: Checkpoint
    audit: AuditSink
    shared: bool
    images: Images | None

    @property
    def package(self) -> ModelPackage:
        return self.model.package


def answer_event(
    event: Event,
    tenant: Tenant,
    client: FhirClient,
    model: Model,
    checkpoint: Checkpoint = go_on,
    audit: AuditSink | None = None,
    *,
    shared: bool = False,
    images: Images | None = None,
) -> Outcome:
    """Answer one event and write the answer back.

    Parameters
    ----------
    model : Model
        Which is to answer.
    checkpoint : callable
        Told of each step, for tests.
    audit : AuditSink, optional
        Where AuditEvents go that the EHR does not keep.
    shared : bool
        The subscription asks several models: this one passes over a patient who is not its own, without a word in
        the record.
    images : Images, optional
        Where images are, and what is remembered of studies; for models that look at them.

    Raises
    ------
    StudyNotReady
        The study is not there yet, or still grows; worth a look later.
    FhirUnavailable, ImageStoreUnavailable
        Worth another try; also when others kept changing the record meanwhile.
    FhirRejected, EventRejected, InvalidResourceError, ImageStoreError, ImagingStudyError, ConfigurationError
        Not worth one.
    """
    localised = model.localised(tenant.terminology)
    work = _Work(event, tenant, client, localised, checkpoint, audit or MemoryAudit(), shared, images)
    mine: Outcome | None = None
    for _ in range(ATTEMPTS):
        try:
            outcome, settled = _attempt(work)
        except Ours:
            return Outcome("ignored", event.focus or "", None, 0)
        except Gone as gone:
            outcome, settled = withdraw(event, tenant, client, gone)
        except FhirRejected as error:
            if error.status not in OVERTAKEN:
                raise
            continue
        if outcome and mine and outcome.result == mine.result:
            # this event wrote it in an earlier attempt; looking again only tidied up
            outcome = replace(mine, replaced=mine.replaced + outcome.replaced)
        mine = outcome or mine
        if settled and mine:
            return mine
    raise FhirUnavailable("others kept changing the record while it was being answered", 412)


def _attempt(work: _Work) -> tuple[Outcome | None, bool]:
    """Read, decide, write. Returns the outcome, and whether nobody else wrote meanwhile."""
    tenant, client, package, checkpoint = work.tenant, work.client, work.package, work.checkpoint
    checkpoint(Step.BEFORE_READ)
    read = read_for(work.event, client, package, tenant.zone)
    checkpoint(Step.AFTER_READ)
    trail = Trail.begin(work.event, read, tenant, client, package, work.audit)
    answered = _answer(work, read)
    checkpoint(Step.AFTER_PREDICT)
    result, context = answered.result, answered.context
    if read.earlier.newer_than(context.sources, context.scope):
        return None, False
    if work.shared and isinstance(result, Abstention) and passes_over(result, package):
        checkpoint(Step.BEFORE_WRITE)
        return pass_over(result, read, client, package, trail)
    evidence = evidence_of(
        result, context, package.identity, device_known=read.device_known, card_known=read.card_known
    )
    outcome, settled = _written(work, read, trail, evidence, answered)
    if settled:
        answered.finish(evidence)
    told = f"{read.notified.get('resourceType')}/{read.notified.get('id')}"
    return (outcome if told == context.scope else replace(outcome, focus_version=version_of(read.notified))), settled


def _answer(work: _Work, read: Read) -> Answered:
    """Answer from the record, or from the images of a study."""
    if not work.package.looks:
        return from_record(read, work.tenant, work.model)
    from functions.serving.imaging import from_images

    if work.images is None:
        raise ConfigurationError("this function was given no way to open an image store")
    return from_images(work.event, read, work.client, work.tenant, work.model, work.images)


def _written(work: _Work, read: Read, trail: Trail, evidence: Evidence, answered: Answered) -> tuple[Outcome, bool]:
    """Write an answer, unless it is there already, and mark what it takes the place of."""
    result, scope = answered.result, answered.context.scope
    reason = result.reason.value if isinstance(result, Abstention) else None
    keys = _keys(evidence)
    replaced = read.earlier.replaced_by(keys, scope)
    there = read.earlier.has(keys) and is_whole(work.client, evidence.bundle)
    if there and not replaced:
        trail.keep()
        return Outcome("duplicate", evidence.result, reason, 0), True
    if there:
        # written by another worker that did not see these; no Provenance of ours is open to name them
        bundle = withdrawal(replaced, "A newer result has taken its place.", work.tenant.organization)
    else:
        bundle = superseding(_absent(evidence.bundle, read.earlier), replaced)
    focus = work.event.focus if work.shared else None
    work.checkpoint(Step.BEFORE_WRITE)
    whole = watched(trail.along(bundle, evidence.result), work.package, read.patient, focus)
    written = write(work.client, whole)
    work.checkpoint(Step.AFTER_WRITE)
    trail.written()
    outcome: Literal["predicted", "abstained", "duplicate"] = "abstained" if reason else "predicted"
    if there:
        outcome = "duplicate"
    ended = Outcome(outcome, written.reference(evidence.result), reason, len(bundle["entry"]), len(replaced))
    late = work.shared and moved(written, read.notified)
    return ended, not (late or rivals(written, keys, scope))


def _keys(evidence: Evidence) -> list[str]:
    """The keys of the results (not of the Provenance or the Device) in a transaction."""
    resources = [entry["resource"] for entry in evidence.bundle["entry"]]
    return [key_of(resource) for resource in resources if is_result(resource)]


def _absent(bundle: Json, earlier: Earlier) -> Json:
    """Leave out what is there already, under whatever id: a person may have confirmed it since."""
    there = {
        f"{item['resourceType']}/{key_of(item)}": f"{item['resourceType']}/{item['id']}" for item in earlier.results
    }
    resources = [entry["resource"] for entry in bundle["entry"]]
    if not any(f"{resource['resourceType']}/{key_of(resource)}" in there for resource in resources):
        return bundle
    entries = [
        {**entry, "resource": renamed(entry["resource"], there.get)}
        for entry in bundle["entry"]
        if f"{entry['resource']['resourceType']}/{key_of(entry['resource'])}" not in there
    ]
    for entry in entries:
        check(entry["resource"])
    return {**bundle, "entry": entries}
