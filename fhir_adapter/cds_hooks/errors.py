"""Why a call of a CDS service is refused.

::

    CdsHooksError                a call is refused (carries an HTTP status)
    ├── MalformedRequest         400: not JSON, not the hook's, or a field is missing or wrong
    ├── ClientUnauthorized       401: the client's token is missing or not good
    ├── ForeignServer            403: fhirServer is not the tenant's
    ├── UnknownService           404: no such tenant, or no such service
    ├── PrefetchMissing          412: needed data was neither sent nor can be read
    ├── RequestTooLarge          413: over the body limit
    └── CallerUnknowable         503: the client's keys, or the record of used tokens, cannot be read now

No message holds anything out of the request: they name fields, keys and limits.
"""

from __future__ import annotations

from fhir_adapter.errors import FhirAdapterError, Unavailable

__all__ = [
    "CallerUnknowable",
    "CdsHooksError",
    "ClientUnauthorized",
    "ForeignServer",
    "MalformedRequest",
    "PrefetchMissing",
    "RequestTooLarge",
    "UnknownService",
]


class CdsHooksError(FhirAdapterError):
    """A call is refused.

    Attributes
    ----------
    status : int
        HTTP status to answer with.
    issue_code : str
        Code of the OperationOutcome issue (http://hl7.org/fhir/ValueSet/issue-type).
    """

    status = 400
    issue_code = "invalid"


class MalformedRequest(CdsHooksError):
    """The body is not the request of its hook."""


class ClientUnauthorized(CdsHooksError):
    """The client does not show who it is."""

    status = 401
    issue_code = "login"


class ForeignServer(CdsHooksError):
    """The call asks us to go to a FHIR server that is not the tenant's."""

    status = 403
    issue_code = "forbidden"


class UnknownService(CdsHooksError):
    """No such tenant, or no such service there."""

    status = 404
    issue_code = "not-found"


class PrefetchMissing(CdsHooksError):
    """What the service needs was neither sent along nor can be read."""

    status = 412
    issue_code = "required"


class RequestTooLarge(CdsHooksError):
    """The body is over the limit."""

    status = 413
    issue_code = "too-long"


class CallerUnknowable(CdsHooksError, Unavailable):
    """Whether the caller is who it says cannot be told now."""

    status = 503
    issue_code = "transient"
