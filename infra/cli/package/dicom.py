"""What a contract says about DICOM: against the graph that is to take it, and against example studies.

The keys are those that :mod:`fhir_adapter.pixels` and :mod:`fhir_adapter.waveforms` read: ``images`` and ``pixels``,
``waveforms`` and ``waveform``. Both are imported when a contract has one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.prediction import Abstention, Diagnosis
from functions.serving.contract import Interface, Port
from infra.cli.package.report import Example, Step, in_numbers, in_words

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from fhir_adapter.pixels import Picture
    from fhir_adapter.waveforms import Recording

__all__ = ["KEYS", "ask", "declares", "fits", "studies"]

KEYS = ("images", "pixels", "waveforms", "waveform")
PREFIX_AT, PREFIX = 128, b"DICM"
PICTURE = ("channels", "rows", "columns")

# Defined terms may be added to (PS3.5, 6.2); this one stands for whatever has no term of its own.
OTHER_MODALITY = "OT"

Show = Callable[[Any], Diagnosis | Abstention]


class Seen(NamedTuple):
    """What becomes of a file: the answer's name, words, and what the graph is given when it is accepted."""

    answer: str
    detail: str
    given: Picture | Recording | None = None


Look = Callable[["FileDataset"], Seen]


def declares(data: Mapping[str, Any]) -> bool:
    """Return whether a contract reads DICOM."""
    return any(key in data for key in KEYS)


def fits(data: Mapping[str, Any], graph: Interface) -> Iterator[Step]:
    """Yield what is wrong with the declarations, and where the graph takes something else.

    Parameters
    ----------
    data : mapping
        The contract.
    graph : Interface
    """
    try:
        _looks(data)
        if "images" in data:
            yield from _modalities(data["images"])
        if "pixels" in data:
            yield from _pictures(data["pixels"], graph)
        if "waveform" in data:
            yield from _recordings(data["waveform"], graph)
    except ConfigurationError as error:
        yield Step("inputs", "refused", str(error))


def _modalities(declared: Any) -> Iterator[Step]:
    """A modality that DICOM does not have would have every image refused (PS3.3, C.7.3.1.1.1; PS3.16, CID 29)."""
    from pydicom.sr.codedict import codes

    known = {getattr(codes.CID29, word).value for word in codes.CID29.dir()} | {OTHER_MODALITY}
    for modality in _mapping("images", declared).get("modalities") or ():
        if modality not in known:
            detail = (
                f"images: {modality!r:.40} is not a modality of DICOM, so no image has it; radiographs have CR or DX"
            )
            yield Step("modality", "refused", detail)


def _pictures(declared: Any, graph: Interface) -> Iterator[Step]:
    from fhir_adapter.pixels import PixelSpec

    spec = PixelSpec.of(_mapping("pixels", declared))
    ports = [port for port in graph.inputs if len(port.shape) == 1 + len(PICTURE)]
    if len(ports) != 1:
        detail = f"pixels: the graph must have one input of pictures, {' x '.join(PICTURE)} after the first axis"
        yield Step("inputs", "refused", detail)
        return
    wanted = (spec.channels, *(spec.size or (None, None)))
    yield from _sizes("pixels", dict(zip(PICTURE, wanted, strict=True)), ports[0].shape[1:], ports[0])


def _recordings(declared: Any, graph: Interface) -> Iterator[Step]:
    from fhir_adapter.waveforms import WaveformSpec

    spec = WaveformSpec.of(_mapping("waveform", declared))
    for port in graph.inputs:
        yield from _sizes("waveform", {"samples": spec.samples}, port.shape[-1:], port)


def _sizes(
    key: str, wanted: Mapping[str, int | None], taken: tuple[int | str | None, ...], port: Port
) -> Iterator[Step]:
    for (axis, size), found in zip(wanted.items(), taken, strict=True):
        if size is not None and isinstance(found, int) and found != size:
            detail = f"{key}: the contract says {size} {axis}, the graph's {port.name} takes {found}"
            yield Step("inputs", "refused", detail)


def _mapping(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key} must be a mapping")
    return value


def studies(folder: Path) -> list[Path]:
    """Return the DICOM files in a folder and the folders in it, by their prefix (PS3.10, 7.1) or their name."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_dicom(path)]


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as file:
        return file.read(PREFIX_AT + len(PREFIX))[PREFIX_AT:] == PREFIX


def ask(folder: Path, paths: list[Path], data: Mapping[str, Any], show: Show | None = None) -> Iterator[Example]:
    """Yield what becomes of each file: accepted, with what the graph is given and says, or refused and why.

    Parameters
    ----------
    folder : Path
        The paths are told from there on.
    paths : list of Path
    data : mapping
        The contract.
    show : callable, optional
        Asks the model about what was accepted; without it, nobody does.

    Raises
    ------
    ConfigurationError
        The contract reads no DICOM, or declares it wrongly.
    """
    from fhir_adapter.dicomfile import DicomError, read_dicom

    looks = _looks(data)
    if not looks:
        raise ConfigurationError(f"{folder} holds DICOM files, and the contract reads none ({', '.join(KEYS)})")
    for path in paths:
        where = path.relative_to(folder).as_posix()
        try:
            dataset = read_dicom(path)
            found = [look(dataset) for look in looks]
        except DicomError as error:
            yield Example(where, error.reason, str(error))
            continue
        for seen in found:
            yield _example(where, seen, show)


def _example(where: str, seen: Seen, show: Show | None) -> Example:
    if seen.given is None or show is None:
        return Example(where, seen.answer, seen.detail)
    answer = show(seen.given)
    if isinstance(answer, Abstention):
        return Example(where, answer.reason.value, f"{answer.detail} It was given {seen.detail}")
    return Example(where, seen.answer, f"{in_words(answer, 4)}, from {seen.detail}", in_numbers(answer))


def _looks(data: Mapping[str, Any]) -> list[Look]:
    from fhir_adapter.dicomfile import quietly

    looks = []
    # a UID that is none is refused by name; pydicom would warn of it, too
    with quietly():
        if "images" in data or "pixels" in data:
            looks.append(_image_look(data))
        if "waveforms" in data or "waveform" in data:
            looks.append(_waveform_look(data))
    return looks


def _image_look(data: Mapping[str, Any]) -> Look:
    from fhir_adapter.pixels import ImageGate, PixelSpec, picture

    gate = ImageGate.of(_mapping("images", data.get("images", {})))
    spec = PixelSpec.of(_mapping("pixels", data.get("pixels", {})))

    def look(dataset: FileDataset) -> Seen:
        refusals = gate.check(dataset)
        if refusals:
            return Seen(refusals[0].reason.value, " ".join(refusal.detail for refusal in refusals))
        found = picture(dataset, spec)
        shape = " x ".join(map(str, found.tensor.shape))
        span = f"{np.min(found.tensor):.3g} to {np.max(found.tensor):.3g}"
        return Seen("accepted", f"a tensor of {shape}, {span}; window from: {found.source}", found)

    return look


def _waveform_look(data: Mapping[str, Any]) -> Look:
    from fhir_adapter.waveforms import Recording, WaveformGate, WaveformSpec, recording

    gate = WaveformGate.of(_mapping("waveforms", data.get("waveforms", {})))
    spec = WaveformSpec.of(_mapping("waveform", data.get("waveform", {})))

    def look(dataset: FileDataset) -> Seen:
        found = recording(dataset, spec, gate)
        if not isinstance(found, Recording):
            return Seen(found.reason.value, found.detail)
        shape = " x ".join(map(str, found.millivolts.shape))
        return Seen("accepted", f"{shape} millivolts, recorded at {found.recorded_at:g} Hz", found)

    return look
