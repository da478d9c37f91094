"""Studies, packages and an EHR for tests of diagnosis models; nobody was in front of the camera."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fhir_adapter.dicomweb import ImageStore
from fhir_adapter.imaging_study import imaging_study
from functions.serving.package import Model
from tests import dicoms
from tests.fakes import BASE
from tests.onnx_bytes import finding_model
from tests.samples import SECRET, observation, patient

Json = dict[str, Any]
ROOT = "https://pacs.test/dicomweb"
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.77", "1.2.826.0.1.3680043.8.498.77.1"
PACKAGES = Path(__file__).parents[1] / "functions" / "diagnosis" / "packages"
SIDE = 4


def contract(**changes: Any) -> Json:
    """A contract of a model that finds brightness in children's frontal chest films."""
    return {
        "schema": 1,
        "name": "brightness",
        "version": "1.0.0",
        "kind": "diagnosis",
        "title": "Brightness of a chest film",
        "file": "model.onnx",
        "sha256": hashlib.sha256(finding_model(SIDE, SIDE)).hexdigest(),
        "licence": "Apache-2.0",
        "status": "for tests only",
        "intended_use": "Tests.",
        "focus": "ImagingStudy",
        "applies_if": {"age": {"min": 1, "max": 6}},
        "inputs": [],
        "images": {
            "sop_classes": [dicoms.DX],
            "modalities": ["DX"],
            "views": ["PA", "AP"],
            "body_parts": ["CHEST"],
            "age": {"min": 1, "max": 5},
        },
        "pixels": {"size": SIDE, "intensity": "raw", "filter": "area", "channels": 1},
        "graph": {"input": "pixels", "outputs": {"probability": {"shape": ["N", 1]}, "map": {"shape": ["N", 1, 4, 4]}}},
        "findings": [
            {
                "name": "pneumonia",
                "display": "Pneumonia",
                "system": "http://snomed.info/sct",
                "code": "233604007",
                "output": "probability",
                "index": 0,
                "threshold": 0.5,
                "saliency": "map",
            }
        ],
        "outcome": {"system": "http://snomed.info/sct", "code": "233604007", "text": "Pneumonia on this radiograph"},
        **changes,
    }


def package(folder: Path, **changes: Any) -> Path:
    """Write the package into a folder of packages."""
    data = contract(**changes)
    place = folder / data["name"]
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(finding_model(SIDE, SIDE))
    (place / "model.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    (place / "card.md").write_text("# Brightness\n", encoding="utf-8")
    return place


def film(number: int = 1, brightness: float = 0.8, **more: Any) -> bytes:
    """A DX film of one brightness, and a darker corner to see where up is."""
    pixels = np.full((8, 8), round(4095 * brightness), dtype=np.uint16)
    attributes = {
        "SOPInstanceUID": f"{SERIES}.{number}",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "SeriesNumber": 1,
        "InstanceNumber": number,
        "PatientAge": "003Y",
        "PatientSex": "M",
        "StudyDate": "20260110",
        "StudyTime": "081500",
        "AcquisitionDate": "20260110",
        "AcquisitionTime": f"0815{number:02d}",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PresentationIntentType": "FOR PRESENTATION",
        "BurnedInAnnotation": "NO",
        **more,
    }
    return dicoms.file_of(dicoms.image(pixels, **attributes))


def study(store: ImageStore, uid: str = STUDY, **more: Any) -> Json:
    """The ImagingStudy of what a store holds."""
    metadata = [one for row in store.series(uid) for one in store.metadata(uid, row.series)]
    found = imaging_study(metadata, "Patient/p1", resource_id="s1")
    return {**found, "started": "2026-01-10T08:15:00+00:00", **more}


def plain_study() -> Json:
    """The ImagingStudy of a store that cannot be asked for metadata: it holds what is no sound file."""
    return {
        "resourceType": "ImagingStudy",
        "id": "s1",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}],
        "subject": {"reference": "Patient/p1"},
        "started": "2026-01-10T08:15:00+00:00",
    }


def child(**more: Any) -> Json:
    return patient(birthDate="2022-06-15", gender="male", **more)


def recorded_patient(**more: Any) -> Json:
    """Whom pydicom's electrocardiogram is of, as far as the file says."""
    return patient(**{"gender": "female", "birthDate": "1971-01-23", **more})


def tenant_json(models: list[str], criteria: str = "ImagingStudy?status=available", **more: Any) -> Json:
    return {
        "name": "general",
        "fhir_base": BASE,
        "auth": {"type": "bearer", "token": "token-for-the-tests-only"},
        "organization": "General Hospital",
        "dicomweb_root": ROOT,
        "study_stable_seconds": 0,
        "study_patience_seconds": 600,
        "subscriptions": {"studies": {"secret": SECRET, "criteria": criteria, "models": models}},
        **more,
    }


THYROID = {
    "t3": ("http://loinc.org", "3050-2", 100.0, "%"),
    "t4": ("http://loinc.org", "3026-2", 2.0, "ug/dL"),
    "t3t": ("http://loinc.org", "3053-6", 0.8, "ng/mL"),
    "tsh": ("http://loinc.org", "3016-3", 20.0, "m[IU]/L"),
    "trh": ("urn:x-bedside:observation", "tsh-response-to-trh", 40.0, "m[IU]/L"),
}


def thyroid_values() -> Iterator[Json]:
    """Five values of somebody whose thyroid does too little."""
    for name, (system, code, value, unit) in THYROID.items():
        found = observation(name, code, value, unit)
        found["code"]["coding"][0]["system"] = system
        yield found


def thyroid_report(**more: Any) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"text": "Thyroid function"},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-01-10T08:30:00+00:00",
        "result": [{"reference": f"Observation/{name}"} for name in THYROID],
        **more,
    }


def named(models: dict[str, Model], *names: str) -> dict[str, Model]:
    return {name: models[name] for name in names}
