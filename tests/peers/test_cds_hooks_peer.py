"""The CDS services in front of a real FHIR server: its searches satisfy the prefetch, its results are told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from fhir_adapter.cds_hooks import Caller, FetchedKeys, MemoryReplays
from fhir_adapter.client import FhirClient
from fhir_adapter.tenants import MemoryTenants, Tenant
from functions.cds_hooks.api import CdsHooksApi
from functions.cds_hooks.connect import Connections
from functions.cds_hooks.stores import MemoryFeedback
from functions.serving.events import new_event
from functions.serving.worker import answer_event
from tests import cds
from tests.peering import require_peer
from tests.samples import admission, tenant_json

pytestmark = pytest.mark.peer("sekmet-fhir")
Json = dict[str, Any]
MODELS = ("whas500", "mgus2")


class Peer:
    """The services, and the EHR that calls them."""

    def __init__(self, base: str, token: str) -> None:
        self.base, self.token = base, token
        described = {
            **tenant_json(models=list(MODELS)),
            "fhir_base": base,
            "allow_private": True,
            "auth": {"type": "bearer", "token": token},
            "cds_hooks": cds.settings(clients=[{"iss": cds.ISS, "jwks": cds.JWKS}]),
        }
        self.tenant = Tenant.from_dict(described)
        caller = Caller(FetchedKeys(), MemoryReplays(), time.time)
        self.connections = Connections()
        self.api = CdsHooksApi(cds.MODELS, MemoryTenants(self.tenant), caller, MemoryFeedback(), self.connections)

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        bearer = cds.token(cds.claims(path), jku=None)
        event = {
            "version": "2.0",
            "rawPath": f"/cds/general{path}",
            "headers": {"content-type": "application/json", "authorization": f"Bearer {bearer}"},
            "requestContext": {"http": {"method": method, "path": f"/cds/general{path}"}, "stage": "$default"},
            "isBase64Encoded": False,
            "body": json.dumps(body) if body else "",
        }
        answer = self.api(event, None)  # type: ignore[arg-type]
        assert answer["statusCode"] == 200, answer["body"]
        found: Json = json.loads(answer["body"])
        return found

    def cards(self, hook: str, prefetch: Json | None = None, *, reads: bool = True) -> list[Json]:
        made = cds.body(hook, prefetch=prefetch or {}, authorized=False, fhirServer=self.base)
        if reads:
            made["fhirAuthorization"] = cds.authorization(access_token=self.token)
        found: list[Json] = self.ask("POST", f"/cds-services/risk-{hook}", made)["cards"]
        return found

    def prefetch(self, hook: str) -> Json:
        services = self.ask("GET", "/cds-services")["services"]
        (templates,) = [service["prefetch"] for service in services if service["hook"] == hook]
        named = {"{{context.patientId}}": "p1", "{{context.encounterId}}": "e1"}
        sent = {}
        with FhirClient(self.base, self.token) as client:
            for key in templates:
                for token, value in named.items():
                    templates[key] = templates[key].replace(token, value)
                sent[key] = client.read(templates[key])
        return sent

    def predict(self) -> None:
        with FhirClient(self.base, self.token) as client:
            for name in MODELS:
                event = new_event("general", "admissions", "focus", "Encounter/e1", None, "Patient/p1")
                answer_event(event, self.tenant, client, cds.MODELS[name], shared=True)


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    require_peer("sekmet-fhir", module="sekmet")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Bedside")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"test-{uuid4()}")
    from infra.local.ehr import SekmetEhr

    ehr = SekmetEhr(tmp_path / "ehr")
    ehr.start()
    try:
        with FhirClient(ehr.base_url, ehr.token) as client:
            for resource in admission():
                client.update(resource)
        found = Peer(ehr.base_url, ehr.token)
        yield found
        found.connections.close()
    finally:
        ehr.stop()


@pytest.mark.conformance("F02", "F12")
def test_a_real_server_satisfies_the_prefetch_and_its_results_are_told(peer: Peer) -> None:
    (read,) = peer.cards("patient-view")
    (sent,) = peer.cards("patient-view", peer.prefetch("patient-view"), reads=False)
    assert "Worked out just now" in read["detail"]
    assert (read["summary"], read["detail"]) == (sent["summary"], sent["detail"])
    peer.predict()
    (stored,) = peer.cards("patient-view")
    assert "Worked out" not in stored["detail"]
    assert stored["summary"] == read["summary"]
    (sent,) = peer.cards("patient-view", peer.prefetch("patient-view"), reads=False)
    assert sent == stored
    for prefetch in (None, peer.prefetch("encounter-discharge")):
        (after,) = peer.cards("encounter-discharge", prefetch, reads=prefetch is None)
        assert after["summary"].endswith("of the end of the stay") and "Worked out" not in after["detail"]
