"""SMART Backend Services against a server that is not ours: sekmet-fhir signs Bedside in and serves a resource."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_adapter.auth import AuthorizationRefused, TokenCache
from fhir_adapter.client import FhirClient
from fhir_adapter.errors import FhirRejected
from fhir_adapter.keys import MemoryKeys, new_key, public_set
from fhir_adapter.tenants import Tenant
from infra.local.ehr import _quiet_root
from infra.local.server import ThreadedServer, bind
from tests.fake_authorization import FakeAuthorization, asgi
from tests.fakes import FakeEhr
from tests.peering import require_peer
from tests.samples import patient

EC, RSA = new_key("ES384"), new_key("RS384")
LIFETIME = 120


class Recording:
    """An ASGI application with the paths and statuses it was asked for."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.seen: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                with self._lock:
                    self.seen.append((scope["path"], message["status"]))
            await send(message)

        await self._app(scope, receive, note)

    def count(self, path: str) -> int:
        return sum(1 for seen, _ in self.seen if seen == path)


class Sekmet:
    """sekmet-fhir that grants tokens to three clients: one for each algorithm, one with a foreign key."""

    def __init__(self, data_dir: Path) -> None:
        listener = bind()
        self.base = f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
        with warnings.catch_warnings(), _quiet_root():
            warnings.simplefilter("ignore")
            from sekmet.config import ServerAuth, Settings, SimulatorSettings, SmartClient
            from sekmet.main import create_app

            clients = [
                SmartClient(client_id=name, jwks=public_set([key]), scopes="system/*.cruds")
                for name, key in (("es384", EC), ("rs384", RSA), ("stranger", new_key("ES384")))
            ]
            settings = Settings(
                base_url=self.base,
                host="127.0.0.1",
                data_dir=str(data_dir),
                server_auth=ServerAuth(
                    types=["smart", "bearer"], tokens=["set-up"], smart_clients=clients, token_lifetime=LIFETIME
                ),
                simulator=SimulatorSettings(enabled=False),
                log_inbound=False,
                max_body_log=0,
            )
            app = create_app(settings)
        logging.getLogger("sekmet").setLevel(logging.CRITICAL)
        self._context = app.state.ctx
        self._context.subscriptions._heartbeat_started = True
        self.app = Recording(app)
        self._server = ThreadedServer(self.app, listener)
        self._server.start()
        with httpx.Client(trust_env=False, timeout=30) as http:
            answer = http.put(f"{self.base}/Patient/p1", json=patient(), headers={"Authorization": "Bearer set-up"})
            assert answer.status_code in (200, 201)

    def stop(self) -> None:
        self._server.stop()
        self._context.subscriptions.pool.shutdown(wait=True, cancel_futures=True)
        self._context.reset_clients()
        with self._context.store.lock:
            self._context.store.conn.close()

    @contextmanager
    def lifetime(self, seconds: int) -> Iterator[None]:
        """Grant tokens of another lifetime for a while."""
        auth = self._context.settings.server_auth
        auth.token_lifetime = seconds
        try:
            yield
        finally:
            auth.token_lifetime = LIFETIME

    def revoke(self) -> None:
        """Make every token that was granted worthless, as a restart with another signing secret does."""
        self._context.store.kv_set("jwt_secret", f"another-secret-{time.time()}-of-enough-length-for-hs256")


@pytest.fixture(scope="module")
def sekmet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sekmet]:
    require_peer("sekmet-fhir", module="sekmet")
    running = Sekmet(tmp_path_factory.mktemp("sekmet"))
    yield running
    running.stop()


def tenant(base: str, client_id: str, alg: str, **auth: Any) -> Tenant:
    return Tenant.from_dict(
        {
            "name": "sekmet",
            "fhir_base": base,
            "allow_private": True,
            "subscriptions": {},
            "auth": {
                "type": "backend-services",
                "client_id": client_id,
                "alg": alg,
                "scopes": ["system/Patient.rs", "system/Observation.cruds"],
                "key": "sekmet",
                **auth,
            },
        }
    )


KEYS = MemoryKeys(sekmet={"keys": [EC, RSA]})


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.conformance("B02", "B03", "B04", "A04", "A42", "A43")
@pytest.mark.parametrize(("client_id", "alg"), [("es384", "ES384"), ("rs384", "RS384")])
def test_discovers_signs_in_and_reads(sekmet: Sekmet, client_id: str, alg: str) -> None:
    # sekmet asks for the right to create anything before it takes a batch
    who = tenant(sekmet.base, client_id, alg, scopes=["system/*.cruds"])
    with FhirClient.for_tenant(who, KEYS, cache=TokenCache()) as client:
        assert client.read("Patient/p1")["gender"] == "female"
        assert [found["id"] for found in client.search("Patient", {"gender": "female"})] == ["p1"]
        assert [answer.status for answer in client.batch(["Patient/p1", "Patient/none"])] == [200, 404]


def test_a_configured_token_url_needs_no_discovery(sekmet: Sekmet) -> None:
    before = sekmet.app.count("/fhir/.well-known/smart-configuration")
    token_url = sekmet.base.removesuffix("/fhir") + "/auth/token"
    who = tenant(sekmet.base, "es384", "ES384", token_url=token_url)
    with FhirClient.for_tenant(who, KEYS, cache=TokenCache()) as client:
        assert client.read("Patient/p1")["id"] == "p1"
    assert sekmet.app.count("/fhir/.well-known/smart-configuration") == before


@pytest.mark.conformance("B05", "B06")
def test_a_token_is_reused_and_replaced_before_it_expires(sekmet: Sekmet) -> None:
    with (
        sekmet.lifetime(2),
        FhirClient.for_tenant(tenant(sekmet.base, "es384", "ES384"), KEYS, cache=TokenCache()) as client,
    ):
        before, start = len(sekmet.app.seen), sekmet.app.count("/auth/token")
        client.read("Patient/p1")
        client.read("Patient/p1")
        assert sekmet.app.count("/auth/token") == start + 1
        until(lambda: bool(client.read("Patient/p1")) and sekmet.app.count("/auth/token") >= start + 3)
        assert {status for _, status in sekmet.app.seen[before:]} == {200}


@pytest.mark.conformance("A61", "B06")
def test_an_expired_token_is_refreshed(sekmet: Sekmet) -> None:
    # to a clock that stands still the token is fresh for ever; only the server knows better
    now = time.time()
    with (
        sekmet.lifetime(1),
        FhirClient.for_tenant(tenant(sekmet.base, "es384", "ES384"), KEYS, cache=TokenCache(lambda: now)) as client,
    ):
        before = len(sekmet.app.seen)
        until(lambda: bool(client.read("Patient/p1")) and ("/fhir/Patient/p1", 401) in sekmet.app.seen[before:])
        last = sekmet.app.seen[-3:]
        assert last == [("/fhir/Patient/p1", 401), ("/auth/token", 200), ("/fhir/Patient/p1", 200)]


@pytest.mark.conformance("A61", "B06")
def test_a_token_the_server_no_longer_takes_is_replaced_once(sekmet: Sekmet) -> None:
    with FhirClient.for_tenant(tenant(sekmet.base, "rs384", "RS384"), KEYS, cache=TokenCache()) as client:
        client.read("Patient/p1")
        sekmet.revoke()
        before = len(sekmet.app.seen)
        assert client.read("Patient/p1")["id"] == "p1"
        assert sekmet.app.seen[before:] == [("/fhir/Patient/p1", 401), ("/auth/token", 200), ("/fhir/Patient/p1", 200)]


@pytest.mark.conformance("A61")
def test_what_the_scopes_do_not_permit_is_refused_without_a_loop(sekmet: Sekmet) -> None:
    with FhirClient.for_tenant(tenant(sekmet.base, "es384", "ES384"), KEYS, cache=TokenCache()) as client:
        client.read("Patient/p1")
        before = len(sekmet.app.seen)
        with pytest.raises(FhirRejected, match="403"):
            client.read("Device/d1")
        assert sekmet.app.seen[before:] == [("/fhir/Device/d1", 403)]


@pytest.mark.conformance("B08")
def test_a_key_the_server_does_not_know_is_refused_once(sekmet: Sekmet) -> None:
    before = sekmet.app.count("/auth/token")
    with (
        FhirClient.for_tenant(tenant(sekmet.base, "stranger", "ES384"), KEYS, cache=TokenCache()) as client,
        pytest.raises(AuthorizationRefused, match="invalid_client"),
    ):
        client.read("Patient/p1")
    assert sekmet.app.count("/auth/token") == before + 1


@pytest.mark.conformance("B04", "B05")
def test_over_real_sockets_the_strict_server_refuses_nothing() -> None:
    listener = bind()
    root = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ehr = FakeEhr(patient())
    server = FakeAuthorization(f"{root}/fhir", f"{root}/token", public_set([EC])["keys"], advertised="/token")

    def handle(request: httpx.Request) -> httpx.Response:
        answer = server.handle(request)
        if answer is None and not server.accepts(request):
            return httpx.Response(401)
        return answer or httpx.Response(200, json=ehr.resources["Patient/p1"])

    running = ThreadedServer(asgi(handle), listener)
    running.start()
    try:
        who = tenant(f"{root}/fhir", "bedside-client", "ES384")
        with FhirClient.for_tenant(who, KEYS, cache=TokenCache()) as client:
            assert client.read("Patient/p1")["id"] == "p1"
            server.tokens.clear()
            assert client.read("Patient/p1")["id"] == "p1"
        assert server.refused == []
        assert len(server.requests) == 2
    finally:
        running.stop()
