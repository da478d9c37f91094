"""A small hospital for the planner's tests, made here; and its instances with something broken."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

SHIFTS = ["early", "late", "night"]
AGES = ["infant", "adult", "elderly"]


def small_instance(seed: int = 1, *, patients: int = 24, days: int = 10, rooms: int = 4) -> dict[str, Any]:
    """Return a synthetic instance in the competition's format; the same for the same seed."""
    dice = random.Random(seed)
    room_ids = [f"r{at}" for at in range(rooms)]
    surgeons = ["s0", "s1"]
    theatres = ["t0", "t1", "t2"]
    return {
        "days": days,
        "skill_levels": 3,
        "shift_types": list(SHIFTS),
        "age_groups": list(AGES),
        "weights": {
            "room_mixed_age": 5,
            "room_nurse_skill": 3,
            "continuity_of_care": 2,
            "nurse_eccessive_workload": 4,
            "open_operating_theater": 30,
            "surgeon_transfer": 7,
            "patient_delay": 10,
            "unscheduled_optional": 150,
        },
        "occupants": [
            _person(dice, f"a{at}", dice.randint(1, 4)) | {"gender": gender, "room_id": room_ids[at]}
            for at, gender in enumerate("AB")
        ],
        "patients": [_patient(dice, at, days, room_ids, surgeons) for at in range(patients)],
        "surgeons": [
            {"id": surgeon, "max_surgery_time": [dice.choice([0, 240, 360, 480]) for _ in range(days)]}
            for surgeon in surgeons
        ],
        "operating_theaters": [
            {"id": theatre, "availability": [dice.choice([0, 240, 480]) for _ in range(days)]} for theatre in theatres
        ],
        "rooms": [{"id": room, "capacity": 2 + at % 2} for at, room in enumerate(room_ids)],
        "nurses": _nurses(days),
    }


def _person(dice: random.Random, identifier: str, stay: int) -> dict[str, Any]:
    return {
        "id": identifier,
        "gender": dice.choice("AB"),
        "age_group": dice.choice(AGES),
        "length_of_stay": stay,
        "workload_produced": [dice.randint(1, 4) for _ in range(3 * stay)],
        "skill_level_required": [dice.randint(0, 2) for _ in range(3 * stay)],
    }


def _patient(dice: random.Random, at: int, days: int, rooms: list[str], surgeons: list[str]) -> dict[str, Any]:
    release = dice.randint(0, days - 2)
    mandatory = at % 4 == 0
    patient = _person(dice, f"p{at:02}", dice.randint(1, 5)) | {
        "mandatory": mandatory,
        "surgery_release_day": release,
        "surgery_duration": dice.choice([60, 90, 120]),
        "surgeon_id": dice.choice(surgeons),
        "incompatible_room_ids": [dice.choice(rooms)] if at % 3 == 0 else [],
    }
    if mandatory:
        patient["surgery_due_day"] = min(days - 1, release + 6)
    return patient


def _nurses(days: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"n{at}",
            "skill_level": at % 3,
            "working_shifts": [
                {"day": day, "shift": SHIFTS[(at + day // 4) % 3], "max_load": 6 + at % 5}
                for day in range(days)
                # Three of nine are off by turns, so that every shift has somebody.
                if (at + day) % 4 or at < 3
            ],
        }
        for at in range(9)
    ]


def write(folder: Path, document: dict[str, Any], name: str = "small.json") -> Path:
    """Write a document, one value a line."""
    path = folder / name
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path
