"""A picture with what a model looked at, as a Secondary Capture image of the same study (PS3.3, A.8.1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
from pydicom.uid import SecondaryCaptureImageStorage

from fhir_adapter.structured_report.errors import StructuredReportError
from fhir_adapter.structured_report.header import Dataset, code_item, copy_valid, shell
from fhir_adapter.structured_report.identifiers import uid_from
from fhir_adapter.structured_report.values import Algorithm, SourceInstance

__all__ = ["build"]

# Attributes of the source image that hold for a picture drawn over it (PS3.3, C.7.3.1 and C.7.6.1).
COPIED = (
    *("BodyPartExamined", "Laterality", "PatientOrientation", "LossyImageCompression", "LossyImageCompressionRatio"),
    "LossyImageCompressionMethod",
)
# Body parts there is one of, for which Laterality must be absent (PS3.3, C.7.3.1; PS3.16, Annex L).
UNPAIRED = (
    *("ABDOMEN", "BLADDER", "BRAIN", "CHEST", "COCCYX", "CSPINE", "HEAD", "HEART", "LIVER", "LSPINE", "NECK"),
    *("PELVIS", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "TSPINE", "UTERUS", "WHOLEBODY"),
)
LONGEST_SIDE = 8192


def build(
    source: Dataset,
    picture: npt.NDArray[np.uint8],
    algorithm: Algorithm,
    sources: Sequence[SourceInstance],
    key: str,
    created: datetime,
    series_number: int,
    description: str,
) -> Dataset:
    """Return the image; see :func:`fhir_adapter.structured_report.secondary_capture`."""
    _check(picture)
    made = shell(
        source,
        algorithm,
        sop_class_uid=SecondaryCaptureImageStorage,
        sop_instance_uid=uid_from(key, "sc"),
        series_uid=uid_from(key, "sc", "series"),
        series_number=series_number,
        modality="OT",
        description=f"{algorithm.name[:40]}: AI, not verified",
        created=created,
    )
    made.ConversionType = "WSD"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.DerivationDescription = description
    made.BurnedInAnnotation = "NO"
    # may be empty, must not be absent (PS3.3, C.7.6.1.1.1)
    made.PatientOrientation = None
    copy_valid(source, made, COPIED)
    if "Laterality" not in made and made.get("BodyPartExamined") not in UNPAIRED:
        made.Laterality = None
    images = [_reference(instance) for instance in sources if not instance.is_waveform]
    if images:
        made.SourceImageSequence = images
    _add_pixels(made, picture)
    return made


def _check(picture: npt.NDArray[np.uint8]) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise StructuredReportError("a picture is an array of uint8 of shape (rows, columns, 3)")
    if not 1 <= min(picture.shape[:2]) <= max(picture.shape[:2]) <= LONGEST_SIDE:
        raise StructuredReportError(f"a picture has 1 to {LONGEST_SIDE} rows and columns")


def _reference(instance: SourceInstance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    if instance.frames:
        item.ReferencedFrameNumber = list(instance.frames)
    item.PurposeOfReferenceCodeSequence = [code_item("DCM", "121322", "Source image for image processing operation")]
    return item


def _add_pixels(made: Dataset, picture: npt.NDArray[np.uint8]) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.Rows, made.Columns = picture.shape[:2]
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    pixels = np.ascontiguousarray(picture).tobytes()
    made.add_new("PixelData", "OB", pixels + b"\0" * (len(pixels) % 2))
