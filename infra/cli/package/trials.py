"""Trials of a model that looks: pictures and recordings of nobody, by the contract's own specification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from fhir_adapter.prediction import Abstention, Diagnosis
from functions.serving.errors import ModelRefused
from functions.serving.package import ModelPackage
from functions.serving.session import NOT_A_GRAPH
from infra.cli.package.report import Step, in_words

if TYPE_CHECKING:
    from fhir_adapter.pixels import PixelSpec
    from fhir_adapter.waveforms import WaveformSpec

__all__ = ["looks"]

NATIVE = (64, 64)
HEART_HZ = 1.2


class Opened(Protocol):
    """A model that can be shown something."""

    def look(self, seen: Any) -> Diagnosis | Abstention:
        """Answer for one picture or recording."""


def looks(package: ModelPackage, opened: Any) -> Iterator[Step]:
    """Show a model what is black, white and in between, or flat and beating.

    Parameters
    ----------
    package : ModelPackage
        Of a model that looks.
    opened : Opened
        The model.
    """
    contract = package.diagnosis
    if contract is None:
        return
    if contract.pixels is not None:
        seen = _pictures(contract.pixels)
    else:
        seen = _recordings(contract.waveform) if contract.waveform is not None else {}
    steps, numbers = [], False
    for name, thing in seen.items():
        step, answered = _trial(opened, name, thing)
        steps.append(step)
        numbers |= answered
    if contract.decoder or numbers or any(step.outcome == "refused" for step in steps):
        yield from steps
        return
    outputs = ", ".join(sorted({finding.output for finding in contract.findings}))
    detail = f"no answer to {', '.join(seen)}: {outputs} gives no number in [0, 1]; of scores, `activation: sigmoid`"
    yield Step("trial", "refused", f"{detail} (each finding on its own) or `softmax` (one of all) makes probabilities")


def _trial(opened: Opened, name: str, seen: Any) -> tuple[Step, bool]:
    """Return what came of it, and whether it was an answer: of what is nothing, a model may say nothing."""
    try:
        first, again = opened.look(seen), opened.look(seen)
    except (ModelRefused, ArithmeticError, LookupError, ValueError, *NOT_A_GRAPH) as error:
        return Step("trial", "refused", f"{name}: {error!s:.200}"), False
    if first != again:
        return Step("trial", "refused", f"{name}: asked twice, it answers differently"), False
    if isinstance(first, Abstention):
        return Step("trial", "passed", f"{name}: {first.detail}"), False
    return Step("trial", "passed", f"{name}: {in_words(first, 3)}"), True


def _pictures(spec: PixelSpec) -> dict[str, Any]:
    from fhir_adapter.pixels import Picture

    size = spec.size or NATIVE
    mean, std = spec.mean or (0.0,), spec.std or (1.0,)
    low, high = spec.clip if spec.intensity == "modality" and spec.clip else spec.range
    ramp = np.linspace(low, high, size[1]) * np.ones((size[0], 1))
    shown = {"a black picture": np.full(size, low), "a white picture": np.full(size, high), "a picture of a ramp": ramp}
    area = (0, 0, *size)
    return {
        name: Picture(_normalised(values, spec.channels, mean, std), 0, "none", None, False, area, area)
        for name, values in shown.items()
    }


def _normalised(
    values: npt.NDArray[np.float64], channels: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> npt.NDArray[np.float32]:
    planes = [(values - mean[at % len(mean)]) / std[at % len(std)] for at in range(channels)]
    return np.stack(planes).astype(np.float32)


def _recordings(spec: WaveformSpec) -> dict[str, Any]:
    from fhir_adapter.waveforms import Recording

    shape = (len(spec.leads), spec.samples)
    beats = np.sin(2 * np.pi * HEART_HZ * np.arange(spec.samples) / spec.sampling_frequency) ** 63
    made = {"a flat recording": np.zeros(shape), "a recording of beats": np.ones((shape[0], 1)) * beats}
    return {name: Recording(values.astype(np.float32), (), spec.sampling_frequency) for name, values in made.items()}
