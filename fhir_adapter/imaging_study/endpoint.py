"""Where the images of a study are: Endpoints, and the tenant's own word (FHIR R4 endpoint.html, imagingstudy.html)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import httpx

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.imaging_study.errors import NoImageStore
from fhir_adapter.tenants import Tenant, origin
from fhir_adapter.tenants.urls import checked_url

__all__ = ["dicomweb_root", "endpoint_references", "endpoints_within"]

WADO_RS = "dicom-wado-rs"
# IHE Radiology's Endpoints name the study, or a series, behind the root.
_BELOW_ROOT = re.compile(r"/studies(/[0-9.]+(/series(/[0-9.]+)?)?)?/?\Z")


def endpoint_references(study: Json) -> list[str]:
    """Return the references to the Endpoints of a study and of its series, in that order, each once."""
    found: dict[str, None] = {}
    for place in (study, *_dicts(study.get("series"))):
        for endpoint in _dicts(place.get("endpoint")):
            if isinstance(endpoint.get("reference"), str):
                found[endpoint["reference"]] = None
    return list(found)


def endpoints_within(study: Json) -> list[Json]:
    """Return the Endpoints that a study contains (FHIR R4 references.html#contained)."""
    return [resource for resource in _dicts(study.get("contained")) if resource.get("resourceType") == "Endpoint"]


def dicomweb_root(tenant: Tenant, endpoints: Iterable[Json] = ()) -> str:
    """Return the DICOMweb root of a study's images.

    What the tenant's description says comes first: it is checked by people. Of the Endpoints the first active one
    for WADO-RS counts that lies on one of the tenant's hosts.

    Parameters
    ----------
    endpoints : iterable of dict
        Endpoint resources.

    Raises
    ------
    NoImageStore
        There is none, or none on the tenant's hosts.
    """
    if tenant.dicomweb_root:
        return tenant.dicomweb_root
    elsewhere = 0
    for address in filter(None, map(_address, endpoints)):
        if _is_ours(tenant, address):
            return _BELOW_ROOT.sub("", address).rstrip("/")
        elsewhere += 1
    where = f"tenant {tenant.name!r}"
    if elsewhere:
        raise NoImageStore(f"{where}: {elsewhere} endpoints, none on a host of the tenant's (allowed_hosts)")
    raise NoImageStore(f"{where}: no dicomweb_root, and the study has no active endpoint of type {WADO_RS}")


def _address(endpoint: Json) -> str | None:
    kind = endpoint.get("connectionType")
    address = endpoint.get("address")
    usable = isinstance(kind, dict) and kind.get("code") == WADO_RS and endpoint.get("status") in ("active", "test")
    return address if usable and isinstance(address, str) else None


def _is_ours(tenant: Tenant, address: str) -> bool:
    try:
        checked_url("endpoint", "address", address, tenant.allow_private)
        url = httpx.URL(address)
    except (ConfigurationError, httpx.InvalidURL):
        return False
    return origin(url.scheme, url.raw_host.decode("ascii"), url.port) in tenant.origins


def _dicts(values: Any) -> Iterator[Json]:
    yield from (value for value in (values if isinstance(values, list) else ()) if isinstance(value, dict))
