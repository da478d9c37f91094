"""An electrocardiogram read the straightforward way: what our function's cold start is held against.

One script: what may be needed is imported at the top, every model is opened as ONNX Runtime does it by default, every
resource is an object of ``fhir.resources``. It measures less than our function does and checks nothing; neither SciPy
nor pandas is in it, which many such scripts import, too.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import highdicom as hd
import numpy as np
import onnxruntime as ort
import pydicom
import yaml
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.documentreference import DocumentReference
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.riskassessment import RiskAssessment

from infra.bench.processes import memory_mb, reported

PACKAGES = Path(__file__).parents[2] / "functions" / "diagnosis" / "packages"
# Of what the deployed function has, for the other models, its queue and its report.
ALSO_NEEDED = (boto3, hd, DocumentReference, RiskAssessment)


def main(folder: Path) -> None:
    """Open all models, and answer for the study in a folder."""
    sessions = {}
    for contract in sorted(PACKAGES.glob("*/model.yaml")):
        data = yaml.safe_load(contract.read_text(encoding="utf-8"))
        sessions[data["name"]] = ort.InferenceSession(contract.parent / data["file"])
    resources = json.loads((folder / "resources.json").read_text(encoding="utf-8"))
    patient, study = Patient.model_validate(resources["patient"]), ImagingStudy.model_validate(resources["study"])
    dataset = next(pydicom.dcmread(path) for path in sorted((folder / "images").rglob("*.dcm")))
    values = measured(dataset, sessions["ecg"])
    bundle = written(values, str(patient.id), str(study.id))
    reported(answered=time.monotonic(), cpu=time.process_time(), peak_mb=memory_mb(), heart_rate=values["8867-4"])
    assert bundle


def measured(dataset: Any, session: Any) -> dict[str, float]:
    """Rate and intervals of lead II by their LOINC codes."""
    rate = float(dataset.WaveformSequence[0].SamplingFrequency)
    lead = dataset.waveform_array(0)[:, 1] / 1000.0
    at = np.arange(5000) / 500.0
    lead = np.interp(at, np.arange(len(lead)) / rate, lead)
    ranked = np.argsort(np.argsort(lead)) / (len(lead) - 1) * 2.0 - 1.0
    out = session.run(["frame_logits"], {"signal": ranked.astype(np.float32)[None]})[0][0].argmax(axis=1)
    starts = {wave: np.flatnonzero(np.diff((out == at).astype(int)) == 1) for wave, at in (("P", 1), ("QRS", 2))}
    t_ends = np.flatnonzero(np.diff((out == 3).astype(int)) == -1)
    rr = np.median(np.diff(starts["QRS"])) * 2.0
    qt, pr = later(starts["QRS"], t_ends, 600.0), later(starts["P"], starts["QRS"], 400.0)
    return {"8867-4": 60000.0 / rr, "8637-1": rr, "8634-8": qt, "8625-6": pr}


def later(first: Any, then: Any, most: float) -> float:
    """Median time in ms from one wave to the next of another."""
    after = [2.0 * float(following[0] - at) for at in first if (following := then[then > at]).size]
    return float(np.median([one for one in after if one <= most]))


def written(values: dict[str, float], patient: str, study: str) -> str:
    """A transaction as JSON."""
    about = {"reference": f"Patient/{patient}"}
    found = [
        Observation.model_validate(
            {
                "resourceType": "Observation",
                "id": str(uuid4()),
                "status": "preliminary",
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "subject": about,
                "effectiveDateTime": "2026-01-10T08:15:00+00:00",
                "valueQuantity": {"value": float(value)},
            }
        )
        for code, value in values.items()
    ]
    results = [{"reference": f"Observation/{one.id}"} for one in found]
    device = Device.model_validate({"resourceType": "Device", "id": "ecg", "status": "active"})
    report = DiagnosticReport.model_validate(
        {
            "resourceType": "DiagnosticReport",
            "id": str(uuid4()),
            "status": "preliminary",
            "code": {"text": "Electrocardiogram"},
            "subject": about,
            "imagingStudy": [{"reference": f"ImagingStudy/{study}"}],
            "result": results,
        }
    )
    provenance = Provenance.model_validate(
        {
            "resourceType": "Provenance",
            "target": [*results, {"reference": f"DiagnosticReport/{report.id}"}],
            "recorded": "2026-01-10T08:20:00+00:00",
            "agent": [{"who": {"reference": "Device/ecg"}}],
        }
    )
    entries = [
        {"resource": one.model_dump(), "request": {"method": "POST", "url": one.get_resource_type()}}
        for one in (*found, device, report, provenance)
    ]
    bundle = Bundle.model_validate({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    return str(bundle.model_dump_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
