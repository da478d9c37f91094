"""A plan: who is admitted when, where and to which theatre, and which nurse has which room; and its official JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.allocation.planner.document import Node, read
from functions.allocation.planner.instance import Instance

__all__ = ["Admission", "Plan", "as_json", "read_plan", "write_plan"]


@dataclass(frozen=True)
class Admission:
    """When and where a patient is admitted and operated on.

    Attributes
    ----------
    day, room, theatre : int
        Positions.
    """

    day: int
    room: int
    theatre: int


@dataclass(frozen=True)
class Plan:
    """A plan, which may break hard constraints.

    Attributes
    ----------
    admissions : tuple of Admission or None
        Of each patient of the instance; None where not admitted within the period.
    nurses : dict of (int, int) to int
        Position of the nurse by room and shift of the period.
    """

    admissions: tuple[Admission | None, ...]
    nurses: Mapping[tuple[int, int], int]


def read_plan(source: Path, instance: Instance) -> Plan:
    """Read a solution in the competition's format.

    Parameters
    ----------
    source : Path
    instance : Instance
        What it solves.

    Returns
    -------
    Plan

    Raises
    ------
    Malformed
        With line and field, also where a patient, or a nurse of a room and shift, is named twice.
    OSError
        When it cannot be read.
    """
    root = read(source)
    patients = [patient.identifier for patient in instance.patients]
    admissions: list[Admission | None] = [None] * len(patients)
    seen: set[int] = set()
    for node in root["patients"].items():
        at = node["id"].one_of(patients, "patient")
        if at in seen:
            node["id"].fail(f"is {patients[at]!r}, who is planned already")
        seen.add(at)
        if node["admission_day"].value != "none":
            admissions[at] = Admission(
                node["admission_day"].integer(0, instance.days - 1),
                node["room"].one_of(instance.rooms, "room"),
                node["operating_theater"].one_of(instance.theatres, "operating theatre"),
            )
    return Plan(tuple(admissions), _nurses(root["nurses"], instance))


def _nurses(nodes: Node, instance: Instance) -> dict[tuple[int, int], int]:
    names = [nurse.identifier for nurse in instance.nurses]
    found: dict[tuple[int, int], int] = {}
    for node in nodes.items():
        nurse = node["id"].one_of(names, "nurse")
        for duty in node["assignments"].items():
            day = duty["day"].integer(0, instance.days - 1)
            shift = day * len(instance.shift_types) + duty["shift"].one_of(instance.shift_types, "shift")
            for item in duty["rooms"].items():
                room = item.one_of(instance.rooms, "room")
                if found.setdefault((room, shift), nurse) != nurse:
                    item.fail(f"is {instance.rooms[room]!r}, which another nurse has in this shift")
    return found


def as_json(plan: Plan, instance: Instance) -> dict[str, Any]:
    """Return a plan in the competition's format.

    Parameters
    ----------
    plan : Plan
    instance : Instance

    Returns
    -------
    dict
        Every working shift of every nurse is there, with the rooms that are theirs.
    """
    patients: list[dict[str, Any]] = []
    for patient, admission in zip(instance.patients, plan.admissions, strict=True):
        row: dict[str, Any] = {"id": patient.identifier, "admission_day": "none"}
        if admission is not None:
            row["admission_day"] = admission.day
            row["room"] = instance.rooms[admission.room]
            row["operating_theater"] = instance.theatres[admission.theatre]
        patients.append(row)
    duties: dict[tuple[int, int], list[str]] = {}
    for (room, shift), nurse in sorted(plan.nurses.items()):
        duties.setdefault((nurse, shift), []).append(instance.rooms[room])
    nurses = []
    for at, nurse_ in enumerate(instance.nurses):
        shifts = sorted(set(nurse_.shifts) | {shift for found, shift in duties if found == at})
        nurses.append(
            {
                "id": nurse_.identifier,
                "assignments": [
                    {
                        "day": shift // len(instance.shift_types),
                        "shift": instance.shift_types[shift % len(instance.shift_types)],
                        "rooms": duties.get((at, shift), []),
                    }
                    for shift in shifts
                ],
            }
        )
    return {"patients": patients, "nurses": nurses}


def write_plan(plan: Plan, instance: Instance, target: Path) -> None:
    """Write a plan in the competition's format."""
    target.write_text(json.dumps(as_json(plan, instance), indent=1) + "\n", encoding="utf-8")
