"""The cost of a plan: violations of the hard constraints by name, and the eight soft costs.

This is written for reading and shares nothing with the search, whose arithmetic is held against it.
"""

from __future__ import annotations

from dataclasses import dataclass

from functions.allocation.planner.instance import Instance, Person
from functions.allocation.planner.solution import Plan

__all__ = ["COSTS", "VIOLATIONS", "Evaluation", "evaluate"]

# The names of the competition's validator, with the constraint of the specification.
VIOLATIONS = {
    "RoomGenderMix": "H1",
    "PatientRoomCompatibility": "H2",
    "SurgeonOvertime": "H3",
    "OperatingTheaterOvertime": "H4",
    "MandatoryUnscheduledPatients": "H5",
    "AdmissionDay": "H6",
    "RoomCapacity": "H7",
    "NursePresence": "nurses work in their shifts only",
    "UncoveredRoom": "an occupied room has a nurse in every shift",
}
COSTS = {
    "RoomAgeMix": "S1",
    "RoomSkillLevel": "S2",
    "ContinuityOfCare": "S3",
    "ExcessiveNurseWorkload": "S4",
    "OpenOperatingTheater": "S5",
    "SurgeonTransfer": "S6",
    "PatientDelay": "S7",
    "ElectiveUnscheduledPatients": "S8",
}


@dataclass(frozen=True)
class Evaluation:
    """What a plan costs.

    Attributes
    ----------
    violations : dict of str to int
        How much each hard constraint is broken: people, room-shifts, or minutes of overtime.
    counts : dict of str to int
        Units of each soft cost.
    weights : dict of str to int
        What a unit counts.
    """

    violations: dict[str, int]
    counts: dict[str, int]
    weights: dict[str, int]

    @property
    def costs(self) -> dict[str, int]:
        """Weighted soft costs by name."""
        return {name: count * self.weights[name] for name, count in self.counts.items()}

    @property
    def total_violations(self) -> int:
        """Sum over the hard constraints; 0 for a plan that may be used."""
        return sum(self.violations.values())

    @property
    def total_cost(self) -> int:
        """Sum of the weighted soft costs."""
        return sum(self.costs.values())


@dataclass(frozen=True)
class _Presence:
    """A person in a room from a day on, as far as the period goes."""

    person: Person
    room: int
    start: int
    end: int


def evaluate(instance: Instance, plan: Plan) -> Evaluation:
    """Return every violation and every cost of a plan.

    Parameters
    ----------
    instance : Instance
    plan : Plan

    Returns
    -------
    Evaluation
        As the competition's validator counts (Ceschia et al. 2024, sections 2 and 3).
    """
    present = [_Presence(person, person.room, 0, min(person.stay, instance.days)) for person in instance.occupants]
    for patient, admission in zip(instance.patients, plan.admissions, strict=True):
        if admission is not None:
            end = min(admission.day + patient.stay, instance.days)
            present.append(_Presence(patient, admission.room, admission.day, end))
    lying: dict[tuple[int, int], list[_Presence]] = {}
    for presence in present:
        for day in range(presence.start, presence.end):
            lying.setdefault((presence.room, day), []).append(presence)
    rooms = _rooms(instance, lying)
    surgery = _surgery(instance, plan)
    nursing = _nursing(instance, plan, present, lying)
    patients = _patients(instance, plan)
    found = rooms | surgery | nursing | patients
    weights = (getattr(instance.weights, name) for name in instance.weights.__dataclass_fields__)
    return Evaluation(
        violations={name: found[name] for name in VIOLATIONS},
        counts={name: found[name] for name in COSTS},
        weights=dict(zip(COSTS, weights, strict=True)),
    )


def _rooms(instance: Instance, lying: dict[tuple[int, int], list[_Presence]]) -> dict[str, int]:
    found = {"RoomGenderMix": 0, "RoomCapacity": 0, "RoomAgeMix": 0}
    for (room, _), people in lying.items():
        women = sum(presence.person.gender == "A" for presence in people)
        ages = [presence.person.age_group for presence in people]
        found["RoomGenderMix"] += min(women, len(people) - women)
        found["RoomCapacity"] += max(0, len(people) - instance.capacity[room])
        found["RoomAgeMix"] += max(ages) - min(ages)
    return found


def _surgery(instance: Instance, plan: Plan) -> dict[str, int]:
    theatre_load: dict[tuple[int, int], int] = {}
    surgeon_load: dict[tuple[int, int], int] = {}
    theatres_of: dict[tuple[int, int], set[int]] = {}
    for patient, admission in zip(instance.patients, plan.admissions, strict=True):
        if admission is None:
            continue
        theatre, surgeon = (admission.theatre, admission.day), (patient.surgeon, admission.day)
        theatre_load[theatre] = theatre_load.get(theatre, 0) + patient.duration
        surgeon_load[surgeon] = surgeon_load.get(surgeon, 0) + patient.duration
        theatres_of.setdefault(surgeon, set()).add(admission.theatre)
    return {
        "OperatingTheaterOvertime": sum(
            max(0, load - instance.theatre_minutes[theatre][day]) for (theatre, day), load in theatre_load.items()
        ),
        "SurgeonOvertime": sum(
            max(0, load - instance.surgeon_minutes[surgeon][day]) for (surgeon, day), load in surgeon_load.items()
        ),
        "OpenOperatingTheater": len(theatre_load),
        "SurgeonTransfer": sum(len(theatres) - 1 for theatres in theatres_of.values()),
    }


def _nursing(
    instance: Instance, plan: Plan, present: list[_Presence], lying: dict[tuple[int, int], list[_Presence]]
) -> dict[str, int]:
    a_day = len(instance.shift_types)
    found = dict.fromkeys(("RoomSkillLevel", "ContinuityOfCare", "ExcessiveNurseWorkload", "UncoveredRoom"), 0)
    found["NursePresence"] = sum(
        shift not in instance.nurses[nurse].shifts for (_, shift), nurse in plan.nurses.items()
    )
    load: dict[tuple[int, int], int] = {}
    for (room, day), people in lying.items():
        for shift in range(day * a_day, (day + 1) * a_day):
            nurse = plan.nurses.get((room, shift))
            if nurse is None:
                found["UncoveredRoom"] += 1
                continue
            skill = instance.nurses[nurse].skill
            for presence in people:
                at = shift - presence.start * a_day
                load[nurse, shift] = load.get((nurse, shift), 0) + presence.person.workload[at]
                found["RoomSkillLevel"] += max(0, presence.person.skill[at] - skill)
    for (nurse, shift), work in load.items():
        # Who does not work in a shift is counted under NursePresence.
        found["ExcessiveNurseWorkload"] += max(0, work - instance.nurses[nurse].shifts.get(shift, work))
    for presence in present:
        shifts = range(presence.start * a_day, presence.end * a_day)
        nurses = {plan.nurses.get((presence.room, shift)) for shift in shifts} - {None}
        found["ContinuityOfCare"] += len(nurses)
    return found


def _patients(instance: Instance, plan: Plan) -> dict[str, int]:
    found = dict.fromkeys(
        (
            "MandatoryUnscheduledPatients",
            "ElectiveUnscheduledPatients",
            "AdmissionDay",
            "PatientRoomCompatibility",
            "PatientDelay",
        ),
        0,
    )
    for patient, admission in zip(instance.patients, plan.admissions, strict=True):
        if admission is None:
            found["MandatoryUnscheduledPatients" if patient.mandatory else "ElectiveUnscheduledPatients"] += 1
            continue
        found["AdmissionDay"] += not patient.release <= admission.day <= patient.last
        found["PatientRoomCompatibility"] += admission.room in patient.excluded
        found["PatientDelay"] += max(0, admission.day - patient.release)
    return found
