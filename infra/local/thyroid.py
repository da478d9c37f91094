"""Synthetic people whose thyroid was tested: five values each, from one laboratory or another, and the report on them.

The constants are summaries (means and spreads within each group) of the paper named below. No row of its data is here,
and nobody in this cohort ever lived.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from infra.local.bundles import LOINC, TERMINOLOGY, concept, measured, person, quantity, transaction

__all__ = ["LOCAL_CODES", "ThyroidPatient", "draw_thyroid_patients"]

DEFAULT_SEED = 1983
STATES = ("hypothyroidism", "hyperthyroidism", "normal")
# In turn: what keeps the model from answering. Nobody gives TRH these days, and the uptake has another scale.
TROUBLE = ("", "", "", "", "no response", "other scale")
GIVEN_NAMES = ("Angelica", "Betony", "Clover", "Comfrey", "Fennel", "Heather", "Hyssop", "Lovage", "Myrtle", "Sorrel")

# Coomans, Broeckaert, Jonckheer, Massart, Methods of Information in Medicine 22:93-101, 1983: mean, spread and range of
# T3 resin uptake (%), T4 (ug/dL), T3 (ng/mL); of TSH and its response to TRH (mIU/L), as logarithms where it is one.
Spread = tuple[float, float, float, float]
VALUES: dict[str, dict[str, Spread]] = {
    "normal": {
        "t3_resin_uptake": (110.5, 8.1, 90, 133),
        "thyroxine": (9.2, 2.0, 4.2, 16),
        "triiodothyronine": (1.7, 0.5, 0.4, 3.1),
        "tsh": (1.3, 0.5, 0.3, 3.7),
        "tsh_response": (2.5, 2.0, -0.7, 13),
    },
    "hypothyroidism": {
        "t3_resin_uptake": (121.7, 10.9, 97, 141),
        "thyroxine": (3.6, 1.7, 0.5, 6.8),
        "triiodothyronine": (1.1, 0.5, 0.2, 2.5),
        "tsh": (2.11, 1.03, 0.2, 4.0),
        "tsh_response": (2.47, 0.93, 0.3, 4.0),
    },
    "hyperthyroidism": {
        "t3_resin_uptake": (95.3, 18.5, 65, 144),
        "thyroxine": (17.8, 4.1, 11.1, 25.3),
        "triiodothyronine": (4.3, 2.2, 1.6, 10),
        "tsh": (1.0, 0.4, 0.1, 1.8),
        "tsh_response": (0.0, 0.3, -0.6, 0.6),
    },
}
LOGARITHMS = ("tsh", "tsh_response")

# Molar masses in g/mol, for laboratories that report amounts of substance.
THYROXINE, TRIIODOTHYRONINE = 776.87, 650.97
OURS, LOCAL = "urn:x-bedside:observation", "https://example.org/bedside/laboratory"
# Input -> (code system, code, display, unit, factor from the model's unit), as one laboratory and as another has it.
_Form = tuple[str, str, str, str, float]
FORMS: dict[str, tuple[_Form, _Form]] = {
    "t3_resin_uptake": (
        (LOINC, "3050-2", "Triiodothyronine resin uptake (T3RU) in Serum or Plasma", "%", 1.0),
        (LOINC, "3050-2", "Triiodothyronine resin uptake (T3RU) in Serum or Plasma", "%", 1.0),
    ),
    "thyroxine": (
        (LOINC, "3026-2", "Thyroxine (T4) [Mass/volume] in Serum or Plasma", "ug/dL", 1.0),
        (LOINC, "14921-1", "Thyroxine (T4) [Moles/volume] in Serum or Plasma", "nmol/L", 1e4 / THYROXINE),
    ),
    "triiodothyronine": (
        (LOINC, "3053-6", "Triiodothyronine (T3) [Mass/volume] in Serum or Plasma", "ng/dL", 100.0),
        (LOINC, "14930-2", "Triiodothyronine (T3) [Moles/volume] in Serum or Plasma", "nmol/L", 1e3 / TRIIODOTHYRONINE),
    ),
    "tsh": (
        (LOINC, "3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "m[IU]/L", 1.0),
        (LOINC, "3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "u[IU]/mL", 1.0),
    ),
    # LOINC has none for the largest difference: one laboratory uses the model's code, the other one of its own.
    "tsh_response": (
        (OURS, "tsh-response-to-trh", "Largest change of TSH after TRH", "m[IU]/L", 1.0),
        (LOCAL, "TRH-DELTA", "TSH-Anstieg nach TRH", "m[IU]/L", 1.0),
    ),
}
REPORT_CODE = "90224-7"

# What the hospital's tenant record says of the other laboratory's code.
LOCAL_CODES: dict[str, Any] = {
    "resourceType": "ConceptMap",
    "status": "active",
    "group": [
        {
            "source": LOCAL,
            "target": OURS,
            "element": [
                {"code": "TRH-DELTA", "target": [{"code": "tsh-response-to-trh", "equivalence": "equivalent"}]}
            ],
        }
    ],
}


@dataclass(frozen=True)
class ThyroidPatient:
    """One invented person whose thyroid was tested.

    Parameters
    ----------
    patient_id : str
        FHIR id of the Patient; every other id starts with it.
    values : Mapping of str to float
        ``age`` and ``female``, and the inputs by their names in the ``model.yaml`` of ``thyroid``; a missing name is
        a gap.
    taken : datetime
        When the blood was taken, with a time zone.
    other_units : bool
        As a laboratory that reports amounts of substance has it, one test under its own code.
    given : str
        Given name; the family name says that the patient is synthetic.
    """

    patient_id: str
    values: Mapping[str, float]
    taken: datetime
    other_units: bool = False
    given: str = "Heather"

    @property
    def report_id(self) -> str:
        """FHIR id of the laboratory's report, which is what the Subscription waits for."""
        return f"{self.patient_id}-report"

    def bundle(self) -> dict[str, Any]:
        """Return the person's FHIR R4 transaction Bundle, PUTs only; the report comes last."""
        results = [self._value(name) for name in FORMS if name in self.values]
        who = person(self.values, self.patient_id, self.taken, self.given)
        return transaction([who, *results, self._report(results)])

    def _value(self, name: str) -> dict[str, Any]:
        system, code, display, unit, factor = FORMS[name][self.other_units]
        value = quantity(self.values[name] * factor, unit, unit, None if factor == 1.0 else 6)
        label = name.replace("_", "-")
        found = measured(self.patient_id, label, (code, display), self.taken, "laboratory", valueQuantity=value)
        return {**found, "code": concept(system, code, display)}

    def _report(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "resourceType": "DiagnosticReport",
            "id": self.report_id,
            "status": "final",
            "category": [concept(f"{TERMINOLOGY}/v2-0074", "LAB", "Laboratory")],
            "code": {"coding": [{"system": LOINC, "code": REPORT_CODE}], "text": "Thyroid panel with TSH"},
            "subject": {"reference": f"Patient/{self.patient_id}"},
            "effectiveDateTime": self.taken.isoformat(),
            "issued": (self.taken + timedelta(hours=2)).isoformat(),
            "result": [{"reference": f"Observation/{result['id']}"} for result in results],
        }


def draw_thyroid_patients(size: int, *, seed: int = DEFAULT_SEED, reference: datetime) -> list[ThyroidPatient]:
    """Draw a cohort; the same seed and reference always give the same one.

    Parameters
    ----------
    size : int
        Number of people; the states of the thyroid come in turn.
    seed : int
        Seed of the draw.
    reference : datetime
        With a time zone; all blood was taken within the day before it.
    """
    source = random.Random(f"thyroid {seed}")  # noqa: S311 - a reproducible draw, not a secret
    return [_drawn(source, index, reference) for index in range(size)]


def _drawn(source: random.Random, index: int, reference: datetime) -> ThyroidPatient:
    state, trouble = STATES[index % len(STATES)], TROUBLE[index % len(TROUBLE)]
    values = {
        "age": float(round(_within(source, (48.0, 14.0, 19, 85)))),
        "female": float(source.random() < 0.78),
        **{name: _value(source, state, name, spread) for name, spread in VALUES[state].items()},
    }
    if trouble == "no response":
        del values["tsh_response"]
    elif trouble == "other scale":
        # 24 to 39% of today's tests, where this model's normal serum is 100
        values["t3_resin_uptake"] = round(values["t3_resin_uptake"] * 0.3, 1)
    return ThyroidPatient(
        patient_id=f"thyroid-{index + 1:02d}",
        values=values,
        taken=(reference - timedelta(hours=3, minutes=23 * index)).replace(second=0, microsecond=0),
        other_units=index % 2 == 1,
        given=GIVEN_NAMES[index % len(GIVEN_NAMES)],
    )


def _value(source: random.Random, state: str, name: str, spread: Spread) -> float:
    value = _within(source, spread)
    return round(math.exp(value) if state == "hypothyroidism" and name in LOGARITHMS else value, 1)


def _within(source: random.Random, spread: Spread) -> float:
    mean, deviation, low, high = spread
    while True:
        value = source.gauss(mean, deviation)
        if low <= value <= high:
            return value
