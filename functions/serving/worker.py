"""The one path of an event: read (one batch), features, model, evidence, write (one transaction).

Two round trips to the EHR when the notification tells whose record it is; one more when it does not, and one for
every further page of a long record.

Effectively once, without a lock: what is written follows from what was read (ids from input versions), older results
are marked under ``If-Match`` in the same transaction, and that transaction ends with a look at who else wrote
meanwhile. Whoever was overtaken reads again and decides anew; whatever order events and workers come in, the result
of the newest state is the one that stays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from fhir_adapter.audit import Auditor, AuditSink, MemoryAudit, audited
from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.evidence import Evidence, check, data_cutoff, device_id, evidence_of
from fhir_adapter.evidence.supersede import Earlier, key_of, superseding, watch_queries, withdrawal
from fhir_adapter.features import Features, Record, extract, index_time_of
from fhir_adapter.prediction import Abstention, AbstentionReason, Prediction, ResultContext
from fhir_adapter.references import source_of
from fhir_adapter.tenants import Tenant
from fhir_adapter.writing import Written, is_whole, renamed, write
from functions.serving.events import Event
from functions.serving.package import ModelPackage
from functions.serving.reading import Gone, Ours, Read, read_for
from functions.serving.steps import Checkpoint, Step, go_on

__all__ = ["Outcome", "answer_event"]

Predict = Callable[[Features], Prediction]
NOT_AN_ADMISSION = frozenset({"planned", "cancelled", "entered-in-error"})
# Somebody else changed what was read: FHIR R4 http.html#concurrency; 409 is what some servers say instead.
OVERTAKEN = frozenset({409, 412})
ATTEMPTS = 4


@dataclass(frozen=True)
class Outcome:
    """How an event ended.

    Parameters
    ----------
    outcome : str
        ``predicted``, ``abstained``, ``duplicate`` when the result was there already, ``withdrawn`` when the focus
        is gone and its results were marked, ``ignored`` when the focus is one of our own resources or asks for
        nothing.
    result : str
        ``RiskAssessment/id`` or ``Observation/id``; the focus when nothing was answered.
    reason : str or None
        The abstention's code.
    written : int
        Resources written.
    replaced : int
        Older results marked ``entered-in-error``.
    """

    outcome: Literal["predicted", "abstained", "duplicate", "withdrawn", "ignored"]
    result: str
    reason: str | None
    written: int
    replaced: int = 0


def answer_event(
    event: Event,
    tenant: Tenant,
    client: FhirClient,
    package: ModelPackage,
    predict: Predict,
    checkpoint: Checkpoint = go_on,
    audit: AuditSink | None = None,
) -> Outcome:
    """Answer one event and write the answer back.

    Parameters
    ----------
    checkpoint : callable
        Told of each step, for tests.
    audit : AuditSink, optional
        Where AuditEvents go that the EHR does not keep.

    Raises
    ------
    FhirUnavailable
        Worth another try; also when others kept changing the record meanwhile.
    FhirRejected, EventRejected, InvalidResourceError
        Not worth one.
    """
    package = package.localised(tenant.terminology)
    mine: Outcome | None = None
    kept = audit or MemoryAudit()
    for _ in range(ATTEMPTS):
        try:
            outcome, settled = _attempt(event, tenant, client, package, predict, checkpoint, kept)
        except Ours:
            return Outcome("ignored", event.focus or "", None, 0)
        except Gone as gone:
            outcome, settled = _withdraw(event, tenant, client, gone)
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


def _attempt(
    event: Event,
    tenant: Tenant,
    client: FhirClient,
    package: ModelPackage,
    predict: Predict,
    checkpoint: Checkpoint,
    audit: AuditSink,
) -> tuple[Outcome | None, bool]:
    """Read, decide, write. Returns the outcome, and whether nobody else wrote meanwhile."""
    checkpoint(Step.BEFORE_READ)
    read = read_for(event, client, package, tenant.zone)
    checkpoint(Step.AFTER_READ)
    auditor = _auditor(tenant, package)
    events = [auditor.read(event.id, read.patient, read.asked, datetime.now(UTC))]
    index_time = index_time_of(read.record.encounter, tenant.zone)
    features, result = _answer(read.record, index_time, package, predict)
    checkpoint(Step.AFTER_PREDICT)
    context = _context(read, tenant, index_time, features)
    if read.earlier.newer_than(context.sources, context.encounter):
        return None, False
    evidence = evidence_of(
        result, context, package.identity, device_known=read.device_known, card_known=read.card_known
    )
    reason = result.reason.value if isinstance(result, Abstention) else None
    keys = _keys(evidence)
    replaced = read.earlier.replaced_by(keys, context.encounter)
    there = read.earlier.has(keys) and is_whole(client, evidence.bundle)
    if there and not replaced:
        _keep(events, tenant, client, audit)
        return Outcome("duplicate", evidence.result, reason, 0), True
    if there:
        # written by another worker that did not see these; no Provenance of ours is open to name them
        detail = "A newer result has taken its place."
        bundle = withdrawal(replaced, detail, tenant.organization)
    else:
        bundle = superseding(_absent(evidence.bundle, read.earlier), replaced)
    names = [entry["request"]["url"] for entry in bundle["entry"]]
    others = [name for name in names if name != evidence.result]
    events.append(auditor.write(event.id, read.patient, evidence.result, others, datetime.now(UTC)))
    whole = audited(bundle, events) if tenant.audit == "ehr" else bundle
    checkpoint(Step.BEFORE_WRITE)
    written = write(client, _watched(whole, package, read.patient))
    checkpoint(Step.AFTER_WRITE)
    if tenant.audit != "ehr":
        _keep(events, tenant, client, audit)
    outcome: Literal["predicted", "abstained", "duplicate"] = "abstained" if reason else "predicted"
    if there:
        outcome = "duplicate"
    answered = Outcome(outcome, written.reference(evidence.result), reason, len(bundle["entry"]), len(replaced))
    return answered, not _rivals(written, keys, context.encounter)


def _auditor(tenant: Tenant, package: ModelPackage) -> Auditor:
    machine = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "bedside")
    device = f"Device/{device_id(package.identity)}"
    return Auditor(tenant.name, tenant.organization, tenant.fhir_base, machine, device, check)


def _keep(events: Sequence[Json], tenant: Tenant, client: FhirClient, audit: AuditSink) -> None:
    """Keep AuditEvents that no result takes along."""
    if tenant.audit == "ehr":
        write(client, audited(None, events))
        return
    for event in events:
        audit.record(event)


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


def _watched(bundle: Json, package: ModelPackage, patient: str) -> Json:
    """Let the transaction end with a look at this model's results (GET comes last: R4 http.html#trules)."""
    looks = [{"request": {"method": "GET", "url": url}} for url in watch_queries(package.identity.name, patient)]
    return {**bundle, "entry": [*bundle["entry"], *looks]}


def _rivals(written: Written, keys: list[str], encounter: str | None) -> bool:
    return bool(Earlier(written.found).replaced_by(keys, encounter))


def _withdraw(event: Event, tenant: Tenant, client: FhirClient, gone: Gone) -> tuple[Outcome, bool]:
    """The focus is gone: mark what was said about it, or say that there was nothing."""
    live = gone.earlier.replaced_by((), event.focus)
    if not live:
        if event.deleted:
            return Outcome("ignored", event.focus or "", None, 0), True
        raise gone.error
    bundle = withdrawal(live, "What it was about is no longer in the record.", tenant.organization)
    write(client, bundle)
    return Outcome("withdrawn", event.focus or "", None, len(bundle["entry"]), len(live)), True


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
    return features, predict(features)


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
