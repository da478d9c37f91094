"""A first contract for a model: every field with what it is for, inputs taken from the graph where it tells."""

from __future__ import annotations

import hashlib
import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import yaml

from fhir_adapter.errors import ConfigurationError
from functions.serving.contract import Interface, Port, interface_of
from infra.cli.package.place import NAME
from infra.cli.package.report import Report, Step
from infra.cli.package.words import CARD, CONTRACT, DIAGNOSIS, IMAGE, OBSERVATION, OBSERVATIONS, SURVIVAL, WAVEFORM

__all__ = ["KINDS", "create"]

KINDS = ("survival", "diagnosis")
STAY, STUDY = ("Encounter", "Encounter.period.start"), ("ImagingStudy", "ImagingStudy.started")
LABORATORY = ("DiagnosticReport", "DiagnosticReport.effective")
KNOWN = {
    "age": "  - {name: age, display: Age, kind: age, unit: a, plausible: [18, 110], missing: refuse}\n",
    "female": "  - {name: female, display: Female sex, kind: sex, missing: refuse}\n",
}
# A table's columns are named one by one; a longer row of numbers is a signal.
MOST_COLUMNS = 500
IMAGE_RANK, SIGNAL_RANK, ROW_RANK = 4, 3, 2
MOST_FINDINGS = 40
SECONDS = 10
NO_INPUTS = " []"


def create(to: Path, name: str, kind: str, model: Path | None, findings: Path | None = None) -> Report:
    """Make a folder with a contract to fill in.

    Parameters
    ----------
    to : Path
        Where the folder goes.
    name : str
        Of the package and its folder.
    kind : {"survival", "diagnosis"}
    model : Path or None
        An ONNX file, copied into the folder; its inputs and outputs are taken into the contract.
    findings : Path, optional
        A YAML list for the contract of a diagnosis model, instead of one entry to fill in for each column.

    Raises
    ------
    ConfigurationError
        The name is none, the folder is there already, the model is not, or the findings are no list.
    ModelRefused
        Rule ``graph``: the file is no model.
    """
    if not NAME.match(name):
        raise ConfigurationError(f"{name!r} is not a package's name: lower-case letters, digits, hyphens, underscores")
    folder = to / name
    if folder.exists():
        raise ConfigurationError(f"{folder} exists already")
    content, graph = None, None
    if model is not None:
        try:
            content = model.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{model} cannot be read ({type(error).__name__})") from None
        graph = interface_of(name, content)
    given = _given(findings, kind) if findings else None
    text = _contract(name, kind, graph, hashlib.sha256(content).hexdigest() if content else "", given)
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    (folder / "card.md").write_text(CARD.format(name=name), encoding="utf-8")
    if model is not None:
        shutil.copyfile(model, folder / "model.onnx")
    report = Report(str(folder), name, "0.1.0", kind, place=str(folder))
    report.steps.append(Step("new", "passed", "model.yaml and card.md are to be filled in where they say TODO"))
    if graph is None:
        report.steps.append(
            Step("file", "warning", "put the model there as model.onnx, and its sha256 into model.yaml")
        )
    return report


def _given(path: Path, kind: str) -> str:
    """Return the findings of a file as they are written in a contract."""
    if kind != "diagnosis":
        raise ConfigurationError(f"findings are of models of kind diagnosis, not {kind}")
    try:
        items = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read as YAML ({type(error).__name__})") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ConfigurationError(f"{path} is not a list of findings: mappings with name, output, index, threshold, ...")
    return textwrap.indent(yaml.safe_dump(items, sort_keys=False, allow_unicode=True), "  ")


def _contract(name: str, kind: str, graph: Interface | None, sha256: str, findings: str | None) -> str:
    inputs = _inputs(kind, graph)
    looks = inputs.startswith(NO_INPUTS)
    focus, index_time = STAY if kind == "survival" else STUDY if looks else LABORATORY
    return CONTRACT.format(
        name=name,
        kind=kind,
        sha256=sha256,
        focus=focus,
        index_time=index_time,
        inputs=inputs,
        last=SURVIVAL if kind == "survival" else _diagnosis(graph, findings),
    )


def _diagnosis(graph: Interface | None, findings: str | None) -> str:
    outputs: tuple[Port | None, ...] = graph.outputs if graph else (None,)
    return DIAGNOSIS.format(
        input=json.dumps(graph.inputs[0].name) if graph else "TODO",
        outputs="".join(map(_output, outputs)),
        findings=findings or "".join(_findings(port) for port in outputs),
    )


def _output(port: Port | None) -> str:
    if port is None:
        return "    TODO: {shape: [N, 1], meaning: TODO}\n"
    shape = json.dumps([size if isinstance(size, int) else "N" for size in port.shape])
    return f"    {json.dumps(port.name)}: {{shape: {shape}, meaning: TODO}}\n"


def _inputs(kind: str, graph: Interface | None) -> str:
    if graph is None:
        return _table([*KNOWN, "TODO"]) if kind == "survival" else _image(None)
    port = graph.inputs[0]
    sizes = [size for size in port.shape if isinstance(size, int)]
    if kind == "diagnosis" and len(port.shape) == IMAGE_RANK:
        return _image(port)
    if kind == "diagnosis" and (len(port.shape) == SIGNAL_RANK or (sizes and sizes[-1] > MOST_COLUMNS)):
        return _waveform(port)
    return _table(_columns(port, graph))


def _table(columns: list[str]) -> str:
    """Return the declarations of a table's columns; how to declare a value is explained once."""
    text, explained = "\n", False
    for column in columns:
        if column not in KNOWN and not explained:
            text, explained = text + OBSERVATIONS, True
        text += KNOWN.get(column) or OBSERVATION.format(name=column)
    return text


def _columns(port: Port, graph: Interface) -> list[str]:
    """Return the columns' names out of the file's metadata, or numbers for those who know them."""
    try:
        named: Any = json.loads(graph.metadata.get("inputs", "null"))
    except ValueError:
        named = None
    count = port.shape[-1] if port.shape and isinstance(port.shape[-1], int) else 1
    if isinstance(named, list) and len(named) == count and all(isinstance(x, str) and NAME.match(x) for x in named):
        return [str(column) for column in named]
    return [f"TODO_{number}" for number in range(1, count + 1)]


def _image(port: Port | None) -> str:
    channels, rows, columns = port.shape[1:] if port else (1, None, None)
    return IMAGE.format(
        channels=channels if isinstance(channels, int) else 1,
        rows=rows if isinstance(rows, int) else "TODO",
        columns=columns if isinstance(columns, int) else "TODO",
    )


def _waveform(port: Port) -> str:
    """Return a declaration whose samples are the graph's: ten seconds is what electrocardiographs record."""
    samples = port.shape[-1]
    known = isinstance(samples, int)
    frequency = f"{samples / SECONDS:g}" if isinstance(samples, int) else "TODO"
    return WAVEFORM.format(told=port, frequency=frequency, seconds=SECONDS if known else "TODO")


def _findings(port: Port | None) -> str:
    """Return one finding for every column of a row of numbers, and one for anything else."""
    columns = port.shape[-1] if port and len(port.shape) == ROW_RANK else 1
    count = columns if isinstance(columns, int) and columns <= MOST_FINDINGS else 1
    return "".join(_finding(port, index) for index in range(count))


def _finding(port: Port | None, index: int) -> str:
    return f"""\
  - name: TODO
    output: {json.dumps(port.name) if port else "TODO"}
    index: {index}
    activation: none
    display: TODO
    system: http://snomed.info/sct
    code: "TODO"
    threshold: 0.5
"""
