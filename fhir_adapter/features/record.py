"""The resources of one patient that a model needs, and the queries that fetch them in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from fhir_adapter.codes import Json
from fhir_adapter.features.inputs import AppliesIf, ConditionInput, Input, ObservationInput

PAGE = "200"


@dataclass(frozen=True)
class Record:
    """Resources of one patient, as plain dicts.

    Parameters
    ----------
    patient : dict
        The Patient.
    encounter : dict or None
        The Encounter that triggered.
    observations, conditions : tuple of dict
        In any order.
    """

    patient: Json
    encounter: Json | None
    observations: tuple[Json, ...] = ()
    conditions: tuple[Json, ...] = ()


def queries(patient: str, inputs: Sequence[Input], applies_if: AppliesIf) -> tuple[str, str]:
    """Return the Observation and the Condition search for a patient (FHIR R4 search.html).

    Parameters
    ----------
    patient : str
        ``Patient/id``.
    """
    observed = sorted(
        {f"{item.system}|{code}" for item in inputs if isinstance(item, ObservationInput) for code in item.searched}
    )
    conditions = [item for item in (*inputs, applies_if.condition) if isinstance(item, ConditionInput)]
    diagnosed = sorted({f"{item.system}|{code}" for item in conditions for code in (*item.codes, *item.negative_codes)})
    identifier = patient.removeprefix("Patient/")
    return (
        _search("Observation", identifier, observed, _sort="-date"),
        _search("Condition", identifier, diagnosed),
    )


def _search(resource_type: str, patient: str, codes: Sequence[str], **more: str) -> str:
    return f"{resource_type}?" + urlencode({"patient": patient, "code": ",".join(codes), **more, "_count": PAGE})


def moment(text: object) -> datetime | None:
    """Read a FHIR date, dateTime or instant; a date without a time zone counts as midnight UTC."""
    if not isinstance(text, str):
        return None
    padded = {4: text + "-01-01", 7: text + "-01"}.get(len(text), text)
    try:
        parsed = datetime.fromisoformat(padded)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def index_time_of(encounter: Json | None) -> datetime | None:
    """Return Encounter.period.start, time zero of an admission's prediction."""
    return moment(((encounter or {}).get("period") or {}).get("start"))
