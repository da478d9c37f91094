"""Pictures of what a model looked at, from the image archive: the film, the map laid over it, the strip."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from fhir_adapter.dicomfile import DicomError, Refusal, read_dicom
from fhir_adapter.dicomweb import ImageStore, ImageStoreError, InstanceRow
from fhir_adapter.imaging_study import ImagingStudyError, study_uid
from fhir_adapter.pixels import PixelSpec, picture
from fhir_adapter.structured_report import uid_from
from fhir_adapter.waveforms import WaveformSpec, recording

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

__all__ = ["FILMS", "Pictures", "strip_svg"]

FILMS = frozenset({"CR", "DX"})
LONGEST_SIDE = 512
# How electrocardiograms are drawn: 25 mm a second and 10 mm a millivolt.
SECONDS, MILLIMETRES_A_SECOND, MILLIMETRES_A_MILLIVOLT, HEIGHT = 10.0, 25.0, 10.0, 30.0
HERTZ = 125.0


class Pictures:
    """Read pictures from an image archive.

    Parameters
    ----------
    store : ImageStore
    contradicted : callable, optional
        Says what of a file is not as it should be, such as its patient; such a file is not shown.
    """

    def __init__(self, store: ImageStore, contradicted: Callable[[FileDataset], str] | None = None) -> None:
        self._store = store
        self._contradicted = contradicted

    def film(self, study: Mapping[str, Any]) -> bytes | None:
        """Return the first film of a study as PNG, as on a screen; None when there is none to be read.

        Parameters
        ----------
        study : dict
            The ImagingStudy.
        """
        try:
            uid = study_uid(dict(study))
            for row in self._store.series(uid):
                if row.modality in FILMS:
                    data = self._store.instance(self._store.instances(uid, row.series)[0].path)
                    return _shown(self._own(data))
        except (DicomError, ImageStoreError, ImagingStudyError, IndexError):
            return None
        return None

    def has_overlay(self, study: Mapping[str, Any], report: str) -> bool:
        """Return whether a picture of what spoke for and against was stored with a result."""
        try:
            return bool(self._overlays(study_uid(dict(study)), report))
        except (ImageStoreError, ImagingStudyError):
            return False

    def overlay(self, study: Mapping[str, Any], report: str) -> bytes | None:
        """Return the picture of what spoke for and against, as PNG.

        Parameters
        ----------
        report : str
            Id of the DiagnosticReport whose result was stored beside the study.
        """
        try:
            found = self._overlays(study_uid(dict(study)), report)
            return _shown(self._own(self._store.instance(found[0].path))) if found else None
        except (DicomError, ImageStoreError, ImagingStudyError):
            return None

    def _own(self, data: bytes) -> FileDataset:
        """Read a file, unless it is somebody else's."""
        dataset = read_dicom(data)
        if self._contradicted is not None and self._contradicted(dataset):
            raise DicomError("the file contradicts the patient whose it should be")
        return dataset

    def _overlays(self, uid: str, report: str) -> list[InstanceRow]:
        return self._store.instances(uid, uid_from(report, "sc", "series"), uid_from(report, "sc"))

    def strip(self, study: Mapping[str, Any], lead: str = "II") -> npt.NDArray[np.float32] | None:
        """Return ten seconds of one lead of a study's electrocardiogram in millivolts, `HERTZ` samples a second."""
        spec = WaveformSpec(leads=(lead,), sampling_frequency=HERTZ, seconds=SECONDS)
        try:
            uid = study_uid(dict(study))
            for row in self._store.series(uid):
                if row.modality == "ECG":
                    data = self._store.instance(self._store.instances(uid, row.series)[0].path)
                    found = recording(self._own(data), spec)
                    return None if isinstance(found, Refusal) else found.millivolts[0]
        except (DicomError, ImageStoreError, ImagingStudyError, IndexError):
            return None
        return None


def _shown(dataset: FileDataset) -> bytes:
    """Small pictures are enlarged in squares, so that nobody takes them for more than they are."""
    from PIL import Image

    rows, columns = int(dataset.Rows), int(dataset.Columns)
    factor = LONGEST_SIDE / max(rows, columns)
    size = (max(1, round(rows * factor)), max(1, round(columns * factor)))
    grey = int(dataset.get("SamplesPerPixel", 1)) == 1
    spec = PixelSpec(size=size if factor < 1 else None, filter="area", fallback=(1, 99), channels=1 if grey else 3)
    values = np.moveaxis(np.asarray(picture(dataset, spec).tensor, dtype=np.float64), 0, -1)
    bytes_ = np.clip(np.rint(values * 255.0), 0, 255).astype(np.uint8)
    image = Image.fromarray(bytes_[..., 0] if grey else bytes_)
    if factor > 1:
        image = image.resize((size[1], size[0]), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def strip_svg(millivolts: npt.NDArray[np.float32], title: str) -> Markup:
    """Draw a strip on its paper: a thick line each 5 mm, so each 0.2 s and each 0.5 mV.

    Parameters
    ----------
    millivolts : ndarray, shape (samples,)
        At `HERTZ` samples a second.
    title : str
        What a screen reader says.
    """
    width = SECONDS * MILLIMETRES_A_SECOND
    middle = float(np.median(millivolts))
    heights = np.clip(HEIGHT * 0.55 - (millivolts - middle) * MILLIMETRES_A_MILLIVOLT, 0.5, HEIGHT - 0.5)
    step = MILLIMETRES_A_SECOND / HERTZ
    points = " ".join(f"{index * step:.1f},{height:.2f}" for index, height in enumerate(heights))
    fine = "".join(f"M{x} 0V{HEIGHT:g}" for x in range(0, int(width) + 1, 5))
    fine += "".join(f"M0 {y}H{width:g}" for y in range(0, int(HEIGHT) + 1, 5))
    # By attributes and not by a style sheet, so that it is drawn the same as a picture of its own.
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="strip" viewBox="0 0 {0:g} {1:g}" role="img" '
        'aria-labelledby="strip-title"><title id="strip-title">{2}</title>'
        '<path class="paper" d="{3}" stroke="#f0c9c9" stroke-width=".2" fill="none"/>'
        '<polyline points="{4}" stroke="#1b2733" stroke-width=".45" fill="none" stroke-linejoin="round"/></svg>'
    ).format(width, HEIGHT, title, fine, points)
