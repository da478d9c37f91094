"""Answers in DICOM JSON (PS3.18, Annex F), checked against the question."""

from __future__ import annotations

from typing import Any

import orjson

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb.errors import ImageStoreLied, InvalidUid
from fhir_adapter.dicomweb.rows import InstanceRow, SeriesRow, StudyRow, number_of, text_of, texts_of
from fhir_adapter.dicomweb.uids import InstancePath, checked_uid

__all__ = ["checked_uids", "datasets_of", "instance_row", "series_row", "study_row"]

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
LEVELS = (STUDY, SERIES, INSTANCE)


def datasets_of(body: bytes, what: str) -> list[Json]:
    """Return the data sets of an answer; none for an empty one.

    Raises
    ------
    ImageStoreLied
        It is not DICOM JSON.
    """
    if not body.strip():
        return []
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ImageStoreLied(f"{what}: the server's answer is not JSON") from None
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not all(isinstance(dataset, dict) for dataset in found):
        raise ImageStoreLied(f"{what}: the server's answer is not DICOM JSON (PS3.18, Annex F)")
    return found


def checked_uids(dataset: Json, asked: tuple[str | None, ...], needed: int, what: str) -> list[str]:
    """Return the UIDs of a data set: those asked for, and the others as it has them.

    Parameters
    ----------
    asked : tuple of (str or None)
        Study, series and instance that the question named, as far as it did.
    needed : int
        How many levels the data set must tell: 1 a study, 2 a series, 3 an instance. What the question named may
        be absent, for servers may leave it out of their answer (PS3.18, 10.6.3.3).

    Raises
    ------
    ImageStoreLied
        It is of another study, series or instance, or does not tell which.
    """
    uids = []
    for level in range(needed):
        ours, theirs = asked[level], text_of(dataset, LEVELS[level])
        if ours is not None and theirs is not None and theirs != ours:
            raise ImageStoreLied(f"{what}: the server answered with another {_NAMES[level]}")
        try:
            uids.append(checked_uid(theirs if ours is None else ours, _NAMES[level]))
        except InvalidUid:
            raise ImageStoreLied(f"{what}: the server's answer has no valid {_NAMES[level]} UID") from None
    return uids


_NAMES = ("study", "series", "instance")


def study_row(dataset: Json, asked: tuple[str | None, ...], what: str) -> StudyRow:
    """Return a row of a search for studies (PS3.18, Table 10.6.3-3)."""
    (study,) = checked_uids(dataset, asked, 1, what)
    return StudyRow(
        study, texts_of(dataset, "00080061"), number_of(dataset, "00201206"), number_of(dataset, "00201208")
    )


def series_row(dataset: Json, asked: tuple[str | None, ...], what: str) -> SeriesRow:
    """Return a row of a search for series (PS3.18, Table 10.6.3-4)."""
    study, series = checked_uids(dataset, asked, 2, what)
    return SeriesRow(
        study,
        series,
        modality=text_of(dataset, "00080060"),
        number=number_of(dataset, "00200011"),
        body_part=text_of(dataset, "00180015"),
        laterality=text_of(dataset, "00200060"),
        instances=number_of(dataset, "00201209"),
    )


def instance_row(dataset: Json, asked: tuple[str | None, ...], what: str) -> InstanceRow:
    """Return a row of a search for instances (PS3.18, Table 10.6.3-5)."""
    path = InstancePath(*checked_uids(dataset, asked, 3, what))
    return InstanceRow(
        path, text_of(dataset, "00080016"), number_of(dataset, "00200013"), number_of(dataset, "00280008")
    )
