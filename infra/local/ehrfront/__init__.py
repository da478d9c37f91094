"""The front of the twin's EHR: a strict SMART authorization server, its guard in front of FHIR, and pages for a person.

::

    browser --> EhrPages (http://localhost) --frame--> the app (http://127.0.0.1) --> Authority: code, token, refresh
                   |                                        \\--token--> FhirGuard -> sekmet
                   \\--signed calls--> CDS service --token of one call--> FhirGuard -> sekmet

It is no part of Bedside; it is what Bedside meets in a hospital, and stricter than most.
"""

from infra.local.ehrfront.authority import Authority, Client, OAuthError
from infra.local.ehrfront.front import APP_KEY, EhrFront

__all__ = ["APP_KEY", "Authority", "Client", "EhrFront", "OAuthError"]
