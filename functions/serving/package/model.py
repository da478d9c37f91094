"""What a checked package is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from fhir_adapter.evidence import Answer
from fhir_adapter.features import AppliesIf, Features, Input, localised
from fhir_adapter.prediction import Abstention, Diagnosis, ModelIdentity
from fhir_adapter.terminology import Terminology

if TYPE_CHECKING:
    from fhir_adapter.pixels import Picture
    from fhir_adapter.waveforms import Recording
    from functions.serving.package.diagnosis import Contract

__all__ = ["Curve", "Explain", "Look", "Model", "ModelPackage", "Predict"]

Predict = Callable[[Features], Answer]
Look = Callable[["Picture | Recording"], Diagnosis | Abstention]


@dataclass(frozen=True)
class Curve:
    """Grid of the reported survival curve, in days."""

    step_days: float
    until_days: float


@dataclass(frozen=True)
class Explain:
    """How the contributions of the inputs are worked out.

    Parameters
    ----------
    method : {"exact", "survshap", "none"} or None
        None: by what the graph has.
    permutations : int
        Orders of the inputs that SurvSHAP(t) samples, at least.
    seed : int
        Of that sampling.
    """

    method: Literal["exact", "survshap", "none"] | None = None
    permutations: int = 32
    seed: int = 0


@dataclass(frozen=True)
class ModelPackage:
    """A checked model package.

    Parameters
    ----------
    identity : ModelIdentity
        What results say about it.
    model : bytes
        The ONNX file, equal to its declared digest.
    focus : str
        Resource type of the notifications it answers.
    inputs : tuple of Input
        In the order of the model's input columns.
    applies_if : AppliesIf
        The population.
    horizons_days : tuple of float
        Rising.
    curve : Curve or None
        For survival models.
    explain : Explain
    diagnosis : Contract or None
        For diagnosis models.
    """

    identity: ModelIdentity
    model: bytes
    focus: str
    inputs: tuple[Input, ...]
    applies_if: AppliesIf
    horizons_days: tuple[float, ...]
    curve: Curve | None
    explain: Explain = Explain()
    diagnosis: Contract | None = None

    @property
    def looks(self) -> bool:
        """Whether the model looks at DICOM instances."""
        return self.diagnosis is not None and self.diagnosis.looks

    def localised(self, terminology: Terminology) -> ModelPackage:
        """Return the package with a tenant's local codes beside the declared ones."""
        if not terminology.mappings:
            return self
        inputs, applies_if = localised(self.inputs, self.applies_if, terminology)
        return replace(self, inputs=inputs, applies_if=applies_if)


@dataclass(frozen=True)
class Model:
    """A model that can be run.

    Parameters
    ----------
    package : ModelPackage
    predict : callable
        Features to an answer, or to the reason why there is none.
    look : callable or None
        The same of a picture or recording, for a model that looks at DICOM instances; what it is given is what
        :mod:`fhir_adapter.pixels` and :mod:`fhir_adapter.waveforms` make of an instance by the package's contract.
    """

    package: ModelPackage
    predict: Predict
    look: Look | None = None

    def localised(self, terminology: Terminology) -> Model:
        """Return the model with a tenant's local codes beside the declared ones."""
        return replace(self, package=self.package.localised(terminology))
