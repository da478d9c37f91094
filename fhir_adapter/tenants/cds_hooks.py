"""Which EHR may call our CDS services, which services it is offered, and what the cards say there (CDS Hooks 2.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants.auth import ALGORITHMS, Algorithm
from fhir_adapter.tenants.urls import checked_url

__all__ = ["DEFAULT_GROUP", "HOOKS", "CdsClient", "CdsHooks", "Threshold", "read_cds_hooks"]

HOOKS = ("patient-view", "order-select", "encounter-discharge", "appointment-book")
DEFAULT_GROUP = "risk"
# Milliseconds. The standard speaks of 500 in all, and the way there and back takes its part of them.
DEADLINE, SHORTEST, LONGEST = 400, 50, 10_000
_GROUP = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_KEYS = frozenset(
    {"clients", "url", "launch_url", "hooks", "groups", "origins", "public_discovery", "deadline_ms"}
    | {"abstentions", "stored_days", "thresholds", "comments"}
)


@dataclass(frozen=True)
class CdsClient:
    """A CDS client that may call: how its tokens are recognised (CDS Hooks 2.0, Trusting CDS Clients).

    Parameters
    ----------
    iss : str
        Whom its tokens are issued by, compared as text.
    jku : str or None
        Where its public keys are, the only address they are ever fetched from; or `jwks`, not both.
    jwks : dict or None
        Its public keys themselves, a JWK Set.
    algs : tuple of str
        What it signs with.
    tenant : str or None
        When given, what the claim ``tenant`` of its tokens must say: where one issuer signs for several hospitals.
    """

    iss: str
    jku: str | None = None
    jwks: Json | None = field(default=None, repr=False)
    algs: tuple[Algorithm, ...] = ALGORITHMS
    tenant: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.iss, str) or not self.iss:
            raise ConfigurationError("cds_hooks.clients: iss must be text")
        if (self.jku is None) == (self.jwks is None):
            raise ConfigurationError("cds_hooks.clients: a client has either jku or jwks")
        keys = self.jwks.get("keys") if isinstance(self.jwks, dict) else []
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise ConfigurationError("cds_hooks.clients: jwks must be a JWK Set")
        if any("d" in key or "k" in key for key in keys):
            raise ConfigurationError("cds_hooks.clients: jwks holds a secret; only public keys belong there")
        if not self.algs or any(alg not in ALGORITHMS for alg in self.algs):
            raise ConfigurationError(f"cds_hooks.clients: algs must be of {', '.join(ALGORITHMS)}")
        if self.tenant is not None and (not isinstance(self.tenant, str) or not self.tenant):
            raise ConfigurationError("cds_hooks.clients: tenant must be text")


@dataclass(frozen=True)
class Threshold:
    """From which risk on a card is more than a piece of information; the hospital's choice, never the model's.

    Parameters
    ----------
    days : float
        Horizon whose risk counts.
    warning, critical : float or None
        Probabilities in (0, 1].
    """

    days: float
    warning: float | None = None
    critical: float | None = None

    def __post_init__(self) -> None:
        levels = [level for level in (self.warning, self.critical) if level is not None]
        for level in levels:
            if isinstance(level, bool) or not isinstance(level, int | float) or not 0.0 < level <= 1.0:
                raise ConfigurationError("cds_hooks.thresholds: warning and critical are probabilities above 0, to 1")
        if not levels or levels != sorted(levels):
            raise ConfigurationError("cds_hooks.thresholds: give warning, critical, or both with warning the lower")
        if isinstance(self.days, bool) or not isinstance(self.days, int | float) or not self.days > 0:
            raise ConfigurationError("cds_hooks.thresholds: days must be the number of days of one of the horizons")


@dataclass(frozen=True)
class CdsHooks:
    """What one EHR is offered.

    Parameters
    ----------
    clients : tuple of CdsClient
        Who may call.
    groups : mapping of str to tuple of str
        Models by the name of their group. Each group is one service a hook, ``{group}-{hook}``.
    url : str or None
        Base URL of the services as its tokens name them; None takes the address that was called.
    launch_url : str or None
        Where the app is launched; without it, cards have no link.
    hooks : tuple of str
        Which hooks there are services for.
    origins : tuple of str
        Web origins that may call from a browser.
    public_discovery : bool
        Whether the list of services is shown without a token.
    deadline_ms : int
        After so many milliseconds the answer is an empty list of cards.
    abstentions : bool
        Whether a model that does not answer says so in a card.
    stored_days : float
        How old a prediction may be that is shown where the call names no encounter.
    thresholds : mapping of str to Threshold
        By model.
    comments : bool
        Whether the comments that people write beside an override are kept. They may hold patient data.
    """

    clients: tuple[CdsClient, ...]
    groups: Mapping[str, tuple[str, ...]]
    url: str | None = None
    launch_url: str | None = None
    hooks: tuple[str, ...] = HOOKS
    origins: tuple[str, ...] = ()
    public_discovery: bool = False
    deadline_ms: int = DEADLINE
    abstentions: bool = False
    stored_days: float = 30.0
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    comments: bool = False

    def __post_init__(self) -> None:
        if not self.clients:
            raise ConfigurationError("cds_hooks.clients names nobody, so nobody could call")
        unknown = [hook for hook in self.hooks if hook not in HOOKS]
        if unknown or not self.hooks:
            raise ConfigurationError(f"cds_hooks.hooks must be of {', '.join(HOOKS)}")
        if not all(_GROUP.match(name) for name in self.groups):
            raise ConfigurationError("cds_hooks.groups: a name is lower-case letters, digits and hyphens")
        for key in ("public_discovery", "abstentions", "comments"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigurationError(f"cds_hooks.{key} must be a JSON boolean")
        for key, low, high in (("deadline_ms", SHORTEST, LONGEST), ("stored_days", 0, 3650)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigurationError(f"cds_hooks.{key} must lie between {low} and {high}")


def read_cds_hooks(data: Mapping[str, Any], where: str, allow_private: bool, models: Sequence[str]) -> CdsHooks:
    """Read ``cds_hooks`` of a tenant's JSON form.

    Parameters
    ----------
    models : sequence of str
        Those that the tenant's subscriptions name; one group of them where no groups are given.

    Raises
    ------
    KeyError, TypeError, AttributeError, ConfigurationError
        Naming the key that is missing, not known or wrong.
    """
    unknown = sorted(set(data) - _KEYS)
    if unknown:
        raise ConfigurationError(f"{where}: cds_hooks has keys that are not known: {', '.join(map(str, unknown))}")
    read = {key: value for key, value in data.items() if value is not None}
    for key in ("url", "launch_url"):
        if key in read:
            read[key] = checked_url(where, f"cds_hooks.{key}", read[key], allow_private)
    for key in ("clients", "hooks", "origins"):
        if not isinstance(read.get(key, []), list):
            raise ConfigurationError(f"{where}: cds_hooks.{key} must be a JSON array")
    groups = read.pop("groups", None) or {DEFAULT_GROUP: models}
    if not isinstance(groups, dict) or any(isinstance(named, str) for named in groups.values()):
        raise ConfigurationError(f"{where}: cds_hooks.groups must be a JSON object of arrays of models")
    return CdsHooks(
        clients=tuple(_client(entry, where, allow_private) for entry in data["clients"]),
        groups={str(name): tuple(dict.fromkeys(named)) for name, named in groups.items()},
        hooks=tuple(read.pop("hooks", HOOKS)),
        origins=tuple(_origin(origin, where, allow_private) for origin in read.pop("origins", ())),
        thresholds={str(name): Threshold(**level) for name, level in read.pop("thresholds", {}).items()},
        **{key: value for key, value in read.items() if key != "clients"},
    )


def _client(entry: Mapping[str, Any], where: str, allow_private: bool) -> CdsClient:
    unknown = sorted(set(entry) - {"iss", "jku", "jwks", "algs", "tenant"})
    if unknown:
        raise ConfigurationError(f"{where}: cds_hooks.clients has keys that are not known: {', '.join(unknown)}")
    jku = entry.get("jku")
    if jku is not None:
        # compared as text with what a token says, so a trailing slash stays
        checked_url(where, "cds_hooks.clients.jku", jku, allow_private)
    algs = entry.get("algs", ALGORITHMS)
    return CdsClient(entry["iss"], jku, entry.get("jwks"), tuple(algs), entry.get("tenant"))


def _origin(origin: object, where: str, allow_private: bool) -> str:
    """Return a web origin as browsers write it: scheme, host and port, no path (RFC 6454, 6.2)."""
    url = checked_url(where, "cds_hooks.origins", origin, allow_private)
    if url.count("/") != 2:
        raise ConfigurationError(f"{where}: cds_hooks.origins must be origins such as https://ehr.example.org")
    return url
