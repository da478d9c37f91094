"""A model and its contract: ``model.yaml`` beside ``model.onnx``, checked before patient data is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from fhir_adapter.codes import concept
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.features import AppliesIf, Input, applies_if_from, input_from, localised
from fhir_adapter.prediction import ModelIdentity
from fhir_adapter.terminology import Terminology, load_terminology
from functions.serving.errors import ModelRefused

__all__ = ["Curve", "ModelPackage", "load_package"]

KINDS = ("diagnosis", "survival", "allocation")
SCHEMA = 1


@dataclass(frozen=True)
class Curve:
    """Grid of the reported survival curve, in days."""

    step_days: float
    until_days: float


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
    """

    identity: ModelIdentity
    model: bytes
    focus: str
    inputs: tuple[Input, ...]
    applies_if: AppliesIf
    horizons_days: tuple[float, ...]
    curve: Curve | None

    def localised(self, terminology: Terminology) -> ModelPackage:
        """Return the package with a tenant's local codes beside the declared ones."""
        if not terminology.mappings:
            return self
        inputs, applies_if = localised(self.inputs, self.applies_if, terminology)
        return replace(self, inputs=inputs, applies_if=applies_if)


def load_package(folder: Path) -> ModelPackage:
    """Read and check a model package.

    Parameters
    ----------
    folder : Path
        Holds ``model.yaml`` and the model file it names.

    Raises
    ------
    ModelRefused
        Naming the rule: ``contract``, ``schema``, ``kind``, ``file``, ``digest``, ``inputs``, ``horizons``,
        ``card``.
    """
    name = folder.name
    data = _contract(folder)
    if data["schema"] != SCHEMA:
        raise ModelRefused(name, "schema", f"schema {data['schema']!r} is not {SCHEMA}")
    if data["kind"] not in KINDS:
        raise ModelRefused(name, "kind", f"kind {data['kind']!r} is none of {', '.join(KINDS)}")
    horizons = tuple(float(days) for days in data["horizons_days"])
    if not horizons or list(horizons) != sorted(set(horizons)) or horizons[0] <= 0:
        raise ModelRefused(name, "horizons", "horizons_days must be positive and rise")
    try:
        terminology = load_terminology(folder / "terminology")
        inputs = tuple(input_from(item, terminology) for item in data["inputs"])
        applies_if = applies_if_from(data.get("applies_if", {}), terminology)
    except ConfigurationError as error:
        raise ModelRefused(name, "inputs", str(error)) from None
    if len({item.name for item in inputs}) != len(inputs):
        raise ModelRefused(name, "inputs", "two inputs share a name")
    outcome = data["outcome"]
    curve = data.get("curve")
    return ModelPackage(
        identity=ModelIdentity(
            name=data["name"],
            version=str(data["version"]),
            title=data["title"],
            digest=data["sha256"],
            kind=data["kind"],
            outcome=concept(outcome["system"], outcome["code"], outcome["display"]),
            outcome_text=outcome["text"],
            status=data["status"],
            mitigation=str(data.get("mitigation", "")).strip(),
            manufacturer=str(data.get("manufacturer", "Bedside")),
            ai_kinds=tuple(str(kind) for kind in data.get("ai_kinds", ())),
            card=_card(folder),
        ),
        model=_model_bytes(folder, data),
        focus=data["focus"],
        inputs=inputs,
        applies_if=applies_if,
        horizons_days=horizons,
        curve=Curve(float(curve["step_days"]), float(curve["until_days"])) if curve else None,
    )


REQUIRED = (
    *("schema", "name", "version", "kind", "title", "file", "sha256", "licence", "status"),
    *("intended_use", "focus", "inputs", "outcome", "horizons_days"),
)


def _contract(folder: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
    except OSError:
        raise ModelRefused(folder.name, "contract", "model.yaml is missing or unreadable") from None
    except yaml.YAMLError as error:
        raise ModelRefused(folder.name, "contract", f"model.yaml is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise ModelRefused(folder.name, "contract", "model.yaml is not a mapping")
    absent = [key for key in REQUIRED if key not in data]
    if absent:
        raise ModelRefused(folder.name, "contract", f"model.yaml lacks {', '.join(absent)}")
    return data


def _card(folder: Path) -> str:
    """Return the model card; a package without one is served, and its results refer to none."""
    try:
        return (folder / "card.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        raise ModelRefused(folder.name, "card", "card.md is not readable as UTF-8") from None


def _model_bytes(folder: Path, data: Mapping[str, Any]) -> bytes:
    path = folder / str(data["file"])
    if path.parent != folder:
        raise ModelRefused(folder.name, "file", "the model file must lie in the package's own folder")
    try:
        content = path.read_bytes()
    except OSError:
        raise ModelRefused(folder.name, "file", f"{data['file']} is missing or unreadable") from None
    if hashlib.sha256(content).hexdigest() != data["sha256"]:
        raise ModelRefused(folder.name, "digest", f"{data['file']} differs from its declared sha256")
    return content
