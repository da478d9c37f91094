"""A diagnosis model's answer: findings with the operating point they are held against, and measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_adapter.prediction.contribution import Contribution

__all__ = ["Diagnosis", "Finding", "Measurement", "Saliency"]


@dataclass(frozen=True)
class Finding:
    """One thing a model looked for.

    Parameters
    ----------
    name, display : str
        For programs, and in clinical words.
    code : dict
        CodeableConcept of what was looked for; empty where no code says it.
    probability : float
        In [0, 1]. What it is, `measure` says.
    threshold : float
        The operating point, in [0, 1]: at or above it the finding is stated.
    measure : {"probability", "share"}
        ``share``: of the recording that the model gives this class; no probability of anything.
    """

    name: str
    display: str
    code: dict[str, Any]
    probability: float
    threshold: float
    measure: Literal["probability", "share"] = "probability"

    def __post_init__(self) -> None:
        for name in ("probability", "threshold"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"a finding's {name} must lie in [0, 1]")

    @property
    def positive(self) -> bool:
        """Whether it is at or above the operating point."""
        return self.probability >= self.threshold


@dataclass(frozen=True)
class Measurement:
    """A number that a model measured.

    Parameters
    ----------
    name, display : str
        For programs, and in clinical words.
    code : dict
        CodeableConcept of what was measured.
    value : float
        Finite.
    unit : str
        UCUM code.
    """

    name: str
    display: str
    code: dict[str, Any]
    value: float
    unit: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError("a measurement is a finite number")


@dataclass(frozen=True)
class Saliency:
    """What each place of a picture adds to a finding.

    Parameters
    ----------
    finding : str
        Its name.
    rows, columns : int
        Of the map, laid over the part of the picture that the model saw.
    values : tuple of float, shape (rows * columns,)
        Row by row; positive where the place speaks for the finding.
    """

    finding: str
    rows: int
    columns: int
    values: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or len(self.values) != self.rows * self.columns:
            raise ValueError("a saliency map has a value for each row and column")
        # a finite sum has finite terms, and adding is quicker than asking each
        if not math.isfinite(sum(self.values)) and not all(map(math.isfinite, self.values)):
            raise ValueError("a saliency map holds finite numbers")


@dataclass(frozen=True)
class Diagnosis:
    """A model's answer about one study, recording or set of laboratory values.

    Parameters
    ----------
    findings : tuple of Finding
        In the contract's order, with different names.
    measurements : tuple of Measurement
        Only what could be measured. There is at least one finding or measurement.
    contributions : tuple of Contribution
        What the inputs did to the score of the finding named by `explained`, largest effect first; may be empty.
    explained : str
        Name of that finding.
    notes : tuple of str
        What a reader must know of how the answer came to be, in words; never a patient's value.
    saliency : Saliency or None
    """

    findings: tuple[Finding, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    explained: str = ""
    notes: tuple[str, ...] = ()
    saliency: Saliency | None = None

    def __post_init__(self) -> None:
        if not self.findings and not self.measurements:
            raise ValueError("a diagnosis holds a finding or a measurement")
        names = [*(item.name for item in self.findings), *(item.name for item in self.measurements)]
        if len(set(names)) != len(names):
            raise ValueError("two findings or measurements share a name")
        known = {item.name for item in self.findings}
        if (self.contributions and self.explained not in known) or (
            self.saliency and self.saliency.finding not in known
        ):
            raise ValueError("contributions and saliency are those of one of the findings")
