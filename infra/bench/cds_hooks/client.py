"""An EHR that calls the services, and asks its floor's questions itself."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import httpx
import numpy as np
import orjson

from fhir_adapter.cds_hooks import Caller, FetchedKeys, MemoryReplays
from fhir_adapter.client.bundles import batch_of
from fhir_adapter.codes import Json
from fhir_adapter.keys import SigningKey, new_key, public_set
from fhir_adapter.tenants import MemoryTenants, Tenant
from functions.cds_hooks.api import CdsHooksApi
from functions.cds_hooks.connect import Connections
from functions.cds_hooks.stores import MemoryFeedback
from functions.serving.package import Model
from functions.serving.session import OnnxModel
from infra.bench.cds_hooks.ehr import Ehr

__all__ = ["Client"]

PATH = "/cds/bench/cds-services/risk-patient-view"
OUTPUTS = ("survival", "imputed", "lower", "upper", "contributions", "median_survival")


class Client:
    """An EHR that calls with a token of its own each time; tokens are signed before the clock runs."""

    def __init__(self, model: Model, ehr: Ehr, base: str) -> None:
        jwk = new_key("ES384")
        self._key = SigningKey(jwk["kid"], "ES384", jwk)
        self._tokens: list[str] = []
        described = {
            "name": "bench",
            "fhir_base": base,
            "allow_private": True,
            "subscriptions": {"a": {"secret": "s" * 16, "criteria": "Encounter", "models": ["whas500"]}},
            "cds_hooks": {
                "clients": [{"iss": "bench", "jwks": public_set([jwk])}],
                "url": "https://cds.bench.test",
                "deadline_ms": 10_000,
            },
        }
        replays = Caller(FetchedKeys(), MemoryReplays(), time.time)
        tenants = MemoryTenants(Tenant.from_dict(described))
        self._connections = Connections()
        self._api = CdsHooksApi({"whas500": model}, tenants, replays, MemoryFeedback(), self._connections)
        self._base = base
        columns = len(model.package.inputs)
        self._bare = OnnxModel("bench", model.package.model, columns, OUTPUTS)
        self._row = np.full((1, columns), np.nan)
        self._http = httpx.Client(trust_env=False)
        self._templates = self._asked()
        self.everything = {key: ehr.answer(query) for key, query in self._templates.items()}

    def _asked(self) -> dict[str, str]:
        """The queries of the service, as it tells them itself."""
        answer = self._sent("GET", PATH.rpartition("/")[0], None)
        (templates,) = [one["prefetch"] for one in answer["services"] if one["hook"] == "patient-view"]
        named = {"{{context.patientId}}": "p1", "{{context.encounterId}}": "e1"}
        for token, value in named.items():
            templates = {key: query.replace(token, value) for key, query in templates.items()}
        return dict(templates)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()
        self._http.close()

    def call(self, prefetch: Json | None = None) -> None:
        """Call the service; there is one card."""
        told: Json = {
            "hook": "patient-view",
            "hookInstance": str(uuid4()),
            "fhirServer": self._base,
            "fhirAuthorization": {
                "access_token": "bench",
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": "user/*.rs",
                "subject": "bench",
            },
            "context": {"userId": "Practitioner/1", "patientId": "p1", "encounterId": "e1"},
            "prefetch": prefetch or {},
        }
        assert len(self._sent("POST", PATH, told)["cards"]) == 1

    def one_read(self) -> None:
        """The read a stored prediction needs: it, and the encounter as it is now."""
        self._read("results", "encounter")

    def reads_and_run(self) -> None:
        """The reads, and the model, without anything around them."""
        self._read("results", "encounter")
        self._read("patient", "observations", "conditions")
        self._bare.run(self._row)

    def _read(self, *keys: str) -> None:
        body = orjson.dumps(batch_of([self._templates[key] for key in keys]))
        response = self._http.post(self._base, content=body, headers={"Content-Type": "application/fhir+json"})
        assert len(orjson.loads(response.content)["entry"]) == len(keys)

    def _sent(self, method: str, path: str, body: Json | None) -> Json:
        event = {
            "version": "2.0",
            "rawPath": path,
            "headers": {"content-type": "application/json", "authorization": f"Bearer {self._token(path)}"},
            "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
            "isBase64Encoded": False,
            "body": json.dumps(body) if body else "",
        }
        answer = self._api(event, None)  # type: ignore[arg-type]
        assert answer["statusCode"] == 200, answer["body"]
        found: Json = json.loads(answer["body"])
        return found

    def _token(self, path: str) -> str:
        aud = "https://cds.bench.test" + path.removeprefix("/cds/bench")
        if path != PATH:
            return self._signed(aud)
        if not self._tokens:
            self._tokens = [self._signed(aud) for _ in range(400)]
        return self._tokens.pop()

    def _signed(self, aud: str) -> str:
        now = int(time.time())
        claims = {"iss": "bench", "aud": aud, "iat": now, "exp": now + 290, "jti": str(uuid4())}
        return self._key.sign({"typ": "JWT"}, claims)
