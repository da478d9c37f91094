r"""A hospital and its cloud on one machine.

::

    SekmetEhr --rest-hook--> Gateway -> receiver --> SQS (moto) -> QueuePoller -> survival worker ---FHIR--> SekmetEhr
        ^                                       \--> SQS (moto) -> QueuePoller -> diagnosis worker --FHIR-->    |
        |                                                                 Pacs <--DICOMweb--/                  |
        +------------------------------------ Pages (read only) <----------------------------------------------+

    browser -> EhrFront --frame---> Gateway -> SMART app -----> guard -> SekmetEhr
                        --signed--> Gateway -> CDS service --> guard -> SekmetEhr
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import httpx

from fhir_adapter.dicomweb import WebImageStore
from infra.local.aws import REGION, LocalAws
from infra.local.deadletters import DeadLetter
from infra.local.ehr import Ehr, SekmetEhr
from infra.local.ehrfront import APP_KEY, EhrFront
from infra.local.errors import TwinError
from infra.local.functions import LOG, LambdaFunction
from infra.local.gateway import CDS_ROUTES, SMART_ROUTES, Gateway
from infra.local.pacs import Pacs, open_pacs
from infra.local.pages import Pages
from infra.local.poller import BATCH_SIZE, QueuePoller
from infra.local.queues import Queues, ended_events
from infra.local.server import bind, serve
from infra.local.subscriptions import ADMISSIONS, FEEDS, Feed, rest_hook, topic_based
from infra.local.tenant import TENANT, description
from infra.local.workers import DIAGNOSIS_BATCH_SIZE, start_front, start_functions

__all__ = ["TENANT", "Twin", "TwinError"]

JSON = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}


class Twin:
    """The whole twin, as a context manager.

    Parameters
    ----------
    data_dir : Path
        Where the EHR keeps its data (``ehr/``), the image archive its own (``pacs/``) and the functions their log
        (``functions.log``). The cloud side forgets everything at the end.
    page_port, gateway_port, ehr_port, front_port : int, optional
        Ports on 127.0.0.1; free ones by default. The last is that of the EHR's own pages.
    lambda_emulator : bool
        Run the functions in AWS's own runtime emulator instead of in this process.
    ehr : Ehr, optional
        Another FHIR server instead of sekmet; it has no front.
    receiver, worker, diagnosis : LambdaFunction, optional
        Other functions instead of Bedside's; started and stopped here.
    archive : callable, optional
        Makes another image archive than the one that can run here, from its folder and the token it must accept.
    audit : {"log", "ehr"}
        Where AuditEvents go. In the EHR they add to its data with every read, repeated events included.
    visibility_timeout : int
        Seconds until an event whose handling failed is tried again.
    """

    def __init__(
        self,
        data_dir: Path,
        page_port: int | None = None,
        *,
        gateway_port: int | None = None,
        ehr_port: int | None = None,
        lambda_emulator: bool = False,
        front_port: int | None = None,
        ehr: Ehr | None = None,
        receiver: LambdaFunction | None = None,
        worker: LambdaFunction | None = None,
        diagnosis: LambdaFunction | None = None,
        archive: Callable[[Path, str | None], Pacs] | None = None,
        audit: Literal["log", "ehr"] = "log",
        visibility_timeout: int = 60,
    ) -> None:
        self.data_dir = data_dir
        self.ehr: Ehr = ehr or SekmetEhr(data_dir / "ehr", ehr_port)
        self.aws = LocalAws(visibility_timeout)
        self._secrets = {feed.name: secrets.token_urlsafe(32) for feed in FEEDS}
        self._ports = (page_port, gateway_port, front_port)
        self._emulated = lambda_emulator
        self._audit = audit
        self._given = (receiver, worker, diagnosis)
        self._open_archive = archive or _archive
        self._stack = ExitStack()
        self.environment: dict[str, str] = {}
        self.gateway_url = ""
        self.page_url = ""
        self.front_url = ""
        self.front: EhrFront | None = None
        self.fhir: httpx.Client
        self.gateway: Gateway
        self.pacs: Pacs
        self.images: WebImageStore
        self.pollers: tuple[QueuePoller, ...] = ()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        """Start everything; what is started later is stopped earlier, and the EHR before what it notifies."""
        page_port, gateway_port, front_port = self._ports
        self.data_dir.mkdir(parents=True, exist_ok=True)
        LOG.target = stack.enter_context((self.data_dir / "functions.log").open("a", buffering=1, encoding="utf-8"))
        stack.callback(setattr, LOG, "target", None)
        self.aws.start()
        stack.callback(self.aws.stop)
        self.environment = self.aws.environment()
        receiver, worker, diagnosis = start_functions(self._given, self.aws, stack, emulated=self._emulated)
        self.gateway = Gateway(receiver.invoke)
        self.gateway_url = serve(self.gateway.app, bind(gateway_port), stack)
        front_socket = self._open_front(front_port, stack)
        self.ehr.start()
        stack.callback(self.ehr.stop)
        self.images = self._images(stack)
        self.aws.put_tenant(TENANT, self._tenant())
        self.fhir = stack.enter_context(self._client())
        if self.front is not None and front_socket is not None:
            serve(self.front.pages(stack.enter_context(self._client())), front_socket, stack)
        self.page_url = serve(Pages(stack.enter_context(self._client()), self.images).app, bind(page_port), stack)
        sqs, self._dynamodb = self.aws.client("sqs"), self.aws.client("dynamodb")
        stack.callback(sqs.close)
        stack.callback(self._dynamodb.close)
        self._queues = Queues(sqs, self.aws.queues)
        self.pollers = tuple(
            QueuePoller(self.aws.client("sqs"), queue.url, function, REGION, most)
            for queue, function, most in (
                (self.aws.events, worker, BATCH_SIZE),
                (self.aws.diagnosis, diagnosis, DIAGNOSIS_BATCH_SIZE),
            )
        )
        for poller in self.pollers:
            stack.callback(poller.stop)
        for poller in self.pollers:
            poller.start()

    def _open_front(self, port: int | None, stack: ExitStack) -> socket.socket | None:
        """Start what clinicians use, and have the EHR guarded; the front's pages come when the EHR is there.

        Its address says ``localhost`` and the app's ``127.0.0.1``: to a browser these are two sites.
        """
        if not isinstance(self.ehr, SekmetEhr):
            return None
        listener = bind(port)
        stack.callback(listener.close)
        self.front_url = f"http://localhost:{listener.getsockname()[1]}"
        self.front = EhrFront(self.front_url, self.gateway_url, TENANT)
        stack.callback(self.front.close)
        self.ehr.wrap = self.front.wrap
        self.aws.put_key(APP_KEY, self.front.app_key)
        for function, routes in zip(
            start_front(self.aws, self.gateway_url, stack), (SMART_ROUTES, CDS_ROUTES), strict=True
        ):
            self.gateway.add(function.invoke, routes)
        return listener

    def _images(self, stack: ExitStack) -> WebImageStore:
        """Start the image archive; one token opens it and the EHR, since a tenant has one."""
        self.pacs = self._open_archive(self.data_dir / "pacs", self.ehr.token or None)
        try:
            self.pacs.start()
        except (RuntimeError, TimeoutError) as error:
            raise TwinError(f"the image archive did not start: {error}") from error
        stack.callback(self.pacs.stop)
        return stack.enter_context(WebImageStore(self.pacs.root, self.pacs.token))

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.ehr.token}", **JSON}
        return httpx.Client(base_url=self.ehr.base_url, headers=headers, timeout=60.0, trust_env=False)

    def _tenant(self) -> dict[str, object]:
        """What the functions may know of this hospital."""
        known = description(self.ehr.base_url, self.pacs.root, self.ehr.token, self._secrets, self._audit)
        return known | (self.front.settings() if self.front is not None else {})

    @property
    def secret(self) -> str:
        """What the EHR sends with a notification of an admission."""
        return self._secrets[ADMISSIONS.name]

    @property
    def endpoint(self) -> str:
        """Where the EHR sends notifications of admissions."""
        return self._endpoint(ADMISSIONS)

    def _endpoint(self, feed: Feed) -> str:
        return f"{self.gateway_url}/notify/{TENANT}/{feed.name}"

    def post_bundle(self, bundle: dict[str, Any]) -> dict[str, Any]:
        """Have the EHR process a Bundle.

        Raises
        ------
        TwinError
            The EHR refused it.
        """
        response = self.fhir.post("", json=bundle)
        if response.status_code >= 300:
            raise TwinError(f"the EHR refused a Bundle with status {response.status_code}")
        return cast(dict[str, Any], response.json())

    def register_subscription(
        self,
        feed: Feed = ADMISSIONS,
        *,
        backport: Literal["empty", "id-only", "full-resource"] | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Put a Subscription into the EHR and wait until it is active.

        Parameters
        ----------
        feed : Feed
            Which.
        backport : str, optional
            Topic-based (Subscriptions R5 Backport) with this payload content, instead of R4 criteria.
        timeout : float
            Seconds to wait.

        Raises
        ------
        TwinError
            The EHR refused it, or it did not become active.
        """
        where = (self._endpoint(feed), self._secrets[feed.name])
        subscription = topic_based(feed, *where, backport) if backport else rest_hook(feed, *where)
        path = f"Subscription/{feed.id}"
        response = self.fhir.put(path, json=subscription)
        if response.status_code >= 300:
            raise TwinError(f"the EHR refused the Subscription with status {response.status_code}")
        deadline = time.monotonic() + timeout
        while True:
            stored = self.fhir.get(path).json()
            if stored.get("status") == "active":
                return
            if stored.get("status") == "error" or time.monotonic() > deadline:
                raise TwinError(f"the Subscription is {stored.get('status')}: {stored.get('error', 'no reason given')}")
            time.sleep(0.05)

    def ping(self, feed: Feed = ADMISSIONS) -> None:
        """Send the empty notification that asks for a sweep: what an EHR sends when it names nothing.

        Raises
        ------
        TwinError
            The receiver did not take it.
        """
        headers = {"Authorization": f"Bearer {self._secrets[feed.name]}"}
        response = httpx.post(self._endpoint(feed), headers=headers, timeout=30.0, trust_env=False)
        if response.status_code != 202:
            raise TwinError(f"the receiver answered an empty notification with status {response.status_code}")

    def ledger(self) -> list[dict[str, Any]]:
        """Return how every event ended, one item each, as plain values."""
        return ended_events(self._dynamodb)

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters; they stay where they are."""
        return self._queues.dead_letters()

    def waiting(self) -> int:
        """Return the number of events queued or being handled."""
        return self._queues.waiting()

    def dead_letter_count(self) -> int:
        """Return the number of dead letters."""
        return self._queues.dead_letter_count()

    def drain(self, timeout: float = 60.0, expected: int = 0, watch: Callable[[], None] | None = None) -> bool:
        """Wait until every event is answered.

        Parameters
        ----------
        timeout : float
            Seconds to wait.
        expected : int
            Number of events that must be in the ledger, at least.
        watch : callable, optional
            Called between two looks.

        Returns
        -------
        bool
            False when the time was up first: notifications get lost.
        """
        deadline = time.monotonic() + timeout
        while True:
            if self.waiting() == 0 and len(self.ledger()) >= expected:
                return True
            if time.monotonic() > deadline:
                return False
            if watch is not None:
                watch()
            time.sleep(0.25)


def _archive(folder: Path, token: str | None) -> Pacs:
    return open_pacs(folder, token=token)
