"""An EHR that calls our CDS services: its keys, its tokens, its calls; and the services with everything in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from fhir_adapter.cds_hooks import Caller, FetchedKeys, MemoryReplays
from fhir_adapter.client import FhirClient
from fhir_adapter.egress import transport_for
from fhir_adapter.tenants import CdsClient, MemoryTenants, Tenant
from functions.cds_hooks.api import CdsHooksApi
from functions.cds_hooks.connect import Connections
from functions.cds_hooks.stores import MemoryFeedback
from functions.serving.events import new_event
from functions.serving.worker import answer_event
from functions.survival.predict import load_models
from tests.fakes import BASE
from tests.samples import tenant_json
from tests.strict_ehr import StrictEhr

Json = dict[str, Any]
ROOT = Path(__file__).parents[1]
MODELS = load_models(ROOT / "functions" / "survival" / "packages")
ISS = "https://ehr.test/"
JKU = "https://ehr.test/jwks.json"
URL = "https://cds.test/cds/general"
LAUNCH = "https://app.test/launch"
TOKEN = "token-of-one-call-canary"
PATIENT_VIEW = "risk-patient-view"

EC = ECKey.generate_key("P-384", {"kid": "ec-1", "alg": "ES384", "use": "sig"})
OTHER = ECKey.generate_key("P-384", {"kid": "ec-1", "alg": "ES384", "use": "sig"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "alg": "RS384", "use": "sig"})
JWKS: Json = {"keys": [EC.as_dict(private=False), RSA.as_dict(private=False)]}


def settings(**more: Any) -> Json:
    return {"clients": [{"iss": ISS, "jku": JKU}], "url": URL, "launch_url": LAUNCH, "deadline_ms": 10_000, **more}


def tenant(*, models: tuple[str, ...] = ("whas500",), locale: str = "en", **hooks: Any) -> Tenant:
    return Tenant.from_dict({**tenant_json(models=list(models)), "locale": locale, "cds_hooks": settings(**hooks)})


def claims(path: str = f"/cds-services/{PATIENT_VIEW}", **more: Any) -> Json:
    now = int(time.time())
    made = {"iss": ISS, "aud": URL + path, "exp": now + 240, "iat": now, "jti": str(uuid4()), **more}
    return {key: value for key, value in made.items() if value is not None}


def token(said: Json | None = None, key: Any = EC, **header: Any) -> str:
    """A client's JWT; `header` members that are None are left out."""
    alg = {"EC": "ES384", "RSA": "RS384", "oct": "HS256"}[key.key_type]
    whole = {"alg": alg, "typ": "JWT", "kid": key.kid, "jku": JKU, **header}
    return jwt.encode(
        {name: value for name, value in whole.items() if value is not None},
        claims() if said is None else said,
        key,
        algorithms=[alg],
    )


def without_typ() -> str:
    """A JWT whose header does not say what it is."""
    protected = {"alg": "ES384", "kid": "ec-1"}
    return jws.serialize_compact(protected, json.dumps(claims()).encode(), EC, algorithms=["ES384"])


def symmetric(said: Json) -> str:
    """Signed with the public key as if it were a shared secret: the oldest trick (RFC 8725, 2.1)."""
    secret = OctKey.import_key(json.dumps(EC.as_dict(private=False)).encode())
    return jwt.encode({"alg": "HS256", "typ": "JWT", "kid": "ec-1"}, said, secret, algorithms=["HS256"])


def body(hook: str = "patient-view", context: Json | None = None, *, authorized: bool = True, **more: Any) -> Json:
    base: Json = {"userId": "Practitioner/d1", "patientId": "p1", "encounterId": "e1"}
    made: Json = {
        "hook": hook,
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": BASE,
        "context": {key: value for key, value in {**base, **(context or {})}.items() if value is not None},
        **more,
    }
    if authorized:
        made.setdefault("fhirAuthorization", authorization())
    return made


def authorization(**more: Any) -> Json:
    return {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "user/*.rs",
        "subject": "bedside",
        **more,
    }


class KeyServer:
    """Serves the client's JWK Set; counts."""

    def __init__(self, keys: Json = JWKS) -> None:
        self.keys = keys
        self.asked: list[str] = []
        self.status = 200

    def transport(self, tenant: Tenant, client: CdsClient) -> httpx.BaseTransport:
        return httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        return httpx.Response(self.status, json=self.keys)


class Hospital:
    """The services, an EHR behind them, and a client that calls.

    Attributes
    ----------
    ehr : StrictEhr
    clock : float
        Seconds since the epoch, for tokens; None follows the machine's.
    """

    def __init__(self, ehr: StrictEhr, tenant: Tenant, **parts: Any) -> None:
        self.ehr = ehr
        self.tenant = tenant
        self.key_server = KeyServer()
        self.now: float | None = None
        self.feedback = parts.pop("feedback", None) or MemoryFeedback()
        replays = parts.pop("replays", None) or MemoryReplays()
        keys = FetchedKeys(self.key_server.transport, self._time)
        self.api = CdsHooksApi(
            parts.pop("models", MODELS),
            MemoryTenants(tenant),
            Caller(keys, replays, self._time),
            self.feedback,
            Connections(lambda found: transport_for(found, ehr.transport)),
            **parts,
        )

    def _time(self) -> float:
        return time.time() if self.now is None else self.now

    def predict(self, *models: str) -> None:
        """Have the worker answer the admission, as a subscription would."""
        subscription = self.tenant.subscriptions["admissions"]
        for name in models or subscription.models:
            event = new_event("general", "admissions", "focus", "Encounter/e1", None, "Patient/p1")
            with FhirClient(BASE, transport=self.ehr.transport) as client:
                answer_event(event, self.tenant, client, MODELS[name], shared=len(subscription.models) > 1)
        self.ehr.requests.clear()

    def request(
        self,
        path: str,
        sent: Any = None,
        *,
        method: str = "POST",
        bearer: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """Call; returns the answer as API Gateway gets it. An empty bearer is replaced by a good one."""
        if bearer == "":
            bearer = token(claims(path))
        given = {"content-type": "application/json", **(headers or {})}
        if bearer is not None:
            given["authorization"] = f"Bearer {bearer}"
        whole = f"/cds/general{path}"
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": whole,
            "rawQueryString": "",
            "headers": given,
            "requestContext": {
                "domainName": "cds.test",
                "http": {"method": method, "path": whole, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
                "stage": "$default",
                "requestId": "test",
            },
            "isBase64Encoded": False,
            "body": sent if isinstance(sent, str) else "" if sent is None else json.dumps(sent),
        }
        return self.api(event, None)  # type: ignore[arg-type]

    def cards(self, sent: Json, service: str = PATIENT_VIEW) -> list[Json]:
        """Call a service, and return its cards."""
        answer = self.request(f"/cds-services/{service}", sent)
        assert answer["statusCode"] == 200, answer["body"]
        found: list[Json] = json.loads(answer["body"])["cards"]
        return found

    def prefetch(self, service: str = PATIENT_VIEW, encounter: str = "e1") -> Json:
        """What an EHR sends along that satisfies every template of a service."""
        document = json.loads(self.request("/cds-services", method="GET")["body"])
        (found,) = [item for item in document["services"] if item["id"] == service]
        sent = {}
        for key, template in found["prefetch"].items():
            query = template.replace("{{context.patientId}}", "p1").replace("{{context.encounterId}}", encounter)
            with FhirClient(BASE, transport=self.ehr.transport) as client:
                sent[key] = client.read(query)
        self.ehr.requests.clear()
        return sent


def issue(answer: Json) -> Json:
    """Check that an answer is an OperationOutcome, and return its only issue."""
    assert answer["headers"]["Content-Type"] == "application/fhir+json"
    told = json.loads(answer["body"])
    assert told["resourceType"] == "OperationOutcome"
    (only,) = told["issue"]
    assert only["severity"] == "error" and only["diagnostics"]
    return dict(only)
