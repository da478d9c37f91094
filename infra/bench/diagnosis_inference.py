"""What a diagnosis model costs beside the bare run of its graph in ONNX Runtime, for each package that ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from statistics import median
from time import thread_time
from typing import Any

import numpy as np

from functions.diagnosis.predict import DiagnosisModel
from functions.serving.package import load_packages

__all__ = ["measure"]

PACKAGES = Path(__file__).parents[2] / "functions" / "diagnosis" / "packages"
Calls = dict[str, Callable[[], Any]]
# Somebody whose thyroid does too little, in the order of the contract.
VALUES = (100.0, 2.0, 0.8, 20.0, 40.0)


def measure(rounds: int = 200) -> dict[str, Any]:
    """Run each package's graph bare, through `OnnxGraph`, and as the whole model, in turn.

    The bare session is the model's own one and its input has the right type already, so that all three run the same
    nodes with the same options; what comes on top is ours.

    Parameters
    ----------
    rounds : int
        Of all three for small graphs; a tenth of it for the electrocardiogram, but never less than 20.

    Returns
    -------
    dict
        For each package ``bare_us``, ``graph_us`` and ``model_us`` (medians in microseconds of processor time; the
        model's holds the reading of its outputs, for an electrocardiogram also normalisation and the search for
        beats), ``reading_us`` (the reading alone), ``graph_ratio`` and ``model_ratio`` (over the bare run, medians of
        the ratios of a round); ``rounds``.
    """
    found = {}
    for name, package in load_packages(PACKAGES).items():
        model = DiagnosisModel(package)
        calls = _calls(model)
        found[name] = _compared(calls, rounds if name != "ecg" else max(20, rounds // 10))
    return found


def _compared(calls: Calls, rounds: int) -> dict[str, float]:
    for call in calls.values():
        call()
    order, taken = Random(0), []  # noqa: S311 - no secret
    for _ in range(rounds):
        # whoever comes after another finds the caches as that one left them
        turn = order.sample(list(calls), len(calls))
        taken.append({name: _microseconds(calls[name]) for name in turn})
    middle = {f"{name}_us": round(median(one[name] for one in taken), 1) for name in calls}
    ratios = {f"{way}_ratio": round(median(one[way] / one["bare"] for one in taken), 3) for way in ("graph", "model")}
    return {**middle, **ratios, "rounds": rounds}


def _calls(model: DiagnosisModel) -> Calls:
    graph, seen = model._graph, _input(model)
    if model.package.looks:
        fed = model._fed(seen)[np.newaxis]

        def whole() -> Any:
            return model.look(seen)
    else:
        fed = np.array([[value.value for value in seen.values]], dtype=np.float64)

        def whole() -> Any:
            return model.predict(seen)

    session, outputs = graph._session, graph._outputs
    given = {graph._input: np.ascontiguousarray(fed, dtype=graph._dtype)}
    out: Mapping[str, Any] = graph.run(fed)
    return {
        "bare": lambda: session.run(outputs, given),
        "graph": lambda: graph.run(fed),
        "model": whole,
        "reading": lambda: _read(model, seen, out),
    }


def _read(model: DiagnosisModel, seen: Any, out: Mapping[str, Any]) -> Any:
    if model.contract.decoder:
        return model._read(seen, out)
    findings = model._findings(out)
    return findings and model._diagnosis(findings, out)


def _input(model: DiagnosisModel) -> Any:
    """What the package's own road gives its model."""
    if model.contract.pixels is not None:
        from fhir_adapter.pixels import Picture

        rows, columns = model.contract.pixels.size or (224, 224)
        shape = (model.contract.pixels.channels, rows, columns)
        tensor = np.random.default_rng(0).random(shape, dtype=np.float32)
        return Picture(tensor, 0, "file", None, False, (0, 0, rows, columns), (0, 0, rows, columns))
    if model.contract.waveform is not None:
        from fhir_adapter.dicomfile import read_dicom
        from fhir_adapter.waveforms import recording
        from infra.local.studies import electrocardiogram

        return recording(read_dicom(electrocardiogram()), model.contract.waveform)
    from fhir_adapter.features import Features, Value

    values = zip(model.package.inputs, VALUES, strict=True)
    return Features(tuple(Value(item, value) for item, value in values))


def _microseconds(call: Callable[[], Any]) -> float:
    """Time of the processor, which others on the machine do not lengthen; everything runs in this thread."""
    began = thread_time()
    call()
    return 1e6 * (thread_time() - began)
