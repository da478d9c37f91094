"""Every file that pydicom and pydicom-data bring, through the reader; what comes out against other readers."""

from __future__ import annotations

import sys
import time
import tracemalloc
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.peering import require_peer

pytest.importorskip("pydicom", reason="pydicom is not here (make setup-test)")

import pydicom
from pydicom import uid
from pydicom.dataset import FileDataset

from fhir_adapter.dicomfile import DicomError, Limits, PixelLayout, read_dicom
from fhir_adapter.pixels import ImageGate, PixelSpec, decode_frame, picture
from fhir_adapter.pixels.stored import Stored
from fhir_adapter.waveforms import read_waveforms, resample
from tests.dicoms import BUNDLED, collection

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "dicom-collections.md"
SPEC = PixelSpec(size=(224, 224), channels=3)
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# Beside the pixels themselves: parsing, and a decoder's copies of what it decodes.
MOST_MEMORY = 24 * 1024 * 1024
# Of all files one after another, decoders' own memory included; the largest frame has 7 MB.
MOST_GROWTH = 128 * 1024 * 1024


@dataclass
class Row:
    """One file of the table."""

    name: str
    kind: str = ""
    syntax: str = ""
    outcome: str = ""
    milliseconds: float = 0.0
    peak: int = 0
    allowed: int = 0


def files() -> list[tuple[str, Path]]:
    """All files of both packages, whatever they are: what is not DICOM must be refused, too."""
    roots = {"pydicom": BUNDLED, "pydicom-data": collection()}
    return [
        (f"{name}/{path.relative_to(root)}", path)
        for name, root in roots.items()
        if root is not None
        for path in sorted(root.rglob("*"))
        if path.is_file()
    ]


def described(dataset: FileDataset, row: Row) -> str:
    """What a function would make of a file."""
    if any(keyword in dataset for keyword in PIXELS):
        layout = PixelLayout.of(dataset, Limits())
        row.allowed += 4 * layout.decoded_frame_bytes
        found = picture(dataset, SPEC, layout.frames - 1)
        assert np.isfinite(found.tensor).all()
        return f"accepted: {layout.frames} x {layout.rows} x {layout.columns}, window from {found.source}"
    if groups := read_waveforms(dataset):
        return f"accepted: {len(groups)} waveforms, {groups[0].seconds:g} s"
    return "accepted: no pixels, no waveform"


def read(name: str, path: Path) -> Row:
    row = Row(name, allowed=MOST_MEMORY + 4 * path.stat().st_size)
    tracemalloc.start()
    began = time.perf_counter()
    try:
        dataset = read_dicom(path)
        row.kind = uid.UID(dataset.get("SOPClassUID") or "").name.removesuffix(" Storage")
        row.syntax = dataset.file_meta.TransferSyntaxUID.name
        row.outcome = described(dataset, row)
    except DicomError as error:
        row.outcome = f"refused ({error.reason}): {error}"
    row.milliseconds = 1000 * (time.perf_counter() - began)
    row.peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return row


class Resident:
    """What the operating system gives the process at most while something runs; Linux only."""

    def __enter__(self) -> Resident:
        with suppress(OSError):
            # the peak so far is forgotten (proc(5), clear_refs)
            Path("/proc/self/clear_refs").write_text("5")
        self._before = self._kilobytes("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.grown = 1024 * max(self._kilobytes("VmHWM") - self._before, 0)

    @staticmethod
    def _kilobytes(name: str) -> int:
        try:
            text = Path("/proc/self/status").read_text()
        except OSError:
            return 0
        return int(text.partition(f"{name}:")[2].split()[0])


def written(rows: list[Row], grown: int) -> str:
    refused = sum(row.outcome.startswith("refused") for row in rows)
    lines = [
        "# The collections of pydicom and pydicom-data through the reader",
        "",
        f"{len(rows)} files: {len(rows) - refused} accepted, {refused} refused by name, none crashed.",
        f"pydicom {pydicom.__version__}, Python {sys.version.split()[0]}; peak is what Python allocated. The process "
        f"grew by {grown / 1e6:.0f} MB at most, decoders included.",
        "",
        "| file | SOP class | transfer syntax | outcome | ms | peak MB |",
        "| --- | --- | --- | --- | ---: | ---: |",
    ]
    for row in rows:
        numbers = f"{row.milliseconds:.0f} | {row.peak / 1e6:.1f}"
        lines.append(f"| {row.name} | {row.kind} | {row.syntax} | {row.outcome} | {numbers} |")
    return "\n".join(lines) + "\n"


def test_every_file_is_accepted_or_refused_by_name() -> None:
    require_peer("pydicom-data", module="data_store")
    read(*files()[0])
    with Resident() as resident:
        rows = [read(name, path) for name, path in files()]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(written(rows, resident.grown), encoding="utf-8")
    accepted = [row for row in rows if row.outcome.startswith("accepted")]
    assert len(rows) > 240
    assert len(accepted) > 200
    assert [row.name for row in rows if row.peak > row.allowed] == []
    assert resident.grown < MOST_GROWTH
    # by hand: what these are is known
    outcomes = {row.name.rpartition("/")[2]: row.outcome for row in rows}
    assert outcomes["MR_truncated.dcm"].startswith("refused (damaged)")
    assert outcomes["no_meta.dcm"].startswith("refused (not-dicom)")
    assert outcomes["JPGExtended.dcm"].startswith("refused (unsupported)")
    assert outcomes["waveform_ecg.dcm"] == "accepted: 2 waveforms, 10 s"
    assert outcomes["image_dfl.dcm"].startswith("accepted")


def frame_of(dataset: FileDataset, index: int) -> np.ndarray[Any, Any]:
    layout = PixelLayout.of(dataset, Limits())
    found = decode_frame(dataset, layout, index)
    if found.samples.ndim == 3:
        return found.samples
    return Stored(found, layout.signed, (slice(None), slice(None))).values(0, layout.rows)


def test_samples_are_those_of_pydicom_with_every_plugin() -> None:
    """pydicom decodes with whatever plugin it finds: GDCM for lossless JPEG, which is decoded here by other means."""
    require_peer("pydicom-data", module="data_store")
    require_peer("GDCM", module="gdcm")
    from pydicom.pixels import get_decoder

    compared = set()
    for name, path in files():
        try:
            dataset = read_dicom(path)
            if not any(keyword in dataset for keyword in PIXELS):
                continue
            last = PixelLayout.of(dataset, Limits()).frames - 1
            ours = frame_of(dataset, last)
        except DicomError:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, _ = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(
                pydicom.dcmread(path), index=last, raw=True
            )
        assert np.array_equal(ours, theirs), name
        compared.add(dataset.file_meta.TransferSyntaxUID)
    assert {uid.JPEGLosslessSV1, uid.JPEG2000, uid.JPEGLSLossless, uid.RLELossless, uid.JPEGBaseline8Bit} <= compared
    assert {uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian} <= compared


@pytest.mark.parametrize("film", ["RG1", "RG3"])
def test_four_encodings_of_a_film_give_one_tensor(film: str) -> None:
    """Uncompressed and lossless JPEG 2000 are equal; the lossy one is a grey level of 255 off at most."""
    require_peer("pydicom-data", module="data_store")
    folder = collection()
    assert folder is not None
    tensors = {
        kind: picture(read_dicom(folder / f"{film}_{kind}.dcm"), SPEC).tensor
        for kind in ("UNCR", "J2KR", "UNCI", "J2KI")
    }
    assert np.array_equal(tensors["UNCR"], tensors["J2KR"])
    assert np.array_equal(tensors["UNCI"], tensors["J2KI"])
    difference = np.abs(tensors["J2KI"] - tensors["UNCR"])
    assert difference.max() < 1 / 255
    assert difference.mean() < 0.1 / 255
    assert 0.2 < np.ptp(tensors["UNCR"]) <= 1


def test_the_adult_film_is_not_for_a_model_for_children() -> None:
    require_peer("pydicom-data", module="data_store")
    folder = collection()
    assert folder is not None
    gate = ImageGate(
        modalities=frozenset({"CR", "DX"}), min_age=1, max_age=5, may_be_missing=frozenset({"view", "body_part"})
    )
    refusals = gate.check(read_dicom(folder / "RG1_UNCR.dcm"))
    assert [refusal.reason.value for refusal in refusals] == ["age"]


def test_resampling_is_that_of_scipy_but_for_the_ends() -> None:
    require_peer("SciPy", module="scipy")
    from scipy.signal import resample_poly

    signal = np.random.default_rng(6).normal(size=(2, 700))
    for up, down in ((1, 2), (3, 5), (25, 12), (2, 1)):
        theirs = resample_poly(signal, up, down, axis=1)
        ours = resample(signal, down * 100, up * 100)
        assert ours.shape == theirs.shape
        edge = 12 * max(up, down) // down + 12
        assert np.abs(ours[:, edge:-edge] - theirs[:, edge:-edge]).max() < 2e-3
