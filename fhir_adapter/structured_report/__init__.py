"""Results of imaging models as DICOM objects of the same study: a structured report, and a picture beside it.

:mod:`~fhir_adapter.structured_report.values` says what a report holds; it needs neither pydicom nor highdicom. Those
are loaded when the first object is made, so that a function that only may have to write one does not pay for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from fhir_adapter.structured_report.errors import StructuredReportError
from fhir_adapter.structured_report.identifiers import uid_from
from fhir_adapter.structured_report.values import (
    ABSENT,
    PRESENT,
    UNDETERMINED,
    Algorithm,
    Coding,
    Evaluation,
    Measurement,
    MeasurementGroup,
    MeasurementReport,
    SourceInstance,
    Tracking,
    ucum,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from pydicom.dataset import Dataset

__all__ = [
    "ABSENT",
    "PRESENT",
    "UNDETERMINED",
    "Algorithm",
    "Coding",
    "Evaluation",
    "Measurement",
    "MeasurementGroup",
    "MeasurementReport",
    "SourceInstance",
    "StructuredReportError",
    "Tracking",
    "comprehensive_sr",
    "secondary_capture",
    "to_file",
    "ucum",
    "uid_from",
]

SR_SERIES, SC_SERIES = 9001, 9002


def comprehensive_sr(
    source: Dataset, report: MeasurementReport, *, key: str, created: datetime, series_number: int = SR_SERIES
) -> Dataset:
    """Make a Comprehensive SR rooted in TID 1500, in a new series of the source's study.

    Parameters
    ----------
    source : Dataset
        One of the instances that were looked at; its patient and study attributes are copied (PS3.3, C.7.1, C.7.2).
    report : MeasurementReport
        All of its sources are of that study.
    key : str
        Stands for the result, such as its id: the same key gives the same Series and SOP Instance UIDs.
    created : datetime
        When the result was made; a repeat that states the same time gives the same bytes.
    series_number : int
        Of the new series.

    Returns
    -------
    Dataset
        Unverified and preliminary (PS3.3, C.17.2), for :func:`to_file`.

    Raises
    ------
    StructuredReportError
        The source is not an instance of a study, or a source of the report is of another study.
    """
    from fhir_adapter.structured_report.document import build

    return build(source, report, key, created, series_number)


def secondary_capture(
    source: Dataset,
    picture: npt.NDArray[np.uint8],
    algorithm: Algorithm,
    sources: Sequence[SourceInstance],
    *,
    key: str,
    created: datetime,
    series_number: int = SC_SERIES,
    description: str = "What the model looked at, over the image; not for diagnosis",
) -> Dataset:
    """Make a Secondary Capture image, such as a saliency map over its image, in a new series of the source's study.

    Parameters
    ----------
    source : Dataset
        The image that was looked at; patient, study, body part, orientation and lossy compression are copied.
    picture : ndarray of uint8, shape (rows, columns, 3)
        RGB.
    algorithm : Algorithm
    sources : sequence of SourceInstance
        The images it is derived from (PS3.3, C.12.4.1.1).
    key, created, series_number
        As of :func:`comprehensive_sr`; the same key gives other UIDs here than there.
    description : str
        Derivation Description.

    Returns
    -------
    Dataset
        For :func:`to_file`.

    Raises
    ------
    StructuredReportError
        The source is not an instance of a study, or the picture is no RGB picture.
    """
    from fhir_adapter.structured_report.capture import build

    return build(source, picture, algorithm, sources, key, created, series_number, description)


def to_file(dataset: Dataset) -> bytes:
    """Return an object as a DICOM file (PS3.10, 7.1), Explicit VR Little Endian."""
    from fhir_adapter.structured_report.header import to_file as written

    return written(dataset)
