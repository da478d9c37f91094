"""References between resources (FHIR R4 references.html) and the versions they were read at."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import orjson

from fhir_adapter.codes import Json

_LITERAL = re.compile(r"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?\Z")


def relative_reference(base: str, reference: str) -> str | None:
    """Return ``Type/id`` of a literal reference into the server at `base`.

    Returns
    -------
    str or None
        None when the reference points elsewhere, or is not a literal reference to one resource.
    """
    match = _LITERAL.match(reference.removeprefix(base.rstrip("/") + "/"))
    return match.group(1) if match else None


@dataclass(frozen=True)
class Source:
    """A resource a value was taken from, at the version it was read.

    Parameters
    ----------
    reference : str
        ``Type/id/_history/version``, or ``Type/id`` where the server keeps no versions.
    fingerprint : str
        Changes whenever the resource does: the version, else lastUpdated, else a digest of the content.
    """

    reference: str
    fingerprint: str

    @property
    def current(self) -> str:
        """``Type/id`` without the version."""
        return self.reference.split("/_history/")[0]


def source_of(resource: Json) -> Source:
    """Return where a resource came from (FHIR R4 resource.html#Meta)."""
    plain = f"{resource.get('resourceType')}/{resource.get('id')}"
    meta = resource.get("meta") or {}
    if meta.get("versionId"):
        return Source(f"{plain}/_history/{meta['versionId']}", f"{plain}@{meta['versionId']}")
    if meta.get("lastUpdated"):
        return Source(plain, f"{plain}@{meta['lastUpdated']}")
    digest = hashlib.sha256(orjson.dumps(resource, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Source(plain, f"{plain}@{digest}")
