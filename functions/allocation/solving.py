"""One solve of one ward: read the house, plan the ward, propose the plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fhir_adapter.audit import AuditSink, MemoryAudit
from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.evidence import device_id
from fhir_adapter.tenants import Tenant
from fhir_adapter.writing import write
from functions.allocation.fromfhir import HouseRules
from functions.allocation.identity import identity
from functions.allocation.reading import fetch
from functions.allocation.tofhir import evidence
from functions.allocation.ward import Limits, Policy, plan_house, seed_of
from functions.allocation.ward.shortage import shortages
from functions.serving.errors import EventRejected
from functions.serving.trail import Trail

__all__ = ["Solution", "Solve", "solve_ward"]

# Somebody changed what was read: FHIR R4 http.html#concurrency; 409 is what some servers say instead.
OVERTAKEN = frozenset({409, 412})
ATTEMPTS = 3


@dataclass(frozen=True)
class Solve:
    """What is to be planned.

    Parameters
    ----------
    tenant : str
    ward : str
        ``Location/w1``.
    """

    tenant: str
    ward: str


@dataclass(frozen=True)
class Solution:
    """How a solve ended; tells nothing of patients.

    Parameters
    ----------
    outcome : str
        ``proposed``, or ``unchanged`` when this very plan was written before.
    method : str
    stays, moves, unplaced, breaches, findings, written : int
    gap, seconds : float
    result : str or None
        Reference of the ward's summary that was written.
    """

    outcome: str
    method: str
    stays: int
    moves: int
    unplaced: int
    breaches: int
    findings: int
    written: int
    gap: float
    seconds: float
    result: str | None = None


def solve_ward(
    asked: Solve,
    tenant: Tenant,
    client: FhirClient,
    *,
    rules: HouseRules | None = None,
    policy: Policy | None = None,
    limits: Limits | None = None,
    now: datetime | None = None,
    request: str = "",
    audit: AuditSink | None = None,
) -> Solution:
    """Plan a ward and write the proposals.

    Parameters
    ----------
    request : str
        Id of the message that asks for it, which the AuditEvents name; a second try has the same.
    audit : AuditSink, optional
        Where AuditEvents go that the EHR does not keep.

    Raises
    ------
    EventRejected
        The ward is not there.
    FhirUnavailable
        Worth another try; also when others kept changing the record meanwhile.
    FhirRejected, InvalidResourceError
        Not worth one.
    """
    now, sink = now or datetime.now(UTC), audit or MemoryAudit()
    for _ in range(ATTEMPTS):
        try:
            return _attempt(_Work(asked, tenant, client, rules or HouseRules(), policy, limits, now, request, sink))
        except FhirRejected as error:
            if error.status not in OVERTAKEN:
                raise
    raise FhirUnavailable("others kept changing the record while the ward was being planned", 412)


@dataclass(frozen=True)
class _Work:
    """What stays the same from attempt to attempt."""

    asked: Solve
    tenant: Tenant
    client: FhirClient
    rules: HouseRules
    policy: Policy | None
    limits: Limits | None
    now: datetime
    request: str
    audit: AuditSink


def _attempt(work: _Work) -> Solution:
    tenant, policy, ward = work.tenant, work.policy, work.asked.ward
    found = fetch(work.client, work.now, work.rules)
    reading = found.reading
    trail = Trail.opened(work.request, found.patients, found.asked, tenant, work.client, identity(policy), work.audit)
    if ward not in reading.house.ward:
        trail.keep()
        raise EventRejected(f"{ward} is no ward of this house")
    plan = plan_house(
        reading.house.only(ward), policy, work.limits, seed=seed_of(tenant.name, ward, reading.fingerprint)
    )
    bundle = evidence(
        plan,
        reading,
        shortages(plan.house, seed=plan.seed),
        tenant=tenant.name,
        organization=tenant.organization,
        policy=policy,
        device_known=_known(work.client, policy),
    )
    result = _written(work, bundle, trail)
    return Solution(
        "unchanged" if bundle is None else "proposed",
        plan.method.partition(" ")[0],
        len(plan.rooms),
        len(plan.moves),
        len(plan.unplaced),
        len(plan.breaches),
        len(reading.findings),
        0 if bundle is None else len(bundle["entry"]),
        plan.gap,
        plan.seconds,
        result,
    )


def _written(work: _Work, bundle: Json | None, trail: Trail) -> str | None:
    """Write a plan, and keep what is known of who looked at what; returns the reference of the ward's summary."""
    if bundle is None:
        trail.keep()
        return None
    main = next(
        f"Observation/{resource['id']}"
        for resource in (entry["resource"] for entry in bundle["entry"])
        if resource["resourceType"] == "Observation" and resource["subject"]["reference"] == work.asked.ward
    )
    written = write(work.client, trail.along(bundle, main))
    trail.written()
    return written.reference(main)


def _known(client: FhirClient, policy: Policy | None) -> bool:
    (answer,) = client.batch([f"Device/{device_id(identity(policy))}"])
    return answer.status < 400 and answer.resource is not None
