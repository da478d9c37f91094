"""An image store behind DICOMweb (DICOM PS3.18)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx

from fhir_adapter.auth import BackendServices, StaticToken, TokenCache, TokenSource
from fhir_adapter.codes import Json
from fhir_adapter.dicomweb import parsing
from fhir_adapter.dicomweb.asking import Asking
from fhir_adapter.dicomweb.errors import ImageNotFound, ImageStoreLied, ImageStoreRejected, NotAnInstance
from fhir_adapter.dicomweb.header import read_header
from fhir_adapter.dicomweb.http import IMAGE_RETRY, DicomwebHttp
from fhir_adapter.dicomweb.limits import Limits
from fhir_adapter.dicomweb.multipart import Part, media_type_of
from fhir_adapter.dicomweb.outcome import StoreOutcome
from fhir_adapter.dicomweb.rows import Frame, InstanceRow, SeriesRow, StudyRow, instance_order, series_order
from fhir_adapter.dicomweb.storing import store_at
from fhir_adapter.dicomweb.uids import InstancePath, checked_uid
from fhir_adapter.egress import EgressRefused, transport_for, within
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import KeyStore
from fhir_adapter.retry import RetryPolicy
from fhir_adapter.tenants import BackendServicesAuth, Tenant, origin

__all__ = ["WebImageStore"]

# As it is stored: a server that transcodes would change what is read, and take its time for it (PS3.18, 8.7.3.5.2).
INSTANCE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
# Elements beyond those that a server always returns; they are no filter.
SERIES_FIELDS = (("includefield", "00180015"), ("includefield", "00200060"))
INSTANCE_FIELDS = (("includefield", "00280008"),)


class WebImageStore:
    """A DICOMweb server; an :class:`~fhir_adapter.dicomweb.ImageStore` that threads may share.

    Parameters
    ----------
    root : str
        DICOMweb root URL, the ``{service}`` of PS3.18.
    token : str or TokenSource or None
        Bearer token, or where to get one; sent to URLs under `root` only.
    retry : RetryPolicy
        Bounds of the retries, and of the time that one answer may take.
    limits : Limits
        Bounds of the size of one answer.
    transport : httpx.BaseTransport, optional
        What sends: a guarded way out, or an in-memory server in tests.
    sleep, uniform : callable
        Clock and randomness, for tests.
    """

    def __init__(
        self,
        root: str,
        token: str | TokenSource | None = None,
        *,
        retry: RetryPolicy = IMAGE_RETRY,
        limits: Limits | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.root = root.rstrip("/")
        self.limits = limits or Limits()
        tokens: TokenSource | None = StaticToken(token) if isinstance(token, str) else token
        self._http = DicomwebHttp(self.root, tokens, retry, transport, sleep, uniform)
        self._asking = Asking(self._http, self.root, self.limits)

    @classmethod
    def for_tenant(
        cls,
        tenant: Tenant,
        keys: KeyStore | None = None,
        *,
        root: str | None = None,
        retry: RetryPolicy = IMAGE_RETRY,
        limits: Limits | None = None,
        transport: httpx.BaseTransport | None = None,
        cache: TokenCache | None = None,
    ) -> Self:
        """Open the image store of a tenant: signed in as at its EHR, and let out to its own hosts only.

        Parameters
        ----------
        keys : KeyStore, optional
            Where the private key is, for tenants with ``backend-services``.
        root : str, optional
            Another DICOMweb root than the tenant's own, such as an Endpoint's
            (:func:`fhir_adapter.imaging_study.dicomweb_root`). It is asked without a token unless it is the
            tenant's own root or on the host of its EHR: a resource does not decide who gets our token.
        transport : httpx.BaseTransport, optional
            What sends behind the guard, for tests.

        Raises
        ------
        ConfigurationError
            The tenant has no image store, or its auth needs a key and there is no key store.
        EgressRefused
            The root is not on one of the tenant's hosts.
        """
        root = (root or tenant.dicomweb_root or "").rstrip("/")
        if not root:
            raise ConfigurationError(f"tenant {tenant.name!r}: no dicomweb_root, and no endpoint that names one")
        if _origin_of(root) not in tenant.origins:
            raise EgressRefused(f"tenant {tenant.name!r}: the DICOMweb root is not on one of the tenant's hosts")
        guarded = transport_for(tenant, transport)
        tokens: TokenSource | str | None = None
        if root == (tenant.dicomweb_root or "").rstrip("/") or _origin_of(root) == _origin_of(tenant.fhir_base):
            tokens = tenant.token
            if isinstance(tenant.auth, BackendServicesAuth):
                if keys is None:
                    raise ConfigurationError(f"tenant {tenant.name!r}: its auth needs a key, and no key store is here")
                tokens = BackendServices(tenant, keys, guarded, cache=cache)
        return cls(root, tokens, retry=retry, limits=limits, transport=guarded)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def studies(self, study: str) -> list[StudyRow]:
        """Find a study; one row, or none."""
        asked, what = (checked_uid(study), None, None), f"study {study}"

        def row_of(dataset: Json) -> StudyRow:
            return parsing.study_row(dataset, asked, what)

        return self._asking.search("studies", [("StudyInstanceUID", study)], what, row_of, lambda row: row.study)

    def series(self, study: str, series: str | None = None) -> list[SeriesRow]:
        """Find the series of a study, or one of them."""
        asked, what, query = (checked_uid(study), series, None), f"study {study}", list(SERIES_FIELDS)
        if series is not None:
            query.append(("SeriesInstanceUID", checked_uid(series)))

        def row_of(dataset: Json) -> SeriesRow:
            return parsing.series_row(dataset, asked, what)

        rows = self._asking.search(f"studies/{study}/series", query, what, row_of, lambda row: row.series)
        return sorted(rows, key=series_order)

    def instances(self, study: str, series: str | None = None, instance: str | None = None) -> list[InstanceRow]:
        """Find the instances of a study or of a series, or one of them."""
        asked, what, query = (checked_uid(study), series, instance), f"study {study}", list(INSTANCE_FIELDS)
        if instance is not None:
            query.append(("SOPInstanceUID", checked_uid(instance)))
        below = "" if series is None else f"/series/{checked_uid(series)}"

        def row_of(dataset: Json) -> InstanceRow:
            return parsing.instance_row(dataset, asked, what)

        url = f"studies/{study}{below}/instances"
        return sorted(self._asking.search(url, query, what, row_of, lambda row: row.path), key=instance_order)

    def metadata(self, study: str, series: str, instance: str | None = None) -> list[Json]:
        """Return the attributes of each instance of a series, or of one, as DICOM JSON."""
        below = "" if instance is None else f"/instances/{checked_uid(instance)}"
        url = f"studies/{checked_uid(study)}/series/{checked_uid(series)}{below}/metadata"
        asked, what = (study, series, instance), f"series {series}" if instance is None else f"instance {instance}"
        found = self._asking.datasets(url, what)
        for dataset in found:
            parsing.checked_uids(dataset, asked, 3, what)
        if not found:
            raise ImageNotFound(f"{what}: the image store has no metadata of it")
        if instance is not None and len(found) > 1:
            raise ImageStoreLied(f"{what}: the server answered with {len(found)} instances")
        return found

    def instance(self, path: InstancePath) -> bytes:
        """Return a DICOM file in the transfer syntax it is stored in."""
        what = f"instance {path.instance}"
        (part,) = self._asking.parts(f"{self.root}/{path.resource}", INSTANCE, 1, what)
        try:
            header = read_header(part.body)
        except NotAnInstance as error:
            raise ImageStoreLied(f"{what}: the server's answer is {error}") from None
        if header.path != path:
            raise ImageStoreLied(f"{what}: the server answered with another instance")
        return part.body

    def frames(self, path: InstancePath, numbers: Sequence[int]) -> list[Frame]:
        """Return frames, numbered from 1, as they are stored."""
        what = f"frames of instance {path.instance}"
        if not numbers or min(numbers) < 1:
            raise ImageStoreRejected(f"{what}: frames are numbered from 1; nothing was asked")
        url = f"{self.root}/{path.resource}/frames/{','.join(str(int(number)) for number in numbers)}"
        parts = self._asking.parts(url, OCTETS, len(numbers), what)
        for part, number in zip(parts, numbers, strict=True):
            _check_location(part, path, f"/frames/{number}", what)
        return [Frame(number, part.body, _syntax_of(part)) for part, number in zip(parts, numbers, strict=True)]

    def bulk(self, path: InstancePath, uri: str) -> bytes:
        """Return a value that :meth:`metadata` only points to."""
        what = f"bulk data of instance {path.instance}"
        url = urljoin(f"{self.root}/{path.resource}/", uri)
        if not within(self.root, url):
            raise ImageStoreRejected(f"{what}: its URI leaves the image store; not followed")
        (part,) = self._asking.parts(url, OCTETS, 1, what)
        return part.body

    def store(self, instances: Iterable[bytes]) -> StoreOutcome:
        """Store DICOM files, in requests of a bounded size."""
        return store_at(self._http, self.root, self.limits, self, instances)


def _check_location(part: Part, path: InstancePath, end: str, what: str) -> None:
    location = part.headers.get("content-location", "").rstrip("/")
    if "/instances/" in location and not location.endswith(f"/instances/{path.instance}{end}"):
        raise ImageStoreLied(f"{what}: the server answered with another instance or frame")


def _syntax_of(part: Part) -> str | None:
    parameters = media_type_of(part.headers.get("content-type", ""))[1]
    return parameters.get("transfer-syntax") or part.headers.get("transfer-syntax")


def _origin_of(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return ""
    return origin(parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port)
