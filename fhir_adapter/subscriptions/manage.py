"""Making, watching, repairing and deleting our Subscriptions at one EHR."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable, MalformedNotification, NotificationError
from fhir_adapter.notifications import SubscriptionStatus, parse_status
from fhir_adapter.subscriptions.build import Wanted, header_of, subscription
from fhir_adapter.subscriptions.offer import Dialect, Offer, read_offer

__all__ = ["State", "Subscriptions"]

GONE = (404, 410)
# What a server may answer to a PUT with an id it has not seen (FHIR R4 http.html#upsert).
NO_UPSERT = (400, 404, 405, 422)
MOST_EVENTS = 1000


@dataclass(frozen=True)
class State:
    """How a Subscription fares at its EHR.

    Parameters
    ----------
    reference : str
        ``Subscription/{id}``.
    status : str
        ``requested``, ``active``, ``error``, ``off``, or ``missing`` when the EHR has none.
    error : str
        What the EHR says went wrong, shortened; for people at a screen, not for logs.
    dialect : Dialect or None
        How it is written.
    heartbeat : int or None
        Seconds between signs of life that it was asked for.
    events : int or None
        Events so far as the server counts (``$status``); None when it does not tell.
    """

    reference: str
    status: str
    error: str = ""
    dialect: Dialect | None = None
    heartbeat: int | None = None
    events: int | None = None

    @property
    def broken(self) -> bool:
        """Whether the EHR has stopped telling."""
        return self.status in ("error", "off", "missing", "entered-in-error")


class Subscriptions:
    """Our Subscriptions at one EHR.

    Parameters
    ----------
    client : FhirClient
    sleep, clock : callable
        For tests.
    """

    def __init__(
        self,
        client: FhirClient,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._clock = clock

    @cached_property
    def offer(self) -> Offer:
        """What the server offers; asked for once."""
        return read_offer(self._client.read("metadata"))

    def create(self, wanted: Wanted, dialect: str = "auto") -> str:
        """Make a Subscription, or bring the one that is there up to date.

        Under our own id; where the server chooses ids, a conditional create on the endpoint finds the one that is
        there (FHIR R4 http.html#ccreate). Safe to repeat.

        Returns
        -------
        str
            ``Subscription/{id}``, which the tenant's description should name.

        Raises
        ------
        ConfigurationError, FhirRejected, FhirUnavailable
        """
        resource = subscription(wanted, self.offer.dialect(wanted.topic, dialect))
        if self.offer.update_create:
            try:
                self._client.update(resource)
                return f"Subscription/{wanted.id}"
            except FhirRejected as error:
                if error.status not in NO_UPSERT:
                    raise
        return self._create_anonymous(resource, wanted)

    def _create_anonymous(self, resource: Json, wanted: Wanted) -> str:
        condition = urlencode({"url": wanted.endpoint})
        anonymous = {key: value for key, value in resource.items() if key != "id"}
        response = self._client.send(
            "POST", f"{self._client.base}/Subscription", anonymous, {"If-None-Exist": condition}
        )
        reference = self._client.relative(response.headers.get("location", ""))
        if reference is None:
            found = self._client.complete(self._client.read(f"Subscription?{condition}"))
            reference = f"Subscription/{found[0]['id']}" if found else None
        if reference is None:
            raise FhirRejected("the server took the Subscription and does not say where it is")
        if response.status_code == 200:
            # it was there already, perhaps with another secret
            self._client.update({**resource, "id": reference.removeprefix("Subscription/")})
        return reference

    def wait(self, reference: str, seconds: float = 30.0, pause: float = 0.2) -> State:
        """Wait until a Subscription is active; returns its state when it is, or when it failed.

        Raises
        ------
        FhirUnavailable
            It was still ``requested`` when the time was up.
        """
        give_up = self._clock() + seconds
        while True:
            state = self.state(reference, ask=False)
            if state.status != "requested":
                return state
            if self._clock() >= give_up:
                raise FhirUnavailable(f"{reference} is not active after {seconds:g} s; is the endpoint reachable?")
            self._sleep(pause)

    def state(self, reference: str, *, ask: bool = True) -> State:
        """Return how a Subscription fares.

        Parameters
        ----------
        ask : bool
            Whether to ask ``$status`` too, where the server has it.
        """
        try:
            resource = self._client.read(reference)
        except FhirRejected as error:
            if error.status not in GONE:
                raise
            return State(reference, "missing")
        told = (
            self._ask(reference) if ask and self.offer.status and _dialect(resource) is not Dialect.CRITERIA else None
        )
        status = str(resource.get("status") or "")
        if told and told.status and told.broken:
            status = told.status
        return State(
            reference=reference,
            status=status,
            error=str(resource.get("error") or "")[:200],
            dialect=_dialect(resource),
            heartbeat=_heartbeat(resource),
            events=told.events_since_start if told else None,
        )

    def _ask(self, reference: str) -> SubscriptionStatus | None:
        """Backport, Subscription/{id}/$status; a server that cannot answer is no worse than one that has it not."""
        try:
            return parse_status(self._client.read(f"{reference}/$status"), self._client.relative)
        except (FhirRejected, NotificationError):
            return None

    def events(self, reference: str, first: int, last: int) -> SubscriptionStatus | None:
        """Ask for the events of a gap (Backport, Subscription/{id}/$events).

        Returns
        -------
        SubscriptionStatus or None
            None where the server has no such operation, or does not answer it with a status.
        """
        if not self.offer.events:
            return None
        query = urlencode(
            {"eventsSinceNumber": first, "eventsUntilNumber": min(last, first + MOST_EVENTS - 1), "content": "id-only"}
        )
        try:
            return parse_status(self._client.read(f"{reference}/$events?{query}"), self._client.relative)
        except (FhirRejected, MalformedNotification, NotificationError):
            return None

    def repair(self, reference: str, wanted: Wanted | None = None) -> State:
        """Ask for activation again (FHIR R4 subscription.html: status ``requested``), with our header.

        Servers hide headers when they are read; what was read is therefore not sent back as it is.
        """
        resource = self._client.read(reference)
        version = (resource.get("meta") or {}).get("versionId")
        asked = {key: value for key, value in resource.items() if key != "error"}
        asked["status"] = "requested"
        if wanted:
            asked |= _ours(resource, wanted)
        self._client.update(asked, if_match=str(version) if version else None)
        return self.state(reference, ask=False)

    def turn_off(self, reference: str) -> None:
        """Set a Subscription ``off``; it stays there."""
        resource = self._client.read(reference)
        self._client.update({**resource, "status": "off"})

    def delete(self, reference: str) -> bool:
        """Delete a Subscription; where deleting is refused, turn it off. Returns whether it is gone."""
        try:
            self._client.send("DELETE", f"{self._client.base}/{reference}")
        except FhirRejected as error:
            if error.status in GONE:
                return True
            if error.status not in (403, 405, 501):
                raise
            self.turn_off(reference)
            return False
        return True


def _ours(resource: Json, wanted: Wanted) -> Json:
    if "channelType" in resource:
        name, _, value = header_of(wanted).partition(": ")
        return {"endpoint": wanted.endpoint, "parameter": [{"name": name, "value": value}]}
    channel = {**(resource.get("channel") or {}), "endpoint": wanted.endpoint, "header": [header_of(wanted)]}
    return {"channel": channel}


def _dialect(resource: Json) -> Dialect:
    if "topic" in resource:
        return Dialect.R5
    criteria = str(resource.get("criteria") or "")
    return Dialect.BACKPORT if criteria.startswith(("http://", "https://", "urn:")) else Dialect.CRITERIA


def _heartbeat(resource: Json) -> int | None:
    if isinstance(resource.get("heartbeatPeriod"), int):
        return int(resource["heartbeatPeriod"])
    for extension in (resource.get("channel") or {}).get("extension") or []:
        # the guide's own examples name it by its last part
        if str(extension.get("url", "")).rpartition("/")[2] in ("backport-heartbeat-period", "heartbeatPeriod"):
            return int(extension.get("valueUnsignedInt") or 0) or None
    return None
