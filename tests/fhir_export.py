"""Synthetic patients made from the rows of a table, as the NDJSON that ``$export`` gives.

Every row becomes one invented patient with an admission at a fixed time, whose record says by a contract what the row
says by numbers. Where the rows are real data, the files belong into a temporary directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from fhir_adapter.codes import UCUM
from functions.survival.data import SurvivalTable

# Before every other date of a patient's record but birth.
EPOCH = datetime(1974, 1, 1, 9, 0, tzinfo=UTC)
# Of those with an outcome, every nth had the procedure where the contract's outcome has both death and a procedure.
NTH_PROCEDURE = 7

Resource = dict[str, Any]


def write_export(folder: Path, table: SurvivalTable, contract: Mapping[str, Any]) -> None:
    """Write one NDJSON file for each resource type.

    Parameters
    ----------
    folder : Path
        Where to; must exist.
    table : SurvivalTable
        NaN values are not on record.
    contract : mapping
        ``model.yaml`` as read: codes, units and what counts as the outcome.
    """
    files: dict[str, list[bytes]] = {}
    for row in range(len(table)):
        for resource in patient_resources(table, row, contract):
            files.setdefault(resource["resourceType"], []).append(orjson.dumps(resource))
    for kind, lines in files.items():
        (folder / f"{kind}.ndjson").write_bytes(b"\n".join(lines) + b"\n")


def patient_resources(table: SurvivalTable, row: int, contract: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield the resources of one synthetic patient."""
    identity = f"synthetic-{row:05d}"
    start = EPOCH + timedelta(days=row % 365)
    values = dict(zip(table.names, table.x[row].tolist(), strict=True))
    outcome = contract["training"]["outcome"]
    patient = _patient(identity, start, values, contract)
    subject = {"reference": f"Patient/{identity}"}
    yield _encounter(f"{identity}-0", subject, start, (outcome.get("encounters") or ["AMB"])[0])
    gate = contract.get("applies_if", {}).get("condition")
    if gate:
        yield _condition(f"{identity}-gate", subject, start, gate["system"], gate["codes"][0])
    for declared in contract["inputs"]:
        yield from _recorded(identity, subject, start, declared, values[declared["name"]])
    end = start + timedelta(days=float(table.time[row]))
    kind = "outcome" if table.event[row] else "competing" if table.competing[row] else "censored"
    for resource in _ended(identity, subject, end, kind, row, outcome):
        if resource["resourceType"] == "Patient":
            patient["deceasedDateTime"] = resource["deceasedDateTime"]
        else:
            yield resource
    yield patient


def _patient(identity: str, start: datetime, values: Mapping[str, float], contract: Mapping[str, Any]) -> Resource:
    names = {declared["kind"]: declared["name"] for declared in contract["inputs"]}
    patient: Resource = {
        "resourceType": "Patient",
        "id": identity,
        "name": [{"family": "Synthetic", "given": [f"Row{identity[-5:]}"]}],
    }
    # half a year past the birthday, so that the age is the same whichever day is meant
    anniversary = date(start.year - int(values[names["age"]]), start.month, min(start.day, 28))
    patient["birthDate"] = (anniversary - timedelta(days=182)).isoformat()
    female = values.get(names.get("sex", ""), np.nan)
    if not np.isnan(female):
        patient["gender"] = "female" if female else "male"
    return patient


def _recorded(
    identity: str, subject: Resource, start: datetime, declared: Mapping[str, Any], value: float
) -> Iterator[Resource]:
    """Yield what says a value, nothing for an unknown one."""
    key = f"{identity}-{declared['name'].replace('_', '-')}"
    if np.isnan(value) or declared["kind"] in ("age", "sex"):
        return
    if declared["kind"] == "condition":
        codes = declared["codes"] if value else declared.get("negative_codes", [])
        assert codes or declared["missing"] == "absent", f"the contract cannot say that {declared['name']} is absent"
        if codes:
            yield _condition(key, subject, start, declared["system"], codes[0])
        return
    yield {
        "resourceType": "Observation",
        "id": key,
        "status": "final",
        "code": {"coding": [{"system": declared["system"], "code": declared["codes"][0]}]},
        "subject": subject,
        "effectiveDateTime": start.isoformat(),
        "valueQuantity": {"value": value, "unit": declared["unit"], "system": UCUM, "code": declared["unit"]},
    }


def _ended(
    identity: str, subject: Resource, end: datetime, kind: str, row: int, outcome: Mapping[str, Any]
) -> Iterator[Resource]:
    """Yield how follow-up ended: with an event, or with a last visit."""
    if kind == "censored":
        yield _encounter(f"{identity}-last", subject, end, "AMB")
        return
    events = outcome if kind == "outcome" else outcome["competing"]
    coded = [name for name in ("procedures", "conditions") if events.get(name)]
    if coded and not (events.get("death") and row % NTH_PROCEDURE):
        system, code = outcome["system"], events[coded[0]][0]
        if coded[0] == "conditions":
            yield _condition(f"{identity}-outcome", subject, end, system, code)
        else:
            yield {
                "resourceType": "Procedure",
                "id": f"{identity}-outcome",
                "status": "completed",
                "code": {"coding": [{"system": system, "code": code}]},
                "subject": subject,
                "performedDateTime": end.isoformat(),
            }
        # a death that comes after the outcome must not count
        end += timedelta(days=30)
    yield {"resourceType": "Patient", "deceasedDateTime": end.isoformat()}


def _encounter(key: str, subject: Resource, start: datetime, kind: str) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": key,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": kind},
        "subject": subject,
        "period": {"start": start.isoformat(), "end": start.isoformat()},
    }


def _condition(key: str, subject: Resource, start: datetime, system: str, code: str) -> Resource:
    return {
        "resourceType": "Condition",
        "id": key,
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": subject,
        "onsetDateTime": start.isoformat(),
        "recordedDate": start.isoformat(),
    }
