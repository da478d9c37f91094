"""A patient's age at the study, in completed years, as features read it from FHIR."""

from __future__ import annotations

import re
from datetime import date

from pydicom.dataset import Dataset

__all__ = ["age_at_study"]

# Age string (PS3.5, 6.2) in units of this many to a year.
_AGE = re.compile(r"(\d{3})([DWMY])\Z")
_TO_A_YEAR = {"D": 365.25, "W": 52.1775, "M": 12.0, "Y": 1.0}
_DATES = ("StudyDate", "AcquisitionDate", "ContentDate", "SeriesDate")


def age_at_study(dataset: Dataset) -> int | None:
    """Return completed years.

    Patient's Age comes first, because de-identification often leaves it where it blurs the date of birth; then the
    date of birth at the study, acquisition, content or series date.

    Returns
    -------
    int or None
        None when neither is there or can be read.
    """
    stated = _AGE.match(str(dataset.get("PatientAge") or "").strip())
    if stated:
        return int(int(stated[1]) / _TO_A_YEAR[stated[2]])
    born = _date(dataset, "PatientBirthDate")
    at = next((found for keyword in _DATES if (found := _date(dataset, keyword))), None)
    if born is None or at is None or at < born:
        return None
    return at.year - born.year - ((at.month, at.day) < (born.month, born.day))


def _date(dataset: Dataset, keyword: str) -> date | None:
    # ACR-NEMA wrote 1997.04.24, and files of that age are still about
    text = str(dataset.get(keyword) or "").replace(".", "").strip()
    if not re.fullmatch(r"\d{8}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
