"""What a model wants to see: the declaration of its picture input in ``model.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, cast, get_args

from fhir_adapter.errors import ConfigurationError

__all__ = ["PixelSpec", "Window"]

Filter = Literal["area", "bilinear", "bicubic"]
Fit = Literal["stretch", "crop", "pad"]
Intensity = Literal["voi", "modality", "raw"]
Pair = tuple[float, float]

_KEYS = frozenset(
    {"size", "fit", "filter", "intensity", "window", "fallback", "clip", "range", "mean", "std", "channels"}
)


@dataclass(frozen=True)
class Window:
    """A window in the units of the modality (PS3.3, C.11.2.1.2).

    Parameters
    ----------
    center, width : float
        The width is at least 1 for ``LINEAR`` and positive for the others.
    function : {"LINEAR", "LINEAR_EXACT", "SIGMOID"}
        VOI LUT Function.
    """

    center: float
    width: float
    function: str = "LINEAR"

    def __post_init__(self) -> None:
        if self.function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            raise ValueError("the VOI LUT function is not known")
        least = 1.0 if self.function == "LINEAR" else 0.0
        if not (isfinite(self.center) and isfinite(self.width) and self.width >= least and self.width > 0):
            raise ValueError("a window has a center and a positive width")

    @property
    def bounds(self) -> Pair:
        """Where a linear window begins and ends to change; equal for a threshold."""
        if self.function == "LINEAR":
            half = (self.width - 1) / 2
            return self.center - 0.5 - half, self.center - 0.5 + half
        return self.center - self.width / 2, self.center + self.width / 2


@dataclass(frozen=True)
class PixelSpec:
    """How a frame becomes the tensor that a model was trained on.

    Parameters
    ----------
    size : (int, int) or None
        Rows and columns of the tensor; None keeps those of the frame.
    fit : {"stretch", "crop", "pad"}
        What happens to another aspect ratio: it is stretched, the middle is cut out, or black is added around.
    filter : {"area", "bilinear", "bicubic"}
        All three are antialiased: ``area`` averages what a pixel covers, ``bilinear`` and ``bicubic`` widen their
        kernel when shrinking, as Pillow and ``torch.nn.functional.interpolate(antialias=True)`` do.
    intensity : {"voi", "modality", "raw"}
        ``voi``: as on a screen, after the modality and VOI transformations, MONOCHROME1 inverted, in `range`.
        ``modality``: in the units of the modality, such as Hounsfield units, never inverted.
        ``raw``: stored values over the range of Bits Stored, MONOCHROME1 inverted, in `range`.
        The samples of colour pictures have neither transformation: they are scaled like ``raw`` in all cases.
    window : Window, "percentiles" or None
        Used instead of what the file says, with ``voi`` only; ``percentiles`` are those of `fallback`, of every frame.
    fallback : (float, float) or None
        Percentiles of the frame that span the window where the file names none; None refuses such files.
    clip : (float, float) or None
        With ``modality`` only: bounds that are mapped onto `range`; None keeps the values as they are.
    range : (float, float)
        What black and white become.
    mean, std : tuple of float
        Subtracted and divided by afterwards; one per channel, or one for all. Empty for neither.
    channels : {1, 3}
        Of the tensor; grey is repeated, colour becomes luma (ITU-R BT.601).
    """

    size: tuple[int, int] | None = None
    fit: Fit = "stretch"
    filter: Filter = "bilinear"
    intensity: Intensity = "voi"
    window: Window | Literal["percentiles"] | None = None
    fallback: Pair | None = (0.5, 99.5)
    clip: Pair | None = None
    range: Pair = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: int = 1

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= 8192 for side in self.size):
            raise ConfigurationError("pixels: size must lie between 1 and 8192")
        for name, allowed in (("fit", Fit), ("filter", Filter), ("intensity", Intensity)):
            if getattr(self, name) not in get_args(allowed):
                raise ConfigurationError(f"pixels: {name} must be one of {', '.join(get_args(allowed))}")
        if self.channels not in (1, 3):
            raise ConfigurationError("pixels: channels must be 1 or 3")
        if self.window is not None and self.intensity != "voi":
            raise ConfigurationError("pixels: a window belongs to intensity voi")
        if self.window == "percentiles" and self.fallback is None:
            raise ConfigurationError("pixels: window percentiles needs fallback to say which")
        if self.clip is not None and self.intensity != "modality":
            raise ConfigurationError("pixels: clip belongs to intensity modality")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("clip", "range"):
            pair = getattr(self, name)
            if pair is not None and not (all(map(isfinite, pair)) and pair[0] < pair[1]):
                raise ConfigurationError(f"pixels: {name} must be [low, high]")
        if self.fallback is not None and not 0 <= self.fallback[0] < self.fallback[1] <= 100:
            raise ConfigurationError("pixels: fallback must be two percentiles")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) not in (0, 1, self.channels) or not all(map(isfinite, values)):
                raise ConfigurationError(f"pixels: {name} must have one number, or one for each channel")
        if not all(value > 0 for value in self.std):
            raise ConfigurationError("pixels: std must be positive")

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> PixelSpec:
        """Read the mapping ``pixels`` of a ``model.yaml``.

        Keys are those of the class; ``size`` may be one number or ``native``, ``window`` has ``center``, ``width`` and
        perhaps ``function``, or is ``file`` or ``percentiles``; ``fallback`` is two percentiles or ``refuse``, ``mean``
        and ``std`` may be one number.

        Raises
        ------
        ConfigurationError
            Naming the key and what is wrong with it.
        """
        if unknown := sorted(set(map(str, data)) - _KEYS):
            raise ConfigurationError(f"pixels: keys that are not known: {', '.join(unknown)}")
        if "size" not in data:
            raise ConfigurationError("pixels: size is missing (native keeps that of the image)")
        if "intensity" not in data:
            raise ConfigurationError("pixels: intensity is missing")
        readers = {
            "size": _size,
            "window": _window,
            "fallback": lambda value: None if value == "refuse" else _pair(value),
            "clip": lambda value: None if value is None else _pair(value),
            "range": _pair,
            "mean": _numbers,
            "std": _numbers,
        }
        read: dict[str, Any] = {}
        for key, value in data.items():
            try:
                read[key] = readers[key](value) if key in readers else value
            except (KeyError, TypeError, ValueError) as error:
                raise ConfigurationError(f"pixels: {key}: {error}") from None
        if read["intensity"] == "modality" and read.get("clip") is None and "range" in read:
            raise ConfigurationError("pixels: range with intensity modality needs clip")
        return cls(**read)


def _size(value: Any) -> tuple[int, int] | None:
    if value == "native":
        return None
    sides = (value, value) if isinstance(value, int) else tuple(value)
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise ValueError("must be a number, [rows, columns] or native")
    return cast(tuple[int, int], sides)


def _window(value: Any) -> Window | Literal["percentiles"] | None:
    if value in (None, "file"):
        return None
    if value == "percentiles":
        return "percentiles"
    if not isinstance(value, Mapping):
        raise ValueError("must have center and width, or be file or percentiles")
    return Window(float(value["center"]), float(value["width"]), str(value.get("function", "LINEAR")))


def _pair(value: Any) -> Pair:
    low, high = value
    return float(low), float(high)


def _numbers(value: Any) -> tuple[float, ...]:
    return (float(value),) if isinstance(value, int | float) else tuple(float(item) for item in value)
