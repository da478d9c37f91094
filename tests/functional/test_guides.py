"""What the guides say: tenants that are read as they stand, and addresses, scopes and capabilities as in the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fhir_adapter.smart.configuration import AUTH_CAPABILITY, LAUNCH_CAPABILITIES
from fhir_adapter.tenants import Tenant
from functions.smart_app.api import launch_url, redirect_uri
from functions.smart_app.reading import FEATURES
from infra.packaging.artefact import REPOSITORY

ORIGIN = "https://bedside.example.org"
REGISTERING = (REPOSITORY / "functions" / "smart_app" / "REGISTERING.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def tenants(text: str) -> list[Tenant]:
    """Every tenant that a guide gives as an example."""
    found: list[Any] = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", text, re.M | re.S)]
    return [Tenant.from_dict(described) for described in found if "fhir_base" in described]


def test_the_examples_are_tenants() -> None:
    (described,) = tenants(README)
    assert described.subscriptions
    (described,) = tenants(REGISTERING)
    assert described.smart is not None and described.cds_hooks is not None


def test_the_example_names_the_addresses_that_the_app_itself_uses() -> None:
    (described,) = tenants(REGISTERING)
    assert described.cds_hooks is not None
    assert described.cds_hooks.launch_url == launch_url(ORIGIN, described.name)
    assert described.cds_hooks.url == f"{ORIGIN}/cds/{described.name}"
    assert f"ORIGIN{launch_url('', 'general')}`" in REGISTERING
    assert f"ORIGIN{redirect_uri('', 'general')}`" in REGISTERING


def test_the_example_asks_for_what_every_part_of_the_page_reads_and_writes() -> None:
    (described,) = tenants(REGISTERING)
    assert described.smart is not None
    asked = dict(scope.rsplit(".", 1) for scope in described.smart.scopes)
    for feature in FEATURES:
        for scope in feature.needs:
            resource, letters = scope.rsplit(".", 1)
            assert set(letters) <= set(asked[resource]), scope
    for resource in asked:
        assert f"`{resource}." in REGISTERING, "each is explained"


@pytest.mark.parametrize(
    "capability", [*AUTH_CAPABILITY.values(), *LAUNCH_CAPABILITIES[True], *LAUNCH_CAPABILITIES[False]]
)
def test_each_capability_that_is_demanded_is_named(capability: str) -> None:
    ending = capability.removeprefix("client-confidential")
    assert f"`{capability}`" in REGISTERING or f"`{ending}`" in REGISTERING


def test_the_readme_leads_there() -> None:
    assert "(functions/smart_app/REGISTERING.md)" in README
