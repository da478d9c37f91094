"""From exported NDJSON to feature rows: ten times the resources take ten times the time and the same memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson

from infra.local.cohort import draw_cohort

__all__ = ["measure"]

SIZES = (10_000, 100_000)
# Resources of one patient, of which a model needs about ten.
PER_PATIENT = 50
REFERENCE = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]

# In a process of its own, so that its memory is its own; parsing alone is the floor for the time.
SCRIPT = r"""
import json, resource, sys, time
from pathlib import Path
import orjson
from fhir_adapter.features import feature_rows, records_from_ndjson
from fhir_adapter.units import convert
from functions.serving.package import load_package

convert(1.0, "kPa", "mm[Hg]")  # the conversion library loads once, whatever the size
def peak():
    # in KiB; what getrusage says on Linux began with the process that started this one
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)

folder = Path(sys.argv[1])
package = load_package(Path(sys.argv[2]))
idle = peak()
started = time.process_time()
for path in sorted(folder.glob("*.ndjson")):
    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)
floor = time.process_time() - started
started = time.process_time()
rows = sum(1 for _ in feature_rows(
    records_from_ndjson(folder, package.inputs, package.applies_if), package.inputs, package.applies_if))
taken = time.process_time() - started
print(json.dumps({"rows": rows, "seconds": taken, "floor": floor, "idle": idle, "peak": peak()}))
"""


def measure() -> dict[str, Any]:
    """Read 10,000 and 100,000 resources, each in a process of its own.

    Returns
    -------
    dict
        By number of resources: ``rows``, ``cpu_s``, ``times_orjson`` (over parsing the same lines), ``peak_mb`` of the
        process and ``over_idle_mb`` (above what it was with everything imported). ``time_ratio`` and ``memory_ratio``
        of the larger to the smaller.
    """
    found: dict[str, Any] = {}
    runs = []
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
        for size in SIZES:
            export = Path(folder) / str(size)
            _write(export, size)
            run = _run(export)
            runs.append(run)
            found[str(size)] = {
                "rows": run["rows"],
                "cpu_s": round(run["seconds"], 3),
                "times_orjson": round(run["seconds"] / run["floor"], 1),
                "peak_mb": round(run["peak"] / 1024, 1),
                "over_idle_mb": round((run["peak"] - run["idle"]) / 1024, 1),
            }
    found["time_ratio"] = round(runs[1]["seconds"] / runs[0]["seconds"], 1)
    found["memory_ratio"] = round(runs[1]["peak"] / runs[0]["peak"], 2)
    return found


def _run(export: Path) -> dict[str, Any]:
    package = ROOT / "functions" / "survival" / "packages" / "whas500"
    command = [sys.executable, "-c", SCRIPT, str(export), str(package)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)  # noqa: S603 - our own script
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _write(folder: Path, size: int) -> None:
    """Write the cohort as $export does, filled up with laboratory values that no model asks for."""
    folder.mkdir()
    files: dict[str, IO[bytes]] = {}
    try:
        for patient in draw_cohort(size // PER_PATIENT, reference=REFERENCE):
            resources: list[Any] = [entry["resource"] for entry in patient.bundle()["entry"]]  # type: ignore[attr-defined]
            resources += [
                _filler(patient.patient_id, number, patient.admitted.isoformat())
                for number in range(PER_PATIENT - len(resources))
            ]
            for resource in resources:
                kind = resource["resourceType"]
                if kind not in files:
                    files[kind] = (folder / f"{kind}.0000.ndjson").open("wb")
                meta = {"versionId": "1", "lastUpdated": "2026-01-31T00:00:00Z", **resource.get("meta", {})}
                files[kind].write(orjson.dumps({**resource, "meta": meta}) + b"\n")
    finally:
        for file in files.values():
            file.close()


def _filler(patient: str, number: int, at: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"{patient}-lab-{number}",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category"}]}],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": f"lab-{number}", "display": "Some laboratory test"}]
        },
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": at,
        "issued": at,
        "valueQuantity": {"value": number / 7, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
        "referenceRange": [{"low": {"value": 0}, "high": {"value": 10}, "text": "0 to 10"}],
    }
