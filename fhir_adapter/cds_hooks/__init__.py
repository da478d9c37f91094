"""CDS Hooks 2.0, the service's side: what it is asked, by whom, and what it answers. Knows no model and no cloud.

::

    discovery, prefetch (templates)        what an EHR is told
    authentication -> keys, replay         who calls
    request, prefetch (Sent), feedback     what is asked
    cards -> markdown                      what is answered
"""

from fhir_adapter.cds_hooks.authentication import Caller, authenticate
from fhir_adapter.cds_hooks.cards import Action, Card, Link, Reason, Source, Suggestion, response, shortened
from fhir_adapter.cds_hooks.discovery import ServiceDescription, discovery
from fhir_adapter.cds_hooks.errors import (
    CallerUnknowable,
    CdsHooksError,
    ClientUnauthorized,
    ForeignServer,
    MalformedRequest,
    PrefetchMissing,
    RequestTooLarge,
    UnknownService,
)
from fhir_adapter.cds_hooks.feedback import Feedback, parse_feedback
from fhir_adapter.cds_hooks.keys import ClientKeys, FetchedKeys
from fhir_adapter.cds_hooks.prefetch import Sent, filled, templates
from fhir_adapter.cds_hooks.replay import MemoryReplays, Replays
from fhir_adapter.cds_hooks.request import (
    MAX_BODY,
    FhirAuthorization,
    HookContext,
    HookRequest,
    parse_request,
    request_object,
)

__all__ = [
    "MAX_BODY",
    "Action",
    "Caller",
    "CallerUnknowable",
    "Card",
    "CdsHooksError",
    "ClientKeys",
    "ClientUnauthorized",
    "Feedback",
    "FetchedKeys",
    "FhirAuthorization",
    "ForeignServer",
    "HookContext",
    "HookRequest",
    "Link",
    "MalformedRequest",
    "MemoryReplays",
    "PrefetchMissing",
    "Reason",
    "Replays",
    "RequestTooLarge",
    "Sent",
    "ServiceDescription",
    "Source",
    "Suggestion",
    "UnknownService",
    "authenticate",
    "discovery",
    "filled",
    "parse_feedback",
    "parse_request",
    "request_object",
    "response",
    "shortened",
    "templates",
]
