"""Examples a model is asked about: rows, FHIR Bundles, NDJSON or DICOM files; every answer, or the reason for none."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.evidence import Answer
from fhir_adapter.features import (
    AgeInput,
    Features,
    FhirPathInput,
    Input,
    ObservationInput,
    Value,
    feature_rows,
    records_from_bundle,
    records_from_ndjson,
)
from fhir_adapter.features.values import Refused, absent, plausible
from fhir_adapter.prediction import Abstention, AbstentionReason
from fhir_adapter.references import Source
from functions.serving.package import ModelPackage
from infra.cli.package.dicom import Show, ask, studies
from infra.cli.package.report import Example, in_numbers, in_words

__all__ = ["ANSWERED", "RECORD", "answers"]

ANSWERED = ("prediction", "accepted")
# A model may ask whether anything is on record at all.
RECORD = (Source("Observation/example", "example"),)

Predict = Callable[[Features], Answer]
Found = Iterator[tuple[str, Features | Abstention]]


def answers(
    folder: Path,
    contract: Mapping[str, Any],
    package: ModelPackage | None,
    predict: Predict | None,
    show: Show | None = None,
) -> Iterator[Example]:
    """Ask about every example.

    Parameters
    ----------
    folder : Path
        With ``*.json`` (Bundles), ``*.ndjson`` (an export), ``*.csv`` (a column an input, a row a patient) or DICOM
        files, also in folders.
    contract : mapping
        What is read of DICOM files stands there.
    package : ModelPackage or None
        Patients are read as the functions read them: units, windows, plausible ranges, population. None, when the
        contract is refused: then nobody is asked about.
    predict : callable or None
        None, when nothing here runs such a model.
    show : callable, optional
        The same, for what is read of DICOM files.

    Raises
    ------
    ConfigurationError, NdjsonError
        There are none, or a file is not what its name says.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder")
    readers = (("*.json", _bundles), ("*.ndjson", _export), ("*.csv", _rows))
    found = [(reader, paths) for pattern, reader in readers if (paths := sorted(folder.glob(pattern)))]
    images = studies(folder)
    if not found and not images:
        raise ConfigurationError(f"{folder} holds no example: *.json, *.ndjson, *.csv or DICOM files")
    if images:
        yield from ask(folder, images, contract, show)
    if package is None or predict is None:
        return
    for reader, paths in found:
        for where, features in reader(paths, package):
            yield _example(where, features, predict)


def _example(where: str, features: Features | Abstention, predict: Predict) -> Example:
    answer = predict(features) if isinstance(features, Features) else features
    if isinstance(answer, Abstention):
        return Example(where, answer.reason.value, answer.detail)
    return Example(where, "prediction", in_words(answer, 4), in_numbers(answer))


def _bundles(paths: Sequence[Path], package: ModelPackage) -> Found:
    for path in paths:
        try:
            bundle = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            bundle = None
        if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
            raise ConfigurationError(f"{path} is not a Bundle")
        records = records_from_bundle(bundle, package.inputs, package.applies_if)
        for number, row in enumerate(feature_rows(records, package.inputs, package.applies_if), 1):
            yield f"{path.name} admission {number}", row.answer


def _export(paths: Sequence[Path], package: ModelPackage) -> Found:
    records = records_from_ndjson(paths[0].parent, package.inputs, package.applies_if)
    for number, row in enumerate(feature_rows(records, package.inputs, package.applies_if), 1):
        yield f"*.ndjson admission {number}", row.answer


def _rows(paths: Sequence[Path], package: ModelPackage) -> Found:
    names = [item.name for item in package.inputs]
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in names if name not in (reader.fieldnames or ())]
            if lacking:
                raise ConfigurationError(f"{path} has no column {', '.join(lacking)}")
            for number, row in enumerate(reader, 1):
                yield f"{path.name} row {number}", _row(row, package.inputs, f"{path} row {number}")


def _row(row: dict[str, str], inputs: Sequence[Input], where: str) -> Features | Abstention:
    values = []
    for item in inputs:
        try:
            number = float(row[item.name]) if (row[item.name] or "").strip() else math.nan
        except ValueError:
            raise ConfigurationError(f"{where}: {item.name} is not a number") from None
        bounds = item.plausible if isinstance(item, AgeInput | ObservationInput | FhirPathInput) else None
        try:
            number = plausible(item, number, bounds) if bounds else number
        except Refused as refused:
            return Abstention(refused.reason, str(refused), (item.name,))
        if math.isnan(number) and item.missing == "refuse":
            return Abstention(AbstentionReason.MISSING_INPUT, f"There is no {item.display.lower()}.", (item.name,))
        values.append(absent(item) if math.isnan(number) else Value(item, number, RECORD))
    return Features(tuple(values))
