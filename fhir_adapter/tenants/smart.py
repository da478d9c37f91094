"""How the app at the clinician's side is registered at a tenant's EHR (SMART App Launch 2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants.auth import ALGORITHMS, Algorithm
from fhir_adapter.tenants.urls import checked_url

__all__ = ["APP_SCOPES", "CLIENT_AUTHS", "SmartApp", "read_smart"]

ClientAuth = Literal["private-key-jwt", "client-secret", "public"]
CLIENT_AUTHS: tuple[ClientAuth, ...] = ("private-key-jwt", "client-secret", "public")
REFRESH = ("online", "offline", "none")
# What the page reads today, and nothing else (SMART App Launch 2.2, Best Practices: least privilege).
APP_SCOPES = ("patient/Patient.r", "patient/RiskAssessment.rs", "patient/Observation.rs")
# SMART App Launch 2.2, Scopes for requesting FHIR resources. The letters keep their order; there is no wildcard and no
# system scope: a person's app asks for what it names.
APP_SCOPE = re.compile(
    r"(patient|user)/[A-Z][A-Za-z]{1,63}\.(?=[cruds])c?r?u?d?s?"
    r"(\?[A-Za-z_][^\s?&=\"\\]*=[^\s?&=\"\\]+(&[A-Za-z_][^\s?&=\"\\]*=[^\s?&=\"\\]+)*)?\Z"
)
_KEYS = frozenset(
    {"client_id", "auth", "alg", "key", "kid", "jwks_url", "client_secret", "scopes", "refresh", "issuer"}
    | {"frame_ancestors", "standalone", "units"}
)


@dataclass(frozen=True)
class SmartApp:
    """The app's registration at one EHR.

    Parameters
    ----------
    client_id : str
        As the EHR registered the app.
    auth : {"private-key-jwt", "client-secret", "public"}
        How the app shows who it is: with a key of ours, with a shared secret, or not at all (PKCE alone).
    alg : {"ES384", "RS384"}
        How assertions are signed.
    key : str or None
        Name of the secret that holds the private key.
    kid : str or None
        Which key of the set signs; by default the first of `alg`.
    jwks_url : str or None
        Where the EHR was told to find our public keys; when given, assertions name it (``jku``).
    client_secret : str or None
        Never shown.
    scopes : tuple of str
        ``patient/...`` and ``user/...`` scopes to ask for, beside those of the launch and of the user's identity.
    refresh : {"online", "offline", "none"}
        Whether to ask for a refresh token, and whether it is to outlive the user's presence.
    issuer : str or None
        OpenID Connect issuer; None takes the one of the SMART configuration, on one of the tenant's own hosts.
    frame_ancestors : tuple of str
        Origins that may show the app in a frame.
    standalone : bool
        Whether the app may also be opened outside the EHR.
    units : mapping of str to str
        From a LOINC code to the UCUM unit in which people there read it; a quantity that it does not name keeps its
        own unit.
    """

    client_id: str
    auth: ClientAuth = "private-key-jwt"
    alg: Algorithm = "ES384"
    key: str | None = None
    kid: str | None = None
    jwks_url: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = APP_SCOPES
    refresh: str = "online"
    issuer: str | None = None
    frame_ancestors: tuple[str, ...] = ()
    standalone: bool = False
    units: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("client_id", "key", "kid", "client_secret"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.isprintable() or not value):
                raise ConfigurationError(f"smart.{name} must be text")
        self._check_choices()
        if (self.auth == "private-key-jwt") != (self.key is not None):
            raise ConfigurationError("smart.key names the key of auth private-key-jwt, and of no other")
        if (self.auth == "client-secret") != (self.client_secret is not None):
            raise ConfigurationError("smart.client_secret is the secret of auth client-secret, and of no other")
        for scope in self.scopes:
            if not isinstance(scope, str) or not APP_SCOPE.match(scope):
                raise ConfigurationError(
                    f"smart.scopes: {scope!r} is not a scope such as patient/Observation.rs; wildcards, version 1 and "
                    "system scopes are not asked for, and those of the launch are added by the app"
                )

    def _check_choices(self) -> None:
        choices = {"auth": CLIENT_AUTHS, "alg": ALGORITHMS, "refresh": REFRESH}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(f"smart.{name} must be one of {', '.join(allowed)}")
        if not isinstance(self.standalone, bool):
            raise ConfigurationError("smart.standalone must be a JSON boolean")
        if not isinstance(self.units, Mapping) or not all(
            isinstance(text, str) and text.isprintable() and text for pair in self.units.items() for text in pair
        ):
            raise ConfigurationError("smart.units must lead from LOINC codes to UCUM units")


def read_smart(data: Mapping[str, Any], where: str, allow_private: bool) -> SmartApp:
    """Read ``smart`` of a tenant's JSON form.

    Raises
    ------
    KeyError, ConfigurationError
        Naming the key; never a value that may be secret.
    """
    unknown = sorted(set(data) - _KEYS)
    if unknown:
        raise ConfigurationError(f"{where}: smart has keys that are not known: {', '.join(map(str, unknown))}")
    read = dict(data)
    for key in ("issuer", "jwks_url"):
        if read.get(key) is not None:
            # compared as text with what the EHR says, so a trailing slash stays
            checked_url(where, f"smart.{key}", read[key], allow_private)
    scopes = read.pop("scopes", APP_SCOPES)
    ancestors = read.pop("frame_ancestors", ())
    if isinstance(ancestors, str):
        raise ConfigurationError(f"{where}: smart.frame_ancestors must be a JSON array")
    read["client_id"] = data["client_id"]
    return SmartApp(
        scopes=tuple(scopes.split() if isinstance(scopes, str) else scopes),
        frame_ancestors=tuple(_origin(where, ancestor, allow_private) for ancestor in ancestors),
        **read,
    )


def _origin(where: str, ancestor: object, allow_private: bool) -> str:
    """Return an origin as a Content-Security-Policy writes it: exact, no wildcard, no path (CSP Level 3, 2.3.1)."""
    url = checked_url(where, "smart.frame_ancestors", ancestor, allow_private)
    if url.count("/") != 2:
        raise ConfigurationError(f"{where}: smart.frame_ancestors must be origins such as https://ehr.example.org")
    return url
