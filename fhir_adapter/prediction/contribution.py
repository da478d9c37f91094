"""What one input did to an answer."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Contribution"]


@dataclass(frozen=True)
class Contribution:
    """How much one input moved the prediction away from the reference patient.

    Parameters
    ----------
    name : str
        Name of the declared input.
    display : str
        Clinical name for people.
    value : str
        The input's value with its unit, for people; patient data.
    effect : float
        Additive contribution on the prediction's `scale`.
    """

    name: str
    display: str
    value: str
    effect: float
