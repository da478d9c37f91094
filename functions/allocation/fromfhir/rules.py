"""What a hospital says of its codes and habits; everything has a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Self

from fhir_adapter.codes import BEDSIDE_OID
from fhir_adapter.errors import ConfigurationError
from functions.allocation.ward.objects import ALONE, TOP_PRIORITY

__all__ = ["ROOM_FEATURE", "HouseRules"]

# Codes of what a room has and a patient may need: isolation, monitor, negative-pressure, mixed, women, men, ...
ROOM_FEATURE = f"{BEDSIDE_OID}.10"
# SNOMED CT: hospital admission, patient transfer.
BED_REQUESTS = frozenset({"32485007", "19712007"})
# SNOMED CT: isolation procedure; infections that are nursed in isolation, and those who may share a room.
ISOLATION = MappingProxyType(
    {
        "40174006": ALONE,
        "56717001": ALONE,
        "266096002": "mrsa",
        "186431008": "clostridioides-difficile",
        "840539006": "sars-cov-2",
        "6142004": "influenza",
    }
)
# Tuberculosis goes by air.
AIRBORNE = frozenset({"56717001"})


@dataclass(frozen=True)
class HouseRules:
    """How a hospital's records are to be understood.

    Parameters
    ----------
    isolation : mapping of str to str
        Code of a Flag or Condition to ``alone`` or to the pathogen that patients of one room may share.
    airborne : frozenset of str
        Codes whose patients need ``negative-pressure`` as well.
    bed_requests : frozenset of str
        Codes of ServiceRequests that ask for a bed.
    specialties : mapping of str to str
        Local code to the code by which wards and patients are compared; others stand for themselves.
    also : mapping of str to list of str
        Ward (``Location/w1``) to specialties that it takes when their own wards are full.
    patients_per_nurse : mapping of str to int
        By ward; ``*`` for all others.
    usual_hours : float
        Of a stay whose end nobody planned.
    risk_models : frozenset of str
        Models whose RiskAssessments give priority; empty: all of ours.
    risk_days : float
        The longest horizon that says something of today.
    full_priority_at : float
        Probability at and above which priority is full.
    """

    isolation: Mapping[str, str] = field(default_factory=lambda: ISOLATION)
    airborne: frozenset[str] = AIRBORNE
    bed_requests: frozenset[str] = BED_REQUESTS
    specialties: Mapping[str, str] = field(default_factory=dict)
    also: Mapping[str, list[str]] = field(default_factory=dict)
    patients_per_nurse: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"*": 6}))
    usual_hours: float = 96.0
    risk_models: frozenset[str] = frozenset()
    risk_days: float = 90.0
    full_priority_at: float = 0.5

    def __post_init__(self) -> None:
        if not self.usual_hours > 0 or not 0 < self.full_priority_at <= 1:
            raise ConfigurationError("allocation: usual_hours is positive and full_priority_at lies in (0, 1]")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read rules from JSON.

        Raises
        ------
        ConfigurationError
            Naming what is not known or not of its kind.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ConfigurationError(
                f"allocation: unknown rules {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            )
        sets = {"airborne", "bed_requests", "risk_models"}
        given: dict[str, Any] = {name: frozenset(value) if name in sets else value for name, value in data.items()}
        try:
            return cls(**given)
        except TypeError:
            raise ConfigurationError("allocation: a rule is not of its kind") from None

    def priority(self, probability: float) -> int:
        """Return the priority of a risk, from 0 to 10: never falling in the risk, and full from some risk on."""
        return min(TOP_PRIORITY, int(TOP_PRIORITY * probability / self.full_priority_at + 1e-9))

    def nursed(self, ward: str) -> int:
        """Return how many patients a nurse of a ward cares for."""
        return int(self.patients_per_nurse.get(ward, self.patients_per_nurse.get("*", 6)))
