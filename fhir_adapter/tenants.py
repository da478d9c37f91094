"""The EHRs Bedside serves: where they are, how to sign in, and which subscriptions they may send on.

A tenant is read from JSON (a file, a secret); a constructed one is valid. Stores are a Protocol with an
in-memory form here; the Secrets Manager form belongs to the functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from fhir_adapter.errors import ConfigurationError

MIN_SECRET_LENGTH = 16


@dataclass(frozen=True)
class SubscriptionEntry:
    """One subscription of a tenant that may notify us.

    Parameters
    ----------
    name : str
        Name in the endpoint's path.
    secret : str
        What the EHR sends as ``Authorization: Bearer`` (conveyed by Subscription.channel.header).
    criteria : str
        The search that defines it, ``Type?parameters`` (R4 Subscription.criteria).
    reference : str or None
        ``Subscription/{id}`` at the EHR; when given, a notification bundle must name it.
    models : tuple of str
        Names of the model packages that answer its events.
    """

    name: str
    secret: str = field(repr=False)
    criteria: str
    reference: str | None
    models: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET_LENGTH:
            raise ConfigurationError(
                f"subscription {self.name!r}: the secret needs at least {MIN_SECRET_LENGTH} characters"
            )
        if not self.criteria or not self.criteria[0].isupper():
            raise ConfigurationError(f"subscription {self.name!r}: criteria must read Type?parameters")


@dataclass(frozen=True)
class Tenant:
    """One EHR.

    Parameters
    ----------
    name : str
        Short name, used in paths and keys.
    fhir_base : str
        FHIR base URL; https unless the tenant allows private addresses.
    token : str or None
        Static bearer token; None for an open server.
    organization : str
        Who operates the model, for Provenance.agent.onBehalfOf.
    subscriptions : mapping of str to SubscriptionEntry
        By name.
    allow_private : bool
        Whether the base may be plain http on a private address (a twin, a hospital network).
    """

    name: str
    fhir_base: str
    token: str | None = field(repr=False)
    organization: str
    subscriptions: Mapping[str, SubscriptionEntry]
    allow_private: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.fhir_base)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigurationError(f"tenant {self.name!r}: fhir_base must be an http(s) URL")
        if parts.scheme == "http" and not self.allow_private:
            raise ConfigurationError(f"tenant {self.name!r}: fhir_base must be https (or set allow_private)")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tenant:
        """Read a tenant from its JSON form.

        Raises
        ------
        ConfigurationError
            Naming the tenant and the key that is missing or wrong; never a secret's value.
        """
        name = str(data.get("name", "?"))
        try:
            subscriptions = {
                key: SubscriptionEntry(
                    name=key,
                    secret=entry["secret"],
                    criteria=entry["criteria"],
                    reference=entry.get("reference"),
                    models=tuple(entry["models"]),
                )
                for key, entry in data["subscriptions"].items()
            }
            auth = data.get("auth", {"type": "none"})
            if auth["type"] not in ("none", "bearer"):
                raise ConfigurationError(f"tenant {name!r}: auth.type {auth['type']!r} is not known")
            return cls(
                name=data["name"],
                fhir_base=data["fhir_base"].rstrip("/"),
                token=auth["token"] if auth["type"] == "bearer" else None,
                organization=data.get("organization") or data["name"],
                subscriptions=subscriptions,
                allow_private=bool(data.get("allow_private", False)),
            )
        except KeyError as error:
            raise ConfigurationError(f"tenant {name!r}: key {error} is missing") from None
        except (AttributeError, TypeError):
            raise ConfigurationError(f"tenant {name!r}: the description has the wrong shape") from None


class TenantStore(Protocol):
    """Where tenants are kept."""

    def get(self, name: str) -> Tenant | None:
        """Return the tenant, or None when there is none of this name."""


class MemoryTenants:
    """Tenants in memory, for tests and files."""

    def __init__(self, *tenants: Tenant) -> None:
        self._tenants = {tenant.name: tenant for tenant in tenants}

    def get(self, name: str) -> Tenant | None:
        """Return the tenant, or None."""
        return self._tenants.get(name)
