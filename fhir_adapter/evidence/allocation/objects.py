"""What a plan of beds says, in the words of FHIR; made by whoever planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import uuid5

from fhir_adapter.codes import BEDSIDE, Json
from fhir_adapter.prediction import RiskAtHorizon
from fhir_adapter.references import Source

__all__ = ["Placement", "PlanContext", "WardSummary"]


@dataclass(frozen=True)
class Placement:
    """What a plan says of one stay.

    Parameters
    ----------
    key : str
        Of the stay; distinguishes a patient's planned moves.
    patient : str
        ``Patient/p1``.
    encounter : str or None
    room, room_name : str or None
        ``Location/r1`` and its name; None: no bed.
    kind : {"stay", "move", "place", "unplaced"}
    start, end : datetime
        Of the stay in the room.
    urgency : {"stat", "asap", "urgent", "routine"}
    why : str
        In words, without patient data of anybody else.
    risks : tuple of RiskAtHorizon
        Of having no suitable bed; empty for those who have one.
    focus : str or None
        What asks for the bed: ``ServiceRequest/s1``.
    """

    key: str
    patient: str
    encounter: str | None
    room: str | None
    room_name: str | None
    kind: Literal["stay", "move", "place", "unplaced"]
    start: datetime
    end: datetime
    urgency: Literal["stat", "asap", "urgent", "routine"]
    why: str
    risks: tuple[RiskAtHorizon, ...] = ()
    focus: str | None = None

    @property
    def told(self) -> str:
        """The recommendation in words."""
        if self.kind == "unplaced":
            return "No suitable bed"
        return {"stay": "Stays in", "move": "Moves to", "place": "Placed in"}[self.kind] + f" {self.room_name}"


@dataclass(frozen=True)
class WardSummary:
    """What a plan says of a ward.

    Parameters
    ----------
    ward, name : str
        ``Location/w1`` and its name.
    numbers : tuple of (str, str, float, str)
        Code, words, value and UCUM unit: beds, occupied, expected, moves, without a bed, gap.
    notes : tuple of str
        Rules that cannot be kept, findings in the record, disparities; no patient is named.
    """

    ward: str
    name: str
    numbers: tuple[tuple[str, str, float, str], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanContext:
    """What a plan is of, and what the EHR holds of earlier ones.

    Parameters
    ----------
    tenant, organization : str
    fingerprint : str
        Changes with anything the plan depends on.
    sources : tuple of Source
        Everything it was read from.
    now : datetime
        Hour 0 of the plan.
    patients : frozenset of str
        Everybody the whole house knows; proposals for anybody else no longer hold.
    tasks, results : tuple of dict
        Ours, as read.
    device_known : bool
        Whether the EHR has the Device and its card.
    """

    tenant: str
    organization: str
    fingerprint: str
    sources: tuple[Source, ...]
    now: datetime
    patients: frozenset[str] = frozenset()
    tasks: tuple[Json, ...] = field(default=(), repr=False)
    results: tuple[Json, ...] = field(default=(), repr=False)
    device_known: bool = False

    def id(self, kind: str, *more: str) -> str:
        """Return the id of a resource of this plan; the same plan has the same ids."""
        return str(uuid5(BEDSIDE, "|".join(("plan", kind, self.tenant, self.fingerprint, *more))))
