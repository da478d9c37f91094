"""Numbers and terms in words, shared by the page, its pictures and the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.survival.data import Dataset

__all__ = [
    "UNKNOWN",
    "Words",
    "codes_of",
    "labels",
    "main",
    "number",
    "percent",
    "share",
    "short",
    "span",
    "term_title",
    "value",
]

Json = Mapping[str, Any]

UNKNOWN = "–"
_YEAR = 365
_UNITS = {"a": "years", "/min": "a minute", "mm[Hg]": "mmHg", "kg/m2": "kg/m²", "10*3/uL": "10³/µL"}


@dataclass(frozen=True)
class Words:
    """How the outcome is spoken of.

    Parameters
    ----------
    event, events : str
        The outcome, one and many.
    competing : str or None
        The event after which it cannot happen.
    origin : str
        Time zero.
    """

    event: str
    events: str
    competing: str | None
    origin: str

    @classmethod
    def of(cls, dataset: Dataset) -> Words:
        """Return the words of a data set."""
        return cls(dataset.event, dataset.events, dataset.competing, dataset.origin)

    @property
    def observed_by(self) -> str:
        """Which estimator gives observed risks."""
        return "Aalen-Johansen" if self.competing else "Kaplan-Meier"

    @property
    def free(self) -> str:
        """What survival means here."""
        return "Alive" if self.event == "death" else f"Free of {self.event}"


def span(days: float) -> str:
    """Return a horizon as one says it: whole years where it is, else days."""
    if days >= _YEAR and days % _YEAR == 0:
        years = int(days // _YEAR)
        return f"{years} year{'s' if years > 1 else ''}"
    return f"{days:g} day{'s' if days != 1 else ''}"


def main(evaluation: Json) -> Json:
    """Return the horizon that stands for all where there is room for one."""
    days = evaluation["method"]["main_horizon_days"]
    found: Json = next(row for row in evaluation["horizons"] if row["days"] == days)
    return found


def number(found: float | None, digits: int = 3) -> str:
    """Return a number, or a dash where there is none."""
    return UNKNOWN if found is None else f"{found:.{digits}f}"


def value(found: Json, digits: int = 3) -> str:
    """Return an estimate with its interval, as ``0.759 (0.722 to 0.791)``; a dash where it could not be computed."""
    if found["value"] is None:
        return UNKNOWN
    if found["low"] is None:
        return f"{found['value']:.{digits}f}"
    return f"{found['value']:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"


def percent(found: Json) -> str:
    """Return a probability with its interval in per cent, as ``27% (24 to 31)``."""
    if found["value"] is None:
        return UNKNOWN
    digits = 0 if found["value"] >= 0.1 else 1
    text = f"{100 * found['value']:.{digits}f}%"
    if found["low"] is None:
        return text
    return f"{text} ({100 * found['low']:.{digits}f} to {100 * found['high']:.{digits}f})"


def share(found: float | None) -> str:
    """Return a probability in per cent."""
    if found is None:
        return UNKNOWN
    return f"{100 * found:.0f}%" if found >= 0.1 else f"{100 * found:.1f}%"


def short(title: str) -> str:
    """Return a model's title without its particulars."""
    return title.split(",", maxsplit=1)[0].replace(" with ridge penalty", "")


def labels(contract: Json) -> dict[str, str]:
    """Return the clinical name of each declared input."""
    return {declared["name"]: declared["display"] for declared in contract["inputs"]}


def term_title(term: Json, names: Mapping[str, str]) -> str:
    """Return an input's clinical name, with the difference its hazard ratio is for."""
    title = names[term["name"]].split(" (")[0]
    if term["kind"] == "binary":
        return title
    if term["log"]:
        return f"{title}, doubled"
    return f"{title}, +{term['step']:g} {_UNITS.get(term['unit'], term['unit'])}"


def codes_of(declared: Json) -> str:
    """Return where a declared input comes from in a record."""
    systems = {"http://loinc.org": "LOINC", "http://snomed.info/sct": "SNOMED CT"}
    if "codes" not in declared:
        kind = str(declared["kind"])
        return {"age": "Patient.birthDate", "sex": "Patient.gender"}.get(kind, kind)
    system = str(declared.get("system", ""))
    return f"{systems.get(system, system)} {', '.join(declared['codes'])}".strip()
