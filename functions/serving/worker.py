"""The one path of an event: read (one batch), features, model, evidence, write (one transaction).

Two round trips to the EHR when the notification tells whose record it is; one more when it does not, and one for
every further page of a long record.

Effectively once, without a lock: what is written follows from what was read (ids from input versions), older results
are marked under ``If-Match`` in the same transaction, and that transaction ends with a look at who else wrote
meanwhile. Whoever was overtaken reads again and decides anew; whatever order events and workers come in, the result
of the newest state is the one that stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from fhir_adapter.audit import AuditSink, MemoryAudit
from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.evidence import Evidence, check, data_cutoff, evidence_of
from fhir_adapter.evidence.supersede import Earlier, key_of, superseding, withdrawal
from fhir_adapter.features import Features, Record, extract, index_time_of
from fhir_adapter.prediction import Abstention, AbstentionReason, Prediction, ResultContext
from fhir_adapter.references import source_of
from fhir_adapter.tenants import Tenant
from fhir_adapter.writing import is_whole, renamed, write
from functions.serving.endings import Outcome, moved, pass_over, passes_over, rivals, watched, withdraw
from functions.serving.events import Event
from functions.serving.package import Model, ModelPackage, Predict
from functions.serving.reading import Gone, Ours, Read, read_for
from functions.serving.steps import Checkpoint, Step, go_on
from functions.serving.trail import Trail

__all__ = ["Outcome", "answer_event"]

NOT_AN_ADMISSION = frozenset({"planned", "cancelled", "entered-in-error"})
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

    Raises
    ------
    FhirUnavailable
        Worth another try; also when others kept changing the record meanwhile.
    FhirRejected, EventRejected, InvalidResourceError
        Not worth one.
    """
    localised = model.localised(tenant.terminology)
    work = _Work(event, tenant, client, localised, checkpoint, audit or MemoryAudit(), shared)
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
    index_time = index_time_of(read.record.encounter, tenant.zone)
    features, result = _answer(read.record, index_time, package, work.model.predict)
    checkpoint(Step.AFTER_PREDICT)
    context = _context(read, tenant, index_time, features)
    if read.earlier.newer_than(context.sources, context.encounter):
        return None, False
    if work.shared and isinstance(result, Abstention) and passes_over(result):
        checkpoint(Step.BEFORE_WRITE)
        return pass_over(result, read, client, package, trail)
    evidence = evidence_of(
        result, context, package.identity, device_known=read.device_known, card_known=read.card_known
    )
    return _written(work, read, trail, evidence, result, context.encounter)


def _written(
    work: _Work, read: Read, trail: Trail, evidence: Evidence, result: Prediction | Abstention, encounter: str | None
) -> tuple[Outcome, bool]:
    """Write an answer, unless it is there already, and mark what it takes the place of."""
    reason = result.reason.value if isinstance(result, Abstention) else None
    keys = _keys(evidence)
    replaced = read.earlier.replaced_by(keys, encounter)
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
    answered = Outcome(outcome, written.reference(evidence.result), reason, len(bundle["entry"]), len(replaced))
    late = work.shared and moved(written, read.record.encounter or {})
    return answered, not (late or rivals(written, keys, encounter))


def _keys(evidence: Evidence) -> list[str]:
    """The keys of the results (not of the Provenance or the Device) in a transaction."""
    kinds = ("Observation", "RiskAssessment")
    resources = [entry["resource"] for entry in evidence.bundle["entry"]]
    return [key_of(resource) for resource in resources if resource["resourceType"] in kinds]


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


def _answer(
    record: Record, index_time: datetime | None, package: ModelPackage, predict: Predict
) -> tuple[Features | None, Prediction | Abstention]:
    encounter = record.encounter or {}
    if encounter.get("status") in NOT_AN_ADMISSION:
        detail = f"The encounter's status is {encounter['status']}."
        return None, Abstention(AbstentionReason.OUTSIDE_POPULATION, detail)
    if index_time is None:
        return None, Abstention(AbstentionReason.NO_INDEX_TIME, "The encounter has no period.start.")
    features = extract(package.inputs, package.applies_if, record, index_time)
    if isinstance(features, Abstention):
        return None, features
    answer = predict(features)
    return (None if isinstance(answer, Abstention) else features), answer


def _context(read: Read, tenant: Tenant, index_time: datetime | None, features: Features | None) -> ResultContext:
    """A prediction depends on what its values came from; an abstention on everything that was looked at."""
    record = read.record
    base = [source_of(record.patient)]
    if record.encounter:
        base.append(source_of(record.encounter))
    looked_at = {source_of(resource): resource for resource in (*record.observations, *record.conditions)}
    if features is not None:
        sources = tuple(dict.fromkeys([*base, *features.sources]))
        fingerprints = tuple(source.fingerprint for source in sources)
    else:
        sources = tuple(base)
        fingerprints = tuple(source.fingerprint for source in (*base, *looked_at))
    if tenant.terminology.fingerprint:
        fingerprints += (tenant.terminology.fingerprint,)
    used = [looked_at[source] for source in sources if source in looked_at]
    return ResultContext(
        tenant=tenant.name,
        organization=tenant.organization,
        patient=read.patient,
        encounter=f"Encounter/{record.encounter['id']}" if record.encounter else None,
        index_time=index_time,
        sources=sources,
        fingerprints=fingerprints,
        condition=features.population[0].current if features is not None and features.population else None,
        data_until=data_cutoff(used, datetime.now(UTC)) if features is not None else None,
    )
