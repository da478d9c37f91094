"""The resources that a notification Bundle sends along with the status (payload 'full-resource')."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.notifications.hints import patient_of, version_id, version_of
from fhir_adapter.notifications.model import Relative
from fhir_adapter.notifications.origin import Origin
from fhir_adapter.notifications.r5 import normalise_r5

__all__ = ["Along", "reference_of"]

_ETAG = re.compile(r"(?:W/)?\"([A-Za-z0-9\-.]{1,64})\"\Z")
_NOTHING: Json = {}


class Along:
    """Resolves references, and looks a focus up among the entries of the Bundle.

    Parameters
    ----------
    relative : callable
        Turns a reference into ``Type/id`` of this tenant, or None when it points elsewhere.
    entries : sequence
        Entries after the status. One may lack its resource, and tell by request and response what happened
        (FHIR R4 bundle.html#history).
    r5 : bool
        Whether the resources are R5's.
    """

    def __init__(self, relative: Relative, entries: Sequence[Any] = (), r5: bool = False) -> None:
        self._relative = relative
        self._r5 = r5
        self._entries: dict[str | None, Json] = {}
        self._twice: set[str | None] = set()
        for entry in entries:
            if not isinstance(entry, dict):
                continue
            key = self._key(entry)
            if key in self._entries:
                self._twice.add(key)
            self._entries[key] = entry

    def _key(self, entry: Json) -> str | None:
        resource = entry.get("resource")
        if isinstance(resource, dict):
            return f"{resource.get('resourceType')}/{resource.get('id')}"
        return self.target(_text(entry.get("fullUrl"))) or self.target(_text(_part(entry, "request").get("url")))

    @property
    def empty(self) -> bool:
        """Whether nothing was sent along."""
        return not self._entries

    def target(self, reference: str | None) -> str | None:
        """Return ``Type/id`` when a reference points into this EHR."""
        return None if reference is None else self._relative(reference)

    def targets(self, references: Sequence[str | None]) -> list[str | None]:
        """Do the same for many."""
        if isinstance(self._relative, Origin):
            return self._relative.all(references)
        return list(map(self.target, references))

    def hints(self, reference: str, focus: str) -> tuple[str | None, str | None, bool]:
        """Return version and patient of a focus, as far as the notification tells them, and whether it was deleted.

        Of a focus that was sent more than once no version is returned: which of them is meant cannot be told.

        Parameters
        ----------
        reference : str
            As it was sent; it may name a version.
        focus : str
            The same as ``Type/id``.

        Raises
        ------
        MalformedNotification
            The resource does not have the shape of the version that was announced.
        """
        version = _named_version(reference) if "/_history/" in reference else None
        patient = focus if focus.startswith("Patient/") else None
        entry = self._entries.get(focus)
        if entry is None:
            return version, patient, False
        resource = entry.get("resource")
        if isinstance(resource, dict):
            read = normalise_r5(resource) if self._r5 else resource
            patient = patient or patient_of(read, self._relative)
            version = version or version_of(read)
        version = version or _etag(_part(entry, "response").get("etag"))
        deleted = _part(entry, "request").get("method") == "DELETE"
        return None if focus in self._twice else version, patient, deleted


def reference_of(value: Any) -> str | None:
    """Return Reference.reference, or a canonical or URL by itself."""
    return _text(value.get("reference") if isinstance(value, dict) else value)


def _named_version(reference: str) -> str | None:
    return version_id(reference.rpartition("/_history/")[2])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _part(entry: Json, name: str) -> Json:
    part = entry.get(name)
    return part if isinstance(part, dict) else _NOTHING


def _etag(value: Any) -> str | None:
    found = _ETAG.match(value) if isinstance(value, str) else None
    return found.group(1) if found else None
