"""Synthetic outpatients with three chronic diseases, in the likeness of published cohorts.

The constants are summaries (medians, spreads, prevalences) from the papers named beside them. No row of any data set
is here, and nobody in this cohort ever lived.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from infra.local.clinic import DIAGNOSES, Outpatient

__all__ = ["DRAWS", "draw_outpatients"]

DEFAULT_SIZE = 6
DEFAULT_SEED = 2468

# In turn, within each disease: what a chart lacks. A gap may be filled by the model, or end in an abstention.
GAPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "pbc": ((), (), ("prothrombin_time", "platelets"), (), ("bilirubin",), ("ast",)),
    "mgus2": ((), ("hemoglobin",), (), ("m_spike",), (), ("creatinine",)),
    "nafld": ((), (), ("hdl_cholesterol",), (), ("bmi", "total_cholesterol", "hdl_cholesterol"), ()),
}
# fmt: off
GIVEN_NAMES = (
    "Acacia", "Anise", "Basil", "Bay", "Blossom", "Bryony", "Cassia", "Cicely", "Dahlia", "Daisy", "Erica", "Flora",
    "Garnet", "Ginger", "Hawthorn", "Jasmine", "Lavender", "Lily", "Lotus", "Mallow", "Poppy", "Rose", "Tansy", "Thyme",
)
# fmt: on


def draw_outpatients(size: int = DEFAULT_SIZE, *, seed: int = DEFAULT_SEED, reference: datetime) -> list[Outpatient]:
    """Draw a cohort; the same seed and reference always give the same one.

    Parameters
    ----------
    size : int
        Number of patients with each disease. The last with a fatty liver has a monoclonal gammopathy as well.
    seed : int
        Seed of the draw.
    reference : datetime
        With a time zone; every visit begins within the day before it.

    Returns
    -------
    list of Outpatient, length ``3 * size``
    """
    cohort: list[Outpatient] = []
    for disease in DIAGNOSES:
        source = random.Random(f"{disease} {seed}")  # noqa: S311 - a reproducible draw, not a secret
        for index in range(size):
            values = DRAWS[disease](source)
            diseases: tuple[str, ...] = (disease,)
            if disease == "nafld" and index == size - 1:
                values, diseases = {**DRAWS["mgus2"](source), **values}, ("mgus2", "nafld")
            gaps = GAPS[disease][index % len(GAPS[disease])]
            number = len(cohort)
            cohort.append(
                Outpatient(
                    patient_id=f"outpatient-{disease}-{index + 1:02d}",
                    diseases=diseases,
                    values={name: value for name, value in values.items() if name not in gaps},
                    begun=(reference - timedelta(minutes=30 + 17 * number)).replace(second=0, microsecond=0),
                    other_units=index % 2 == 1,
                    given=GIVEN_NAMES[number % len(GIVEN_NAMES)],
                )
            )
    return cohort


def draw_pbc(source: random.Random) -> dict[str, float]:
    """Draw a patient with primary biliary cholangitis.

    Dickson, Grambsch, Fleming, Fisher, Langworthy, Hepatology 10:1-7, 1989: the Mayo Clinic's trial patients.
    """
    bilirubin = math.exp(_normal(source, 0.57, 1.0, -1.2, 3.3))
    worse = math.log(bilirubin) - 0.57

    def chance(logit: float, per_unit: float) -> float:
        return float(source.random() < 1 / (1 + math.exp(-logit - per_unit * worse)))

    ascites = chance(-3.2, 1.2)
    return {
        "age": float(round(_normal(source, 50.5, 10.4, 26, 79))),
        "female": float(source.random() < 0.88),
        "bilirubin": round(bilirubin, 1),
        "albumin": round(_normal(source, 3.52 - 0.14 * worse - 0.4 * ascites, 0.37, 1.9, 4.7), 2),
        "prothrombin_time": round(_normal(source, 10.7 + 0.3 * worse, 0.9, 9.0, 15.0), 1),
        "alkaline_phosphatase": float(round(math.exp(_normal(source, 7.27, 0.72, 5.6, 9.5)))),
        "ast": float(round(math.exp(_normal(source, 4.71 + 0.2 * worse, 0.4, 3.2, 6.1)))),
        "platelets": float(round(_normal(source, 257 - 12 * worse, 95, 62, 560))),
        "ascites": ascites,
        "hepatomegaly": chance(0.0, 0.6),
        "spider_angiomata": chance(-1.0, 0.5),
        "edema": max(ascites * chance(1.0, 0.0), chance(-2.2, 0.6)),
    }


def draw_mgus2(source: random.Random) -> dict[str, float]:
    """Draw a patient with a monoclonal gammopathy of undetermined significance.

    Kyle, Therneau, Rajkumar and others, N Engl J Med 346:564-569, 2002: 1,384 people of southeastern Minnesota.
    """
    age = round(_normal(source, 71.0, 12.5, 30, 95))
    female = float(source.random() < 0.46)
    return {
        "age": float(age),
        "female": female,
        "hemoglobin": round(_normal(source, 13.9 - 0.9 * female - 0.03 * (age - 71), 1.7, 7.5, 17.5), 1),
        "creatinine": round(math.exp(_normal(source, 0.1 - 0.15 * female + 0.006 * (age - 71), 0.27, -0.7, 1.6)), 1),
        "m_spike": round(_normal(source, 1.2, 0.6, 0.2, 2.9), 1),
    }


def draw_nafld(source: random.Random) -> dict[str, float]:
    """Draw a patient with a non-alcoholic fatty liver.

    Allen, Therneau, Larson, Coward, Somers, Kamath, Hepatology 67:1726-1736, 2018: Olmsted County, Minnesota.
    """
    age = round(_normal(source, 53.0, 14.0, 20, 90))
    female = float(source.random() < 0.52)
    systolic = _normal(source, 128 + 0.35 * (age - 53), 15.0, 90, 200)
    return {
        "age": float(age),
        "female": female,
        "bmi": round(_normal(source, 33.0 - 0.05 * (age - 53), 6.2, 20, 60), 1),
        "systolic_bp": float(round(systolic)),
        "diastolic_bp": float(round(_normal(source, 77 + 0.3 * (systolic - 128) - 0.15 * (age - 53), 8.0, 45, 115))),
        "total_cholesterol": float(round(_normal(source, 192, 41, 95, 350))),
        "hdl_cholesterol": float(round(_normal(source, 41 + 8 * female, 11, 18, 95))),
    }


DRAWS: dict[str, Callable[[random.Random], dict[str, float]]] = {
    "pbc": draw_pbc,
    "mgus2": draw_mgus2,
    "nafld": draw_nafld,
}


def _normal(source: random.Random, mean: float, spread: float, low: float, high: float) -> float:
    """Draw from a normal distribution, again and again until the value lies in [low, high]."""
    while True:
        value = source.gauss(mean, spread)
        if low <= value <= high:
            return value
