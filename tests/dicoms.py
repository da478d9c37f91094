"""DICOM files for tests: synthetic ones, and those that pydicom and pydicom-data bring."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
ECG = BUNDLED / "waveform_ecg.dcm"
SECRET = "SECRET^PATIENT"


def collection() -> Path | None:
    """Where pydicom-data keeps its files, if it is here."""
    found = importlib.util.find_spec("data_store")
    return Path(found.origin).parent / "data" if found and found.origin else None


def image(pixels: np.ndarray[Any, Any] | None = None, **attributes: Any) -> Dataset:
    """A radiograph with 16 bits allocated and 12 stored, unless its attributes or pixels say otherwise."""
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8) * 85 if pixels is None else pixels
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = attributes.pop("transfer_syntax", ExplicitVRLittleEndian)
    dataset.SOPClassUID, dataset.SOPInstanceUID = DX, "1.2.3.4"
    dataset.PatientName, dataset.PatientID, dataset.Modality = SECRET, "4711", "DX"
    frames = pixels.ndim - 2 - (attributes.get("SamplesPerPixel", 1) == 3)
    dataset.Rows, dataset.Columns = pixels.shape[frames : frames + 2]
    if frames:
        dataset.NumberOfFrames = pixels.shape[0]
    bits = 8 * pixels.dtype.itemsize
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored = bits, 12 if bits == 16 else bits
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.HighBit = attributes.get("HighBit", dataset.BitsStored - 1)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    return dataset


def encapsulated(frames: Sequence[bytes], transfer_syntax: str, like: Dataset, table: bool = True) -> Dataset:
    """The same image with compressed frames."""
    like.PixelData = encapsulate(list(frames), has_bot=table)
    like["PixelData"].VR = "OB"
    like["PixelData"].is_undefined_length = True
    like.file_meta.TransferSyntaxUID = transfer_syntax
    return like


def file_of(dataset: Dataset) -> bytes:
    """The file of a data set (PS3.10)."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
