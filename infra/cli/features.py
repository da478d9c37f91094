"""``bedside features``: what a model would be given, from a Bundle or exported NDJSON."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError, FhirAdapterError
from fhir_adapter.features import (
    Features,
    Input,
    Record,
    Row,
    feature_rows,
    localised,
    records_from_bundle,
    records_from_ndjson,
)
from fhir_adapter.features.lines import NdjsonError, resources_of_lines
from fhir_adapter.features.ndjson import records_from_resources
from fhir_adapter.terminology import load_terminology
from functions.serving.errors import ModelRefused
from functions.serving.package import ModelPackage, load_package

DESCRIPTION = """\
Read the declared inputs of a model for every admission in a file or folder, by the same definition that the functions
use on a live server: a row each, with the values in the model's units, or the reason why there are none.
"""
EPILOG = """\
examples:
  bedside features whas500 build/export --csv > rows.csv
  bedside features path/to/package bundle.json --json | jq .values
  bedside features whas500 - < bundle.json

The file is a Bundle (searchset, collection, transaction, $everything) or NDJSON; the folder holds *.ndjson as
`bedside export` writes it, or Bundles in *.json. --json prints one JSON object a row, with the sources of each value.

exit status: 0 read, 1 not readable, 2 wrong arguments.
"""
FUNCTIONS = Path(__file__).parents[2] / "functions"
Write = Callable[[Sequence[Input], Iterator[Row], IO[str]], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bedside features``."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("package", metavar="PACKAGE", help="a model package: its name, or its folder")
    parser.add_argument("source", metavar="FILE|DIR|-", help="where the resources are; - is standard input")
    parser.add_argument("--terminology", type=Path, metavar="DIR", help="ConceptMaps of the hospital's own codes")
    parser.add_argument("--base", metavar="URL", help="FHIR base of the server that exported, for absolute references")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a row")
    form.add_argument("--csv", action="store_true", help="comma-separated values with a header")


def run(args: argparse.Namespace) -> int:
    """Read and print; returns the exit status."""
    folder = _package(args.package)
    if folder is None:
        sys.stderr.write(f"bedside features: no package {args.package!r}\n")
        return 2
    try:
        package = load_package(folder)
        _print(args, package)
    except (FhirAdapterError, ModelRefused, OSError) as error:
        sys.stderr.write(f"bedside features: {error}\n")
        return 1
    return 0


def _package(name: str) -> Path | None:
    found = [Path(name), *sorted(FUNCTIONS.glob(f"*/packages/{Path(name).name}"))]
    return next((folder for folder in found if (folder / "model.yaml").is_file()), None)


def _print(args: argparse.Namespace, package: ModelPackage) -> None:
    inputs, applies_if = package.inputs, package.applies_if
    if args.terminology:
        if not args.terminology.is_dir():
            raise ConfigurationError(f"{args.terminology} is not a directory")
        inputs, applies_if = localised(inputs, applies_if, load_terminology(args.terminology))

    def bundle(pages: list[Json]) -> Iterator[Record]:
        return records_from_bundle(pages, inputs, applies_if)

    def stream(resources: Iterator[Json]) -> Iterator[Record]:
        return records_from_resources(resources, inputs, applies_if, base=args.base)

    write: Write = _json if args.json else _csv if args.csv else _told
    if args.source == "-":
        records = _file(sys.stdin.buffer, "standard input", bundle, stream)
        write(inputs, feature_rows(records, inputs, applies_if), sys.stdout)
        return
    path = Path(args.source)
    if path.is_dir() and any(path.glob("*.ndjson")):
        records = records_from_ndjson(path, inputs, applies_if, base=args.base)
    else:
        records = _files(sorted(path.glob("*.json")) if path.is_dir() else [path], bundle, stream)
    write(inputs, feature_rows(records, inputs, applies_if), sys.stdout)


def _files(
    paths: list[Path],
    bundle: Callable[[list[Json]], Iterator[Record]],
    stream: Callable[[Iterator[Json]], Iterator[Record]],
) -> Iterator[Record]:
    if not paths:
        raise NdjsonError("the folder holds neither *.ndjson nor *.json")
    for path in paths:
        with path.open("rb") as file:
            yield from _file(file, path.name, bundle, stream)


def _file(
    file: IO[bytes],
    name: str,
    bundle: Callable[[list[Json]], Iterator[Record]],
    stream: Callable[[Iterator[Json]], Iterator[Record]],
) -> Iterator[Record]:
    """Read a Bundle, Bundles a line each (pages), or NDJSON; the first line tells which."""
    first = file.readline()
    try:
        head: Any = orjson.loads(first)
        rest = resources_of_lines(file, name)
    except orjson.JSONDecodeError:
        try:
            head, rest = orjson.loads(first + file.read()), iter(())
        except orjson.JSONDecodeError:
            raise NdjsonError(f"{name}: neither a Bundle nor NDJSON") from None
    if not isinstance(head, dict) or "resourceType" not in head:
        raise NdjsonError(f"{name}: not a FHIR resource")
    if head["resourceType"] == "Bundle":
        yield from bundle([head, *rest])
    else:
        yield from stream(chain([head], rest))


def _json(_: Sequence[Input], rows: Iterator[Row], out: IO[str]) -> None:
    for row in rows:
        out.write(json.dumps(_object(row)) + "\n")


def _object(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {"patient": row.patient, "encounter": row.encounter, "index_time": _time(row)}
    if isinstance(row.answer, Features):
        told["values"] = {item.input.name: None if math.isnan(item.value) else item.value for item in row.answer.values}
        told["sources"] = {item.input.name: [source.reference for source in item.sources] for item in row.answer.values}
    else:
        told["abstention"] = {"reason": row.answer.reason.value, "detail": row.answer.detail}
    return told


def _csv(inputs: Sequence[Input], rows: Iterator[Row], out: IO[str]) -> None:
    names = [item.name for item in inputs]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["patient", "encounter", "index_time", *names, "abstention"])
    for row in rows:
        values: list[Any] = [""] * len(names)
        if isinstance(row.answer, Features):
            values = ["" if math.isnan(item.value) else repr(item.value) for item in row.answer.values]
        reason = "" if isinstance(row.answer, Features) else row.answer.reason.value
        writer.writerow([row.patient, row.encounter or "", _time(row) or "", *values, reason])


def _told(_: Sequence[Input], rows: Iterator[Row], out: IO[str]) -> None:
    outcomes = Counter[str]()
    for row in rows:
        if isinstance(row.answer, Features):
            known = sum(not math.isnan(item.value) for item in row.answer.values)
            outcome, told = "read", f"{known} of {len(row.answer.values)} inputs on record"
        else:
            outcome, told = row.answer.reason.value, row.answer.detail
        outcomes[outcome] += 1
        out.write(f"{row.encounter}  {_time(row)}  {told}\n")
    summary = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    out.write(f"{outcomes.total()} admissions{': ' + summary if summary else ''}\n")


def _time(row: Row) -> str | None:
    return row.index_time.isoformat() if row.index_time else None
