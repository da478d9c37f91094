"""What counts as the outcome when a model is trained from FHIR: ``training: outcome`` of ``model.yaml``.

::

    training:
      outcome:
        death: true                        # Patient.deceasedDateTime
        system: http://snomed.info/sct     # of the codes below
        procedures: ["18027006"]           # Procedure.performed
        conditions: []                     # Condition.onset, else recordedDate
        competing: {death: false}          # the same keys: after which the outcome cannot happen
        encounters: [AMB, IMP]             # classes of Encounter that may be time zero; all when absent
        censoring: last contact            # or "export": the export knows every outcome until it ran
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from fhir_adapter.terminology import CodeSet
from functions.survival.fromfhir.errors import ExportUnusable

__all__ = ["Censoring", "Events", "Outcome", "outcome_from"]

Censoring = Literal["last contact", "export"]
_EVENTS = frozenset({"death", "system", "procedures", "conditions"})
_OUTCOME = _EVENTS | {"competing", "encounters", "censoring"}


@dataclass(frozen=True)
class Events:
    """Events that count as one.

    Parameters
    ----------
    death : bool
        Whether death from any cause does.
    procedures, conditions : CodeSet
        Codes of Procedure.code and Condition.code that do.
    """

    death: bool
    procedures: CodeSet
    conditions: CodeSet

    def __bool__(self) -> bool:
        return self.death or bool(self.procedures) or bool(self.conditions)


@dataclass(frozen=True)
class Outcome:
    """What is predicted, what competes with it, and how long people are followed.

    Parameters
    ----------
    events, competing : Events
        The outcome, and what makes it impossible.
    encounters : frozenset of str
        Codes of Encounter.class that may be time zero; empty means any.
    censoring : {"last contact", "export"}
        Where follow-up without an event ends.
    """

    events: Events
    competing: Events
    encounters: frozenset[str]
    censoring: Censoring


def outcome_from(contract: Mapping[str, Any]) -> Outcome:
    """Read ``training: outcome`` of a contract.

    Raises
    ------
    ExportUnusable
        It is absent, names no event, or holds a word that is not known.
    """
    data = (contract.get("training") or {}).get("outcome")
    if not isinstance(data, Mapping):
        raise ExportUnusable(
            "model.yaml has no training: outcome; say which of death, conditions, procedures is the outcome"
        )
    unknown = sorted(set(data) - _OUTCOME)
    if unknown:
        raise ExportUnusable(f"training: outcome: {', '.join(unknown)} is none of {', '.join(sorted(_OUTCOME))}")
    competing = data.get("competing") or {}
    if not isinstance(competing, Mapping) or set(competing) - _EVENTS:
        raise ExportUnusable(f"training: outcome: competing may hold {', '.join(sorted(_EVENTS))}")
    events = _events(data, None)
    if not events:
        raise ExportUnusable("training: outcome names no event: death: true, conditions or procedures")
    rivals = _events(competing, data.get("system"))
    if _overlap(events, rivals):
        raise ExportUnusable("training: outcome: the outcome and what competes with it name the same event")
    censoring = data.get("censoring", "last contact")
    if censoring not in ("last contact", "export"):
        raise ExportUnusable(f"training: outcome: censoring is 'last contact' or 'export', not {censoring!r}")
    encounters = frozenset(_texts(data, "encounters"))
    return Outcome(events, rivals, encounters, cast(Censoring, censoring))


def _events(data: Mapping[str, Any], system: object) -> Events:
    system = data.get("system", system)
    found = {}
    for key in ("procedures", "conditions"):
        codes = _texts(data, key)
        if codes and not isinstance(system, str):
            raise ExportUnusable(f"training: outcome: {key} need the system of their codes")
        found[key] = CodeSet.of(str(system), codes) if codes else CodeSet()
    return Events(data.get("death") is True, found["procedures"], found["conditions"])


def _texts(data: Mapping[str, Any], key: str) -> list[str]:
    listed = data.get(key) or []
    if not isinstance(listed, list):
        raise ExportUnusable(f"training: outcome: {key} must be a list")
    return [str(item) for item in listed]


def _overlap(one: Events, other: Events) -> bool:
    coded = (one.procedures.tokens & other.procedures.tokens) | (one.conditions.tokens & other.conditions.tokens)
    return (one.death and other.death) or bool(coded)
