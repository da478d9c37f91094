"""What a contract of kind ``diagnosis`` says beyond the others: what the model looks at, and what it says.

::

    images, pixels          which images, and how one becomes the graph's input
    waveforms, waveform     the same of electrocardiograms
    normalise: rank         a lead's samples become their ranks, in [-1, 1]
    graph: {input, outputs: {name: {shape}}}
    findings: [{name, display, system, code, output, index, threshold, activation, saliency}]
    measurements: [{name, display, system, code, unit, output, index}]
    decoder, suppress       a reading of the outputs that is more than a column of one of them

``activation`` is ``none`` (the output is a probability), ``sigmoid`` or ``softmax`` (over the last axis).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhir_adapter.codes import Json, concept
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.units import is_unit
from functions.serving.errors import ModelRefused

if TYPE_CHECKING:
    from fhir_adapter.pixels import ImageGate, PixelSpec
    from fhir_adapter.waveforms import WaveformGate, WaveformSpec

__all__ = ["Contract", "FindingRule", "MeasurementRule", "contract_of"]

USUAL_UNITS = frozenset({"%", "/min", "ms", "s", "mm", "cm", "mm2", "cm2", "mL", "mV", "deg", "1"})
ACTIVATIONS = ("none", "sigmoid", "softmax")
NORMALISATIONS = ("none", "rank")
DECODERS = ("", "layered-ecg")
_FINDING = frozenset({"name", "display", "system", "code", "output", "index", "threshold", "activation", "saliency"})
_MEASUREMENT = frozenset({"name", "display", "system", "code", "unit", "output", "index"})


@dataclass(frozen=True)
class FindingRule:
    """How a finding is read from the graph.

    Parameters
    ----------
    name, display : str
    code : dict
        CodeableConcept; empty where no code says it.
    output : str
        Of the graph.
    index : int
        Column of its last axis.
    threshold : float
        The operating point, in [0, 1].
    activation : {"none", "sigmoid", "softmax"}
    saliency : str
        The output that says what each place adds to it, shape (1, rows, columns); empty for none.
    """

    name: str
    display: str
    code: Json
    output: str
    index: int
    threshold: float
    activation: str = "none"
    saliency: str = ""


@dataclass(frozen=True)
class MeasurementRule:
    """How a measurement is read: from a column of an output, or by the decoder under its name.

    Parameters
    ----------
    name, display : str
    code : dict
        CodeableConcept.
    unit : str
        UCUM code.
    output : str
        Empty where the decoder measures.
    index : int
    """

    name: str
    display: str
    code: Json
    unit: str
    output: str = ""
    index: int = 0


@dataclass(frozen=True)
class Contract:
    """What a diagnosis model looks at, and what it says.

    Parameters
    ----------
    graph_input : str
        Name of the graph's only input.
    outputs : tuple of str
        Names of its outputs that the contract describes.
    findings : tuple of FindingRule
    measurements : tuple of MeasurementRule
    images, pixels : ImageGate, PixelSpec or None
        Both or none.
    waveforms, waveform : WaveformGate, WaveformSpec or None
        Both or none.
    normalise : {"none", "rank"}
    decoder : str
        Name of the reading; empty for the plain one.
    suppress : tuple of str
        Classes that are not reported.
    """

    graph_input: str
    outputs: tuple[str, ...]
    findings: tuple[FindingRule, ...]
    measurements: tuple[MeasurementRule, ...] = ()
    images: ImageGate | None = None
    pixels: PixelSpec | None = None
    waveforms: WaveformGate | None = None
    waveform: WaveformSpec | None = None
    normalise: str = "none"
    decoder: str = ""
    suppress: tuple[str, ...] = ()

    @property
    def looks(self) -> bool:
        """Whether the model looks at DICOM instances, and not at values in the record."""
        return self.pixels is not None or self.waveform is not None


def contract_of(name: str, data: Mapping[str, Any]) -> Contract:
    """Read a contract of kind ``diagnosis``.

    Parameters
    ----------
    name : str
        Of the package, for errors.
    data : mapping
        ``model.yaml``.

    Raises
    ------
    ModelRefused
        Rules ``graph``, ``findings``, ``measurements``, ``unit``, ``inputs``.
    """
    graph_input, outputs = _graph(name, data.get("graph"))
    decoder = str(data.get("decoder") or "")
    if decoder not in DECODERS:
        raise ModelRefused(name, "decoder", f"decoder {decoder!r:.40} is not known here")
    findings = tuple(_finding(name, item, outputs) for item in _items(name, data, "findings"))
    measurements = tuple(_measurement(name, item, outputs, decoder) for item in _items(name, data, "measurements"))
    names = [*(item.name for item in findings), *(item.name for item in measurements)]
    if not names or len(set(names)) != len(names):
        raise ModelRefused(name, "findings", "there is at least one finding or measurement, and no two share a name")
    normalise = str(data.get("normalise") or "none")
    if normalise not in NORMALISATIONS:
        raise ModelRefused(name, "inputs", f"normalise must be one of {', '.join(NORMALISATIONS)}")
    return Contract(
        graph_input,
        outputs,
        findings,
        measurements,
        normalise=normalise,
        decoder=decoder,
        suppress=tuple(str(item) for item in data.get("suppress") or ()),
        **_seen(name, data),
    )


def _seen(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Gates and specifications; what reads DICOM is loaded for contracts that need it."""
    pictures, recordings = ("images", "pixels"), ("waveforms", "waveform")
    declared = [key for key in (*pictures, *recordings) if key in data]
    if not declared:
        if not data.get("inputs"):
            raise ModelRefused(name, "inputs", "it looks at nothing: no images, no waveforms, no inputs")
        return {}
    if tuple(declared) not in (pictures, recordings) or data.get("inputs"):
        detail = "a model looks at images (images, pixels), at waveforms (waveforms, waveform) or at inputs"
        raise ModelRefused(name, "inputs", detail)
    for key in declared:
        if not isinstance(data[key], Mapping):
            raise ModelRefused(name, "inputs", f"{key} must be a mapping")
    try:
        if declared[0] == "images":
            from fhir_adapter.pixels import ImageGate, PixelSpec

            return {"images": ImageGate.of(data["images"]), "pixels": PixelSpec.of(data["pixels"])}
        from fhir_adapter.waveforms import WaveformGate, WaveformSpec

        return {"waveforms": WaveformGate.of(data["waveforms"]), "waveform": WaveformSpec.of(data["waveform"])}
    except ConfigurationError as error:
        raise ModelRefused(name, "inputs", str(error)) from None


def _graph(name: str, data: Any) -> tuple[str, tuple[str, ...]]:
    outputs = data.get("outputs") if isinstance(data, Mapping) else None
    if not isinstance(outputs, Mapping) or not outputs or not isinstance(data.get("input"), str):
        raise ModelRefused(name, "graph", "graph names the graph's input and its outputs")
    return data["input"], tuple(map(str, outputs))


def _items(name: str, data: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    found = data.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise ModelRefused(name, key, f"{key} must be a list of mappings")
    return found


def _finding(name: str, item: Mapping[str, Any], outputs: Sequence[str]) -> FindingRule:
    where = _named(name, "findings", item, _FINDING)
    threshold, activation = item.get("threshold"), str(item.get("activation") or "none")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ModelRefused(name, "findings", f"{where}: threshold must lie in [0, 1]")
    if activation not in ACTIVATIONS:
        raise ModelRefused(name, "findings", f"{where}: activation must be one of {', '.join(ACTIVATIONS)}")
    saliency = str(item.get("saliency") or "")
    if saliency and saliency not in outputs:
        raise ModelRefused(name, "findings", f"{where}: graph.outputs has no {saliency!r}")
    return FindingRule(
        str(item["name"]),
        str(item["display"]),
        _code(name, "findings", where, item),
        *_column(name, "findings", where, item, outputs),
        float(threshold),
        activation,
        saliency,
    )


def _measurement(name: str, item: Mapping[str, Any], outputs: Sequence[str], decoder: str) -> MeasurementRule:
    where = _named(name, "measurements", item, _MEASUREMENT)
    unit, code = str(item.get("unit") or ""), _code(name, "measurements", where, item)
    # what knows the whole of UCUM takes its time to load, and a cold start reads every contract
    if unit not in USUAL_UNITS and not is_unit(unit):
        raise ModelRefused(name, "unit", f"{where}: {unit!r} is not a unit of UCUM")
    if not code:
        raise ModelRefused(name, "measurements", f"{where}: it has no system and code")
    told = (str(item["name"]), str(item["display"]), code, unit)
    if decoder and "output" not in item:
        return MeasurementRule(*told)
    return MeasurementRule(*told, *_column(name, "measurements", where, item, outputs))


def _named(name: str, key: str, item: Mapping[str, Any], known: frozenset[str]) -> str:
    where = f"{key} {item.get('name')!r:.60}"
    if unknown := sorted(set(map(str, item)) - known):
        raise ModelRefused(name, key, f"{where}: keys that are not known: {', '.join(unknown)}")
    for needed in ("name", "display"):
        if not isinstance(item.get(needed), str) or not item[needed]:
            raise ModelRefused(name, key, f"{where}: {needed} is missing")
    return where


def _code(name: str, key: str, where: str, item: Mapping[str, Any]) -> Json:
    coded = [part for part in ("system", "code") if item.get(part)]
    if len(coded) == 1:
        raise ModelRefused(name, key, f"{where}: it has both system and code, or neither")
    return concept(str(item["system"]), str(item["code"]), str(item["display"])) if coded else {}


def _column(name: str, key: str, where: str, item: Mapping[str, Any], outputs: Sequence[str]) -> tuple[str, int]:
    output, index = item.get("output"), item.get("index", 0)
    if output not in outputs:
        raise ModelRefused(name, key, f"{where}: graph.outputs has no {output!r:.40}")
    if type(index) is not int or index < 0:
        raise ModelRefused(name, key, f"{where}: index is a column from 0")
    return str(output), index
