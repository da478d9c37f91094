"""From nothing to the first answer of the diagnosis function in a new process: an electrocardiogram's event."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from infra.bench.processes import child, memory_mb, reported

__all__ = ["answered", "measure", "prepared"]

PATIENT, STUDY = "p1", "s1"


def measure(rounds: int = 3) -> dict[str, Any]:
    """Start a process of each in turn, that imports, opens every package, reads the study, answers and writes.

    Ours is the deployed function's module and the whole road of an event behind it, with an EHR in memory and a
    folder as image store, in the artefact as our build makes it. ``naive`` is :mod:`infra.bench.diagnosis_naive` in
    the same artefact as a plain build leaves it, without byte code, which Lambda then compiles at every cold start
    because its file system is read-only; ``naive_precompiled`` is the same script with byte code.

    Parameters
    ----------
    rounds : int
        Processes of each; a first turn warms the disk's cache and is not counted.

    Returns
    -------
    dict
        Of each way ``_s`` (median from the start of the process to the answer), ``_cpu_s`` (the same of the
        processor's time, which others on the machine lengthen less) and ``_peak_mb``; ``ratio`` and ``ratio_cpu``
        (naive over ours, medians over the rounds), ``ratio_precompiled`` and ``ratio_precompiled_cpu``; of ours alone
        ``ready_s``, when a first event could be taken; ``difference_bpm`` of the heart rates; ``unzipped_mb`` of the
        artefact, of which Lambda takes 250; ``rounds``.

    Raises
    ------
    BuildError
        The artefact could not be built.
    """
    from infra.local.studies import electrocardiogram

    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as place:
        folder = Path(place)
        plain, ours = _artefacts(folder)
        prepared(folder, [electrocardiogram()], gender="female", birthDate="1971-01-23")
        ways = {
            "ours": ("infra.bench.diagnosis_cold", ours),
            "naive": ("infra.bench.diagnosis_naive", plain),
            "naive_precompiled": ("infra.bench.diagnosis_naive", ours),
        }
        turns = [
            {way: child(module, str(folder), artefact=artefact) for way, (module, artefact) in ways.items()}
            for _ in range(rounds + 1)
        ][1:]
        size = sum(path.stat().st_size for path in ours.rglob("*") if path.is_file())
    return {**_summary(turns), "unzipped_mb": round(size / 1024 / 1024, 1), "rounds": rounds}


def _artefacts(folder: Path) -> tuple[Path, Path]:
    """The function's artefact without byte code, and with it."""
    from infra.packaging.artefact import BuildError, build, compile_all, local_target

    arch, python_version = local_target()
    plain, ours = folder / "plain", folder / "ours"
    build("diagnosis", plain, arch, python_version, precompile=False)
    shutil.copytree(plain, ours, copy_function=os.link)
    if compile_all(ours, python_version) is None:
        raise BuildError(f"there is no Python {python_version} to make byte code with")
    return plain, ours


def _summary(turns: list[dict[str, dict[str, Any]]]) -> dict[str, float]:
    seconds = [{way: one["answered"] - one["started"] for way, one in turn.items()} for turn in turns]
    processor = [{way: one["cpu"] for way, one in turn.items()} for turn in turns]
    found: dict[str, float] = {}
    for way in turns[0]:
        found[f"{way}_s"] = round(median(turn[way] for turn in seconds), 3)
        found[f"{way}_cpu_s"] = round(median(turn[way] for turn in processor), 3)
        found[f"{way}_peak_mb"] = round(median(turn[way]["peak_mb"] for turn in turns), 1)
    for name, way in (("ratio", "naive"), ("ratio_precompiled", "naive_precompiled")):
        found[name] = round(median(turn[way] / turn["ours"] for turn in seconds), 2)
        found[f"{name}_cpu"] = round(median(turn[way] / turn["ours"] for turn in processor), 2)
    found["ready_s"] = round(median(turn["ours"]["ready"] - turn["ours"]["started"] for turn in turns), 3)
    ours, naive = (turns[0][way]["heart_rate"] for way in ("ours", "naive"))
    found["difference_bpm"] = round(abs(ours - naive), 2)
    return found


def prepared(folder: Path, files: list[bytes], **patient: str) -> None:
    """Make a folder an image store with one study, and beside it what the EHR holds: the patient and the study."""
    from datetime import UTC

    from fhir_adapter.dicomfile import read_dicom
    from fhir_adapter.dicomweb import DirectoryImageStore
    from fhir_adapter.imaging_study import imaging_study

    store = DirectoryImageStore(folder / "images")
    for file in files:
        store.store([file]).require_all()
    uid = str(read_dicom(files[0]).StudyInstanceUID)
    metadata = [one for row in store.series(uid) for one in store.metadata(uid, row.series)]
    told = imaging_study(metadata, f"Patient/{PATIENT}", resource_id=STUDY, zone=UTC)
    resources = {
        "patient": {"resourceType": "Patient", "id": PATIENT, **patient},
        "study": {**told, "started": "2026-01-10T08:15:00+00:00"},
    }
    (folder / "resources.json").write_text(json.dumps(resources), encoding="utf-8")


# --- what our process runs: the imports of the function, and no others ---------------------------------------------


def _main(folder: Path) -> None:
    from functions.diagnosis.app import handler

    ready = time.monotonic()
    found = answered(folder, handler.models, "ecg")
    now = time.monotonic()
    rates = [one["valueQuantity"]["value"] for one in found if "8867-4" in json.dumps(one.get("code", {}))]
    reported(ready=ready, answered=now, cpu=time.process_time(), peak_mb=memory_mb(), heart_rate=rates[0])


def answered(folder: Path, models: Any, name: str) -> list[dict[str, Any]]:
    """Let one model answer the event of the study in a folder, on the function's own road.

    Parameters
    ----------
    folder : Path
        As :func:`prepared` leaves it.

    Returns
    -------
    list of dict
        The resources that were written.
    """
    import httpx

    from fhir_adapter.client import FhirClient
    from fhir_adapter.dicomweb import DirectoryImageStore
    from fhir_adapter.tenants import Tenant
    from functions.serving.events import new_event
    from functions.serving.imaging import Images, MemoryStudies
    from functions.serving.worker import answer_event

    store = DirectoryImageStore(folder / "images")
    known = json.loads((folder / "resources.json").read_text(encoding="utf-8"))
    ehr = _Ehr({f"{one['resourceType']}/{one['id']}": one for one in known.values()})
    tenant = Tenant.from_dict(_TENANT)
    client = FhirClient(tenant.fhir_base, tenant.token, transport=httpx.MockTransport(ehr))
    event = new_event("bench", "studies", "focus", f"ImagingStudy/{STUDY}", "1", f"Patient/{PATIENT}")
    images = Images(lambda _tenant, _root: store, MemoryStudies())
    answer_event(event, tenant, client, models[name], images=images)
    return [entry["resource"] for entry in ehr.transaction["entry"] if "resource" in entry]


_TENANT = {
    "name": "bench",
    "fhir_base": "https://ehr.invalid/fhir",
    "auth": {"type": "none"},
    "organization": "Bench",
    "dicomweb_root": "https://pacs.invalid/dicom-web",
    "study_stable_seconds": 0,
    "subscriptions": {
        "studies": {
            "secret": "only-for-this-benchmark-0123456789",
            "criteria": "ImagingStudy?status=available",
            "models": ["ecg", "cxr-pneumonia-paediatric"],
        }
    },
}


class _Ehr:
    """Answers a batch of reads and searches, and takes a transaction."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = known
        self.transaction: dict[str, Any] = {}

    def __call__(self, request: Any) -> Any:
        import httpx

        bundle = json.loads(request.content)
        if bundle["type"] == "transaction":
            self.transaction = bundle
        entry = [self._entry(one) for one in bundle["entry"]]
        return httpx.Response(
            200, json={"resourceType": "Bundle", "type": f"{bundle['type']}-response", "entry": entry}
        )

    def _entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        if entry["request"]["method"] != "GET":
            kept = {**entry["resource"], "meta": {**entry["resource"].get("meta", {}), "versionId": "1"}}
            return {"response": {"status": "201", "etag": 'W/"1"'}, "resource": kept}
        url = entry["request"]["url"]
        if url in self._known:
            return {"response": {"status": "200"}, "resource": self._known[url]}
        if "?" in url:
            return {"response": {"status": "200"}, "resource": {"resourceType": "Bundle", "type": "searchset"}}
        return {"response": {"status": "404"}}


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
