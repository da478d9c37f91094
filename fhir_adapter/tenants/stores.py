"""Where tenants are kept: a Protocol, in memory, and in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants.tenant import Tenant

__all__ = ["FileTenants", "MemoryTenants", "TenantRegistry", "TenantStore"]

SUFFIXES = (".json", ".yaml", ".yml")


class TenantStore(Protocol):
    """Where tenants are found by name."""

    def get(self, name: str) -> Tenant | None:
        """Return the tenant, or None when there is none of this name."""


class TenantRegistry(TenantStore, Protocol):
    """A store that also knows who is in it."""

    def names(self) -> Sequence[str]:
        """Return the names of all tenants, sorted."""


class MemoryTenants:
    """Tenants in memory, for tests and files.

    Raises
    ------
    ConfigurationError
        When two have one name.
    """

    def __init__(self, *tenants: Tenant) -> None:
        self._tenants: dict[str, Tenant] = {}
        for tenant in tenants:
            if tenant.name in self._tenants:
                raise ConfigurationError(f"tenant {tenant.name!r} is described twice")
            self._tenants[tenant.name] = tenant

    def get(self, name: str) -> Tenant | None:
        """Return the tenant, or None."""
        return self._tenants.get(name)

    def names(self) -> Sequence[str]:
        """Return the names of all tenants, sorted."""
        return sorted(self._tenants)


class FileTenants(MemoryTenants):
    """Tenants in JSON or YAML files, read once.

    Parameters
    ----------
    path : Path
        A file that holds one tenant, an array of tenants or ``{"tenants": [...]}``; or a directory of such files
        (``*.json``, ``*.yaml``, ``*.yml``).

    Raises
    ------
    ConfigurationError
        Naming the file that cannot be read, or the tenant and the key that is wrong.
    """

    def __init__(self, path: Path) -> None:
        files = sorted(found for found in path.iterdir() if found.suffix in SUFFIXES) if path.is_dir() else [path]
        super().__init__(*(tenant for file in files for tenant in _tenants_in(file)))


def _tenants_in(file: Path) -> Iterator[Tenant]:
    data = _parsed(file)
    if isinstance(data, dict) and "tenants" in data:
        data = data["tenants"]
    for entry in data if isinstance(data, list) else [data]:
        if not isinstance(entry, dict):
            raise ConfigurationError(f"{file}: does not hold a tenant")
        yield Tenant.from_dict(entry)


def _parsed(file: Path) -> Any:
    """Parse a file; the errors of parsers quote the text, which holds secrets, and are left out."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read ({type(error).__name__})") from None
    if file.suffix == ".json":
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ConfigurationError(f"{file}: not JSON (line {error.lineno})") from None
    import yaml

    try:
        return yaml.safe_load(content)
    except yaml.YAMLError:
        raise ConfigurationError(f"{file}: not YAML") from None
