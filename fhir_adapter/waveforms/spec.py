"""What a model wants to hear: the declaration of its electrocardiogram input in ``model.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.waveforms.leads import TWELVE

__all__ = ["WaveformSpec"]

_KEYS = frozenset({"leads", "sampling_frequency", "seconds", "high_pass", "low_pass", "derive_leads"})


@dataclass(frozen=True)
class WaveformSpec:
    """How a recording becomes the array that a model was trained on.

    Parameters
    ----------
    leads : tuple of str
        In this order.
    sampling_frequency : float
        In hertz.
    seconds : float
        Duration; the start of a longer recording is taken, a shorter one is refused.
    high_pass, low_pass : float or None
        Corner frequencies in hertz; None filters nothing.
    derive_leads : bool
        Whether III, aVR, aVL and aVF may be computed from I and II where they were not recorded.
    """

    leads: tuple[str, ...] = TWELVE
    sampling_frequency: float = 500.0
    seconds: float = 10.0
    high_pass: float | None = None
    low_pass: float | None = None
    derive_leads: bool = True

    def __post_init__(self) -> None:
        if not self.leads or len(set(self.leads)) != len(self.leads) or not set(self.leads) <= set(TWELVE):
            raise ConfigurationError(f"waveform: leads must be some of {', '.join(TWELVE)}, once each")
        for name in ("sampling_frequency", "seconds"):
            value = getattr(self, name)
            if not (isfinite(value) and 0 < value <= 100_000):
                raise ConfigurationError(f"waveform: {name} must be positive")
        for name in ("high_pass", "low_pass"):
            value = getattr(self, name)
            if value is not None and not 0 < value < self.sampling_frequency / 2:
                raise ConfigurationError(f"waveform: {name} must lie between 0 and half of the sampling frequency")

    @property
    def samples(self) -> int:
        """Of each lead."""
        return round(self.seconds * self.sampling_frequency)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> WaveformSpec:
        """Read the mapping ``waveform`` of a ``model.yaml``; keys are those of the class.

        Raises
        ------
        ConfigurationError
            Naming the key and what is wrong with it.
        """
        if unknown := sorted(set(map(str, data)) - _KEYS):
            raise ConfigurationError(f"waveform: keys that are not known: {', '.join(unknown)}")
        read: dict[str, Any] = {}
        for key in ("leads", "sampling_frequency", "seconds"):
            if key not in data:
                raise ConfigurationError(f"waveform: {key} is missing")
        for key, value in data.items():
            try:
                read[key] = _READERS[key](value)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(f"waveform: {key}: {error}") from None
        return cls(**read)


def _leads(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError("must be a list")
    return tuple(str(item) for item in value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("must be true or false")
    return value


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "leads": _leads,
    "sampling_frequency": float,
    "seconds": float,
    "high_pass": _optional,
    "low_pass": _optional,
    "derive_leads": _switch,
}
