"""Synthetic patients admitted with a myocardial infarction, in the likeness of WHAS500.

The constants below are summaries (means, spreads, prevalences, rough dependence on age) of the Worcester
Heart Attack Study's 500 patients (Hosmer, Lemeshow, May, Applied Survival Analysis, 2nd ed., 2008). No row
of it is here, and nobody in this cohort ever lived.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from infra.local.bundles import AsCharted, patient_bundle

__all__ = ["AsCharted", "SyntheticPatient", "draw_cohort", "draw_values", "patient_bundle"]

DEFAULT_SIZE = 24
DEFAULT_SEED = 500

MEAN_AGE, SD_AGE = 70.0, 14.5
AGES = (30, 100)

# How each patient of a cohort is charted, in turn: the units a hospital might use and the gaps it might
# leave. Two in 24 are missing a required input (heart rate, systolic pressure) and end in an abstention.
CHARTED: tuple[tuple[AsCharted, frozenset[str]], ...] = tuple(
    (how, frozenset(gaps))
    for how, gaps in (
        (AsCharted(), ()),
        (AsCharted(kilopascal=True), ()),
        (AsCharted(), ("bmi",)),
        (AsCharted(pounds_and_inches=True), ()),
        (AsCharted(), ("heart_rate",)),
        (AsCharted(), ()),
        (AsCharted(per_second=True), ()),
        (AsCharted(), ("q_wave_mi",)),
        (AsCharted(), ()),
        (AsCharted(), ("diastolic_bp",)),
        (AsCharted(), ("systolic_bp",)),
        (AsCharted(kilopascal=True, pounds_and_inches=True), ()),
        *([(AsCharted(), ())] * 3),
        (AsCharted(), ("bmi", "diastolic_bp")),
        *([(AsCharted(), ())] * 4),
        (AsCharted(kilopascal=True, per_second=True), ("q_wave_mi",)),
        *([(AsCharted(), ())] * 3),
    )
)

# fmt: off
GIVEN_NAMES = (
    "Alder", "Aspen", "Briar", "Cedar", "Clover", "Elder", "Fern", "Hazel", "Heath", "Holly", "Iris", "Ivy",
    "Juniper", "Laurel", "Linden", "Maple", "Myrtle", "Olive", "Reed", "Rowan", "Rush", "Sage", "Sorrel", "Willow",
)
# fmt: on


@dataclass(frozen=True)
class SyntheticPatient:
    """One invented patient.

    Parameters
    ----------
    patient_id : str
        FHIR id of the Patient.
    values : Mapping of str to float
        Inputs by their names in ``model.yaml``; a missing name is a gap in the chart.
    admitted : datetime
        Start of the admission, with a time zone.
    charted : AsCharted
        Units this patient's measurements are written in.
    given : str
        Given name; the family name says that the patient is synthetic.
    """

    patient_id: str
    values: Mapping[str, float]
    admitted: datetime
    charted: AsCharted = field(default_factory=AsCharted)
    given: str = "Alder"

    def bundle(self) -> dict[str, object]:
        """Return the patient's FHIR R4 transaction Bundle; its admission Encounter comes last."""
        return patient_bundle(self.values, self.patient_id, self.admitted, charted=self.charted, given=self.given)


def draw_cohort(size: int = DEFAULT_SIZE, *, seed: int = DEFAULT_SEED, reference: datetime) -> list[SyntheticPatient]:
    """Draw a cohort; the same seed and reference always give the same one.

    Parameters
    ----------
    size : int
        Number of patients, positive.
    seed : int
        Seed of the draw.
    reference : datetime
        With a time zone; every admission lies between three hours and a few days before it.

    Returns
    -------
    list of SyntheticPatient, length ``size``
    """
    if size < 1:
        raise ValueError("a cohort needs at least one patient")
    source = random.Random(seed)  # noqa: S311 - a reproducible draw, not a secret
    cohort = []
    for index in range(size):
        values = draw_values(source)
        minutes = 180 + 150 * index + source.randrange(0, 120)
        charted, gaps = CHARTED[index % len(CHARTED)]
        cohort.append(
            SyntheticPatient(
                patient_id=f"synthetic-{index + 1:03d}",
                values={name: value for name, value in values.items() if name not in gaps},
                admitted=(reference - timedelta(minutes=minutes)).replace(second=0, microsecond=0),
                charted=charted,
                given=GIVEN_NAMES[index % len(GIVEN_NAMES)],
            )
        )
    return cohort


def draw_values(source: random.Random) -> dict[str, float]:
    """Draw one patient's inputs, complete, by their names in ``model.yaml``.

    Parameters
    ----------
    source : random.Random
        Where the draw comes from.

    Returns
    -------
    dict of str to float
        Ages in completed years; pressures in mmHg; heart rate per minute; body mass index in kg/m2; the
        rest 0 or 1.
    """
    age = round(_normal(source, MEAN_AGE, SD_AGE, *AGES))
    older = age - MEAN_AGE  # most things lean on age

    def chance(at_mean_age: float, per_year: float = 0.0, shift: float = 0.0) -> float:
        logit = math.log(at_mean_age / (1 - at_mean_age)) + per_year * older + shift
        return float(source.random() < 1 / (1 + math.exp(-logit)))

    female = chance(0.39, 0.05)
    failure = chance(0.30, 0.046)
    fibrillation = chance(0.145, 0.035, 0.5 * (failure - 0.31))
    recurrent = chance(0.34, 0.022)
    q_wave = chance(0.36, -0.025, -1.3 * recurrent)
    shock = chance(0.032, 0.03, 0.9 * failure)
    systolic = _normal(source, 145.8 - 23 * shock, 31.5, 70, 240)
    diastolic = _normal(source, 78.3 - 0.3 * older + 0.41 * (systolic - 144.7), 16.0, 30, systolic - 12)
    return {
        "age": float(age),
        "female": female,
        "bmi": round(_normal(source, 26.6 - 0.15 * older, 4.95, 15, 46), 1),
        "heart_rate": float(round(_normal(source, 83.6 + 0.15 * older + 11 * failure, 22.5, 38, 180))),
        "systolic_bp": float(round(systolic)),
        "diastolic_bp": float(round(diastolic)),
        "atrial_fibrillation": fibrillation,
        "congestive_heart_failure": failure,
        "cardiogenic_shock": shock,
        "complete_av_block": chance(0.022),
        "recurrent_mi": recurrent,
        "q_wave_mi": q_wave,
        "cardiovascular_disease": chance(0.71, 0.018, 0.9 * recurrent),
    }


def _normal(source: random.Random, mean: float, spread: float, low: float, high: float) -> float:
    """Draw from a normal distribution, again and again until the value lies in [low, high]."""
    while True:
        value = source.gauss(mean, spread)
        if low <= value <= high:
            return value
