"""From an ImagingStudy to the series and instances that a model wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import ImageStore, InstancePath, InstanceRow, InvalidUid, SeriesRow
from fhir_adapter.dicomweb.rows import instance_order
from fhir_adapter.imaging_study.codes import DICOM_UID, body_site_key, uid_of_urn
from fhir_adapter.imaging_study.errors import ImagingStudyError

__all__ = ["ImageSelection", "SelectedSeries", "select", "study_uid"]


@dataclass(frozen=True)
class ImageSelection:
    """Which images are wanted; what is empty or None does not choose.

    Parameters
    ----------
    modalities : frozenset of str
        Such as ``DX`` (PS3.16, CID 29).
    sop_classes : frozenset of str
        SOP Class UIDs.
    body_sites : frozenset of str
        SNOMED CT codes or terms of Body Part Examined. A series that does not tell its body site is kept: whether it
        may be read is for its pixels' gate to say, which sees the whole header.
    min_instances, max_instances : int or None
        Of a series, after the choice by SOP class.
    """

    modalities: frozenset[str] = frozenset()
    sop_classes: frozenset[str] = frozenset()
    body_sites: frozenset[str] = frozenset()
    min_instances: int = 1
    max_instances: int | None = None

    def wants(self, modality: str | None, site: str | None) -> bool:
        """Return whether a series of this modality and body site may be wanted; None is not told."""
        keys = {body_site_key(wanted) for wanted in self.body_sites}
        return (not self.modalities or modality in self.modalities) and (not keys or site is None or site in keys)

    def wants_class(self, sop_class: str | None) -> bool:
        """Return whether an instance of this SOP class is wanted."""
        return not self.sop_classes or sop_class in self.sop_classes

    def wants_count(self, instances: int) -> bool:
        """Return whether so many instances are wanted."""
        return self.min_instances <= instances and (self.max_instances is None or instances <= self.max_instances)


@dataclass(frozen=True)
class SelectedSeries:
    """A series, and those of its instances that are wanted.

    Parameters
    ----------
    series : SeriesRow
        As the store tells it.
    instances : tuple of InstanceRow
        By Instance Number and UID.
    """

    series: SeriesRow
    instances: tuple[InstanceRow, ...]

    @property
    def paths(self) -> list[InstancePath]:
        """Where the instances are."""
        return [row.path for row in self.instances]


def study_uid(study: Json) -> str:
    """Return the Study Instance UID of an ImagingStudy (FHIR R4 imagingstudy.html, ``identifier``).

    Raises
    ------
    ImagingStudyError
        It has none, or several.
    """
    found: set[str] = set()
    for identifier in _dicts(study.get("identifier")):
        if identifier.get("system") == DICOM_UID:
            try:
                found.add(uid_of_urn(identifier.get("value"), "Study Instance UID"))
            except InvalidUid as error:
                raise ImagingStudyError(f"ImagingStudy.identifier: {error}") from None
    if len(found) != 1:
        raise ImagingStudyError(f"ImagingStudy.identifier: {len(found)} of system {DICOM_UID}, where one is needed")
    return found.pop()


def select(study: Json, selection: ImageSelection, store: ImageStore) -> list[SelectedSeries]:
    """Return the series and instances of a study that are wanted, as the store holds them.

    The resource narrows the search where it describes its series; what it says of them counts where the store says
    nothing. Instances are the store's: a resource may be older than its study, or leave them out.

    Parameters
    ----------
    study : dict
        An ImagingStudy.

    Returns
    -------
    list of SelectedSeries
        By Series Number and UID; none when nothing fits.

    Raises
    ------
    ImagingStudyError, ImageStoreError
    """
    uid = study_uid(study)
    described = dict(_described(study))
    selected = []
    for row in store.series(uid):
        modality, site = described.get(row.series, (None, None))
        site = body_site_key(row.body_part) if row.body_part else site
        if not selection.wants(row.modality or modality, site):
            continue
        rows = [one for one in store.instances(uid, row.series) if selection.wants_class(one.sop_class)]
        if selection.wants_count(len(rows)):
            selected.append(SelectedSeries(row, tuple(sorted(rows, key=instance_order))))
    return selected


def _described(study: Json) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    """Yield the UID of each series in a resource, with its modality and body site."""
    for series in _dicts(study.get("series")):
        try:
            uid = uid_of_urn(series.get("uid"), "Series Instance UID")
        except InvalidUid as error:
            raise ImagingStudyError(f"ImagingStudy.series.uid: {error}") from None
        modality, site = series.get("modality"), series.get("bodySite")
        code = modality.get("code") if isinstance(modality, dict) else None
        yield uid, (code, body_site_key(site) if isinstance(site, dict) else None)


def _dicts(values: Any) -> Iterable[Json]:
    return (value for value in (values if isinstance(values, list) else ()) if isinstance(value, dict))
