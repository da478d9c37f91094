"""Errors of signing in; leaves of the tree in :mod:`fhir_adapter.errors`.

::

    FhirUnavailable
    └── AuthorizationUnavailable    the token endpoint cannot answer now
    FhirRejected
    └── AuthorizationRefused        the token endpoint, or what it granted, will be the same next time

No message holds a token, an assertion, a key or a text of the server: they name codes, scopes and hosts' tenants.
"""

from __future__ import annotations

from fhir_adapter.errors import FhirRejected, FhirUnavailable


class AuthorizationUnavailable(FhirUnavailable):
    """No token now; the same request may succeed later.

    Attributes
    ----------
    retry_after : float
        Seconds the server asks to wait, 0 when it does not.
    may_have_acted : bool
        Whether the server may have taken what was sent, though its answer did not arrive: a code or a refresh token
        may then be spent.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after: float = 0.0, *, may_have_acted: bool = False
    ) -> None:
        super().__init__(message, status)
        self.retry_after = retry_after
        self.may_have_acted = may_have_acted


class AuthorizationRefused(FhirRejected):
    """No token, and none later: the client, its key, or the scopes are not what the EHR has on record.

    Attributes
    ----------
    code : str or None
        OAuth error code (RFC 6749, 5.2), where one was told.
    """

    def __init__(self, message: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message, status)
        self.code = code
