"""Wards and patients out of a seed, for tests, the bench and the demo; no real patient is in them."""

from functions.allocation.synthetic.fhir import as_resources
from functions.allocation.synthetic.house import synthetic_house

__all__ = ["as_resources", "synthetic_house"]
