"""The declared inputs of a model: code, unit, window, aggregation, plausible range, missing-value policy.

:mod:`~fhir_adapter.features.declaration` reads them from ``model.yaml``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, TypeVar

from fhir_adapter.terminology import CodeSet, Terminology
from fhir_adapter.terminology.conceptmaps import ALWAYS

Missing = Literal["refuse", "impute", "absent"]
Aggregation = Literal["first", "latest", "minimum", "maximum", "mean"]


@dataclass(frozen=True)
class Window:
    """Time around the index time in which a value counts.

    Parameters
    ----------
    look_back : timedelta or None
        Before the index time; None reaches back to birth.
    look_ahead : timedelta
        After it.
    """

    look_back: timedelta | None
    look_ahead: timedelta


@dataclass(frozen=True)
class Input:
    """What every declared input has.

    Parameters
    ----------
    name, display : str
        For programs, and in clinical words.
    missing : str
        ``refuse``: abstain; ``impute``: NaN, which the model fills; ``absent``: 0.
    """

    name: str
    display: str
    missing: Missing


@dataclass(frozen=True)
class AgeInput(Input):
    """Completed years at the index time, from Patient.birthDate."""

    plausible: tuple[float, float]


@dataclass(frozen=True)
class SexInput(Input):
    """1 for Patient.gender female, 0 for male; anything else is missing."""


@dataclass(frozen=True)
class Derivation:
    """Weight over height squared (a body mass index), where no value is on record."""

    weight: CodeSet
    height: CodeSet


@dataclass(frozen=True)
class ObservationInput(Input):
    """A number from Observation.value[x], of the Observation itself or of a component of a panel.

    Parameters
    ----------
    codes, panels : CodeSet
        Codes of the value; codes of panels that carry it as a component.
    unit : str
        UCUM code the model expects.
    derive : Derivation or None
        How to come by the value where it is not on record.
    molar_mass : float or None
        Of the substance in g/mol, where records may hold mass or amount.
    equivalence : frozenset of str
        Equivalences by which a local code counts.
    """

    codes: CodeSet
    panels: CodeSet
    unit: str
    window: Window
    aggregation: Aggregation
    plausible: tuple[float, float]
    derive: Derivation | None
    molar_mass: float | None = None
    equivalence: Collection[str] = ALWAYS

    @property
    def searched(self) -> CodeSet:
        """Every Observation.code worth asking for."""
        derived = self.derive.weight | self.derive.height if self.derive else CodeSet()
        return self.codes | self.panels | derived


@dataclass(frozen=True)
class ConditionInput(Input):
    """1 when a Condition with one of the codes is on record, 0 by a negative code or by its absence."""

    codes: CodeSet
    negative_codes: CodeSet
    window: Window
    equivalence: Collection[str] = ALWAYS

    @property
    def searched(self) -> CodeSet:
        """Every Condition.code worth asking for."""
        return self.codes | self.negative_codes


@dataclass(frozen=True)
class FhirPathInput(Input):
    """The result of a FHIRPath expression: 1 or 0 for a boolean, a number, or a Quantity in the declared unit.

    Parameters
    ----------
    expression : str
        Over the Patient, the Encounter, and the Observations and Conditions declared here; it starts from a type
        name. ``%indexTime`` is time zero.
    observations, conditions : CodeSet
        What it reads besides the Patient and the Encounter.
    unit : str or None
        UCUM code, where the result is a Quantity or a number with a unit.
    plausible : (float, float) or None
        None for a boolean.
    """

    expression: str
    observations: CodeSet
    conditions: CodeSet
    unit: str | None
    plausible: tuple[float, float] | None
    molar_mass: float | None = None
    equivalence: Collection[str] = ALWAYS


@dataclass(frozen=True)
class AppliesIf:
    """The population a model may answer for.

    Parameters
    ----------
    min_age, max_age : float
        Completed years, inclusive.
    condition : ConditionInput or None
        Must be on record.
    """

    min_age: float
    max_age: float
    condition: ConditionInput | None


_I = TypeVar("_I", bound=Input)


def localised(
    inputs: Sequence[Input], applies_if: AppliesIf, terminology: Terminology
) -> tuple[tuple[Input, ...], AppliesIf]:
    """Return the inputs with a tenant's local codes added, for queries and extraction alike.

    Parameters
    ----------
    terminology : Terminology
        The tenant's; its concept maps lead from local codes to the declared ones.
    """
    condition = applies_if.condition and _localised(applies_if.condition, terminology)
    return tuple(_localised(item, terminology) for item in inputs), replace(applies_if, condition=condition)


def _localised(item: _I, terminology: Terminology) -> _I:
    def wider(codes: CodeSet) -> CodeSet:
        return codes | terminology.local(codes, getattr(item, "equivalence", ALWAYS))

    if isinstance(item, ObservationInput):
        derive = item.derive and Derivation(wider(item.derive.weight), wider(item.derive.height))
        return replace(item, codes=wider(item.codes), panels=wider(item.panels), derive=derive)
    if isinstance(item, ConditionInput):
        return replace(item, codes=wider(item.codes), negative_codes=wider(item.negative_codes))
    if isinstance(item, FhirPathInput):
        return replace(item, observations=wider(item.observations), conditions=wider(item.conditions))
    return item
