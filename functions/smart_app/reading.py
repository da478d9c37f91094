"""Reading a chart with the session's token: as much of it as was granted, in one round trip where the EHR allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import urlencode

from fhir_adapter.client import BatchAnswer, FhirClient
from fhir_adapter.codes import MODEL_TAG, Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from fhir_adapter.smart import Feature, covers, features_of
from fhir_adapter.tenants import Tenant
from functions.smart_app.ehr import Ehr
from functions.smart_app.person import Person, person_of
from functions.smart_app.results import Answer, answers_of
from functions.smart_app.sessions import Session

__all__ = ["FEATURES", "Chart", "asked", "changeable", "read_chart"]

FEATURES = (
    Feature("patient", ("patient/Patient.r",)),
    Feature("risks", ("patient/RiskAssessment.rs",)),
    Feature("observations", ("patient/Observation.rs",)),
    Feature("reports", ("patient/DiagnosticReport.rs",)),
    Feature("pictures", ("patient/ImagingStudy.r",)),
    Feature("review", ("patient/Provenance.cu",)),
    Feature("status", ("patient/RiskAssessment.u", "patient/Observation.u", "patient/DiagnosticReport.u")),
)
# Without these, the page is not what it is meant to be; the others are the tenant's choice.
ALWAYS = frozenset({"patient", "risks", "observations"})
RESULTS = ("risks", "observations", "reports")
PAGE = 100
PAGES = 5
# "Not here", in the words of servers that answer no batch, or not to this client.
NO_BATCH = frozenset({400, 403, 404, 405, 415, 422, 501})


@dataclass(frozen=True)
class Chart:
    """What the page shows.

    Parameters
    ----------
    person : Person or None
        None where it may not be read.
    answers : list of Answer
        Newest first.
    lacking : dict
        Feature -> scopes that were not granted.
    forbidden : tuple of str
        Features that were granted and that the EHR refused all the same.
    patient : dict
        The Patient; empty where it may not be read.
    granted : frozenset of str
        Features.
    """

    person: Person | None
    answers: list[Answer] = field(default_factory=list)
    lacking: dict[str, list[str]] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    patient: Json = field(default_factory=dict, repr=False)
    granted: frozenset[str] = frozenset()


def read_chart(ehr: Ehr, session: Session, client: FhirClient, today: date) -> Chart:
    """Read the patient and Bedside's results on them.

    Raises
    ------
    FhirUnavailable, FhirRejected
        FhirRejected with 403 when the EHR allows none of it.
    SmartError
        When there is no token any more.
    """
    granted, missing = features_of(FEATURES, session.token.scopes)
    lacking = _missed(ehr.tenant, missing)
    urls = {name: url for name, url in _urls(ehr.tenant, session).items() if name in granted}
    if not urls:
        return Chart(None, lacking=lacking, granted=granted)
    answers = dict(zip(urls, asked(ehr, client, list(urls.values())), strict=True))
    found = {name: resource for name, answer in answers.items() if (resource := _allowed(answer)) is not None}
    if not found:
        raise FhirRejected("the EHR allows this user nothing of what the session was granted", 403)
    if "patient" in found and not _is(found["patient"], str(session.context.patient)):
        raise FhirRejected("the EHR answered with another patient than the one that was read")
    results = [item for name in RESULTS if name in found for item in client.complete(found[name], PAGES)]
    return Chart(
        person=person_of(found["patient"], today) if "patient" in found else None,
        answers=answers_of(results, ehr.tenant.fhir_base, str(session.context.patient), ehr.tenant.zone),
        lacking=lacking,
        forbidden=tuple(name for name in urls if name not in found),
        patient=found.get("patient", {}),
        granted=granted,
    )


def changeable(session: Session) -> frozenset[str]:
    """Return the types of results that the session may update."""
    kinds = ("RiskAssessment", "Observation", "DiagnosticReport")
    return frozenset(kind for kind in kinds if covers(session.token.scopes, f"patient/{kind}.u"))


def _missed(tenant: Tenant, missing: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is not granted although it belongs to the page, or the tenant asks for it."""
    asked = tenant.smart.scopes if tenant.smart is not None else ()
    return {
        name: scopes
        for name, scopes in missing.items()
        if name in ALWAYS or any(covers(asked, scope) for scope in scopes)
    }


def _urls(tenant: Tenant, session: Session) -> dict[str, str]:
    """Where the features' resources are. The patient comes from the session, never from a request."""
    patient = str(session.context.patient)
    models = sorted({model for subscription in tenant.subscriptions.values() for model in subscription.models})
    tags = {"_tag": ",".join(f"{MODEL_TAG}|{model}" for model in models)} if models else {}
    search = urlencode({"patient": patient, **tags, "_count": str(PAGE)})
    return {
        "patient": f"Patient/{patient}",
        "risks": f"RiskAssessment?{search}",
        "observations": f"Observation?{search}",
        "reports": f"DiagnosticReport?{search}",
    }


def _is(resource: Json, patient: str) -> bool:
    return resource.get("resourceType") == "Patient" and resource.get("id") == patient


def asked(ehr: Ehr, client: FhirClient, urls: Sequence[str]) -> list[BatchAnswer]:
    """Read many URLs: in one round trip where the EHR allows, else one by one."""
    if ehr.takes_batches:
        try:
            return client.batch(urls)
        except FhirRejected as error:
            if error.status not in NO_BATCH:
                raise
            ehr.takes_batches = False
    return [_one(client, url) for url in urls]


def _one(client: FhirClient, url: str) -> BatchAnswer:
    try:
        return BatchAnswer(200, client.read(url))
    except FhirRejected as error:
        if error.status in (None, 401):
            raise
        return BatchAnswer(int(error.status), None)


def _allowed(answer: BatchAnswer) -> Json | None:
    """Return a resource, None where the user may not see it: that is the EHR's to say, and is not asked again."""
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise FhirUnavailable(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    if answer.status == 403:
        return None
    if answer.status >= 400 or answer.resource is None:
        raise FhirRejected(f"the FHIR server answered {answer.status} inside a batch", answer.status)
    return answer.resource
