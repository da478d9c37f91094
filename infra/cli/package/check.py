"""Every rule a package must keep: the functions' own first, then what a person would want to know before it serves."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.evidence import Answer
from fhir_adapter.features import AgeInput, Features, FhirPathInput, Input, ObservationInput, Value, input_from
from fhir_adapter.prediction import Abstention
from fhir_adapter.terminology import load_terminology
from fhir_adapter.units import PRINTED, is_unit
from functions.serving.contract import Interface, interface_of
from functions.serving.errors import ModelRefused
from functions.serving.package import ModelPackage, load_package
from functions.serving.session import NOT_A_GRAPH
from functions.serving.signing import Publishers, digests, verify_package
from infra.cli.package.dicom import declares, fits
from infra.cli.package.examples import ANSWERED, RECORD, answers
from infra.cli.package.ports import ports
from infra.cli.package.report import Report, Step, in_words, refusal
from infra.cli.package.trials import looks

__all__ = ["check", "contract_of"]

# What opens a package of each kind, where this checkout has the function for it.
OPENED_BY = {
    "diagnosis": ("functions.diagnosis.predict", "DiagnosisModel"),
    "survival": ("functions.survival.predict", "SurvivalModel"),
}
UNFINISHED = "TODO"
# Of the 250 MB that Lambda takes, a third is left for a model; the rest is its run-time.
LARGE_BYTES = 80 * 1024 * 1024


class Opened(Protocol):
    """A model that can be asked."""

    def predict(self, features: Features) -> Answer:
        """Answer for one patient."""


def check(folder: Path, publishers: Publishers | None, example: Path | None) -> Report:
    """Run every rule.

    Parameters
    ----------
    folder : Path
        The package.
    publishers : Publishers or None
        Whose signature counts; None leaves the signature out.
    example : Path or None
        A folder of example patients to ask about.

    Raises
    ------
    ConfigurationError, NdjsonError
        The examples cannot be read.
    """
    report = Report(str(folder))
    package = _contract(folder, report)
    model = _graph(folder, report)
    opened = _open(package, report) if package else None
    if model and package:
        report.steps += _columns(model, package)
    if package and opened:
        report.steps += _trials(package, opened)
    if publishers is not None:
        report.steps.append(_signature(folder, publishers))
    report.steps += _files(folder)
    if example is not None:
        _ask(example, package, opened, report)
    # the functions' own rules and those here may find the same
    report.steps = list(dict.fromkeys(report.steps))
    return report


def _ask(example: Path, package: ModelPackage | None, opened: Opened | None, report: Report) -> None:
    """Ask about the examples; what a contract says wrongly of them has been told, and hides no other rule."""
    predict, show = (opened.predict, getattr(opened, "look", None)) if opened else (None, None)
    try:
        report.examples = list(answers(example, contract_of(Path(report.package)), package, predict, show))
    except ConfigurationError as error:
        if not report.refused:
            raise
        report.steps.append(Step("example", "warning", f"nobody was asked: {error}"))
        return
    if not any(item.answer in ANSWERED for item in report.examples):
        report.steps.append(Step("example", "warning", "none of the examples was answered"))


def _contract(folder: Path, report: Report) -> ModelPackage | None:
    data = contract_of(folder)
    report.name, report.version, report.kind = (str(data.get(key) or "") for key in ("name", "version", "kind"))
    unfinished = sorted(_unfinished(data))
    if unfinished:
        detail = f"still to be filled in: {', '.join(unfinished)}"
        report.steps.append(Step("unfinished", "refused", detail))
    try:
        package = load_package(folder)
    except ModelRefused as error:
        every = [step for step in _inputs(folder, data) if error.rule == "inputs"]
        report.steps += every or [refusal(error)]
        return None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        detail = f"a field has another form than the functions read ({type(error).__name__}: {error!s:.80})"
        report.steps.append(Step("contract", "refused", detail))
        return None
    report.steps.append(Step("contract", "passed", f"{len(package.inputs)} inputs, focus {package.focus}"))
    report.steps += _units(package)
    return package


def _units(package: ModelPackage) -> Iterator[Step]:
    """A unit that is none would have every value refused, one patient after the other."""
    for item in package.inputs:
        unit = item.unit if isinstance(item, ObservationInput | FhirPathInput) else None
        if unit and not is_unit(unit):
            meant = f"; UCUM writes {PRINTED[unit]!r}" if unit in PRINTED else ""
            yield Step("unit", "refused", f"input {item.name!r}: {unit!r} is not a unit of UCUM{meant}")


def contract_of(folder: Path) -> Mapping[str, Any]:
    """Return the contract, or nothing: what is wrong with it is told by the functions' own rules."""
    try:
        data = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return data if isinstance(data, dict) else {}


def _unfinished(data: Any, at: str = "") -> Iterator[str]:
    if isinstance(data, str) and UNFINISHED in data:
        yield at
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from _unfinished(value, f"{at}.{key}" if at else str(key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            named = isinstance(value, Mapping) and UNFINISHED not in str(value.get("name", UNFINISHED))
            yield from _unfinished(value, f"{at}[{value['name'] if named else number}]")


def _inputs(folder: Path, data: Mapping[str, Any]) -> Iterator[Step]:
    """Yield what is wrong with each declared input; the functions stop at the first."""
    try:
        terminology = load_terminology(folder / "terminology")
    except ConfigurationError:
        return
    for item in data.get("inputs") or []:
        try:
            input_from(item, terminology)
        except ConfigurationError as error:
            yield Step("inputs", "refused", str(error))
        except AttributeError:
            yield Step("inputs", "refused", f"{item!r:.40} is not a mapping")


def _graph(folder: Path, report: Report) -> Interface | None:
    data = contract_of(folder)
    path = folder / str(data.get("file") or "model.onnx")
    try:
        content = path.read_bytes()
        found = interface_of(folder.name, content)
    except OSError:
        if data:
            report.steps.append(Step("file", "refused", f"{path.name} is missing or unreadable"))
        return None
    except ModelRefused as error:
        report.steps.append(refusal(error))
        return None
    if len(content) > LARGE_BYTES:
        report.steps.append(Step("size", "warning", f"{path.name} has {len(content) / 2**20:.0f} MB; Lambda takes 250"))
    report.steps += ports(data, found)
    if declares(data):
        report.steps += fits(data, found)
    detail = f"takes {'; '.join(map(str, found.inputs))}; gives {'; '.join(map(str, found.outputs))}"
    report.steps.append(Step("graph", "passed", f"{detail}; sha256 {hashlib.sha256(content).hexdigest()}"))
    return found


def _columns(model: Interface, package: ModelPackage) -> Iterator[Step]:
    """Compare what the file says about itself with the contract: nothing else would notice two columns exchanged."""
    try:
        columns = json.loads(model.metadata.get("inputs", "null"))
    except ValueError:
        columns = None
    names = [item.name for item in package.inputs]
    if isinstance(columns, list) and columns != names:
        wrong = next((i for i, (a, b) in enumerate(zip(columns, names, strict=False)) if a != b), len(names))
        detail = f"the graph's metadata and the contract list the inputs differently from number {wrong + 1} on"
        yield Step("columns", "refused", detail)
    for key, said in (("name", package.identity.name), ("version", package.identity.version)):
        if model.metadata.get(key, said) != said:
            yield Step("metadata", "warning", f"the graph calls its {key} {model.metadata[key]!r:.60}, not {said!r}")


def _open(package: ModelPackage, report: Report) -> Opened | None:
    kind = package.identity.kind
    if kind not in OPENED_BY:
        report.steps.append(Step("function", "warning", f"no function of this checkout runs models of kind {kind}"))
        return None
    module, name = OPENED_BY[kind]
    try:
        opened: Opened = getattr(importlib.import_module(module), name)(package)
    except ModelRefused as error:
        report.steps.append(refusal(error))
        return None
    return opened


def _trials(package: ModelPackage, opened: Opened) -> Iterator[Step]:
    """Ask about people who do not exist, at the ends and in the middle of what is plausible."""
    if package.looks:
        yield from looks(package, opened)
        return
    for name, share in (("in the middle of", 0.5), ("at the low end of", 0.0), ("at the high end of", 1.0)):
        yield _trial(opened, Features(tuple(Value(item, _at(item, share), RECORD) for item in package.inputs)), name)
    if any(item.missing == "impute" for item in package.inputs):
        gaps = [
            Value(item, np.nan) if item.missing == "impute" else Value(item, _at(item, 0.5), RECORD)
            for item in package.inputs
        ]
        yield _trial(opened, Features(tuple(gaps)), "with gaps, in the middle of", may_abstain=True)


def _at(item: Input, share: float) -> float:
    bounds = item.plausible if isinstance(item, AgeInput | ObservationInput | FhirPathInput) else None
    low, high = bounds or (0.0, 1.0)
    return low + share * (high - low) if bounds else float(round(share))


def _trial(opened: Opened, features: Features, name: str, may_abstain: bool = False) -> Step:
    who = f"a made-up patient {name} the plausible values"
    try:
        first, again = opened.predict(features), opened.predict(features)
    except (ModelRefused, ArithmeticError, LookupError, *NOT_A_GRAPH) as error:
        return Step("trial", "refused", f"{who}: {error!s:.200}")
    if isinstance(first, Abstention):
        return Step("trial", "passed" if may_abstain else "refused", f"{who}: {first.detail}")
    if first != again:
        return Step("trial", "refused", f"{who}: asked twice, it answers differently")
    return Step("trial", "passed", f"{who}: {in_words(first, 3)}")


def _signature(folder: Path, publishers: Publishers) -> Step:
    try:
        signed = verify_package(folder, publishers)
    except ModelRefused as error:
        step = refusal(error)
        return Step(step.rule, "warning" if error.rule == "unsigned" else "refused", step.detail)
    return Step("signature", "passed", f"{len(signed.files)} files, signed with key {signed.kid}")


def _files(folder: Path) -> Iterator[Step]:
    try:
        digests(folder)
    except ModelRefused as error:
        yield refusal(error)
    for name, why in (("card.md", "results refer to no model card"), ("report.html", "nobody can read how good it is")):
        path = folder / name
        if not path.is_file():
            yield Step("files", "warning", f"there is no {name}: {why}")
        elif UNFINISHED in path.read_text(encoding="utf-8", errors="replace"):
            yield Step("unfinished", "refused", f"{name} is still to be filled in")
