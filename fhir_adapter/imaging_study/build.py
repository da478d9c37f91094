"""A DICOM study as an ImagingStudy (FHIR R4 imagingstudy.html and its mappings to DICOM; HL7 dicom-fhir)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import InvalidUid, checked_uid
from fhir_adapter.dicomweb.rows import number_of, text_of
from fhir_adapter.imaging_study.codes import DICOM_UID, URI, body_site, laterality, modality, oid_urn
from fhir_adapter.imaging_study.errors import ImagingStudyError
from fhir_adapter.imaging_study.times import date_time

__all__ = ["imaging_study"]

IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
LARGEST_UNSIGNED = 2**31 - 1


def imaging_study(
    metadata: Iterable[Json],
    patient: str,
    *,
    endpoints: Sequence[str] = (),
    resource_id: str | None = None,
    status: str = "available",
    accession_system: str | None = None,
    zone: tzinfo | None = None,
) -> Json:
    """Describe a study by the attributes of its instances.

    Names, birth dates and identifiers of the patient in the images are left out: whose study it is, the caller knows.

    Parameters
    ----------
    metadata : iterable of dict
        DICOM JSON of each instance (PS3.18, Annex F), in any order; read once, and not kept.
    patient : str
        Reference to the Patient.
    endpoints : sequence of str
        References to Endpoints where the images are.
    resource_id : str, optional
        Logical id.
    status : str
        ``available``, or another of imagingstudy-status.
    accession_system : str, optional
        System of the hospital's accession numbers; without it they are left out, as they would identify nothing.
    zone : tzinfo, optional
        Where images were made that do not tell their offset (0008,0201); without it a date goes without its time.

    Raises
    ------
    ImagingStudyError
        No instance, instances of several studies, one that is in two series, or one without its UIDs.
    """
    study: _Study | None = None
    for dataset in metadata:
        uid = _uid(dataset, "0020000D", "Study Instance UID")
        if study is None:
            study = _Study(uid, dataset, zone)
        if uid != study.uid:
            raise ImagingStudyError("the instances are of several studies")
        study.add(dataset)
    if study is None:
        raise ImagingStudyError("no instance to describe")
    return _present(
        {
            "resourceType": "ImagingStudy",
            "id": resource_id,
            "identifier": study.identifiers(accession_system),
            "status": status,
            "modality": [modality(code) for code in study.modalities()],
            "subject": {"reference": patient},
            "started": study.started,
            "endpoint": [{"reference": reference} for reference in endpoints],
            "numberOfSeries": len(study.series),
            "numberOfInstances": sum(len(series.instances) for series in study.series.values()),
            "description": text_of(study.first, "00081030"),
            "series": [series.as_json() for series in sorted(study.series.values(), key=_Series.order)],
        }
    )


@dataclass
class _Series:
    uid: str
    first: Json
    zone: tzinfo | None
    instances: dict[str, Json] = field(default_factory=dict)

    def order(self) -> tuple[int, str]:
        return (number_of(self.first, "00200011") or 0, self.uid)

    def as_json(self) -> Json:
        instances = sorted(self.instances.values(), key=lambda one: (one.get("number", 0), one["uid"]))
        code = text_of(self.first, "00080060")
        return _present(
            {
                "uid": self.uid,
                "number": _unsigned(self.first, "00200011"),
                # Modality is 1..1 in both worlds; OT is DICOM's word for any other.
                "modality": modality(code or "OT"),
                "description": text_of(self.first, "0008103E"),
                "numberOfInstances": len(instances),
                "bodySite": body_site(self.first),
                "laterality": laterality(self.first),
                "started": date_time(self.first, "00080021", "00080031", self.zone),
                "instance": instances,
            }
        )


class _Study:
    def __init__(self, uid: str, first: Json, zone: tzinfo | None) -> None:
        self.uid = uid
        # Attributes of study level are alike in all instances; those of series level in those of a series.
        self.first: Json = {tag: first[tag] for tag in ("00080050", "00081030") if tag in first}
        self.started = date_time(first, "00080020", "00080030", zone)
        self.series: dict[str, _Series] = {}
        self._zone = zone
        self._series_of: dict[str, str] = {}

    def add(self, dataset: Json) -> None:
        series = _uid(dataset, "0020000E", "Series Instance UID")
        instance = _uid(dataset, "00080018", "SOP Instance UID")
        if self._series_of.setdefault(instance, series) != series:
            raise ImagingStudyError(f"instance {instance} is in two series")
        kept = self.series.setdefault(series, _Series(series, _of_series(dataset), self._zone))
        kept.instances[instance] = _present(
            {
                "uid": instance,
                "sopClass": {"system": URI, "code": oid_urn(_uid(dataset, "00080016", "SOP Class UID"))},
                "number": _unsigned(dataset, "00200013"),
            }
        )

    def modalities(self) -> list[str]:
        """The codes, the most frequent first."""
        found = Counter(text_of(series.first, "00080060") or "OT" for series in self.series.values())
        return [code for code, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))]

    def identifiers(self, accession_system: str | None) -> list[Json]:
        found: list[Json] = [{"use": "official", "system": DICOM_UID, "value": oid_urn(self.uid)}]
        accession = text_of(self.first, "00080050")
        if accession and accession_system:
            kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": "ACSN"}]}
            found.append({"use": "usual", "type": kind, "system": accession_system, "value": accession})
        return found


_SERIES_TAGS = ("00080060", "00200011", "0008103E", "00180015", "00082218", "00200060", "00200062", "00080021")


def _of_series(dataset: Json) -> Json:
    return {tag: dataset[tag] for tag in (*_SERIES_TAGS, "00080031", "00080201") if tag in dataset}


def _uid(dataset: Json, tag: str, what: str) -> str:
    try:
        return checked_uid(text_of(dataset, tag), what)
    except InvalidUid as error:
        raise ImagingStudyError(str(error)) from None


def _unsigned(dataset: Json, tag: str) -> int | None:
    """FHIR's numbers are not negative, DICOM's may be."""
    number = number_of(dataset, tag)
    return number if number is not None and 0 <= number <= LARGEST_UNSIGNED else None


def _present(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if value not in (None, [], "")}
