"""The twin's electronic health record: a real FHIR R4 server, in process."""

from __future__ import annotations

import logging
import secrets
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.server import ThreadedServer, bind

# What sekmet 0.1.1 cannot search: without these, results could be written but not found.
SEARCH_PARAMETERS: dict[str, tuple[tuple[str, str, str, str | None], ...]] = {
    "RiskAssessment": (
        ("identifier", "token", "identifier", None),
        ("status", "token", "status", None),
        ("method", "token", "method", None),
        ("subject", "reference", "subject", None),
        ("patient", "reference", "subject", "Patient"),
        ("encounter", "reference", "encounter", None),
        ("condition", "reference", "condition", None),
        ("performer", "reference", "performer", None),
        ("date", "date", "occurrenceDateTime|occurrencePeriod", None),
    ),
    "Device": (
        ("identifier", "token", "identifier", None),
        ("device-name", "string", "deviceName.name", None),
    ),
    "Provenance": (
        ("target", "reference", "target", None),
        ("agent", "reference", "agent.who", None),
        ("entity", "reference", "entity.what", None),
        ("recorded", "date", "recorded", None),
    ),
}


class Ehr(Protocol):
    """A FHIR R4 server that the twin starts and stops."""

    @property
    def base_url(self) -> str:
        """FHIR base, without a trailing slash."""

    @property
    def token(self) -> str:
        """Bearer token that the server accepts."""

    def start(self) -> None:
        """Start it; returns when it answers."""

    def stop(self) -> None:
        """Stop it; what it stored stays."""


class SekmetEhr:
    """sekmet-fhir under uvicorn in a thread: SQLite, rest-hook Subscriptions, strict validation.

    Parameters
    ----------
    data_dir : Path
        Where its SQLite file and its token live; a second start on the same directory finds both.
    port : int, optional
        Port on 127.0.0.1; a free one by default.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        self._data_dir = data_dir
        self._port = port
        self._server: ThreadedServer | None = None
        self._context: Any = None
        self._base_url = ""
        self._token = ""
        # Puts something around the server, from its base URL and its token: the twin's authorization server.
        self.wrap: Callable[[ASGIApp, str, str], ASGIApp] | None = None

    @property
    def base_url(self) -> str:
        """FHIR base, without a trailing slash."""
        return self._base_url

    @property
    def token(self) -> str:
        """Bearer token that the server accepts."""
        return self._token

    @property
    def token_file(self) -> Path:
        """Where the token is kept, readable by the owner only."""
        return self._data_dir / "token"

    def start(self) -> None:
        """Start the server; returns when it answers its CapabilityStatement."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._token = _kept_token(self.token_file)
        listener = bind(self._port)
        self._base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
        app = self._application()
        served: ASGIApp = _FhirOnly(app)
        if self.wrap is not None:
            served = self.wrap(served, self._base_url, self._token)
        self._server = ThreadedServer(served, listener)
        self._server.start()
        self._await_ready()

    def stop(self) -> None:
        """Stop serving, let the notifications under way finish, close the store."""
        if self._server is not None:
            self._server.stop()
        if self._context is not None:
            self._context.subscriptions.pool.shutdown(wait=True, cancel_futures=True)
            for timer in self._context.simulator.timers:
                timer.cancel()
            self._context.reset_clients()
            with self._context.store.lock:
                self._context.store.conn.close()
        self._server = self._context = None

    def _application(self) -> Any:
        with warnings.catch_warnings(), _quiet_root():
            warnings.simplefilter("ignore")
            from sekmet.config import ServerAuth, Settings, SimulatorSettings, SubscriptionSettings
            from sekmet.main import create_app

            _register_search_parameters()
            settings = Settings(
                base_url=self._base_url,
                host="127.0.0.1",
                data_dir=str(self._data_dir),
                facility_name="Bedside twin",
                server_auth=ServerAuth(types=["bearer"], tokens=[self._token]),
                simulator=SimulatorSettings(enabled=False),
                subscriptions=SubscriptionSettings(retries=3),
                # Its traffic log would be a second, unguarded copy of every patient.
                log_inbound=False,
                max_body_log=0,
            )
            app = create_app(settings)
        # Its messages and tracebacks quote resources.
        logger = logging.getLogger("sekmet")
        logger.setLevel(logging.CRITICAL)
        logger.propagate = False
        self._context = app.state.ctx
        # Its heartbeat thread can never be stopped; nothing here asks for heartbeats.
        self._context.subscriptions._heartbeat_started = True
        return app

    def _await_ready(self, timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        with httpx.Client(timeout=5.0, trust_env=False) as http:
            while True:
                try:
                    if http.get(f"{self._base_url}/metadata").status_code < 500:
                        return
                except httpx.TransportError:
                    pass
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the EHR at {self._base_url} does not answer")
                time.sleep(0.05)


class _FhirOnly:
    """Serve the FHIR base and nothing else: sekmet's user interface asks nobody who they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/fhir" or scope["path"].startswith("/fhir/"):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse("Not Found", 404)(scope, receive, send)


class _quiet_root:  # noqa: N801 - reads as a verb where it is used
    """Keep ``logging.basicConfig`` of a library from taking over the root logger."""

    _lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._handler = logging.NullHandler()
        logging.getLogger().addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._lock.release()


def _register_search_parameters() -> None:
    from sekmet.fhir.search_params import PARAMS, SearchParam

    for resource_type, parameters in SEARCH_PARAMETERS.items():
        table = PARAMS.setdefault(resource_type, {})
        for name, kind, paths, target in parameters:
            table.setdefault(name, SearchParam(name, kind, tuple(paths.split("|")), target))


def _kept_token(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text().strip()
