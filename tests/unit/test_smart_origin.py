"""Where the app finds its own origin."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from moto import mock_aws

from fhir_adapter.errors import ConfigurationError
from functions.smart_app.origin import own_origin

NAME = "/bedside/stack/app-origin"


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_ENDPOINT_URL", "SMART_BASE_URL", "SMART_BASE_URL_PARAMETER"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        parameters.clear_caches()
        monkeypatch.setattr(parameters.base, "DEFAULT_PROVIDERS", {})
        yield


def test_it_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMART_BASE_URL", "https://app.test")
    monkeypatch.setenv("SMART_BASE_URL_PARAMETER", NAME)
    assert own_origin() == "https://app.test"


def test_else_it_is_where_the_stack_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    boto3.client("ssm").put_parameter(Name=NAME, Value="https://stack.test", Type="String")
    monkeypatch.setenv("SMART_BASE_URL_PARAMETER", NAME)
    assert own_origin() == "https://stack.test"


def test_without_it_the_app_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="SMART_BASE_URL_PARAMETER is not set"):
        own_origin()
    monkeypatch.setenv("SMART_BASE_URL_PARAMETER", NAME)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        own_origin()
