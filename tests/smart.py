"""A hospital whose EHR launches the app: tenant, strict server, the app's handler and a browser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from fhir_adapter.evidence import evidence_of
from fhir_adapter.keys import MemoryKeys, new_key, public_set
from fhir_adapter.prediction import RiskAtHorizon
from fhir_adapter.tenants import MemoryTenants, Tenant
from functions.smart_app.api import SmartFrontend
from functions.smart_app.desk import Means
from functions.smart_app.ehr import Ehrs
from functions.smart_app.sealing import MasterKey, Sealer
from functions.smart_app.sessions import Sessions
from functions.smart_app.store import MemorySessions, SessionStore
from tests.fake_authorization import CLIENT
from tests.fake_smart_server import Browser, FakeSmart
from tests.fakes import BASE, FakeEhr
from tests.samples import encounter, patient, tenant_json
from tests.unit.test_evidence import ABSTENTION, MODEL, PREDICTION, context

Json = dict[str, Any]
APP = "https://app.test"
EC, RSA = new_key("ES384"), new_key("RS384")
NAME = {"family": "Canary", "given": ["Ada", "<b>Bold</b>"]}
EHR_ORIGIN = "https://ehr.test"


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def smart_tenant(smart: Json | None = None, more: Json | None = None) -> Tenant:
    """Return a tenant the app is registered at; None leaves a key of the registration out."""
    registered = {"client_id": CLIENT, "key": "ehr", "frame_ancestors": [EHR_ORIGIN], **(smart or {})}
    given = {key: value for key, value in registered.items() if value is not None}
    return Tenant.from_dict({**tenant_json(), "allowed_hosts": ["login.test"], "smart": given, **(more or {})})


def predicted() -> list[Json]:
    """What Bedside wrote on the patient: a prediction."""
    return _results(evidence_of(PREDICTION, context(), MODEL).bundle)


def declined() -> list[Json]:
    """What Bedside wrote on the patient: an abstention."""
    return _results(evidence_of(ABSTENTION, context(("Patient/p1@9",), encounter="Encounter/e2"), MODEL).bundle)


def written() -> list[Json]:
    """What Bedside wrote on the patient: a prediction and an abstention."""
    return [*predicted(), *declined()]


def _results(bundle: Json) -> list[Json]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return [resource for resource in found if resource["resourceType"] in ("Observation", "RiskAssessment")]


def with_interval() -> Json:
    """A RiskAssessment whose risk has an interval."""
    answer = type(PREDICTION)(risks=(RiskAtHorizon(365, 0.25, (0.2, 0.31)),), curve=PREDICTION.curve)
    evidence = evidence_of(answer, context(), MODEL)
    return next(
        dict(entry["resource"])
        for entry in evidence.bundle["entry"]
        if entry["resource"]["resourceType"] == "RiskAssessment"
    )


def lambda_context() -> Any:
    return SimpleNamespace(
        function_name="smart",
        function_version="$LATEST",
        invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:smart",
        memory_limit_in_mb=512,
        aws_request_id="00000000-0000-0000-0000-000000000000",
        get_remaining_time_in_millis=lambda: 30_000,
    )


class Hospital:
    """One tenant with everything around it.

    Parameters
    ----------
    smart : dict, optional
        Changes of the registration; None leaves a key out.
    tenant : dict, optional
        Changes of the tenant.
    key : dict
        Our private key.
    store : SessionStore, optional
    server : keyword arguments
        Of the server.
    """

    def __init__(
        self,
        smart: Json | None = None,
        tenant: Json | None = None,
        key: Json = EC,
        store: SessionStore | None = None,
        resources: list[Json] | None = None,
        means: Means | None = None,
        **server: Any,
    ) -> None:
        self.clock = Clock()
        chart = [patient(name=[NAME]), encounter(), *written()] if resources is None else resources
        self.ehr = FakeEhr(*chart)
        self.tenant = smart_tenant({"alg": key["alg"], **(smart or {})}, tenant)
        self.redirect_uri = f"{APP}/smart/general/callback"
        self.server = FakeSmart(
            BASE,
            "https://login.test/token",
            public_set([key])["keys"],
            clock=self.clock,
            redirect_uri=self.redirect_uri,
            ehr=self.ehr,
            **server,
        )
        self.store = store or MemorySessions()
        self.sessions = Sessions(self.store, Sealer(lambda: [MasterKey("1", b"k" * 43)]), self.clock)
        self.keys = MemoryKeys(ehr=key)
        self.frontend = SmartFrontend(
            MemoryTenants(self.tenant),
            self.sessions,
            Ehrs(self.keys, lambda _: self.server.transport, self.clock),
            APP,
            means,
        )
        self.browser = self.another_browser()

    def another_browser(self) -> Browser:
        return Browser(self.frontend, lambda_context(), APP)

    def launch(self, browser: Browser | None = None, path: str = "launch", **query: str) -> Json:
        """Open the app from the EHR."""
        asked = {"iss": BASE, "launch": "launch-1", **query} if path == "launch" else query
        return (browser or self.browser).get(f"{APP}/smart/general/{path}?{urlencode(asked)}")

    def callback(self, browser: Browser | None = None, **query: str) -> Json:
        """Launch, sign in at the EHR, and come back."""
        return (browser or self.browser).get(self.to_callback(browser, **query))

    def to_callback(self, browser: Browser | None = None, **query: str) -> str:
        started = self.launch(browser, **query)
        assert started["statusCode"] == 303, started
        return self.server.authorize(started["headers"]["Location"])

    def signed_in(self, browser: Browser | None = None, **query: str) -> str:
        """Return the path of the page."""
        answer = self.callback(browser, **query)
        assert answer["statusCode"] == 303, answer["body"]
        return str(answer["headers"]["Location"])

    def page(self, path: str | None = None, browser: Browser | None = None) -> Json:
        return (browser or self.browser).get(path or self.signed_in(browser))
