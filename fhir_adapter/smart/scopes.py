"""Scopes: what the app asks for, and what may be done with those that were granted (SMART App Launch 2.2, Scopes).

::

    scope          = launch-scope | resource-scope | "openid" | "fhirUser" | "online_access" | "offline_access"
    launch-scope   = "launch" [ "/" type-in-lower-case [ "?role=" role ] ]
    resource-scope = ("patient" | "user" | "system") "/" (Type | "*") "." letters [ "?" name "=" value *("&" ...) ]
    letters        = the letters c r u d s, each at most once and in this order

A session is worth what was granted: a feature whose scopes are not there is left out, and the page says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fhir_adapter.auth import missing_scopes
from fhir_adapter.tenants import SmartApp

__all__ = ["EHR_LAUNCH", "Feature", "covers", "features_of", "is_scope", "requested_scopes"]

EHR_LAUNCH = "launch"
_RESOURCE = re.compile(
    r"(patient|user|system)/([A-Z][A-Za-z]{1,63}|\*)\.(?=[cruds])c?r?u?d?s?"
    r"(\?[^\s?&=\"\\]+=[^\s?&=\"\\]*(&[^\s?&=\"\\]+=[^\s?&=\"\\]*)*)?\Z"
)
_LAUNCH = re.compile(r"launch(/[a-z]{2,64}(\?role=[A-Za-z0-9:/._~%-]+)?)?\Z")
_NAMES = frozenset({"openid", "fhirUser", "profile", "online_access", "offline_access"})
# Whoever may read what a user may read may read the open patient's: user/ covers patient/, not the other way round.
_LEVELS = {"patient": ("patient", "user"), "user": ("user",), "system": ("system",)}


@dataclass(frozen=True)
class Feature:
    """Something the app does, and the scopes without which it does not.

    Parameters
    ----------
    name : str
    needs : tuple of str
        ``patient/...`` or ``user/...`` scopes of version 2.
    """

    name: str
    needs: tuple[str, ...]

    def __post_init__(self) -> None:
        wrong = [scope for scope in self.needs if not _RESOURCE.match(scope)]
        if wrong:
            raise ValueError(f"feature {self.name!r}: not scopes of version 2: {', '.join(wrong)}")


def is_scope(scope: str) -> bool:
    """Return whether a scope is of the grammar of version 2."""
    return scope in _NAMES or bool(_RESOURCE.match(scope) or _LAUNCH.match(scope))


def requested_scopes(app: SmartApp, *, from_ehr: bool) -> tuple[str, ...]:
    """Return what to ask for, in a fixed order: launch, identity, refresh, resources.

    Parameters
    ----------
    from_ehr : bool
        Whether the EHR launched the app; otherwise its authorization server is asked to have a patient chosen
        (``launch/patient``).
    """
    launch = EHR_LAUNCH if from_ehr else "launch/patient"
    refresh = () if app.refresh == "none" else (f"{app.refresh}_access",)
    return (launch, "openid", "fhirUser", *refresh, *app.scopes)


def covers(granted: Iterable[str], needed: str) -> bool:
    """Return whether granted scopes, of either version, cover a needed one.

    One that was narrowed by a search parameter covers only its like.
    """
    have = tuple(granted)
    level, _, rest = needed.partition("/")
    return any(not missing_scopes([f"{other}/{rest}"], have) for other in _LEVELS.get(level, ()))


def features_of(features: Collection[Feature], granted: Iterable[str]) -> tuple[frozenset[str], dict[str, list[str]]]:
    """Return the features that were granted, and for each other one the scopes that it lacks.

    Returns
    -------
    (frozenset of str, dict)
        Names; name -> missing scopes.
    """
    have = tuple(granted)
    lacking = {
        feature.name: missing
        for feature in features
        if (missing := [scope for scope in feature.needs if not covers(have, scope)])
    }
    return frozenset(feature.name for feature in features if feature.name not in lacking), lacking
