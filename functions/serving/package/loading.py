"""Reading and checking packages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from fhir_adapter.codes import Json, concept
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.features import applies_if_from, input_from
from fhir_adapter.prediction import ModelIdentity
from fhir_adapter.terminology import load_terminology
from functions.serving.errors import ModelRefused
from functions.serving.package.diagnosis import contract_of
from functions.serving.package.model import Curve, Explain, ModelPackage
from functions.serving.signing import Publishers, Signed, verify_package

__all__ = ["load_package", "load_packages"]

# The same loader in C, where PyYAML was built with libyaml: a cold start reads every contract.
_SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = ("diagnosis", "survival", "allocation")
SCHEMA = 1


def load_packages(folder: Path, publishers: Publishers | None = None) -> dict[str, ModelPackage]:
    """Read and check every package in a folder, in the order of the folders' names.

    A contract whose ``sha256`` is still empty has no model yet and is passed over; training fills it in.

    Parameters
    ----------
    folder : Path
    publishers : Publishers, optional
        Whose signature every package must bear; None demands none.

    Returns
    -------
    dict of str to ModelPackage
        By the name in the contract.

    Raises
    ------
    ModelRefused
        By the first package that breaks a rule; ``name`` when two have the same name.
    """
    found: dict[str, ModelPackage] = {}
    for contract in sorted(folder.glob("*/model.yaml")):
        signed = verify_package(contract.parent, publishers) if publishers is not None else None
        data = _contract(contract.parent, signed)
        if not data["sha256"]:
            continue
        package = _package(contract.parent, data)
        if package.identity.name in found:
            raise ModelRefused(contract.parent.name, "name", f"another package is called {package.identity.name}, too")
        found[package.identity.name] = package
    return found


def load_package(folder: Path, publishers: Publishers | None = None) -> ModelPackage:
    """Read and check a model package.

    Parameters
    ----------
    folder : Path
        Holds ``model.yaml`` and the model file it names.
    publishers : Publishers, optional
        Whose signature it must bear; None demands none.

    Raises
    ------
    ModelRefused
        Naming the rule: ``contract``, ``schema``, ``kind``, ``file``, ``digest``, ``inputs``, ``horizons``,
        ``outcome``, ``explain``, ``card``; those of :func:`functions.serving.package.diagnosis.contract_of`, and of
        :func:`functions.serving.signing.verify_package` where a signature is demanded.
    """
    signed = verify_package(folder, publishers) if publishers is not None else None
    return _package(folder, _contract(folder, signed))


def _package(folder: Path, data: Mapping[str, Any]) -> ModelPackage:
    name = folder.name
    if data["schema"] != SCHEMA:
        raise ModelRefused(name, "schema", f"schema {data['schema']!r} is not {SCHEMA}")
    if data["kind"] not in KINDS:
        raise ModelRefused(name, "kind", f"kind {data['kind']!r} is none of {', '.join(KINDS)}")
    horizons = _horizons(name, data)
    try:
        terminology = load_terminology(folder / "terminology")
        inputs = tuple(input_from(item, terminology) for item in data["inputs"])
        applies_if = applies_if_from(data.get("applies_if", {}), terminology)
    except ConfigurationError as error:
        raise ModelRefused(name, "inputs", str(error)) from None
    if len({item.name for item in inputs}) != len(inputs):
        raise ModelRefused(name, "inputs", "two inputs share a name")
    outcome, outcome_text = _event(name, data["outcome"])
    competing, competing_text = _event(name, data["competing"]) if data.get("competing") else ({}, "")
    curve = data.get("curve")
    return ModelPackage(
        identity=ModelIdentity(
            name=data["name"],
            version=str(data["version"]),
            title=data["title"],
            digest=data["sha256"],
            kind=data["kind"],
            outcome=outcome,
            outcome_text=outcome_text,
            status=data["status"],
            mitigation=str(data.get("mitigation", "")).strip(),
            manufacturer=str(data.get("manufacturer", "Bedside")),
            ai_kinds=tuple(str(kind) for kind in data.get("ai_kinds", ())),
            card=_card(folder),
            competing=competing,
            competing_text=competing_text,
        ),
        model=_model_bytes(folder, data),
        focus=data["focus"],
        inputs=inputs,
        applies_if=applies_if,
        horizons_days=horizons,
        curve=Curve(float(curve["step_days"]), float(curve["until_days"])) if curve else None,
        explain=_explain(name, data.get("explain") or {}),
        diagnosis=contract_of(name, data) if data["kind"] == "diagnosis" else None,
    )


REQUIRED = (
    *("schema", "name", "version", "kind", "title", "file", "sha256", "licence", "status"),
    *("intended_use", "focus", "inputs", "outcome"),
)
REQUIRED_BY_KIND = {"diagnosis": ("graph",), "survival": ("horizons_days",), "allocation": ("horizons_days",)}


def _horizons(name: str, data: Mapping[str, Any]) -> tuple[float, ...]:
    if "horizons_days" not in REQUIRED_BY_KIND[data["kind"]]:
        return ()
    horizons = tuple(float(days) for days in data["horizons_days"])
    if not horizons or list(horizons) != sorted(set(horizons)) or horizons[0] <= 0:
        raise ModelRefused(name, "horizons", "horizons_days must be positive and rise")
    return horizons


def _contract(folder: Path, signed: Signed | None = None) -> Mapping[str, Any]:
    try:
        content = (folder / "model.yaml").read_bytes()
        if signed and hashlib.sha256(content).hexdigest() != signed.files.get("model.yaml"):
            # changed between the look at the signature and this one; the model's digest is in the contract
            raise ModelRefused(folder.name, "altered", "model.yaml differs from what was signed")
        data = yaml.load(content.decode(), _SAFE)  # noqa: S506 - it is a safe one
    except (OSError, UnicodeDecodeError):
        raise ModelRefused(folder.name, "contract", "model.yaml is missing or unreadable") from None
    except yaml.YAMLError as error:
        raise ModelRefused(folder.name, "contract", f"model.yaml is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise ModelRefused(folder.name, "contract", "model.yaml is not a mapping")
    needed = (*REQUIRED, *REQUIRED_BY_KIND.get(str(data.get("kind")), ()))
    absent = [key for key in needed if key not in data]
    if absent:
        raise ModelRefused(folder.name, "contract", f"model.yaml lacks {', '.join(absent)}")
    return data


def _event(name: str, data: Any) -> tuple[Json, str]:
    """Return an event as a CodeableConcept, empty where no code says it, and in words."""
    if not isinstance(data, dict) or not data.get("text"):
        raise ModelRefused(name, "outcome", "an event needs a text")
    coded = [key for key in ("system", "code") if data.get(key)]
    if len(coded) == 1:
        raise ModelRefused(name, "outcome", "an event has both system and code, or neither")
    return concept(data["system"], str(data["code"]), data.get("display")) if coded else {}, str(data["text"])


def _explain(name: str, data: Mapping[str, Any]) -> Explain:
    method, permutations = data.get("method"), data.get("permutations", Explain.permutations)
    seed = data.get("seed", Explain.seed)
    unknown = sorted(set(data) - {"method", "permutations", "seed"})
    if unknown or method not in (None, "exact", "survshap", "none"):
        raise ModelRefused(name, "explain", "it holds method (exact, survshap or none), permutations and seed")
    if type(permutations) is not int or permutations < 1 or type(seed) is not int or seed < 0:
        raise ModelRefused(name, "explain", "permutations must be a whole number above 0, and seed one from 0")
    return Explain(cast(Literal["exact", "survshap", "none"] | None, method), permutations, seed)


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
