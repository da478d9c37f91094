"""What is known of the patient: what the EHR sent along, and what may be read besides, in one round trip."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fhir_adapter.cds_hooks import HookRequest, MalformedRequest, PrefetchMissing, Sent, filled
from fhir_adapter.cds_hooks.prefetch import checked, sound
from fhir_adapter.client import BatchAnswer, FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected, FhirUnavailable
from functions.cds_hooks.deadline import Budget, OutOfTime
from functions.cds_hooks.services import Service

__all__ = ["Chart"]

# What servers say that take no batch.
NO_BATCH = frozenset({400, 404, 405, 415, 422, 501})


class Chart:
    """The record as far as one call needs it.

    Parameters
    ----------
    service : Service
    request : HookRequest
    fhir_base : str
        The tenant's.
    client : FhirClient or None
        Signed in with the token of this call; None where the call brings none.
    budget : Budget

    Raises
    ------
    MalformedRequest
        What was sent along is of another patient.
    """

    def __init__(
        self, service: Service, request: HookRequest, fhir_base: str, client: FhirClient | None, budget: Budget
    ) -> None:
        self._service = service
        self._request = request
        self._base = fhir_base
        self._client = client
        self._budget = budget
        self._found: dict[str, tuple[Json, ...]] = dict(Sent.of(request, service.templates, fhir_base).found)
        self.reads = 0

    def get(self, key: str) -> tuple[Json, ...]:
        """Return the resources of a key that was obtained; none for one that the service does not ask for."""
        return self._found.get(key, ())

    def has(self, key: str) -> bool:
        """Return whether the resources of a key are known."""
        return key in self._found

    def obtain(self, keys: Sequence[str], *, optional: Collection[str] = ()) -> None:
        """Read what of these is not known yet.

        Parameters
        ----------
        optional : collection of str
            Keys that one can do without; what cannot be read of them stays unknown.

        Raises
        ------
        PrefetchMissing
            Naming what was neither sent nor can be read.
        OutOfTime
        """
        wanted = {key: query for key in keys if key not in self._found and (query := self._query(key)) is not None}
        if not wanted:
            return
        self._budget.check()
        if self._client is not None:
            for key, answer in zip(wanted, self._answers(self._client, list(wanted.values())), strict=True):
                self._take(self._client, key, answer)
        missing = [key for key in wanted if key not in self._found and key not in optional]
        if missing:
            told = ", ".join(f"prefetch.{key}" for key in missing)
            how = "could not be read with fhirAuthorization" if self._client else "there is no fhirAuthorization"
            raise PrefetchMissing(f"needed, and not sent along: {told}; and {how}")

    def _query(self, key: str) -> str | None:
        template = self._service.templates.get(key)
        return None if template is None else filled(template, self._request.context)

    def _answers(self, client: FhirClient, queries: list[str]) -> list[BatchAnswer]:
        """Ask for all at once; one by one where the server takes no batch."""
        self.reads += 1
        if len(queries) > 1:
            try:
                return client.batch(queries)
            except FhirRejected as error:
                if error.status not in NO_BATCH:
                    return [BatchAnswer(error.status or 502, None) for _ in queries]
            except FhirUnavailable as error:
                return [self._silence(error) for _ in queries]
        return [self._one(client, query) for query in queries]

    def _one(self, client: FhirClient, query: str) -> BatchAnswer:
        self._budget.check()
        try:
            return BatchAnswer(200, client.read(query))
        except FhirRejected as error:
            return BatchAnswer(error.status or 502, None)
        except FhirUnavailable as error:
            return self._silence(error)

    def _silence(self, error: FhirUnavailable) -> BatchAnswer:
        # a server that did not answer in the time there was: nothing is wrong with the call
        if error.status is None and self._budget.left < 0.01:
            raise OutOfTime from None
        return BatchAnswer(error.status or 503, None)

    def _take(self, client: FhirClient, key: str, answer: BatchAnswer) -> None:
        resource = answer.resource
        if answer.status >= 400 or resource is None:
            return
        if resource.get("resourceType") == "Bundle":
            try:
                found = tuple(client.complete(resource))
            except (FhirRejected, FhirUnavailable):
                return
        else:
            found = (resource,)
        if not all(map(sound, found)):
            return
        try:
            checked(key, found, self._request.context, self._base)
        except MalformedRequest:
            return
        self._found[key] = found
