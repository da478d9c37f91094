"""What a Provenance leads to: results, model, and every input as it was read and as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fhir_adapter.client import BatchAnswer, FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirUnavailable
from fhir_adapter.evidence import digest_of
from fhir_adapter.evidence.provenance import recorded_file
from fhir_adapter.features.record import moment

__all__ = ["InputState", "Recorded", "RecordedFile", "State", "gather"]


class State(StrEnum):
    """What became of an input."""

    CURRENT = "current"
    NEWER = "newer-version-exists"
    DELETED = "deleted-since"
    CHANGED = "changed"
    VANISHED = "vanished"


@dataclass(frozen=True)
class InputState:
    """One recorded input.

    Parameters
    ----------
    reference : str
        As the Provenance has it.
    state : State
        `CURRENT`, `NEWER` and `DELETED`: the recorded version was read; the latter two say what came after it.
        `CHANGED`: only another version is left. `VANISHED`: nothing is.
    """

    reference: str
    state: State


@dataclass(frozen=True)
class RecordedFile:
    """A DICOM instance that was looked at.

    Parameters
    ----------
    instance : str
        SOP Instance UID.
    sha256 : str
        Of the file as it was then.
    """

    instance: str
    sha256: str


@dataclass(frozen=True)
class Recorded:
    """Everything the Provenance led to.

    Parameters
    ----------
    results : tuple of str
        References of the targets.
    targets : dict of str to dict
        The last target of each type, where there is one in the EHR.
    digest : str or None
        Of the model's file.
    inputs : tuple of InputState
    sources : tuple of dict
        The inputs as they were read then.
    written : tuple of dict
        Every target in the EHR.
    files : tuple of RecordedFile
    """

    results: tuple[str, ...]
    targets: dict[str, Json]
    digest: str | None
    inputs: tuple[InputState, ...]
    sources: tuple[Json, ...]
    written: tuple[Json, ...] = ()
    files: tuple[RecordedFile, ...] = ()


def gather(provenance: Json, client: FhirClient) -> Recorded:
    """Read everything a Provenance names in one batch: results, Device, inputs as recorded and as they are now."""
    results = [_plain(item.get("reference", "")) for item in provenance.get("target") or []]
    devices = [
        who for agent in provenance.get("agent") or [] if (who := _plain(_who(agent))) and who.startswith("Device/")
    ]
    inputs = [entity.get("what") or {} for entity in provenance.get("entity") or [] if entity.get("role") == "source"]
    sources = [_local(str(what["reference"]), client) for what in inputs if what.get("reference")]
    wanted = list(dict.fromkeys([*results, *devices, *sources, *map(_plain, sources)]))
    answers = dict(zip(wanted, map(_settled, client.batch(wanted)), strict=True)) if wanted else {}
    targets = {reference.partition("/")[0]: found for reference in results if (found := answers[reference])}
    digests = [digest_of(found) for who in devices if (found := answers[who])]
    recorded = moment(provenance.get("recorded"))
    states = [(source, _state(source, answers[source], answers[_plain(source)], recorded)) for source in sources]
    return Recorded(
        results=tuple(results),
        targets=targets,
        digest=next((digest for digest in digests if digest), None),
        inputs=tuple(InputState(source, state) for source, state in states),
        sources=tuple(found for source in sources if (found := answers[source])),
        written=tuple(found for reference in results if (found := answers[reference])),
        files=tuple(RecordedFile(*file) for what in inputs if (file := recorded_file(what))),
    )


def _who(agent: Json) -> str:
    return str((agent.get("who") or {}).get("reference", ""))


def _local(reference: str, client: FhirClient) -> str:
    """A reference relative to the EHR's base, its version kept."""
    return reference.removeprefix(client.base.rstrip("/") + "/")


def _plain(reference: str) -> str:
    """``Type/id`` of a reference, without base and version."""
    return "/".join(reference.partition("/_history/")[0].rsplit("/", 2)[-2:])


def _settled(answer: BatchAnswer) -> Json | None:
    """Return a resource, or None when the EHR says that there is none."""
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise FhirUnavailable(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    return answer.resource if answer.status < 400 else None


def _state(source: str, found: Json | None, head: Json | None, recorded: datetime | None) -> State:
    version = source.partition("/_history/")[2]
    if found is None:
        return State.VANISHED if head is None else State.CHANGED
    meta = found.get("meta") or {}
    if version:
        if str(meta.get("versionId")) != version:
            return State.CHANGED
        if head is None:
            return State.DELETED
        return State.CURRENT if str((head.get("meta") or {}).get("versionId")) == version else State.NEWER
    # a server that keeps no versions, or drops them from references: unchanged since is as good as the same version
    updated = moment(meta.get("lastUpdated"))
    return State.CHANGED if updated and recorded and updated > recorded else State.CURRENT
