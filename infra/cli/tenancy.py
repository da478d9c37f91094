"""Where the commands find tenants: a file or directory, or Secrets Manager."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants import FileTenants, Tenant, TenantRegistry
from functions.serving.tenants import SecretTenants

__all__ = ["add_tenants_option", "registry", "tenant_named"]

PREFIX = "bedside/tenants/"


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
    return SecretTenants(os.environ.get("TENANT_SECRET_PREFIX") or PREFIX)


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
