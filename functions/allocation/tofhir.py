"""A plan as FHIR: what :mod:`fhir_adapter.evidence.allocation` needs to know of it, in its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, cast

from fhir_adapter.codes import Json
from fhir_adapter.evidence.allocation import Placement, PlanContext, WardSummary, plan_evidence
from fhir_adapter.prediction import RiskAtHorizon
from functions.allocation.fromfhir import Reading
from functions.allocation.identity import identity
from functions.allocation.ward import Plan, Policy, Proposal, Ward
from functions.allocation.ward.fairness import Disparity, disparities
from functions.allocation.ward.rules import broken, cost
from functions.allocation.ward.shortage import Shortage

__all__ = ["evidence", "placements", "summaries"]

Words = Literal["stat", "asap", "urgent", "routine"]
EXPECTED = (12, 24, 48)


def evidence(
    plan: Plan,
    reading: Reading,
    risks: Mapping[str, Sequence[Shortage]],
    *,
    tenant: str,
    organization: str,
    policy: Policy | None = None,
    device_known: bool = False,
) -> Json | None:
    """Return the transaction that proposes a plan, or None when it was written before.

    Parameters
    ----------
    plan : Plan
        Of `reading`'s house, or of one ward of it.
    risks : mapping of str to sequence of Shortage
        By stay id.

    Raises
    ------
    InvalidResourceError
    """
    names = [stay.id for stay in plan.house.stays]
    sources = dict.fromkeys(source for name in names for source in reading.sources.get(name, ()))
    wards = ",".join(ward.id for ward in plan.house.wards)
    context = PlanContext(
        tenant,
        organization,
        f"{reading.fingerprint}|{wards}",
        tuple(sources),
        reading.now,
        frozenset(stay.patient for stay in reading.house.stays),
        reading.tasks,
        reading.results,
        device_known,
    )
    built = placements(plan, reading, risks, policy or Policy())
    return plan_evidence(built, summaries(plan, reading), context, identity(policy))


def placements(
    plan: Plan, reading: Reading, risks: Mapping[str, Sequence[Shortage]], policy: Policy
) -> list[Placement]:
    """Return what a plan says of each stay."""
    return [_placement(plan, proposal, reading, risks.get(proposal.stay.id, ()), policy) for proposal in plan]


def _placement(
    plan: Plan, proposal: Proposal, reading: Reading, risks: Sequence[Shortage], policy: Policy
) -> Placement:
    stay, house = proposal.stay, plan.house
    room = house.room[proposal.room] if proposal.room else None
    asked = stay.id if stay.id.startswith(("ServiceRequest/", "Appointment/")) else None
    return Placement(
        key=stay.id,
        patient=stay.patient,
        encounter=reading.encounters.get(stay.id),
        room=proposal.room,
        room_name=f"{room.name}, {house.ward[room.ward].name}" if room else None,
        kind=proposal.kind,
        start=reading.now + timedelta(hours=max(stay.start, 0.0)),
        end=reading.now + timedelta(hours=stay.end),
        urgency=cast(Words, stay.urgency.name.lower()),
        why=_why(plan, proposal, policy),
        risks=tuple(RiskAtHorizon(risk.hours / 24, risk.probability, risk.interval) for risk in risks),
        focus=asked,
    )


def _why(plan: Plan, proposal: Proposal, policy: Policy) -> str:
    """Why this room, in words that tell nothing of other patients."""
    stay, house = proposal.stay, plan.house
    if proposal.room is None:
        rules = plan.hopeless.get(stay.id)
        if rules:
            return f"No room of this plan keeps the rules for this patient: {', '.join(rules)}."
        return "Every suitable bed is taken by patients who come first."
    room = house.room[proposal.room]
    price = cost(house, stay, room, policy)
    kept = f"All rules are kept; cost {price} by the house's policy."
    if proposal.kind == "move":
        here = house.room[str(stay.room)]
        rules = broken(house, stay, here)
        because = f"the present room breaks: {', '.join(rules)}" if rules else "the plan as a whole is better for it"
        return f"Moves because {because}. {kept}"
    own = [breach.rule for breach in plan.breaches if breach.where == room.id]
    if own:
        return f"The room cannot keep: {', '.join(sorted(set(own)))}. Cost {price} by the house's policy."
    return kept


def summaries(plan: Plan, reading: Reading) -> list[WardSummary]:
    """Return what a plan says of each ward, with the table of fairness in the notes of the first."""
    table = disparities(plan, reading.groups)
    return [
        _summary(plan, reading, ward, _told(table) if number == 0 else ())
        for number, ward in enumerate(plan.house.wards)
    ]


def _summary(plan: Plan, reading: Reading, ward: Ward, disparity: tuple[str, ...]) -> WardSummary:
    house = plan.house
    rooms = {room.id for room in house.rooms_of(ward.id)}
    inside = [proposal for proposal in plan if proposal.room in rooms]
    waiting = [
        proposal
        for proposal in plan.unplaced
        if proposal.stay.ward in (ward.id, None)
        and (
            not proposal.stay.specialties or proposal.stay.specialties & (ward.specialties or proposal.stay.specialties)
        )
    ]
    gap = plan.gap if plan.gap != float("inf") else 1.0
    numbers = [
        ("beds", "Beds that may be used", float(sum(house.room[room].beds for room in rooms)), "1"),
        ("occupied", "Patients in bed now", float(sum(stay.room in rooms for stay in house.stays)), "1"),
        *(
            (f"expected-{hour}h", f"Patients in bed in {hour} hours, by the plan", float(_there(inside, hour)), "1")
            for hour in EXPECTED
        ),
        ("moves", "Moves proposed", float(sum(proposal.kind == "move" for proposal in inside)), "1"),
        ("without-bed", "Patients for whom there is no bed", float(len(waiting)), "1"),
        ("cost", "Cost of the whole plan by the house's policy", float(plan.cost), "1"),
        ("gap", "Distance from the best plan there can be, at most", round(100 * gap, 4), "%"),
        ("seed", "Seed that ties were broken with", float(plan.seed), "1"),
    ]
    notes = [f"Planned by {plan.method}."]
    notes += [f"{item.where} cannot keep {item.rule} ({item.amount})." for item in plan.breaches if item.where in rooms]
    notes += [f"{found.resource}: {found.code}; {found.detail}." for found in reading.findings]
    return WardSummary(ward.id, ward.name, tuple(numbers), (*notes, *disparity))


def _there(inside: Sequence[Proposal], hour: float) -> int:
    return sum(max(item.stay.start, 0.0) <= hour < item.stay.end for item in inside)


def _told(table: Sequence[Disparity]) -> tuple[str, ...]:
    """The rows of groups that are large enough to say something of, and that tell nobody apart."""
    return tuple(
        f"{row.outcome}: {row.attribute} {row.group} {100 * row.share:.0f}% of {row.total} "
        f"({100 * row.interval[0]:.0f} to {100 * row.interval[1]:.0f}%)"
        + ("; differs from all others" if row.differs else "")
        for row in table
        if not row.small
    )
