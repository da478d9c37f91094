"""Diagnosis models: a picture, a recording or laboratory values in, a Diagnosis out. No I/O, no FHIR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fhir_adapter.features import Features
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    Contribution,
    Diagnosis,
    Finding,
    Measurement,
    Saliency,
)
from functions.diagnosis.ecg import rank_normalised
from functions.diagnosis.layered import LAYERS, MEASURED, read_layers
from functions.serving.errors import ModelRefused
from functions.serving.package import Model, ModelPackage, load_packages
from functions.serving.package.diagnosis import Contract, FindingRule, MeasurementRule
from functions.serving.session import OnnxGraph
from functions.serving.signing import Publishers
from functions.serving.words import contributions

if TYPE_CHECKING:
    from fhir_adapter.pixels import Picture
    from fhir_adapter.waveforms import Recording

__all__ = ["DiagnosisModel", "load_models"]

CONTRIBUTIONS = "contributions"
# Rounding of a softmax; more than that is no probability.
SLACK = 1e-5
NO_NUMBER = Abstention(AbstentionReason.NOT_COMPUTABLE, "The model gives no probability for what it was given.")

Outputs = Mapping[str, npt.NDArray[Any]]


def load_models(folder: Path, publishers: Publishers | None = None) -> dict[str, Model]:
    """Open every diagnosis package in a folder, ready to answer, by name.

    Parameters
    ----------
    publishers : Publishers, optional
        Whose signature every package must bear; None demands none.

    Raises
    ------
    ModelRefused
        By the first package that breaks a rule.
    """
    packages = load_packages(folder, publishers)
    return {name: DiagnosisModel(package).as_model() for name, package in packages.items()}


class DiagnosisModel:
    """A diagnosis package ready to answer.

    Parameters
    ----------
    package : ModelPackage
        Of kind ``diagnosis``.

    Raises
    ------
    ModelRefused
        Rules ``kind``, ``graph``, ``findings``: the contract asks for what the graph does not give.
    """

    def __init__(self, package: ModelPackage) -> None:
        if package.diagnosis is None:
            raise ModelRefused(package.identity.name, "kind", "it is not of kind diagnosis")
        self.package = package
        self.contract: Contract = package.diagnosis
        self._explains = not package.looks and CONTRIBUTIONS in self.contract.outputs
        self._graph = self._opened()
        self._check_columns()

    def as_model(self) -> Model:
        """Return it as the worker asks it."""
        return Model(self.package, self.predict, self.look if self.package.looks else None)

    def predict(self, features: Features) -> Diagnosis | Abstention:
        """Answer for one patient's values.

        Parameters
        ----------
        features : Features
            The declared inputs; NaN where one is missing that the graph does without.

        Returns
        -------
        Diagnosis or Abstention
            The finding that the contributions belong to is the most probable one.
        """
        row = np.array([[value.value for value in features.values]], dtype=np.float64)
        out = self._graph.run(row)
        findings = self._findings(out)
        if findings is None:
            return NO_NUMBER
        explained = max(zip(findings, self.contract.findings, strict=True), key=lambda pair: pair[0].probability)
        return self._diagnosis(findings, out, self._contributions(features, row, out, explained[1]), explained[0].name)

    def look(self, seen: Picture | Recording) -> Diagnosis | Abstention:
        """Answer for one picture or recording, made by the contract's own specification.

        Returns
        -------
        Diagnosis or Abstention
        """
        out = self._graph.run(self._fed(seen)[np.newaxis])
        if self.contract.decoder:
            return self._read(seen, out)
        findings = self._findings(out)
        return NO_NUMBER if findings is None else self._diagnosis(findings, out)

    # -- the graph --

    def _opened(self) -> OnnxGraph:
        """Open the graph for what is fed; one lead may come without an axis of leads."""
        shapes = self._shapes()
        for shape in shapes[:-1]:
            try:
                return self._open(shape)
            except ModelRefused:
                continue
        return self._open(shapes[-1])

    def _open(self, shape: Sequence[int | None]) -> OnnxGraph:
        contract, identity = self.contract, self.package.identity
        graph = OnnxGraph(identity.name, self.package.model, contract.graph_input, (None, *shape), self._outputs())
        self._axes = len(shape)
        return graph

    def _shapes(self) -> list[tuple[int | None, ...]]:
        pixels, waveform = self.contract.pixels, self.contract.waveform
        if pixels is not None:
            return [(pixels.channels, *(pixels.size or (None, None)))]
        if waveform is not None:
            whole = (len(waveform.leads), waveform.samples)
            return [whole[1:], whole] if len(waveform.leads) == 1 else [whole]
        return [(len(self.package.inputs),)]

    def _outputs(self) -> list[str]:
        rules = self.contract
        named = [*(item.output for item in rules.findings), *(item.output for item in rules.measurements)]
        named += [item.saliency for item in rules.findings]
        named += list(LAYERS) if rules.decoder else []
        named += [CONTRIBUTIONS] if self._explains else []
        return [name for name in dict.fromkeys(named) if name]

    def _check_columns(self) -> None:
        """A finding is read from a column of an output that has columns; a decoder finds its measurements by name."""
        name, decoded = self.package.identity.name, bool(self.contract.decoder)
        rules: list[FindingRule | MeasurementRule] = [*self.contract.findings, *self.contract.measurements]
        for item in rules:
            if not item.output:
                if item.name not in MEASURED:
                    raise ModelRefused(name, "measurements", f"{item.name!r} is none of {', '.join(MEASURED)}")
                continue
            shape = self._graph.shape(item.output)
            columns = shape[-1] if len(shape) == 2 or (decoded and shape) else 0
            if isinstance(columns, int) and item.index >= columns:
                detail = f"{item.name!r}: {item.output} has no column {item.index}; its shape is {list(shape)}"
                raise ModelRefused(name, "findings", detail)

    def _fed(self, seen: Picture | Recording) -> npt.NDArray[Any]:
        if self.contract.pixels is not None:
            return seen.tensor  # type: ignore[union-attr]
        leads = seen.millivolts  # type: ignore[union-attr]
        if self.contract.normalise == "rank":
            leads = np.stack([rank_normalised(lead) for lead in leads])
        return leads[0] if self._axes == 1 else leads

    # -- what it says --

    def _read(self, seen: Picture | Recording, out: Outputs) -> Diagnosis | Abstention:
        waveform = self.contract.waveform
        if waveform is None:
            raise ModelRefused(self.package.identity.name, "decoder", "it reads waveforms, and the contract has none")
        signal = seen.millivolts[0]  # type: ignore[union-attr]
        return read_layers(self.contract, signal, waveform.sampling_frequency, out)

    def _findings(self, out: Outputs) -> tuple[Finding, ...] | None:
        """None when one of them is no probability."""
        found = []
        for rule in self.contract.findings:
            value = _activated(out[rule.output][0], rule)
            if not -SLACK <= value <= 1.0 + SLACK:
                return None
            probability = min(max(value, 0.0), 1.0)
            found.append(Finding(rule.name, rule.display, rule.code, probability, rule.threshold))
        return tuple(found)

    def _diagnosis(
        self,
        findings: tuple[Finding, ...],
        out: Outputs,
        moved: tuple[Contribution, ...] = (),
        explained: str = "",
    ) -> Diagnosis | Abstention:
        measured = tuple(
            Measurement(rule.name, rule.display, rule.code, float(value), rule.unit)
            for rule in self.contract.measurements
            if np.isfinite(value := out[rule.output][0, rule.index])
        )
        if not findings and not measured:
            return NO_NUMBER
        saliency = self._saliency(findings, out)
        return Diagnosis(findings, measured, moved, explained if moved else "", saliency=saliency)

    def _contributions(
        self, features: Features, row: npt.NDArray[np.float64], out: Outputs, rule: FindingRule
    ) -> tuple[Contribution, ...]:
        if not self._explains:
            return ()
        effects = out[CONTRIBUTIONS][0]
        if effects.ndim > 1:
            effects = effects[:, rule.index]
        return contributions(features, effects, row[0]) if np.isfinite(effects).all() else ()

    def _saliency(self, findings: tuple[Finding, ...], out: Outputs) -> Saliency | None:
        """The map of the most probable finding that has one."""
        mapped = [pair for pair in zip(findings, self.contract.findings, strict=True) if pair[1].saliency]
        if not mapped:
            return None
        finding, rule = max(mapped, key=lambda pair: pair[0].probability)
        values = np.asarray(out[rule.saliency][0], dtype=np.float64)
        values = values[0] if values.ndim == 3 else values
        if values.ndim != 2 or not np.isfinite(values).all():
            return None
        rows, columns = values.shape
        return Saliency(finding.name, rows, columns, tuple(values.ravel().tolist()))


def _activated(values: npt.NDArray[Any], rule: FindingRule) -> float:
    """Return the probability; NaN passes no comparison afterwards."""
    numbers = np.asarray(values, dtype=np.float64).ravel()
    if rule.activation == "softmax":
        powers = np.exp(numbers - numbers.max())
        return float(powers[rule.index] / powers.sum())
    value = float(numbers[rule.index])
    # in the form that overflows for no logit
    return 0.5 * (1.0 + float(np.tanh(0.5 * value))) if rule.activation == "sigmoid" else value
