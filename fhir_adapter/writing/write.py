"""Writing a transaction Bundle to whatever server there is: atomic where it can be, in a safe order where not.

FHIR R4 lets a server refuse transactions (http.html#transaction) and ids of the client's choosing
(http.html#upsert). Neither is asked about in advance: the first refusal sends us to the CapabilityStatement, and
what was learned is remembered for the client's life, so that an ordinary write costs one round trip.

========================  ===========================  =======================================
server                    new resource                 all or nothing
========================  ===========================  =======================================
ordinary                  PUT with our id              transaction
no update-as-create       POST with ``ifNoneExist``    transaction, references as ``urn:uuid``
no transactions           PUT with our id              one by one, Provenance last
neither                   POST, ``If-None-Exist``      one by one, references rewritten
========================  ===========================  =======================================

One by one, a death in between leaves a result without its Provenance; whoever comes next sees that and writes the
rest. ``ifNoneExist`` asks for our identifier, or for a tag where a type has none (Provenance).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import orjson

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import RESULT_IDENTIFIER, Json
from fhir_adapter.errors import FhirRejected
from fhir_adapter.writing.entries import anonymous, is_new, is_search, name_of, renamed, without_id

__all__ = ["Habits", "Written", "habits_of", "is_whole", "write"]

# What a server may answer to a request that it does not know how to do.
NOT_DONE_HERE = frozenset({400, 404, 405, 422, 501})
NO_SUCH_INTERACTION = frozenset({404, 405, 501})
ORDER = ("DocumentReference", "Device", "Observation", "RiskAssessment", "DiagnosticReport")


@dataclass(frozen=True)
class Habits:
    """What a server does, as far as we know.

    Parameters
    ----------
    transaction : bool
        Takes transaction Bundles.
    update_create : bool
        Takes PUT with an id it has not seen.
    searches : bool
        Answers searches inside a transaction.
    asked : bool
        Whether its CapabilityStatement was read.
    """

    transaction: bool = True
    update_create: bool = True
    searches: bool = True
    asked: bool = False


@dataclass(frozen=True)
class Written:
    """What a write found and did.

    Parameters
    ----------
    found : tuple of dict
        Matches of the searches in the Bundle, made after the writes.
    references : mapping of str to str
        What the server called a resource, where that is not what we called it: ``Type/ours`` to ``Type/theirs``.
    """

    found: tuple[Json, ...] = ()
    references: dict[str, str] = field(default_factory=dict)

    def reference(self, ours: str) -> str:
        """Return the server's name of a resource."""
        return self.references.get(ours, ours)


_known: WeakKeyDictionary[FhirClient, Habits] = WeakKeyDictionary()
_lock = threading.Lock()


def habits_of(client: FhirClient) -> Habits:
    """Return what is remembered of a client's server."""
    with _lock:
        return _known.get(client, Habits())


def _remember(client: FhirClient, habits: Habits) -> None:
    with _lock:
        _known[client] = habits


def write(client: FhirClient, bundle: Json) -> Written:
    """Write a transaction Bundle of PUTs and POSTs, with searches (GET) at its end if wanted.

    Parameters
    ----------
    client : FhirClient
    bundle : dict
        Safe to repeat: PUT with ids of our own or ``ifMatch``, POST with ``ifNoneExist``.

    Raises
    ------
    FhirRejected
        409 or 412: somebody else changed a resource, or a condition matches several; read again and decide anew.
        Other statuses: the content is refused.
    FhirUnavailable
        Nothing is assumed to be written; the same write may be tried again.
    """
    guess, tried = habits_of(client), 0
    while True:
        try:
            written = _write(client, guess, bundle)
        except FhirRejected as error:
            if error.status not in NOT_DONE_HERE:
                raise
            other = _other(client, guess, bundle, error.status if tried == 0 else None)
            if other is None:
                raise
            guess, tried = other, tried + 1
            continue
        _remember(client, replace(guess, asked=True))
        return written


def _other(client: FhirClient, refused: Habits, bundle: Json, status: int | None) -> Habits | None:
    """What to try after a refusal: what the CapabilityStatement says, then without searches, then nothing.

    Parameters
    ----------
    status : int or None
        Of the first refusal; None when the CapabilityStatement was asked already.
    """
    if status is not None:
        learned = _ask(client, refused, bundle, status)
        if (learned.transaction, learned.update_create) != (refused.transaction, refused.update_create):
            return learned
    if refused.transaction and refused.searches and any(is_search(entry) for entry in bundle["entry"]):
        return replace(refused, searches=False)
    return None


def _ask(client: FhirClient, habits: Habits, bundle: Json, refused: int | None = None) -> Habits:
    """Read the CapabilityStatement (FHIR R4 capabilitystatement.html); what it does not say stays as it was.

    Parameters
    ----------
    refused : int or None
        How the server answered a transaction: where it claims none, "no such thing" is believed.
    """
    try:
        statement = client.read("metadata")
    except FhirRejected:
        statement = {}
    rest: Json = next((item for item in statement.get("rest") or [] if item.get("mode", "server") == "server"), {})
    interactions = {item.get("code") for item in rest.get("interaction") or []}
    told = bool(interactions) or refused in NO_SUCH_INTERACTION
    written = {entry["resource"]["resourceType"] for entry in bundle["entry"] if is_new(entry)}
    refuses_ids = any(
        item.get("updateCreate") is False for item in rest.get("resource") or [] if item.get("type") in written
    )
    return Habits(
        transaction="transaction" in interactions if told else habits.transaction,
        update_create=not refuses_ids if rest else habits.update_create,
        searches=habits.searches,
        asked=True,
    )


def _write(client: FhirClient, habits: Habits, bundle: Json) -> Written:
    entries = [anonymous(entry) if is_new(entry) else entry for entry in bundle["entry"]]
    if habits.update_create:
        entries = list(bundle["entry"])
    if habits.transaction:
        return _at_once(client, habits, {**bundle, "entry": entries})
    return _one_by_one(client, entries)


def is_whole(client: FhirClient, bundle: Json) -> bool:
    """Return whether results that are there came with their Provenance.

    A transaction writes all of it or nothing, so this costs nothing once it is known that the server takes them;
    where one by one had to do, the last of it is looked for.
    """
    habits = habits_of(client)
    if not habits.asked:
        habits = _ask(client, habits, bundle)
        _remember(client, habits)
    if habits.transaction:
        return True
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Provenance":
            query = urlencode({"_tag": f"{RESULT_IDENTIFIER}|{entry['resource']['id']}"})
            url = name_of(entry) if habits.update_create else f"Provenance?{query}"
            try:
                found = client.read(url)
            except FhirRejected as error:
                if error.status in (404, 410):
                    return False
                raise
            if found.get("resourceType") == "Bundle" and not client.complete(found):
                return False
    return True


# -- in one transaction --


def _at_once(client: FhirClient, habits: Habits, bundle: Json) -> Written:
    searches = [entry["request"]["url"] for entry in bundle["entry"] if is_search(entry)]
    writes = [entry for entry in bundle["entry"] if not is_search(entry)]
    inside = searches if habits.searches else []
    entries = [*_linked(writes), *({"request": {"method": "GET", "url": url}} for url in inside)]
    answer = client.transaction({**bundle, "entry": entries}).get("entry") or []
    if inside and len(answer) == len(entries):
        pages = [entry.get("resource") or {} for entry in answer[len(writes) :]]
        found = [resource for page in pages for resource in client.complete(page)]
    else:
        found = [resource for url in searches for resource in client.complete(client.read(url))]
    return Written(tuple(found), _names(client, writes, answer))


def _linked(writes: list[Json]) -> list[Json]:
    """References between created resources become ``urn:uuid``, for the server to resolve (R4 bundle.html)."""
    posts = (entry for entry in writes if entry["request"]["method"] == "POST")
    names = {name_of(entry): entry["fullUrl"] for entry in posts if entry["resource"].get("id") and "fullUrl" in entry}
    if not names:
        return writes
    return [{**entry, "resource": without_id(entry, renamed(entry["resource"], names.get))} for entry in writes]


def _names(client: FhirClient, writes: list[Json], answer: list[Json]) -> dict[str, str]:
    names = {}
    for entry, response in zip(writes, answer, strict=False):
        location = str((response.get("response") or {}).get("location") or "")
        given = client.relative(location)
        if given and given != name_of(entry):
            names[name_of(entry)] = given
    return names


# -- one by one --


def _one_by_one(client: FhirClient, entries: list[Json]) -> Written:
    names: dict[str, str] = {}
    for entry in sorted((entry for entry in entries if not is_search(entry)), key=_rank):
        resource = without_id(entry, renamed(entry["resource"], names.get))
        request = entry["request"]
        kind = resource["resourceType"]
        if request["method"] == "POST":
            conditions = {"If-None-Exist": request["ifNoneExist"]} if "ifNoneExist" in request else {}
            given = _exchange(client, "POST", kind, resource, conditions) or _found(client, kind, request)
            if given:
                names[name_of(entry)] = given
        else:
            conditions = {"If-Match": request["ifMatch"]} if "ifMatch" in request else {}
            _exchange(client, "PUT", f"{kind}/{resource['id']}", resource, conditions)
    searches = [entry["request"]["url"] for entry in entries if is_search(entry)]
    found = [resource for url in searches for resource in client.complete(client.read(url))]
    return Written(tuple(found), {ours: theirs for ours, theirs in names.items() if ours != theirs})


def _found(client: FhirClient, kind: str, request: Json) -> str | None:
    """Look a conditionally created resource up, for servers that say nothing about the one that was there."""
    if "ifNoneExist" not in request:
        return None
    found = client.complete(client.read(f"{kind}?{request['ifNoneExist']}"))
    return f"{kind}/{found[0]['id']}" if found else None


def _rank(entry: Json) -> int:
    """New results in the order in which they refer to each other, then the old ones' marks, Provenance last."""
    kind = entry["resource"]["resourceType"]
    if kind == "Provenance":
        return len(ORDER) + 2
    if "ifMatch" in entry["request"]:
        return len(ORDER) + 1
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _exchange(client: FhirClient, method: str, path: str, resource: Json, conditions: dict[str, str]) -> str | None:
    """Send one resource; returns what the server calls it, when it says."""
    response = client.send(method, f"{client.base}/{path}", resource, conditions)
    given = client.relative(response.headers.get("location", ""))
    if given:
        return given
    try:
        stored = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
    named = isinstance(stored, dict) and stored.get("resourceType") == resource["resourceType"] and "id" in stored
    return f"{stored['resourceType']}/{stored['id']}" if named else None
