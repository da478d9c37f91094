"""Where the commands find tenants: a file or directory, or Secrets Manager."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants import FileTenants, Tenant, TenantRegistry
from functions.serving.tenants import TENANT_PREFIX, SecretTenants

__all__ = ["add_tenants_option", "registry", "tenant_at", "tenant_named"]


def add_tenants_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--tenants FILE``."""
    parser.add_argument(
        "--tenants",
        type=Path,
        default=None,
        metavar="FILE",
        help="tenants in a JSON or YAML file, or a directory of them (default: Secrets Manager)",
    )


def registry(path: Path | None) -> TenantRegistry:
    """Open the tenants of a file, or of Secrets Manager under TENANT_SECRET_PREFIX."""
    if path is not None:
        return FileTenants(path)
    return SecretTenants(os.environ.get("TENANT_SECRET_PREFIX") or TENANT_PREFIX)


def tenant_named(tenants: TenantRegistry, name: str) -> Tenant:
    """Return a tenant.

    Raises
    ------
    ConfigurationError
        There is none of this name.
    """
    tenant = tenants.get(name)
    if tenant is None:
        raise ConfigurationError(f"there is no tenant {name!r}")
    return tenant


def tenant_at(base: str, token_file: Path | None, name: str, dicomweb: str | None = None) -> Tenant:
    """Return a tenant of nothing but a FHIR base, the bearer token in a file, and perhaps a DICOMweb root.

    A base given on the command line is meant, wherever it is, so private addresses are allowed.
    """
    auth = {"type": "none"}
    if token_file:
        auth = {"type": "bearer", "token": token_file.read_text(encoding="utf-8").strip()}
    images = {"dicomweb_root": dicomweb} if dicomweb else {}
    told = {"name": name, "fhir_base": base, "auth": auth, "allow_private": True, "subscriptions": {}, **images}
    return Tenant.from_dict(told)
