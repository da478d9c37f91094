"""Signing in at an EHR: static tokens and SMART Backend Services (SMART App Launch 2.2).

Cryptography is imported when the first key is used, so that tenants without one do not pay for it.
"""

from fhir_adapter.auth.backend import BackendServices
from fhir_adapter.auth.cache import TokenCache
from fhir_adapter.auth.errors import AuthorizationRefused, AuthorizationUnavailable
from fhir_adapter.auth.scopes import missing_scopes
from fhir_adapter.auth.tokens import StaticToken, Token, TokenSource

__all__ = [
    "AuthorizationRefused",
    "AuthorizationUnavailable",
    "BackendServices",
    "StaticToken",
    "Token",
    "TokenCache",
    "TokenSource",
    "missing_scopes",
]
