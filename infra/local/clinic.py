"""An outpatient's input row as FHIR R4: laboratory values in the units of one laboratory or another, findings, a visit.

Every code is one that the ``model.yaml`` of ``pbc``, ``mgus2`` or ``nafld`` declares, so a row that goes through
:meth:`Outpatient.bundle`, an EHR and the feature reader comes back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from infra.local.bundles import (
    INCH_IN_METRE,
    POUND_IN_KILOGRAM,
    AsCharted,
    condition,
    measured,
    person,
    pressures,
    quantity,
    transaction,
    visit,
)

__all__ = ["DIAGNOSES", "Outpatient"]

# Molar masses in g/mol, for laboratories that report amounts of substance.
BILIRUBIN, CREATININE, CHOLESTEROL = 584.66, 113.12, 386.65

# Model -> (SNOMED CT code, display, years since the diagnosis)
DIAGNOSES: dict[str, tuple[str, str, int]] = {
    "pbc": ("31712002", "Primary biliary cholangitis", 4),
    "mgus2": ("277577000", "Monoclonal gammopathy of uncertain significance", 3),
    "nafld": ("197315008", "Non-alcoholic fatty liver", 6),
}
# Input -> (SNOMED CT code, display)
FINDINGS: dict[str, tuple[str, str]] = {
    "ascites": ("389026000", "Ascites"),
    "hepatomegaly": ("80515008", "Large liver"),
    "spider_angiomata": ("195382003", "Spider nevus"),
    "edema": ("267038008", "Edema"),
}


@dataclass(frozen=True)
class _Form:
    """How a laboratory reports a value: LOINC code and display, unit, and the factor from the model's unit."""

    code: str
    display: str
    unit: str
    factor: float = 1.0


# Input -> (as in the model's unit, as another laboratory has it)
LABS: dict[str, tuple[_Form, _Form]] = {
    "bilirubin": (
        _Form("1975-2", "Bilirubin.total [Mass/volume] in Serum or Plasma", "mg/dL"),
        _Form("14631-6", "Bilirubin.total [Moles/volume] in Serum or Plasma", "umol/L", 1e4 / BILIRUBIN),
    ),
    "albumin": (
        _Form("1751-7", "Albumin [Mass/volume] in Serum or Plasma", "g/dL"),
        _Form("1751-7", "Albumin [Mass/volume] in Serum or Plasma", "g/L", 10.0),
    ),
    "prothrombin_time": (_Form("5902-2", "Prothrombin time (PT)", "s"),) * 2,
    "alkaline_phosphatase": (
        _Form("6768-6", "Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma", "U/L"),
    )
    * 2,
    "ast": (_Form("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma", "U/L"),) * 2,
    "platelets": (
        _Form("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL"),
        _Form("26515-7", "Platelets [#/volume] in Blood", "10*9/L"),
    ),
    "hemoglobin": (
        _Form("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL"),
        _Form("718-7", "Hemoglobin [Mass/volume] in Blood", "g/L", 10.0),
    ),
    "creatinine": (
        _Form("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL"),
        _Form("14682-9", "Creatinine [Moles/volume] in Serum or Plasma", "umol/L", 1e4 / CREATININE),
    ),
    "m_spike": (
        _Form("33358-3", "Protein.monoclonal [Mass/volume] in Serum or Plasma by Electrophoresis", "g/dL"),
        _Form("33358-3", "Protein.monoclonal [Mass/volume] in Serum or Plasma by Electrophoresis", "g/L", 10.0),
    ),
    "total_cholesterol": (
        _Form("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL"),
        _Form("14647-2", "Cholesterol [Moles/volume] in Serum or Plasma", "mmol/L", 10 / CHOLESTEROL),
    ),
    "hdl_cholesterol": (
        _Form("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", "mg/dL"),
        _Form("14646-4", "Cholesterol in HDL [Moles/volume] in Serum or Plasma", "mmol/L", 10 / CHOLESTEROL),
    ),
}


@dataclass(frozen=True)
class Outpatient:
    """One invented outpatient.

    Parameters
    ----------
    patient_id : str
        FHIR id of the Patient; every other id starts with it.
    diseases : tuple of str
        Keys of `DIAGNOSES`.
    values : Mapping of str to float
        Inputs by their names in the ``model.yaml`` of these; a missing name is a gap in the chart.
    begun : datetime
        Start of the visit, with a time zone.
    other_units : bool
        Written as a laboratory that reports amounts of substance and values per litre has it, pressures in kPa, and
        weight and height in pounds and inches instead of a body mass index.
    given : str
        Given name; the family name says that the patient is synthetic.
    """

    patient_id: str
    diseases: tuple[str, ...]
    values: Mapping[str, float]
    begun: datetime
    other_units: bool = False
    given: str = "Alder"

    @property
    def visit_id(self) -> str:
        """FHIR id of the visit."""
        return f"{self.patient_id}-visit"

    def bundle(self) -> dict[str, Any]:
        """Return the patient's FHIR R4 transaction Bundle, PUTs only; the visit comes last."""
        who = self.patient_id
        diagnoses = []
        for disease in self.diseases:
            code, display, years = DIAGNOSES[disease]
            diagnoses.append(condition(who, disease, code, display, self.begun - timedelta(days=365 * years)))
        findings = [
            condition(who, name.replace("_", "-"), *coded, self.begun - timedelta(days=30))
            for name, coded in FINDINGS.items()
            if self.values.get(name)
        ]
        return transaction(
            [
                person(self.values, who, self.begun, self.given),
                *diagnoses,
                *findings,
                *self._laboratory(),
                *self._vital_signs(),
                visit(who, self.begun, encounter_id=self.visit_id),
            ]
        )

    def _laboratory(self) -> Iterator[dict[str, Any]]:
        """Taken six days before the visit, so that the results are there."""
        at = self.begun - timedelta(days=6)
        for name, forms in LABS.items():
            if name in self.values:
                form = forms[self.other_units]
                digits = None if form.factor == 1.0 else 6
                value = quantity(self.values[name] * form.factor, form.unit, form.unit, digits)
                coded = (form.code, form.display)
                yield measured(self.patient_id, name.replace("_", "-"), coded, at, "laboratory", valueQuantity=value)

    def _vital_signs(self) -> Iterator[dict[str, Any]]:
        at, kind = self.begun + timedelta(minutes=5), "vital-signs"
        components = pressures(self.values, AsCharted(kilopascal=self.other_units))
        if components:
            coded = ("85354-9", "Blood pressure panel with all children optional")
            yield measured(self.patient_id, "blood-pressure", coded, at, kind, component=components)
        if "bmi" not in self.values:
            return
        if not self.other_units:
            index = quantity(self.values["bmi"], "kg/m2", "kg/m2")
            coded = ("39156-5", "Body mass index (BMI) [Ratio]")
            yield measured(self.patient_id, "bmi", coded, at, kind, valueQuantity=index)
            return
        height = 1.63 if self.values["female"] else 1.77
        pounds = quantity(self.values["bmi"] * height**2 / POUND_IN_KILOGRAM, "lb", "[lb_av]", 3)
        inches = quantity(height / INCH_IN_METRE, "in", "[in_i]", 5)
        yield measured(self.patient_id, "weight", ("29463-7", "Body weight"), at, kind, valueQuantity=pounds)
        yield measured(self.patient_id, "height", ("8302-2", "Body height"), at, kind, valueQuantity=inches)
