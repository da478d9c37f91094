"""Tenants and keys in AWS: JSON in Secrets Manager, or in Parameter Store as SecureString; cached for minutes.

Nothing is opened until it is first asked for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import boto3
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants import Tenant

__all__ = ["KEY_PREFIX", "TENANT_PREFIX", "ParameterTenants", "SecretKeys", "SecretTenants"]

TENANT_PREFIX = "bedside/tenants/"
KEY_PREFIX = "bedside/keys/"

TENANT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
KEY_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,400}\Z")
NOT_THERE = ("ResourceNotFoundException", "ParameterNotFound")
SECONDS_FRESH = 300
SECONDS_UNKNOWN = 30
MOST_UNKNOWN = 1000


class _NotThere(Exception):
    """No secret of this name."""


def _secret(name: str) -> Any:
    return parameters.get_secret(name, transform="json", max_age=SECONDS_FRESH)


def _parameter(name: str) -> Any:
    return parameters.get_parameter(name, transform="json", decrypt=True, max_age=SECONDS_FRESH)


def _fetch(fetch: Callable[[str], Any], name: str, where: str) -> Any:
    """Fetch JSON; what went wrong is told without the content."""
    try:
        return fetch(name)
    except TransformParameterError:
        raise ConfigurationError(f"{where}: the secret is not JSON") from None
    except GetParameterError as error:
        if any(code in str(error) for code in NOT_THERE):
            raise _NotThere from None
        raise ConfigurationError(f"{where}: the secret cannot be read") from None


class SecretTenants:
    """Tenants kept as JSON secrets in AWS Secrets Manager, cached for five minutes.

    Parameters
    ----------
    prefix : str
        Secret name before the tenant's name.
    """

    _fetch = staticmethod(_secret)

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._unknown: dict[str, float] = {}

    def get(self, name: str) -> Tenant | None:
        """Return the tenant, or None when there is no such secret.

        Raises
        ------
        ConfigurationError
            When the secret cannot be read or is no tenant.
        """
        if not TENANT_NAME.match(name) or self._unknown.get(name, 0) > time.monotonic():
            return None
        try:
            data = _fetch(self._fetch, self._prefix + name, f"tenant {name!r}")
        except _NotThere:
            if len(self._unknown) > MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown[name] = time.monotonic() + SECONDS_UNKNOWN
            return None
        tenant = Tenant.from_dict(data)
        if tenant.name != name:
            raise ConfigurationError(f"tenant {name!r}: the secret describes another tenant")
        return tenant

    def names(self) -> Sequence[str]:
        """Return the names of all tenants, sorted.

        Raises
        ------
        botocore.exceptions.ClientError
            When the secrets may not be listed.
        """
        pages = boto3.client("secretsmanager").get_paginator("list_secrets")
        filters: Any = [{"Key": "name", "Values": [self._prefix]}]
        found = (entry.get("Name", "") for page in pages.paginate(Filters=filters) for entry in page["SecretList"])
        return _names(found, self._prefix)


class ParameterTenants(SecretTenants):
    """Tenants kept as SecureString parameters in AWS Systems Manager Parameter Store, ``{prefix}{name}``."""

    _fetch = staticmethod(_parameter)

    def names(self) -> Sequence[str]:
        """Return the names of all tenants, sorted."""
        pages = boto3.client("ssm").get_paginator("describe_parameters")
        filters: Any = [{"Key": "Name", "Option": "BeginsWith", "Values": [self._prefix]}]
        found = (entry["Name"] for page in pages.paginate(ParameterFilters=filters) for entry in page["Parameters"])
        return _names(found, self._prefix)


def _names(found: Any, prefix: str) -> Sequence[str]:
    names = (name.removeprefix(prefix) for name in found if name.startswith(prefix))
    return sorted(name for name in names if TENANT_NAME.match(name))


class SecretKeys:
    """Private keys kept as JWK or JWK Set secrets in AWS Secrets Manager; a :class:`fhir_adapter.keys.KeyStore`.

    Parameters
    ----------
    prefix : str
        Secret name before the key's name, so that a tenant's record cannot name any other secret.
    """

    def __init__(self, prefix: str = KEY_PREFIX) -> None:
        self._prefix = prefix

    def get(self, name: str) -> Json:
        """Return the private JWK or JWK Set, at most five minutes old.

        Raises
        ------
        ConfigurationError
            When there is none, or it is not a JSON object.
        """
        if not KEY_NAME.match(name):
            raise ConfigurationError(f"key {name!r} is not the name of a secret")
        try:
            data = _fetch(_secret, self._prefix + name, f"key {name!r}")
        except _NotThere:
            raise ConfigurationError(f"key {name!r} does not exist in Secrets Manager") from None
        if not isinstance(data, dict):
            raise ConfigurationError(f"key {name!r} is not a JWK")
        return data
