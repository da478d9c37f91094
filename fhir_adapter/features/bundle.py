"""Records from a Bundle: searchset, collection, transaction, history or ``$everything``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.features.inputs import AppliesIf, Input
from fhir_adapter.features.record import Record, Selection
from fhir_adapter.features.rows import collect, is_admission, records_of
from fhir_adapter.features.store import MemoryStore
from fhir_adapter.references import relative_reference

__all__ = ["records_from_bundle"]


def records_from_bundle(
    bundle: Json | Sequence[Json],
    inputs: Sequence[Input],
    applies_if: AppliesIf,
    *,
    admitted: Callable[[Json], bool] = is_admission,
    time_zone: tzinfo = UTC,
) -> Iterator[Record]:
    """Yield a record for each admission in a Bundle.

    References are resolved within the Bundle as FHIR R4 bundle.html#references says: ``urn:uuid:`` and absolute
    ones by ``fullUrl``, relative ones against the server that the ``fullUrl`` names.

    Parameters
    ----------
    bundle : dict or sequence of dict
        A Bundle, or the pages of one result.
    admitted : callable
        Which Encounters count as admissions.
    time_zone : tzinfo
        Of dates without a time.
    """
    pages = [bundle] if isinstance(bundle, dict) else bundle
    entries = [entry for page in pages for entry in page.get("entry") or [] if isinstance(entry, dict)]
    selection = Selection.of(inputs, applies_if)
    known = _Identities(entries)
    store = MemoryStore()
    for entry in entries:
        resource = entry.get("resource")
        if not isinstance(resource, dict):
            continue
        identity = _identity(entry)
        if resource.get("resourceType") == "Patient":
            patient = identity
        else:
            subject = resource.get("subject") or resource.get("patient")
            patient = known.resolve(entry, subject.get("reference") if isinstance(subject, dict) else None)
        if identity is not None:
            collect(store, selection, admitted, _named(resource, identity), identity, patient)
    yield from records_of(store, selection, time_zone)


def _named(resource: Json, identity: str) -> Json:
    """A resource to be created has no id yet; its ``urn:uuid:`` is the only name it has."""
    return resource if resource.get("id") else {**resource, "id": identity.rsplit(":", 1)[-1].rsplit("/", 1)[-1]}


def _identity(entry: Json) -> str | None:
    """Return what names an entry within its Bundle: ``fullUrl`` without a version, else ``Type/id``."""
    full_url = entry.get("fullUrl")
    if isinstance(full_url, str) and full_url:
        return full_url.split("/_history/")[0]
    resource = entry.get("resource") or {}
    return f"{resource.get('resourceType')}/{resource['id']}" if resource.get("id") else None


class _Identities:
    """Resolves references to entries of one Bundle."""

    def __init__(self, entries: Iterable[Json]) -> None:
        self._by_identity: set[str] = set()
        self._by_reference: dict[str, set[str]] = {}
        for entry in entries:
            identity, resource = _identity(entry), entry.get("resource")
            if identity is not None and isinstance(resource, dict):
                self._by_identity.add(identity)
                plain = f"{resource.get('resourceType')}/{resource.get('id')}"
                self._by_reference.setdefault(plain, set()).add(identity)

    def resolve(self, entry: Json, reference: Any) -> str | None:
        """Return the identity a reference leads to; a patient that is not in the Bundle keeps the reference."""
        if not isinstance(reference, str) or not reference or reference.startswith("#"):
            return None
        target = reference.split("/_history/")[0]
        if target in self._by_identity or ":" in target:
            return target
        base = _base(entry)
        if base is not None and f"{base}/{target}" in self._by_identity:
            return f"{base}/{target}"
        # tolerated: a relative reference beside urn:uuid: names, as long as only one resource can be meant
        candidates = self._by_reference.get(target, set())
        return next(iter(candidates)) if len(candidates) == 1 else target


def _base(entry: Json) -> str | None:
    """Return the FHIR base of an entry's ``fullUrl``, None when it is not a RESTful one."""
    full_url, resource = entry.get("fullUrl"), entry.get("resource") or {}
    tail = f"/{resource.get('resourceType')}/{resource.get('id')}"
    if isinstance(full_url, str) and full_url.split("/_history/")[0].endswith(tail):
        base = full_url.split("/_history/")[0].removesuffix(tail)
        return base if relative_reference(base, full_url) else None
    return None
