"""What becomes of a result when a newer one takes its place, or when what it was about is gone.

Nothing is ever deleted. An older result is written again as it was read, with status ``entered-in-error`` and
``If-Match`` on the version that was read (FHIR R4 http.html#concurrency), in the transaction of the newer result,
whose Provenance names it as an entity with role ``revision`` (FHIR R4 provenance.html). A result that a person has
confirmed is left alone: people take back what people signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import uuid5

from fhir_adapter.codes import (
    ABOUT_TAG,
    AI_ASSERTED,
    AI_DEVICE_TYPE,
    BEDSIDE,
    MODEL_IDENTIFIER,
    MODEL_TAG,
    PROVENANCE_PARTICIPANT,
    RESULT_IDENTIFIER,
    V3_DATA_OPERATION,
    Json,
    coding,
    concept,
)
from fhir_adapter.evidence.check import check
from fhir_adapter.references import Source

__all__ = [
    "REPORTED_TYPES",
    "RESULT_TYPES",
    "UNCONFIRMED",
    "WATCHED",
    "Earlier",
    "about_of",
    "encounter_of",
    "is_ours",
    "key_of",
    "results_queries",
    "says_about",
    "superseding",
    "watch_queries",
    "withdrawal",
]

RESULT_TYPES = ("Observation", "RiskAssessment")
# Of models whose answers are reported as a whole, too.
REPORTED_TYPES = (*RESULT_TYPES, "DiagnosticReport")
WRITTEN_TYPES = frozenset(
    {*RESULT_TYPES, "AuditEvent", "Device", "DiagnosticReport", "DocumentReference", "Provenance", "Task"}
)
WITHDRAWN = "entered-in-error"
# What no person has confirmed yet (http://hl7.org/fhir/ValueSet/observation-status).
UNCONFIRMED = frozenset({"registered", "preliminary"})
# Enough to see who else is live; the whole resource is read again before anything is decided.
WATCHED = "id,meta,identifier,status,encounter,subject"


def is_ours(resource: Json) -> bool:
    """Return whether Bedside wrote a resource: it carries our tag, or an identifier of ours."""
    tags = (resource.get("meta") or {}).get("tag") or []
    if any(tag.get("system") == MODEL_TAG for tag in tags):
        return True
    given = resource.get("identifier") or []
    identifiers = given if isinstance(given, list) else [given]
    return any(item.get("system") in (RESULT_IDENTIFIER, MODEL_IDENTIFIER) for item in identifiers)


def key_of(resource: Json) -> str:
    """Return the key a result was written under: our identifier, whatever id the server gave it."""
    for identifier in resource.get("identifier") or []:
        if identifier.get("system") == RESULT_IDENTIFIER:
            return str(identifier.get("value"))
    return str(resource.get("id"))


def results_queries(
    model: str,
    patient: str | None,
    encounter: str | None = None,
    *,
    about: str | None = None,
    types: Sequence[str] = RESULT_TYPES,
) -> tuple[str, ...]:
    """Return the searches for a model's earlier results, one for each type.

    Parameters
    ----------
    model : str
        Name of the model.
    patient, encounter : str or None
        ``Patient/id``, ``Encounter/id``: whose, or about what.
    about : str or None
        About what, where that is not an encounter.
    types : sequence of str
        Of resources.
    """
    return tuple(_search(kind, model, patient, encounter, about) for kind in types)


def watch_queries(model: str, patient: str, types: Sequence[str] = RESULT_TYPES) -> tuple[str, ...]:
    """Return the same searches for the end of a transaction: who else wrote meanwhile, in few bytes."""
    return tuple(_search(kind, model, patient, None, None, _elements=WATCHED) for kind in types)


def _search(kind: str, model: str, patient: str | None, encounter: str | None, about: str | None, **more: str) -> str:
    parameters = [("_tag", f"{MODEL_TAG}|{model}")]
    if patient:
        parameters.append(("patient", patient.removeprefix("Patient/")))
    if encounter:
        parameters.append(("encounter", encounter))
    if about:
        parameters.append(("_tag", f"{ABOUT_TAG}|{about}"))
    return f"{kind}?" + urlencode([*parameters, ("_count", "200"), *more.items()])


@dataclass(frozen=True)
class Earlier:
    """A model's results that the EHR holds for one patient.

    Parameters
    ----------
    results : tuple of dict
        Observations and RiskAssessments, as read.
    """

    results: tuple[Json, ...] = ()

    def has(self, keys: Iterable[str]) -> bool:
        """Return whether results with all of these keys are there, live or not."""
        return set(keys) <= {key_of(result) for result in self.results}

    def replaced_by(self, keys: Sequence[str], about: str | None) -> tuple[Json, ...]:
        """Return the live, unconfirmed results about an encounter (or a study) that are not the ones with these keys.

        Two resources with one key (a server that let two conditional creates win) count as one result: the one
        with the lowest id stays.
        """
        live = [result for result in self.results if result.get("status") in UNCONFIRMED and about_of(result) == about]
        kept: dict[tuple[object, str], str] = {}
        for result in live:
            key = (result.get("resourceType"), key_of(result))
            kept[key] = min(kept.get(key, str(result["id"])), str(result["id"]))
        return tuple(
            result
            for result in live
            if key_of(result) not in keys or kept[result.get("resourceType"), key_of(result)] != str(result["id"])
        )

    def newer_than(self, sources: Iterable[Source], about: str | None) -> bool:
        """Return whether a live result was made from a newer version of one of these resources.

        A batch is no snapshot (FHIR R4 http.html#transaction): a slow reader may hold an older version than the
        one behind a result it also sees, and must read again instead of taking the newer result's place.
        """
        ours = {source.current: _number(source.reference) for source in sources}
        for result in self.results:
            if result.get("status") not in UNCONFIRMED or about_of(result) != about:
                continue
            for item in (*(result.get("basis") or []), *(result.get("derivedFrom") or [])):
                reference = str(item.get("reference", ""))
                mine, theirs = ours.get(_current(reference)), _number(reference)
                if mine is not None and theirs is not None and theirs > mine:
                    return True
        return False


def about_of(result: Json) -> str | None:
    """Return what a result is about: what it says itself, else its encounter; None when it names neither."""
    return says_about(result) or encounter_of(result)


def says_about(result: Json) -> str | None:
    """Return what a result itself says that it is about, as those of diagnosis models do; None when it does not."""
    for tag in (result.get("meta") or {}).get("tag") or []:
        if tag.get("system") == ABOUT_TAG:
            return str(tag.get("code"))
    return None


def encounter_of(result: Json) -> str | None:
    """Return ``Encounter/id`` of a result, however the server writes it; None when it names none."""
    return _current(str((result.get("encounter") or {}).get("reference") or "")) or None


def _current(reference: str) -> str:
    return "/".join(reference.partition("/_history/")[0].split("/")[-2:])


def _number(reference: str) -> int | None:
    """Version ids are opaque (FHIR R4 resource.html#Meta); only servers that count can be compared."""
    version = reference.partition("/_history/")[2]
    return int(version) if version.isdigit() else None


def superseding(bundle: Json, replaced: Sequence[Json]) -> Json:
    """Return a result's transaction with the older results marked in it.

    Parameters
    ----------
    bundle : dict
        The transaction with the new result and its Provenance.
    replaced : sequence of dict
        The older results, as read.

    Raises
    ------
    InvalidResourceError
        When the Provenance that names them is not valid FHIR R4.
    """
    if not replaced:
        return bundle
    entries = [dict(entry) for entry in bundle["entry"]]
    for entry in entries:
        if (entry.get("resource") or {}).get("resourceType") == "Provenance":
            entry["resource"] = _naming(entry["resource"], replaced)
    marks = [_marked(result) for result in replaced]
    return {**bundle, "entry": [*entries, *marks]}


def _naming(provenance: Json, replaced: Sequence[Json]) -> Json:
    entities = list(provenance.get("entity") or [])
    known = {(entity.get("role"), entity["what"].get("reference")) for entity in entities}
    for result in replaced:
        reference = _versioned(result)
        if ("revision", reference) not in known:
            entities.append({"role": "revision", "what": {"reference": reference}})
    named = {**provenance, "entity": entities}
    check(named)
    return named


def withdrawal(results: Sequence[Json], reason: str, organization: str, now: datetime | None = None) -> Json:
    """Return the transaction that withdraws results, with a Provenance that says why.

    Parameters
    ----------
    results : sequence of dict
        As read; at least one.
    reason : str
        In words, for people; no patient data.
    organization : str
        Who operates the model.

    Notes
    -----
    The Provenance's id follows from the versions withdrawn: the same withdrawal twice is one.
    """
    key = "|".join(sorted(_versioned(result) for result in results))
    device = next((reference for reference in map(_device_of, results) if reference), None)
    tags = [tag for tag in (results[0].get("meta") or {}).get("tag") or [] if tag.get("system") == MODEL_TAG]
    agent: Json = {
        "type": concept(PROVENANCE_PARTICIPANT, "author", "Author"),
        "role": [concept(AI_DEVICE_TYPE, "Artificial-Intelligence")],
        "who": {"reference": device} if device else {"display": organization},
        "onBehalfOf": {"display": organization},
    }
    provenance: Json = {
        "resourceType": "Provenance",
        "id": str(uuid5(BEDSIDE, f"withdrawal|{key}")),
        "meta": {"tag": tags},
        "target": [{"reference": _plain(result)} for result in results],
        "recorded": (now or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "activity": {"coding": [coding(V3_DATA_OPERATION, "NULLIFY", "nullify")], "text": reason},
        "reason": [{"coding": [AI_ASSERTED], "text": reason}],
        "agent": [agent],
        "entity": [{"role": "revision", "what": {"reference": _versioned(result)}} for result in results],
    }
    check(provenance)
    written = {
        "fullUrl": f"urn:uuid:{provenance['id']}",
        "resource": provenance,
        "request": {"method": "PUT", "url": f"Provenance/{provenance['id']}"},
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [*(_marked(result) for result in results), written],
    }


def _marked(result: Json) -> Json:
    """The entry that marks a result: as read, but for its status, and only if nobody changed it meanwhile."""
    request: Json = {"method": "PUT", "url": _plain(result)}
    version = (result.get("meta") or {}).get("versionId")
    if version:
        request["ifMatch"] = f'W/"{version}"'
    return {"resource": {**result, "status": WITHDRAWN}, "request": request}


def _device_of(result: Json) -> str | None:
    device = result.get("device") or result.get("performer") or {}
    reference = device.get("reference") if isinstance(device, dict) else None
    return str(reference) if reference else None


def _plain(result: Json) -> str:
    return f"{result['resourceType']}/{result['id']}"


def _versioned(result: Json) -> str:
    version = (result.get("meta") or {}).get("versionId")
    return f"{_plain(result)}/_history/{version}" if version else _plain(result)
