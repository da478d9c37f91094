"""What an image store is: a Protocol with a form on the web and a form in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from fhir_adapter.codes import Json
from fhir_adapter.dicomweb.outcome import StoreOutcome
from fhir_adapter.dicomweb.rows import Frame, InstanceRow, SeriesRow, StudyRow
from fhir_adapter.dicomweb.uids import InstancePath

__all__ = ["ImageStore"]


class ImageStore(Protocol):
    """Where studies are kept.

    Searches are by UID only: a search by name or date would tell the store's log whom we look for, and the EHR knows
    the UIDs. Every method raises :class:`~fhir_adapter.dicomweb.errors.InvalidUid` before anything is asked, and
    :class:`~fhir_adapter.dicomweb.errors.ImageStoreError` for what the store does wrong or cannot do.
    """

    def studies(self, study: str) -> list[StudyRow]:
        """Find a study (PS3.18, 10.6); one row, or none."""

    def series(self, study: str, series: str | None = None) -> list[SeriesRow]:
        """Find the series of a study, or one of them; none when the study is not there."""

    def instances(self, study: str, series: str | None = None, instance: str | None = None) -> list[InstanceRow]:
        """Find the instances of a study or of a series, or one of them; none when it is not there.

        They come by series, Instance Number and UID.
        """

    def metadata(self, study: str, series: str, instance: str | None = None) -> list[Json]:
        """Return the attributes of each instance of a series, or of one (PS3.18, 10.4; DICOM JSON, Annex F).

        Raises
        ------
        ImageNotFound
        """

    def instance(self, path: InstancePath) -> bytes:
        """Return a DICOM file in the transfer syntax it is stored in (PS3.18, 10.4; PS3.10).

        Raises
        ------
        ImageNotFound
        """

    def frames(self, path: InstancePath, numbers: Sequence[int]) -> list[Frame]:
        """Return frames, numbered from 1, as they are stored, in the order asked for (PS3.18, 10.4).

        Raises
        ------
        ImageNotFound, ImageStoreRejected
            There is no such frame; servers differ in which.
        """

    def bulk(self, path: InstancePath, uri: str) -> bytes:
        """Return a value that :meth:`metadata` only points to.

        Parameters
        ----------
        uri : str
            A ``BulkDataURI`` of this instance (PS3.18, F.2.6); one that leaves the store is refused.

        Raises
        ------
        ImageNotFound, ImageStoreRejected
        """

    def store(self, instances: Iterable[bytes]) -> StoreOutcome:
        """Store DICOM files (PS3.18, 10.5). The same file once more changes nothing and is no failure.

        Raises
        ------
        NotAnInstance
            One of them is no instance; those before it may have been stored.
        """

    def close(self) -> None:
        """Let go of connections and files."""
