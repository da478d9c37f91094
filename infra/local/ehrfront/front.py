"""Putting the front together, and what both sides are told of each other when they are registered."""

from __future__ import annotations

from typing import Any

import httpx
from joserfc.jwk import ECKey
from starlette.types import ASGIApp

from infra.local.ehrfront.authority import Authority, Client
from infra.local.ehrfront.cdsclient import CdsCaller
from infra.local.ehrfront.endpoints import guarded
from infra.local.ehrfront.pages import EhrPages
from infra.local.ehrfront.panel import CdsPanel
from infra.local.ehrfront.record import Record

__all__ = ["APP_KEY", "EhrFront"]

APP_KEY = "twin-app"
CLIENT_ID = "bedside-app"
# What the app asks for; each may be granted.
APP_SCOPES = (
    *("patient/Patient.r", "patient/RiskAssessment.rus", "patient/Observation.rus", "patient/DiagnosticReport.rus"),
    *("patient/ImagingStudy.r", "patient/Condition.r", "patient/Encounter.r", "patient/Provenance.cu"),
)
SURVIVAL = ("whas500", "pbc", "mgus2", "nafld")
# A laptop that runs a whole hospital beside it; the default of 400 ms is for the cloud.
DEADLINE_MS = 5000


class EhrFront:
    """The EHR's front, before it is started.

    Parameters
    ----------
    url : str
        Origin of its pages: another site than the app's.
    services_url : str
        Origin of the app and the CDS service.
    tenant : str
        This hospital's name there.
    """

    def __init__(self, url: str, services_url: str, tenant: str) -> None:
        self.url = url
        self._launch = f"{services_url}/smart/{tenant}/launch"
        self._callback = f"{services_url}/smart/{tenant}/callback"
        self._caller = CdsCaller(f"{services_url}/cds/{tenant}", url)
        self._app_key = ECKey.generate_key("P-384", {"kid": "twin-app-1", "use": "sig", "alg": "ES384"})
        self.authority: Authority

    def wrap(self, inner: ASGIApp, fhir_base: str, backend_token: str) -> ASGIApp:
        """Put the guard and the authorization server around a FHIR server."""
        issuer = "/".join(fhir_base.split("/")[:3])
        self.authority = Authority(fhir_base, issuer, f"{self.url}/authorize")
        public = {"keys": [self._app_key.as_dict(private=False)]}
        self.authority.register(Client(CLIENT_ID, (self._callback,), public, frozenset(APP_SCOPES)))
        return guarded(inner, self.authority, backend_token)

    def pages(self, fhir: httpx.Client) -> ASGIApp:
        """Return the pages, which read the record by `fhir`."""
        panel = CdsPanel(self._caller, self.authority, fhir)
        return EhrPages(self.url, self.authority, Record(fhir), panel, self._launch).app

    def close(self) -> None:
        """Close what is open."""
        self._caller.close()

    @property
    def app_key(self) -> dict[str, Any]:
        """The app's private key, for its secret."""
        return self._app_key.as_dict(private=True)

    def settings(self) -> dict[str, Any]:
        """Return what the tenant's record says of this EHR."""
        host = self.url.partition("://")[2]
        return {
            "allowed_hosts": [host],
            "smart": {
                "client_id": CLIENT_ID,
                "auth": "private-key-jwt",
                "alg": "ES384",
                "key": APP_KEY,
                "scopes": list(APP_SCOPES),
                "refresh": "online",
                "issuer": self.authority.issuer,
                "frame_ancestors": [self.url],
            },
            "cds_hooks": {
                "clients": [{"iss": self._caller.issuer, "jwks": self._caller.jwks, "algs": ["ES384"]}],
                "url": self._caller.url,
                "launch_url": self._launch,
                "groups": {"risk": list(SURVIVAL)},
                "origins": [self.url],
                "deadline_ms": DEADLINE_MS,
                "abstentions": True,
                "thresholds": {"whas500": {"days": 30, "warning": 0.05, "critical": 0.3}},
            },
        }
