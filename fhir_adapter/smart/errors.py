"""Errors of the app's launch and session; a branch of the tree in :mod:`fhir_adapter.errors`.

::

    SmartError                      (HTTP status, stable code; the message says what to do)
    ├── LaunchRefused               400  the launch is not one of a registered EHR; nothing was sent
    ├── CallbackRefused             400  the answer of the authorization server belongs to no launch of this browser
    ├── AuthorizationDenied         403, 502, 503  the authorization server said no (carries its OAuth error code)
    ├── EhrUnsuitable               502  the EHR's SMART configuration lacks what the app needs, or leads elsewhere
    ├── TokenRefused                502  the token endpoint refused, or its answer is not what the standard says
    │   └── IdTokenRefused          502  the id_token is not one of this issuer, for us, for this launch, now
    ├── PatientMissing              400  no patient is open in the EHR
    ├── SessionEnded                401  there is no session any more; open the app again from the chart
    └── EhrSilent                   503  (also Unavailable) the EHR does not answer now

Messages are for the log and hold nothing from a request or an answer, except OAuth error codes. What a person reads is
looked up by ``code``.
"""

from __future__ import annotations

from fhir_adapter.errors import FhirAdapterError, Unavailable


class SmartError(FhirAdapterError):
    """A launch or a session cannot go on.

    Attributes
    ----------
    status : int
        HTTP status to answer with.
    code : str
        Stable name of what happened.
    """

    status = 400
    code = "smart"

    def __init__(self, message: str, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.status = status or type(self).status


class LaunchRefused(SmartError):
    """The launch is malformed, or comes from an EHR that is not registered."""

    code = "launch-refused"


class CallbackRefused(SmartError):
    """An answer of an authorization server that belongs to no launch of this browser."""

    code = "state-unknown"


class AuthorizationDenied(SmartError):
    """The authorization server answered with an error (RFC 6749, 4.1.2.1)."""

    status = 502
    code = "authorization-failed"


class EhrUnsuitable(SmartError):
    """The EHR's SMART configuration lacks what the app needs, or names endpoints that are not the tenant's."""

    status = 502
    code = "ehr-unsuitable"


class TokenRefused(SmartError):
    """The token endpoint refused, or answered with something else than a token.

    Attributes
    ----------
    oauth_error : str or None
        Its error code (RFC 6749, 5.2), where it told one.
    """

    status = 502
    code = "token-refused"

    def __init__(self, message: str, oauth_error: str | None = None) -> None:
        super().__init__(message)
        self.oauth_error = oauth_error


class IdTokenRefused(TokenRefused):
    """The id_token does not say, verifiably and for this launch, who the user is."""

    code = "id-token-refused"


class PatientMissing(SmartError):
    """The launch has no patient, and everything the app shows is about one."""

    code = "no-patient"


class SessionEnded(SmartError):
    """There is no such session, or not any more."""

    status = 401
    code = "session-ended"


class EhrSilent(SmartError, Unavailable):
    """The EHR or its authorization server does not answer now.

    Attributes
    ----------
    retry_after : float
        Seconds it asks to wait, 0 when it does not.
    may_have_acted : bool
        Whether it may have taken what was sent all the same: a code or a refresh token may be spent.
    """

    status = 503
    code = "ehr-silent"

    def __init__(self, message: str, retry_after: float = 0.0, *, may_have_acted: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.may_have_acted = may_have_acted
