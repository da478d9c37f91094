"""A chart with an answer of every kind, as the evidence writes it, and the archive with what was looked at."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom

from fhir_adapter.codes import concept
from fhir_adapter.dicomweb import DirectoryImageStore, read_header
from fhir_adapter.evidence import Answer, evidence_of
from fhir_adapter.imaging_study import imaging_study
from fhir_adapter.prediction import (
    Abstention,
    AbstentionReason,
    CompetingRisk,
    Contribution,
    Diagnosis,
    Finding,
    ImageSource,
    IncidenceCurve,
    Measurement,
    ModelIdentity,
    Prediction,
    RiskAtHorizon,
    SurvivalCurve,
)
from fhir_adapter.references import Source
from fhir_adapter.structured_report import uid_from
from functions.serving.cloud import MemoryQueue
from functions.smart_app.desk import Means
from functions.smart_app.images import Images
from tests import dicoms
from tests.imagestores import sample
from tests.samples import encounter, observation, patient
from tests.smart import Hospital
from tests.unit.test_evidence import MODEL, context

Json = dict[str, Any]
ROOT = "https://pacs.test/dicomweb"
PERSON = {
    "name": [{"use": "official", "family": "Canary", "given": ["Ada", "Magdalena"]}],
    "identifier": [{"system": "urn:mrn", "value": "MRN 004711", "type": {"coding": [{"code": "MR"}]}}],
}
SCOPES = [
    *("patient/Patient.r", "patient/RiskAssessment.rus", "patient/Observation.rus", "patient/DiagnosticReport.rus"),
    *("patient/ImagingStudy.r", "patient/Provenance.cu"),
]
SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"
FILM = "1.2.826.0.1.3680043.8.498.99"


def _level(day: float, rate: float) -> float:
    return math.exp(-rate * (day / 365) ** 0.6)


def _curve(rate: float, until: int, *, band: bool = True) -> SurvivalCurve:
    days = range(0, until + 1, 7)
    bounds = [tuple(_level(day, rate * factor) for day in days) for factor in (1.35, 0.72)] if band else [None, None]
    return SurvivalCurve(7.0, tuple(_level(day, rate) for day in days), *bounds)


def _risks(rate: float, days: tuple[int, ...], *, interval: bool = True) -> tuple[RiskAtHorizon, ...]:
    def bounds(day: int) -> tuple[float, float] | None:
        return (1 - _level(day, rate * 0.72), 1 - _level(day, rate * 1.35)) if interval else None

    return tuple(RiskAtHorizon(day, 1 - _level(day, rate), bounds(day)) for day in days)


def infarction() -> tuple[Prediction, ModelIdentity]:
    """A prediction with its band and its reasons."""
    drivers = (
        Contribution("age", "Age", "81 years", 0.92),
        Contribution("heart_rate", "Heart rate", "110 /min", 0.31),
        Contribution("congestive_heart_failure", "Congestive heart failure", "present", 0.28),
        Contribution("bmi", "Body mass index", "31.2 kg/m2 (not on record, assumed)", -0.14),
    )
    answer = Prediction(
        risks=_risks(0.38, (30, 180, 365, 1095)),
        curve=_curve(0.38, 1834),
        contributions=drivers,
        median_days=980.0,
    )
    return answer, replace(MODEL, version="1.1.0", status="research use only; not a medical device")


def progression() -> tuple[Prediction, ModelIdentity]:
    """A prediction beside an event that may come first."""
    days = (730, 1825, 3650)
    curve = IncidenceCurve(30.0, tuple(0.45 * (1 - math.exp(-day / 3000)) for day in range(0, 5401, 30)))
    other = CompetingRisk(tuple(RiskAtHorizon(day, 0.45 * (1 - math.exp(-day / 3000))) for day in days), curve)
    answer = Prediction(
        risks=_risks(0.03, days, interval=False),
        curve=SurvivalCurve(30.0, tuple(_level(day, 0.03) for day in range(0, 5401, 30))),
        competing=other,
        contributions=(Contribution("creatinine", "Creatinine", "1.3 mg/dL", 0.11),),
    )
    model = replace(
        MODEL,
        name="mgus2",
        digest="cd" * 32,
        title="Progression of monoclonal gammopathy of undetermined significance",
        outcome_text="Progression to a plasma cell malignancy",
        competing=concept(SNOMED, "419620001", "Death"),
        competing_text="Death without progression",
    )
    return answer, model


def thyroid() -> tuple[Diagnosis, ModelIdentity]:
    """Findings from laboratory tests."""
    findings = (
        Finding("normal", "Normal thyroid function", {}, 0.06, 0.5),
        Finding("hypothyroidism", "Hypothyroidism", concept(SNOMED, "40930008", "Hypothyroidism"), 0.93, 0.5),
        Finding("hyperthyroidism", "Hyperthyroidism", concept(SNOMED, "34486009", "Hyperthyroidism"), 0.01, 0.5),
    )
    drivers = (
        Contribution("tsh", "Thyrotropin (TSH)", "9.2 m[iU]/L", 2.2),
        Contribution("thyroxine", "Thyroxine (T4), total", "61.8 nmol/L", 1.4),
    )
    answer = Diagnosis(findings, contributions=drivers, explained="hypothyroidism")
    return answer, _diagnosis("thyroid", "State of the thyroid from five laboratory tests", "1a")


def electrocardiogram() -> tuple[Diagnosis, ModelIdentity]:
    """Shares of a recording, and intervals."""
    findings = (
        Finding("af", "Atrial fibrillation on electrocardiogram", concept(SNOMED, "164889003"), 0.0, 0.5, "share"),
        Finding("sinus", "Sinus rhythm on electrocardiogram", concept(SNOMED, "426783006"), 0.99, 0.5, "share"),
    )
    measured = [
        ("Heart rate", "8867-4", 64.2, "/min"),
        ("P-R Interval", "8625-6", 162.0, "ms"),
        ("QRS duration", "8633-0", 92.0, "ms"),
        ("Q-T interval corrected based on Bazett formula", "76635-2", 417.0, "ms"),
    ]
    found = tuple(
        Measurement(code, name, concept(LOINC, code, name), value, unit) for name, code, value, unit in measured
    )
    return Diagnosis(findings, found), _diagnosis("ecg", "Rhythm and intervals of a 12-lead electrocardiogram", "2b")


def film() -> tuple[Diagnosis, ModelIdentity]:
    """A finding on an image."""
    finding = Finding("pneumonia", "Pneumonia", concept(SNOMED, "233604007", "Pneumonia"), 0.95, 0.923)
    title = "Pneumonia on a young child's chest radiograph"
    return Diagnosis((finding,)), _diagnosis("cxr-pneumonia-paediatric", title, "3c")


def _diagnosis(name: str, title: str, digest: str) -> ModelIdentity:
    return replace(MODEL, name=name, title=title, kind="diagnosis", digest=digest * 32, outcome_text=title)


def _written(pair: tuple[Answer, ModelIdentity], day: int = 10, **more: Any) -> list[Json]:
    answer, model = pair
    given = context(index_time=datetime(2026, 1, day, 8, tzinfo=UTC), **more)
    return [
        entry["resource"]
        for entry in evidence_of(answer, given, model).bundle["entry"]
        if entry["resource"]["resourceType"] in ("Observation", "RiskAssessment", "DiagnosticReport")
    ]


def archive(folder: Path) -> DirectoryImageStore:
    """An archive with an electrocardiogram and a film, both as if they were of the open patient."""
    store = DirectoryImageStore(folder)
    store.store([_of_the_patient(sample("waveform_ecg.dcm")), _film_file()]).require_all()
    return store


def _of_the_patient(data: bytes, **more: Any) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    for name, value in {"PatientBirthDate": "19500615", "PatientSex": "F", **more}.items():
        setattr(dataset, name, value)
    return dicoms.file_of(dataset)


def _film_file(**more: Any) -> bytes:
    import numpy as np

    rows, columns = np.mgrid[0:64, 0:64]
    lungs = sum(np.exp(-(((rows - 30) / 20) ** 2) - ((columns - x) / 9) ** 2) for x in (18, 46))
    pixels = (3600 - 2600 * lungs).astype(np.uint16)
    attributes = {
        "StudyInstanceUID": FILM,
        "SeriesInstanceUID": f"{FILM}.1",
        "SOPInstanceUID": f"{FILM}.1.1",
        "PatientBirthDate": "19500615",
        "PatientSex": "F",
        "StudyDate": "20260112",
        "StudyTime": "081500",
        **more,
    }
    return dicoms.file_of(dicoms.image(pixels, **attributes))


def _study(store: DirectoryImageStore, uid: str, identifier: str) -> Json:
    metadata = [one for row in store.series(uid) for one in store.metadata(uid, row.series)]
    return imaging_study(metadata, "Patient/p1", resource_id=identifier, zone=UTC)


def chart(store: DirectoryImageStore, *, mapped: bool = True) -> list[Json]:
    """Everything in the patient's chart.

    Parameters
    ----------
    mapped : bool
        Whether the film's result was stored beside it.
    """
    strip = read_header(sample("waveform_ecg.dcm"))
    waveform = ImageSource(
        strip.path.study, strip.path.series, "1.2.840.10008.5.1.4.1.1.9.1.1", strip.path.instance, "ab" * 32
    )
    picture = ImageSource(FILM, f"{FILM}.1", "1.2.840.10008.5.1.4.1.1.1.1", f"{FILM}.1.1", "ab" * 32)
    seen = _written(film(), 12, study="ImagingStudy/s-film", images=(picture,), sources=_sources("ImagingStudy/s-film"))
    report = next(item for item in seen if item["resourceType"] == "DiagnosticReport")
    if mapped:
        uids = {
            "SeriesInstanceUID": uid_from(report["id"], "sc", "series"),
            "SOPInstanceUID": uid_from(report["id"], "sc"),
        }
        store.store([_film_file(**uids, Modality="OT")]).require_all()
    earlier = Abstention(AbstentionReason.MISSING_INPUT, "Not on record: heart rate.", ("heart_rate",))
    results = [
        *_written(infarction()),
        *_written((earlier, infarction()[1]), 8, fingerprints=("Patient/p1@1",)),
        *_written(progression(), 9),
        *_written(thyroid(), 11, sources=_sources("DiagnosticReport/labs", "Observation/tsh")),
        *_written(
            electrocardiogram(),
            13,
            study="ImagingStudy/s-ecg",
            images=(waveform,),
            sources=_sources("ImagingStudy/s-ecg"),
        ),
        *seen,
    ]
    sources = [
        observation("hr", "8867-4", 110, "/min"),
        observation("tsh", "11580-8", 9.2, "m[iU]/L"),
        _study(store, strip.path.study, "s-ecg"),
        _study(store, FILM, "s-film"),
    ]
    return [patient(**PERSON), encounter(), *sources, *results]


def _sources(*references: str) -> tuple[Source, ...]:
    named = ("Patient/p1", *references)
    return tuple(Source(f"{reference}/_history/1", f"{reference}@1") for reference in named)


def hospital(
    folder: Path,
    *,
    scopes: list[str] | None = None,
    tenant: Json | None = None,
    units: Json | None = None,
    mapped: bool = True,
    means: Means | None = None,
    **more: Any,
) -> Hospital:
    """A hospital with such a chart, whose page is not open yet."""
    store = archive(folder)
    described = {
        "dicomweb_root": ROOT,
        "imaging_results": "dicom",
        "allowed_hosts": ["login.test", "pacs.test"],
        **(tenant or {}),
    }
    made = Hospital(
        {"scopes": SCOPES if scopes is None else scopes, "units": units or {}},
        described,
        resources=chart(store, mapped=mapped),
        means=means or Means(images=Images(lambda *_: store), queue=MemoryQueue()),
        **more,
    )
    # The search of the fake EHR knows one tag; here there are five models.
    made.ehr._matches = _of_the_asked  # type: ignore[method-assign]
    return made


def _of_the_asked(resource: Json, query: dict[str, str]) -> bool:
    return bool(resource.get("subject", {}).get("reference") == f"Patient/{query.get('patient')}")
